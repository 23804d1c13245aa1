"""`huffman` gives what its specification says, byte for byte, and undoes it."""

from __future__ import annotations

import choices_spec
import codebook_spec
import huffman_spec
import numpy as np
import pytest
from huffman_spec import raw_width, symbol_of, zigzag

from fzdask.codecs.kernels.cpu import choice, codebook, symbols
from fzdask.codecs.stages.base import Form, Job, Known
from fzdask.codecs.stages.huffman import Huffman
from fzdask.codecs.stages.symbols import Symbols

NONE = np.zeros(0, np.uint8)


def assert_as_specified(r, group=4096):
    """Encode a residual, compare with the specification, decode; returns the encoding."""
    form = Form(r.shape, r.dtype)
    got = Huffman(group=group).encode(r, form, Job(NONE, NONE, 0.0))
    mode = int.from_bytes(got.params[1:], "little") if len(got.params) > 1 else -1
    params, words, sections = huffman_spec.encode(r, group, mode)
    assert got.params == params
    assert {k: bytes(v) for k, v in got.sections.items()} == sections
    assert bytes(got.data) == words
    raw = {k: np.frombuffer(v, np.uint8) for k, v in sections.items()}
    back = Huffman().decode(np.frombuffer(words, np.uint8), form, params, raw, Known())
    assert back.dtype == r.dtype
    np.testing.assert_array_equal(back, r)
    return got


def laplace(size, scale, dtype="i4", seed=0):
    return np.random.default_rng(seed).laplace(scale=scale, size=size).astype(dtype)


@pytest.mark.parametrize("group", [1 << k for k in range(8, 15)])
@pytest.mark.parametrize("groups", [0, 1, 3, 4, 5])
def test_every_group_size_with_full_partial_and_single_last_groups(group, groups):
    if group > 2048 and groups > 1:
        groups = 2
    for size in {max(1, groups * group + d) for d in (-1, 0, 1)}:
        assert_as_specified(laplace(size, 3.0), group)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 255, 256, 257, 1023, 1024, 1025])
@pytest.mark.parametrize("dtype", ["i4", "i8"])
def test_sizes(size, dtype):
    assert_as_specified(laplace(size, 40.0, dtype), 256)


@pytest.mark.parametrize("scale", [0.05, 0.3, 1, 10, 100, 300, 1e3, 1e5, 1e8])
@pytest.mark.parametrize("dtype", ["i4", "i8"])
def test_alphabets_from_one_symbol_to_mostly_classes(scale, dtype):
    assert_as_specified(laplace(3001, scale, dtype), 256)


def test_all_64_bits():
    info = np.iinfo("i8")
    r = np.random.default_rng(1).integers(info.min, info.max, 1300, "i8", endpoint=True)
    r[:6] = [info.min, info.min + 1, info.max, 0, -1, 1]
    assert_as_specified(r, 256)
    assert_as_specified(np.r_[r, np.zeros(20000, "i8")], 256)  # classes rare: the other path


def test_every_class_and_its_edges():
    z = [z for e in range(9, 64) for b in (1 << e, 5 << (e - 2)) for z in (b - 1, b, b + 1)]
    r = np.array([v >> 1 ^ -(v & 1) for v in z if v < 1 << 64], "i8")
    assert_as_specified(r, 256)
    assert_as_specified(np.repeat(r, 7), 256)


@pytest.mark.parametrize("value", [0, 1, -1, 255, -256, 256, 2**31 - 1, -(2**31)])
@pytest.mark.parametrize("size", [1, 255, 256, 257, 5000])
def test_constant_residual(value, size):
    assert_as_specified(np.full(size, value, "i4"), 256)


@pytest.mark.parametrize("value", [0, -1, 200])
@pytest.mark.parametrize("group", [256, 1024, 16384])
def test_runs(value, group):
    rng = np.random.default_rng(3)
    r = np.full(9000, value, "i4")
    r[rng.random(r.size) < 0.01] += laplace(1, 50.0)[0] + 1
    r[777] = 2**30
    got = assert_as_specified(r, group)
    assert got.params[1:] == int(zigzag(value, 64)).to_bytes(2, "little")


