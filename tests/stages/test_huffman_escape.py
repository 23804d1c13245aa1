"""Escapes: symbols that a given codebook lacks, and how far a group of them can reach."""

from __future__ import annotations

import numpy as np
import pytest

from fzdask.codecs.codebooks import Codebook, Coding
from fzdask.codecs.kernels.cpu import huffman, symbols
from fzdask.codecs.stages.base import Form, Job, Known
from fzdask.codecs.stages.huffman import WORST_BITS, Huffman
from fzdask.codecs.stages.symbols import Symbols


def book_of_zeros_and_escapes() -> Codebook:
    counts = np.zeros(symbols.ALPHABET, np.int64)
    counts[0] = 1 << 20
    counts[symbols.ESCAPE] = 1
    return Codebook.build(counts, -1)


@pytest.mark.parametrize("dtype", ["i4", "i8"])
@pytest.mark.parametrize("size", [1, 255, 4096, 5 * 4096 + 7])
def test_every_residual_survives_a_book_that_knows_only_zero(dtype, size):
    rng = np.random.default_rng(size)
    info = np.iinfo(dtype)
    residual = rng.integers(info.min, info.max, size, dtype, endpoint=True)
    residual >>= rng.integers(0, 8 * residual.itemsize, size).astype(dtype)
    residual[::3] = 0
    book = book_of_zeros_and_escapes()
    job = Job(np.zeros(0, np.uint8), residual[:0], 0.0, books=book)
    stage = Huffman(group=256)
    coded = Symbols.of(residual)
    coding = Coding(book, int(huffman.coded_bits(coded.counts, book.lengths)), coded.counts)
    with pytest.MonkeyPatch.context() as patch:  # it would prefer a book of the chunk's own
        patch.setattr("fzdask.codecs.stages.huffman.choose_coding", lambda *_: coding)
        got = stage.encode(coded, Form((size,), residual.dtype), job)
    raw = {name: np.frombuffer(data, np.uint8) for name, data in got.sections.items()}
    assert "codebook_name" in raw
    form = Form((size,), residual.dtype)
    back = stage.decode(got.data, form, got.params, raw, Known(book))
    np.testing.assert_array_equal(back, residual)


def test_the_longest_value_fits_the_words_kept_behind_a_payload():
    """An escape of 16 bits, its symbol, and the raw bits of the widest class."""
    longest = 16 + symbols.ESCAPE_BITS + max(symbols.extra_bits(s) for s in range(symbols.RUN))
    assert longest <= WORST_BITS


def test_a_run_longer_than_any_of_the_book_is_no_escape():
    """Only values can be escaped; such a book cannot code the chunk, and says so."""
    counts = np.zeros(symbols.ALPHABET, np.int64)
    counts[[1, symbols.RUN, symbols.RUN + 1, symbols.ESCAPE]] = 5
    book = Codebook.build(counts, 0)
    longer = np.zeros(symbols.ALPHABET, np.int64)
    longer[symbols.RUN + 5] = 1
    assert huffman.coded_bits(longer, book.lengths) == -1
    assert huffman.coded_bits(counts, book.lengths) > 0
