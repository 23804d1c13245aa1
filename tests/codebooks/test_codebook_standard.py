"""Standard books: what is in their file, when one is taken, and that all of them decode."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

import fzdask
from fzdask import FZCodec
from fzdask.codecs import codebooks, shared_codebooks
from fzdask.codecs.codebooks import Codebook, own_coding
from fzdask.codecs.kernels.cpu import choice, huffman, symbols
from fzdask.codecs.shared_codebooks import SharedBooks
from fzdask.codecs.stages.base import Form, Job, Known
from fzdask.codecs.stages.huffman import Huffman, find_book
from fzdask.codecs.stages.symbols import Symbols
from fzdask.codecs.standard_codebooks import MODES, PATH, pack, standard_costs, standard_lengths
from fzdask.errors import FormatError

GROUP = 4096
DIGEST = "3441b8fa75624fd1b307d80b73c4fd2f527af3338352f5fec6ef229546f9c7b9"


def laplacian(seed: int, scale: float, size: int = 16384) -> Symbols:
    return Symbols.of(np.rint(np.random.default_rng(seed).laplace(0, scale, size)).astype("i4"))


def test_the_file_is_what_the_format_says():
    """Another file would make streams of this release unreadable."""
    assert hashlib.sha256(PATH.read_bytes()).hexdigest() == DIGEST
    page = PATH.parents[2] / "docs" / "format.md"
    if page.exists():  # not beside an installed package
        assert DIGEST in page.read_text(encoding="utf-8")


def test_packing_the_sets_gives_the_file_again():
    from fzdask.codecs.kernels.cpu import codebook

    sets = [
        [codebook.pack_lengths(standard_lengths(k, mode)).tobytes() for k in range(128)]
        for mode in MODES
    ]
    assert pack(sets) == PATH.read_bytes()
    assert standard_lengths(128, -1) is None
    assert standard_lengths(0, 1) is None


@pytest.mark.parametrize("mode", MODES)
def test_every_book_codes_every_chunk(mode):
    """Any residual, by an escape if need be, and runs of any length of a group."""
    anything = np.zeros(symbols.ALPHABET, np.int64)
    anything[: symbols.RUN] = 1
    if mode == 0:
        anything[0] = 0
        anything[symbols.RUN : symbols.RUN + 15] = 1
    for number in range(128):
        book = Codebook.of(bytes([number]), mode)
        assert book.usable
        assert huffman.coded_bits(anything, book.lengths) > 0


@pytest.mark.parametrize("mode", MODES)
def test_every_book_decodes_what_it_coded(mode):
    rng = np.random.default_rng(5)
    residual = np.rint(rng.laplace(0, 2, 5000) * (rng.random(5000) < 0.3)).astype("i8")
    residual[600:3000] = 0
    residual[::500] = rng.integers(-(2**60), 2**60, 10)
    coded = Symbols.of(residual)
    form = Form((residual.size,), residual.dtype)
    for number in range(128):
        book = Codebook.of(bytes([number]), mode)
        counts = coded.counts
        if mode == 0:
            counts, _ = codebooks.count_runs(coded, 256, 1, 0)
        coding = codebooks.Coding(book, int(huffman.coded_bits(counts, book.lengths)), counts)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("fzdask.codecs.stages.huffman.choose_coding", lambda *_, c=coding: c)
            got = Huffman(group=256).encode(coded, form, Job(np.zeros(0, "u1"), residual[:0], 0.0))
        sections = {name: np.frombuffer(data, np.uint8) for name, data in got.sections.items()}
        assert sections["codebook"].tolist() == [number]
        back = Huffman().decode(got.data, form, got.params, sections, Known())
        np.testing.assert_array_equal(back, residual)


@pytest.mark.parametrize(("number", "mode"), [(128, -1), (255, 0), (0, 7), (5, 300)])
def test_a_number_without_a_book_is_refused(number, mode):
    with pytest.raises(FormatError, match="no prefix code"):
        find_book({"codebook": np.array([number], np.uint8)}, mode, None)


@pytest.mark.parametrize("scale", [0.3, 1.0, 5.0, 40.0, 1000.0])
def test_a_chunk_of_a_common_shape_takes_one_and_is_smaller(scale):
    books = SharedBooks()
    coded = laplacian(1, scale)
    got = books.coding(coded, GROUP)
    assert len(got.book.packed) == 1
    assert books.built == 0
    assert got.total_bits <= 1.005 * own_coding(coded, GROUP).total_bits


def test_a_stream_with_a_standard_book_needs_nothing_else():
    chain = {"abs": 0.5, "pipeline": "quantize | lorenzo(axes=()) | huffman"}
    shared, own = FZCodec(codebook="shared", **chain), FZCodec(**chain)
    chunk = np.random.default_rng(3).laplace(0, 2, (64, 64))
    stream = shared.encode(chunk)
    (books,) = shared_codebooks._registry.values()
    assert books.built == 0
    assert len(stream) < len(own.encode(chunk))
    np.testing.assert_array_equal(fzdask.decompress(stream), own.decode(own.encode(chunk)))


def test_own_and_fitted_take_none():
    chain = {"abs": 0.5, "pipeline": "quantize | lorenzo(axes=()) | huffman"}
    sample = np.random.default_rng(3).laplace(0, 2, (64, 64))
    assert len(Codebook.from_text(FZCodec.fit(sample, **chain).codebook).packed) > 1
    coded = laplacian(1, 2.0)
    assert len(own_coding(coded, GROUP).book.packed) > 1


def test_the_cheapest_book_is_the_cheapest_one():
    costs = standard_costs(-1)
    packed = np.arange(costs.shape[1], dtype=np.int64)
    for seed, scale in enumerate([0.2, 2.0, 60.0]):
        counts = laplacian(seed, scale).counts
        bits = [int(huffman.coded_bits(counts, standard_lengths(k, -1))) for k in range(128)]
        which, least, complete = choice.cheapest_book(counts, costs, packed)
        assert complete
        assert least == bits[which]
        assert least + packed[which] == min(b + k for k, b in enumerate(bits))


def test_a_book_that_lacks_a_symbol_is_not_complete():
    counts = np.zeros(symbols.ALPHABET, np.int64)
    counts[[3, 4]] = 5
    costs = choice.costs_of(Codebook.build(counts, -1).lengths[None])
    none = np.zeros(1, np.int64)
    assert choice.cheapest_book(counts, costs, none) == (0, 10, True)
    counts[9] = 1
    assert not choice.cheapest_book(counts, costs, none)[2]


@pytest.mark.parametrize("scale", [0.05, 0.2, 0.6, 2.0, 9.0, 300.0, 1e5])
def test_what_an_own_book_is_likely_to_take(scale):
    for seed in range(4):
        coded = laplacian(seed, scale)
        book = Codebook.build(coded.counts, -1)
        bits = int(huffman.coded_bits(coded.counts, book.lengths)) + 8 * len(book.packed)
        assert 0.95 * bits <= choice.likely_bits(coded.counts) <= 1.02 * bits


def test_no_symbols_are_likely_to_take_hardly_anything():
    assert choice.likely_bits(np.zeros(symbols.ALPHABET, np.int64)) == 16


def test_regression_a_run_longer_than_any_of_a_shared_book():
    """It was rated as an escape, which stands for values only: the stream could not be decoded."""
    rng = np.random.default_rng(0)
    shared = FZCodec(abs=0.5, pipeline="quantize | huffman", codebook="shared")

    def sparse() -> np.ndarray:
        chunk = np.zeros(1 << 20, "f4")
        places = np.arange(0, chunk.size, 64) + rng.integers(0, 8, chunk.size // 64)
        chunk[places] = 3 * rng.integers(1, 70, places.size)  # unlike any standard book
        return chunk

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shared_codebooks, "MODES", ())
        for _ in range(9):
            shared.encode(sparse())
        (books,) = shared_codebooks._registry.values()
        assert books.built == 1
        assert books.newest.mode == 0
        chunk = sparse()
        chunk[4096:16384] = 0
        decoded = shared.decode(shared.encode(chunk))
    assert np.abs(decoded.astype("f8") - chunk).max() <= 0.5
