"""How well given codebooks fit given symbol counts, in integers only."""

import numpy as np
from numba import njit

from fzdask.codecs.kernels.cpu.huffman import coded_bits
from fzdask.codecs.kernels.cpu.sampling import log2_fixed
from fzdask.codecs.kernels.cpu.symbols import extra_bits


@njit(nogil=True, cache=True)
def best_book(counts, books):
    """Row of ``books`` (code lengths) with the fewest bits, and those bits; (-1, -1) if none."""
    best = -1
    least = np.int64(-1)
    for k in range(books.shape[0]):
        bits = coded_bits(counts, books[k])
        if bits >= 0 and (best < 0 or bits < least):
            best = k
            least = bits
    return best, least


@njit(nogil=True, cache=True)
def entropy_bits(counts):
    """Least bits of any code for these symbols one by one, raw bits included, rounded down."""
    total = np.int64(0)
    for s in range(counts.size):
        total += counts[s]
    if total == 0:
        return np.int64(0)
    whole = log2_fixed(total)
    bits = np.int64(0)
    raw = np.int64(0)
    for s in range(counts.size):
        c = counts[s]
        if c > 0:
            bits += c * (whole - log2_fixed(c))
            raw += c * extra_bits(s)
    return (bits >> 8) + raw
