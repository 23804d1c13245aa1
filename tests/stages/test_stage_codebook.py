"""Codebooks: as specified, complete, near the optimum, and small."""

from __future__ import annotations

import codebook_spec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fzdask.codecs.kernels.cpu import codebook, symbols


def lengths_of(counts):
    full = np.zeros(symbols.ALPHABET, np.int64)
    full[: len(counts)] = counts
    return codebook.code_lengths(full)


def assert_as_specified(counts):
    """Compare lengths, codes and compact form with the specification; returns the lengths."""
    got = lengths_of(counts)
    full = [*counts, *[0] * (symbols.ALPHABET - len(counts))]
    lengths = codebook_spec.code_lengths(full)
    assert got.tolist() == lengths
    packed = codebook.canonical_codes(got)
    codes = codebook_spec.canonical_codes(lengths)
    assert {
        s: (int(p) >> 8, int(p) & 255) for s, p in enumerate(packed) if p != codebook.NO_CODE
    } == {s: (int(c, 2), len(c)) for s, c in codes.items()}
    compact = codebook.pack_lengths(got)
    assert bytes(compact) == codebook_spec.pack(lengths)
    back = np.empty(symbols.ALPHABET, np.uint8)
    assert codebook.unpack_lengths(compact, back)
    np.testing.assert_array_equal(back, got)
    return lengths


COUNTS = {
    "one symbol": [0, 0, 5],
    "last symbol": [0] * 747 + [1],
    "two": [1, 1000],
    "equal": [3] * 748,
    "almost a power of two": [1] * 257,
    "geometric": [2**k for k in range(40)],
    "geometric down": [3 ** (30 - k) for k in range(30)],
    "gaps": [7 if k % 70 == 3 else 0 for k in range(748)],
    "gap of 64 and 65": [1, *[0] * 64, 1, *[0] * 65, 2],
    "all but one rare": [10**12, *[1] * 747],
    "beyond 2**31": [2**31 + k for k in range(100)],
}


@pytest.mark.parametrize("name", COUNTS)
def test_named_histograms(name):
    lengths = assert_as_specified(COUNTS[name])
    used = [n for n in lengths if n]
    assert max(used) <= 16
    if len(used) > 1:
        assert codebook_spec.kraft(lengths) == codebook_spec.FULL
    assert [n > 0 for n in lengths[: len(COUNTS[name])]] == [c > 0 for c in COUNTS[name]]


weights = st.one_of(st.integers(0, 5), st.integers(0, 10**6), st.integers(0, 2**45))
histograms = st.one_of(
    st.lists(weights, min_size=1, max_size=80),
    st.tuples(st.floats(0.3, 3), st.integers(2, 200)).map(
        lambda t: [int(t[0] ** (k % 28)) + 1 for k in range(t[1])]
    ),
).filter(any)


@settings(max_examples=150, deadline=None)
@given(histograms)
def test_any_histogram(counts):
    lengths = assert_as_specified(counts)
    used = [n for n in lengths if n]
    if len(used) > 1:
        assert codebook_spec.kraft(lengths) == codebook_spec.FULL
    cost = sum(c * n for c, n in zip(counts, lengths, strict=False))
    if max(used) < 16:  # nothing was cut: Huffman's own code, which is optimal
        assert cost == codebook_spec.optimal_cost(counts, 16)
    else:
        assert cost <= 1.01 * codebook_spec.optimal_cost(counts, 16)


def test_a_smooth_codebook_takes_about_a_bit_a_symbol():
    counts = [int(1e6 * 0.97**k) + 1 for k in range(200)]
    lengths = lengths_of(counts)
    assert len(codebook.pack_lengths(lengths)) <= 40