def test_runs_of_every_length_up_to_a_group():
    parts = [np.r_[np.zeros(n, "i4"), np.int32(1)] for n in [*range(1, 70), 1000, 16383, 16384]]
    got = assert_as_specified(np.concatenate(parts), 16384)
    assert len(got.params) == 3


@pytest.mark.parametrize("share", np.linspace(0.6, 0.995, 14))
def test_runs_are_coded_where_the_specification_codes_them(share):
    rng = np.random.default_rng(4)
    r = np.where(rng.random(6000) < share, 0, rng.integers(1, 4, 6000)).astype("i4")
    late = r.copy()
    late[256:] = 0  # a sample of the groups sees other data than the whole has
    for group in (256, 4096):
        for data in (r, late, late[::-1].copy()):
            got = assert_as_specified(data, group)
            mode = int.from_bytes(got.params[1:], "little") if len(got.params) > 1 else -1
            assert mode == choices_spec.run_symbol(data, group)


@pytest.mark.parametrize("scale", [0.05, 0.6, 9.0, 1e5])
def test_estimates_by_which_runs_are_chosen_equal_their_specification(scale):
    for seed in range(4):
        residuals = np.random.default_rng(seed).laplace(0, scale, 16384)
        counts = Symbols.of(np.rint(residuals).astype("i4")).counts
        listed = counts.tolist()
        assert choice.likely_bits(counts) == choices_spec.likely_bits(listed)
        assert choice.entropy_bits(counts) == choices_spec.entropy_bits(listed)


def test_around_what_fits_16_bits():
    """Zigzagged residuals of 2**16 - 1 and more travel apart from the others."""
    z = np.arange(2**16 - 5, 2**16 + 5)
    r = (z >> 1 ^ -(z & 1)).astype("i4")
    assert_as_specified(r, 256)
    assert_as_specified(np.r_[np.zeros(9001, "i4"), r, np.zeros(5000, "i4"), r], 256)
    assert_as_specified(np.r_[laplace(3001, 3.0), r, laplace(3001, 3.0), r], 512)


def test_the_rarest_codes_are_cut_to_16_bits():
    fibonacci = [1, 1]
    while len(fibonacci) < 21:
        fibonacci.append(fibonacci[-1] + fibonacci[-2])
    r = np.repeat(np.arange(21, dtype="i4"), fibonacci)
    np.random.default_rng(5).shuffle(r)
    got = assert_as_specified(r, 4096)
    lengths = np.zeros(symbols.ALPHABET, np.uint8)
    assert codebook.unpack_lengths(np.frombuffer(got.sections["codebook"], np.uint8), lengths)
    assert lengths.max() == 16
    assert codebook_spec.kraft(lengths.tolist()) == codebook_spec.FULL


def test_symbols_cover_every_residual_of_64_bits_once():
    """Classes are adjacent intervals of the zigzagged numbers, from 512 to 2**64 - 1."""
    first = huffman_spec.DIRECT
    for symbol in range(huffman_spec.DIRECT, huffman_spec.FIRST_RUN):
        last = first + (1 << raw_width(symbol)) - 1
        for z in (first, last):
            assert symbol_of(z) == symbol == symbols.symbol_of(np.uint64(z))
        assert symbols.extra_bits(symbol) == raw_width(symbol)
        first = last + 1
    assert first == 1 << 64
    assert huffman_spec.FIRST_RUN == symbols.RUN
    assert huffman_spec.ALPHABET == symbols.ALPHABET


@pytest.mark.parametrize("r", [0, -1, 1, 2**31, -(2**31), 2**63 - 1, -(2**63)])
def test_zigzag(r):
    assert int(symbols.zigzag(np.int64(r))) == zigzag(r, 64)
    assert int(symbols.unzigzag(np.uint64(zigzag(r, 64)))) == r
