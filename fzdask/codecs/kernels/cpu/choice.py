"""How well given codebooks fit given symbol counts, in integers only."""

import numpy as np
from numba import njit

from fzdask.codecs.kernels.cpu.sampling import log2_fixed
from fzdask.codecs.kernels.cpu.symbols import ESCAPE, ESCAPE_BITS, extra_bits


@njit(nogil=True, cache=True)
def best_book(counts, books, packed):
    """Row of ``books`` (code lengths) with the fewest bits, ``packed`` bits of its own included.

    Returns row, bits without those of the book, and :func:`entropy_bits`; row -1 if none can.
    """
    used = np.empty(counts.size, np.int64)
    many = 0
    for s in range(counts.size):
        if counts[s] > 0:
            used[many] = s
            many += 1
    some = counts[used[:many]]
    best = -1
    least = np.int64(0)
    raw = np.int64(0)
    for j in range(many):
        raw += some[j] * extra_bits(used[j])
    for k in range(books.shape[0]):
        bits = raw
        escape = np.int64(books[k, ESCAPE])
        codable = True
        for j in range(many):
            length = np.int64(books[k, used[j]])
            if length == 0:
                codable = codable and escape > 0
                length = escape + ESCAPE_BITS
            bits += some[j] * length
        if codable and (best < 0 or bits + packed[k] < least + packed[best]):
            best = k
            least = bits
    return best, least, entropy_bits(counts)


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
