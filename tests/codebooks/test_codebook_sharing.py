"""Shared books: values never depend on history, sizes hardly; threads, drift, other processes."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import fzdask
from fzdask import FZCodec
from fzdask.codecs import shared_codebooks
from fzdask.codecs.codebooks import Codebook, own_coding
from fzdask.codecs.kernels.cpu import symbols
from fzdask.codecs.shared_codebooks import SharedBooks, shared_books
from fzdask.codecs.stages.symbols import Symbols
from fzdask.errors import FormatError

GROUP = 4096
OWN = FZCodec(abs=0.5)
SHARED = FZCodec(abs=0.5, codebook="shared")


def residuals(seed: int, scale: float, size: int = 16384) -> Symbols:
    """Every third value only, so that no standard book suits."""
    rng = np.random.default_rng(seed)
    return Symbols.of(3 * np.rint(scale / 3 * rng.standard_normal(size)).astype("i4"))


def thirds(chunk: np.ndarray) -> np.ndarray:
    """Values whose residuals no standard book suits either."""
    return 3 * np.rint(chunk / 3)


def the_books() -> SharedBooks:
    (books,) = shared_codebooks._registry.values()
    return books


def test_values_do_not_depend_on_history(waves):
    chunks = [waves(k, noise) for k, noise in enumerate([3, 3, 0, 50, 3, 0.2])]
    alone = [OWN.decode(OWN.encode(c)) for c in chunks]
    for order in (range(6), reversed(range(6)), (3, 0, 3, 1, 5, 2, 4)):
        shared_codebooks._registry.clear()
        for k in order:
            stream = SHARED.encode(chunks[k])
            np.testing.assert_array_equal(SHARED.decode(stream), alone[k])
            # The book is in the stream: nothing else is needed.
            np.testing.assert_array_equal(fzdask.decompress(stream), alone[k])


def test_like_chunks_share_one_book_and_cost_nothing(waves):
    chunks = [waves(k) for k in range(20)]
    shared = sum(len(SHARED.encode(c)) for c in chunks)
    assert the_books().built <= 4
    assert shared <= 1.005 * sum(len(OWN.encode(c)) for c in chunks)


def test_no_chunk_costs_more_than_is_accepted():
    """Of the coded chunk; what zstd makes of either is another matter."""
    books = SharedBooks()
    scales = np.exp(np.random.default_rng(3).uniform(-3, 7, 60))
    total = own_total = 0
    for seed, scale in enumerate(scales):
        coded = residuals(seed, scale)
        own = own_coding(coded, GROUP).total_bits
        got = books.coding(coded, GROUP).total_bits
        # Books are taken unseen by a guess at what an own one would cost.
        assert got <= 1.03 * own
        total += got
        own_total += own
    assert total <= 1.005 * own_total
    assert books.built < len(scales)


def test_eight_threads_with_one_key(waves):
    chunks = [waves(k, noise) for k, noise in enumerate([3, 3, 0, 50, 3, 0.2, 3, 900] * 6)]
    start = threading.Barrier(8)

    def work(first: int) -> list[tuple[int, bytes]]:
        start.wait()
        return [(k, SHARED.encode(chunks[k])) for k in range(first, len(chunks), 8)]

    with ThreadPoolExecutor(8) as pool:
        streams = dict(pair for part in pool.map(work, range(8)) for pair in part)
    assert len(shared_codebooks._registry) == 1
    own = 0
    for k, chunk in enumerate(chunks):
        stream = OWN.encode(chunk)
        own += len(stream)
        np.testing.assert_array_equal(OWN.decode(streams[k]), OWN.decode(stream))
    assert sum(map(len, streams.values())) <= 1.01 * own


def test_a_change_of_regime_is_caught_at_once():
    books = SharedBooks()
    for seed in range(5):
        books.coding(residuals(seed, 2.0), GROUP)
    assert books.built == 1
    for change, scale in enumerate([40.0, 300.0, 1.5, 120.0]):
        before = books.built
        coded = residuals(100 + change, scale)
        got = books.coding(coded, GROUP)
        # The first chunk after the change already is as small as with a book of its own,
        assert got.total_bits <= 1.01 * own_coding(coded, GROUP).total_bits
        assert books.built <= before + 1
        for seed in range(5):  # and those after it share what it brought.
            coded = residuals(200 + seed, scale)
            assert books.coding(coded, GROUP).total_bits <= (
                1.01 * own_coding(coded, GROUP).total_bits
            )
        assert books.built <= before + 1


def test_a_change_of_regime_in_threads_costs_at_most_a_chunk_each():
    books = SharedBooks()
    for seed in range(5):
        books.coding(residuals(seed, 2.0), GROUP)
    start = threading.Barrier(4)

    def work(first: int) -> list[tuple[int, int]]:
        start.wait()
        some = [residuals(1000 + first * 100 + k, 60.0) for k in range(6)]
        return [(books.coding(c, GROUP).total_bits, own_coding(c, GROUP).total_bits) for c in some]

    with ThreadPoolExecutor(4) as pool:
        sizes = [pair for part in pool.map(work, range(4)) for pair in part]
    assert 2 <= books.built <= 1 + 4
    assert all(got <= 1.01 * own for got, own in sizes)


def test_a_known_regime_that_comes_back_is_asked_anew(waves):
    """Axes and back ends of smooth chunks do not count for noise, though its book is at hand."""
    for first in (0, 100):
        for k in range(20):
            SHARED.encode(waves(first + k, 0.2))
        sizes = [
            (len(SHARED.encode(noise)), len(OWN.encode(noise)))
            for noise in (waves(first + 50 + k, 900) for k in range(4))
        ]
    assert all(shared <= 1.01 * own for shared, own in sizes[1:])


def test_answers_may_be_forgotten_by_another_thread_while_they_are_kept():
    class Forgetful(dict):
        def __setitem__(self, key, value):
            super().__setitem__(key, value)
            kept.append(value)
            self.clear()

    kept = []
    books = SharedBooks()
    books._agreed = Forgetful()
    for _ in range(2):
        books.remember("question", True)
    assert kept == [1, 1]
    assert not books.recall("question")


def test_a_slow_drift_is_followed():
    books = SharedBooks()
    for step in range(60):
        coded = residuals(step, 2.0 * 1.05**step)
        got = books.coding(coded, GROUP)
        assert got.total_bits <= 1.03 * own_coding(coded, GROUP).total_bits
    assert 2 <= books.built <= 30


def test_books_are_not_made_in_vain(monkeypatch):
    """Where no two chunks are alike, few books are added after the first, and few looked at."""
    looks = []
    candidates = SharedBooks._candidates
    monkeypatch.setattr(
        SharedBooks, "_candidates", lambda *given: looks.append(1) or candidates(*given)
    )
    books = SharedBooks()
    rng = np.random.default_rng(5)
    for k in range(80):
        values = rng.permutation(512)[: 20 + k] - 256  # another alphabet for each chunk
        coded = Symbols.of(rng.choice(values, 16384).astype("i4"))
        assert books.coding(coded, GROUP).total_bits <= own_coding(coded, GROUP).total_bits
    in_vain = 1 + shared_codebooks.MOST_BOOKS + 80 / shared_codebooks.RETRY
    assert books.built <= in_vain
    assert len(looks) <= in_vain
    taken = set()
    for k in range(3 * shared_codebooks.RETRY):  # alike again
        taken.add(books.coding(residuals(k, 9.0), GROUP).book.name)
    assert len(taken) <= 2 * shared_codebooks.RETRY


def test_books_go_to_another_process_in_a_few_hundred_bytes(waves, in_new_process):
    for k, noise in enumerate([3, 50, 0.2]):
        SHARED.encode(thirds(waves(k, noise)))
    dumped = the_books().dump()
    assert 0 < len(dumped) < 600
    other = SharedBooks()
    other.load(dumped)
    assert other.newest.name == the_books().newest.name
    assert other.dump() == dumped
    script = (
        "import sys; from fzdask.codecs.shared_codebooks import SharedBooks; b = SharedBooks();"
        "b.load(bytes.fromhex(sys.argv[1])); print(b.newest.name.hex(), b.dump().hex())"
    )
    name, again = in_new_process(script, dumped.hex()).split()
    assert name == the_books().newest.name.hex()
    assert bytes.fromhex(again) == dumped


def test_loaded_books_are_used():
    first, second = SharedBooks(), SharedBooks()
    first.coding(residuals(0, 9.0), GROUP)
    second.load(first.dump())
    built = second.built
    assert second.coding(residuals(1, 9.0), GROUP).book.name == first.newest.name
    assert second.built == built


def test_a_damaged_dump_is_refused_whole():
    books = SharedBooks()
    for seed, scale in enumerate([2.0, 70.0]):
        books.coding(residuals(seed, scale), GROUP)
    dumped = books.dump()
    first = shared_codebooks._DUMPED.size + len(books._books[1].book.packed)
    for end in set(range(1, len(dumped))) - {first}:
        other = SharedBooks()
        with pytest.raises(FormatError, match=r"SharedBooks\.load"):
            other.load(dumped[:end])
        assert other.newest is None
    with pytest.raises(FormatError, match="hold no codebooks"):
        SharedBooks().load(b"\xff" * len(dumped))


def test_one_set_of_books_for_each_key_and_not_too_many():
    assert shared_books("a") is shared_books("a")
    assert shared_books("a") is not shared_books("b")
    for key in range(shared_codebooks.MOST_KEYS + 5):
        shared_books(key)
    assert len(shared_codebooks._registry) == shared_codebooks.MOST_KEYS


def test_bounds_and_dtypes_do_not_share(waves):
    for codec in (SHARED, FZCodec(abs=0.25, codebook="shared")):
        for dtype in ("f4", "f8"):
            codec.encode(waves(0, dtype=dtype))
    assert len(shared_codebooks._registry) == 4


def test_a_book_for_many_symbols_is_small():
    """Every symbol below 512 and many classes: as wide as an alphabet of residuals gets."""
    rng = np.random.default_rng(0)
    widest = Symbols.of(np.rint(2000 * rng.standard_t(2, 1 << 20)).astype("i4"))
    assert np.count_nonzero(widest.counts) >= 540
    own = own_coding(widest, GROUP).book
    assert len(own.packed) <= 300
    assert len(Codebook.build_shared(widest.counts, -1, escape=True).packed) <= 300
    typical = residuals(0, 20.0)
    assert len(own_coding(typical, GROUP).book.packed) <= 150


def test_a_shared_book_has_codes_for_what_lies_between():
    counts = np.zeros(symbols.ALPHABET, np.int64)
    counts[[0, 5, 40]] = 1000, 10, 1
    book = Codebook.build_shared(counts, -1, escape=True)
    assert book.lengths[:41].all()
    assert book.lengths[symbols.ESCAPE]
    assert book.lengths[0] == 1
    assert not Codebook.build_shared(counts, -1, escape=False).lengths[symbols.ESCAPE]
