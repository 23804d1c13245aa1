"""The reader made from docs/format.md alone gives what the library gives, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
from format_cases import all_cases
from reader import MalformedError, read

import fzdask
from fzdask.codecs import codebooks
from fzdask.codecs.kernels.cpu import huffman, symbols

CASES = all_cases()


def same(got, want):
    """Whether two arrays agree in dtype, shape, memory order and every bit."""
    return (
        got.dtype == want.dtype
        and got.shape == want.shape
        and got.flags.f_contiguous == want.flags.f_contiguous
        and got.tobytes() == want.tobytes()
    )


@pytest.mark.parametrize("name", CASES)
def test_reader_equals_the_library(name):
    array, config = CASES[name]
    stream = fzdask.compress(array, **config)
    decoded = fzdask.decompress(stream)
    assert same(read(stream), decoded)
    assert decoded.dtype == array.dtype
    assert decoded.shape == array.shape


def test_cases_reach_every_part_of_the_page():
    """The set above is broad: each stage, kind of section and way of storing occurs in it."""
    infos = {name: fzdask.inspect(fzdask.compress(x, **c)) for name, (x, c) in CASES.items()}
    pipelines = {info.pipeline for info in infos.values()}
    assert {
        "stored",
        "shuffle | zstd",
        "quantize | zstd",
        "quantize | lorenzo | zstd",
        "quantize | huffman",
        "quantize | lorenzo | huffman",
        "quantize | lorenzo | huffman | zstd",
        "quantize | lorenzo | lorenzo | huffman | zstd",
        "quantize | lorenzo | zstd | zstd",
    } <= pipelines
    default = "quantize | lorenzo | huffman | zstd"
    for name, dtype in (("wide-lattice", "f8"), ("runs", "f4"), ("constant", "f4")):
        assert infos[name].pipeline == default
        assert infos[name].dtype == np.dtype(dtype)
    assert infos["runs"].ratio > 100
    shares = {i.outliers * i.dtype.itemsize / i.nbytes for n, i in infos.items() if "outliers" in n}
    assert {s for s in shares if 0.005 < s < 0.2}
    assert {s for s in shares if s > 0.4}


def only_given(coded, group, book):
    """The given codebook, with an escape, even where the chunk's own would be smaller."""
    counts = coded.counts
    if book.mode >= 0:
        counts, _ = codebooks.count_runs(coded, group, 1, book.mode)
    return codebooks.Coding(book, int(huffman.coded_bits(counts, book.lengths)), counts)


def book_with_escape(codec):
    """The codec's codebook, with a code for the escape beside those that it has."""
    lengths = codebooks.Codebook.from_text(codec.codebook).lengths
    weights = np.where(lengths, 1 << (20 - lengths.astype(np.int64)), 0)
    weights[symbols.ESCAPE] = 1
    return codebooks.Codebook.build(weights, codebooks.Codebook.from_text(codec.codebook).mode)


@pytest.mark.parametrize("runs", [False, True])
def test_a_codebook_that_the_stream_only_names(runs, monkeypatch):
    """A fitted codebook, escapes to symbols that its sample did not have, with and without runs."""
    monkeypatch.setattr("fzdask.codecs.stages.huffman.fitted_coding", only_given)
    rng = np.random.default_rng(5)
    sample = rng.normal(0, 3, 9001).round() * (rng.random(9001) < (0.02 if runs else 1.0)) + 0.0
    chunk = sample.copy()
    chunk[::1000] = 40 + 777 * np.arange(10)
    codec = fzdask.FZCodec.fit(sample, abs=0.5, pipeline="quantize | huffman")
    book = book_with_escape(codec)
    codec = fzdask.FZCodec(abs=0.5, pipeline="quantize | huffman", codebook=book.text)
    stream = bytes(codec.encode(chunk))
    assert (book.mode >= 0) == runs
    assert same(read(stream, book.packed), codec.decode(stream))
    np.testing.assert_array_equal(codec.decode(stream), chunk)
    with pytest.raises(MalformedError, match="names is missing"):
        read(stream)
    with pytest.raises(fzdask.FormatError, match=book.name.hex()):
        fzdask.decompress(stream)


@pytest.mark.parametrize("dtype", ["S2000", "U100"])
def test_bit_planes_of_few_long_elements(dtype):
    """They are filled up to eight elements, which may be more than 1024 bytes."""
    x = np.array([b"one", b"two", b"three"]).astype(dtype)
    stream = fzdask.compress(x, lossless=True, pipeline="bitshuffle(block=64) | zstd")
    assert "bitshuffle" in fzdask.inspect(stream).pipeline
    np.testing.assert_array_equal(read(stream), x)
