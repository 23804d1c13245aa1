"""How well given codebooks fit given symbol counts, in integers only."""

import numpy as np
from numba import njit

from fzdask.codecs.kernels.cpu.codebook import MAX_LENGTH
from fzdask.codecs.kernels.cpu.sampling import log2_fixed
from fzdask.codecs.kernels.cpu.symbols import ESCAPE, ESCAPE_BITS, extra_bits


@njit(nogil=True, cache=True)
def best_book(counts, books, packed):
    """Row of ``books`` (code lengths) with the fewest bits, ``packed`` bits of its own included.

    Returns row, its bits without those of the book, :func:`entropy_bits`, and whether it has a
    code for every symbol or an escape. One that has not is rated as if it had a long escape.
    """
    used = np.empty(counts.size, np.int64)
    many = 0
    for s in range(counts.size):
        if counts[s] > 0:
            used[many] = s
            many += 1
    some = counts[used[:many]]
    best = 0
    least = np.int64(0)
    complete = False
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
                length = (escape if escape else MAX_LENGTH) + ESCAPE_BITS
            bits += some[j] * length
        if k == 0 or bits + packed[k] < least + packed[best]:
            best = k
            least = bits
            complete = codable
    return best, least, entropy_bits(counts), complete


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
