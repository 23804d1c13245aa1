"""How well given codebooks fit given symbol counts, in integers only."""

import numpy as np

from fzdask.codecs.kernels.cpu.codebook import MAX_LENGTH
from fzdask.codecs.kernels.cpu.sampling import log2_fixed
from fzdask.codecs.kernels.cpu.symbols import ESCAPE, ESCAPE_BITS, RUN, extra_bits
from fzdask.jit import njit

NO_CODE = MAX_LENGTH + ESCAPE_BITS + 1  # stands for the bits of a symbol that a book cannot code
_ONE = 1 << 8  # a bit in the units of log2_fixed
_PEELED = 4  # most symbols that are looked at one by one
_BROAD = 7  # by how much a Huffman code of many similar counts is above their entropy, in units


@njit(nogil=True, cache=True)
def added(tables):
    """Counts of several tables added up."""
    counts = tables[0].copy()
    for k in range(1, tables.shape[0]):
        for s in range(counts.size):
            counts[s] += tables[k, s]
    return counts


@njit(nogil=True, cache=True)
def most_frequent(counts):
    """The symbol that occurs most often, of several the first, and how often that is."""
    best = 0
    for s in range(1, counts.size):
        if counts[s] > counts[best]:
            best = s
    return best, np.int64(counts[best])


@njit(nogil=True, cache=True)
def costs_of(books):
    """Bits of every symbol in every book, raw bits left out; a row for each symbol.

    Parameters
    ----------
    books : uint8[books, symbols]
        Code lengths.
    """
    costs = np.empty((books.shape[1], books.shape[0]), np.uint8)
    for k in range(books.shape[0]):
        escape = books[k, ESCAPE]
        for s in range(books.shape[1]):
            length = books[k, s]
            if length == 0:
                # Only values can be escaped.
                length = NO_CODE if escape == 0 or s >= RUN else escape + ESCAPE_BITS
            costs[s, k] = length
    return costs


@njit(nogil=True, cache=True)
def cheapest_book(counts, costs, packed):
    """Column of ``costs`` (of :func:`costs_of`) with the fewest bits, ``packed`` ones included.

    Returns the column, its bits without the packed ones, and whether it codes every symbol.
    """
    many = costs.shape[1]
    bits = packed.copy()
    raw = np.int64(0)
    for s in range(counts.size):
        c = np.int64(counts[s])
        if c > 0:
            raw += c * extra_bits(s)
            for k in range(many):
                bits[k] += c * np.int64(costs[s, k])
    best = 0
    for k in range(1, many):
        if bits[k] < bits[best]:
            best = k
    complete = True
    for s in range(counts.size):
        complete &= counts[s] == 0 or costs[s, best] != NO_CODE
    return best, bits[best] - packed[best] + raw, complete


@njit(nogil=True, cache=True)
def likely_bits(counts):
    """About what these symbols take with a book of their own, its compact form included.

    The book is not built: its lengths are taken as rounded logarithms, and what a Huffman code
    loses is that of its most frequent symbols, which get a whole bit each, and a little for the
    others. On real data mostly from 1.5 % below to 0.2 % above what the book then takes.
    """
    total = np.int64(0)
    for s in range(counts.size):
        total += counts[s]
    whole = log2_fixed(max(total, 1))
    coded = np.int64(0)
    raw = np.int64(0)
    book = np.int64(10)
    length_before = np.int64(8)
    symbol_before = -1
    for s in range(counts.size):
        c = np.int64(counts[s])
        if c > 0:
            gap = whole - log2_fixed(c)
            coded += c * gap
            raw += c * extra_bits(s)
            length = min(max((gap + _ONE // 2) >> 8, 1), MAX_LENGTH)
            # See codebook.pack_lengths.
            book += 10 * ((s - symbol_before + 62) >> 6)
            step = length - length_before
            book += 1 if step == 0 else 2 if step == 1 else 3 if step == -1 else 8
            length_before = length
            symbol_before = s
    return ((coded + _lost(counts, total)) >> 8) + raw + 8 * ((book + 7) >> 3)


@njit(nogil=True, cache=True)
def _lost(counts, total):
    """What a Huffman code takes beyond the entropy, in the units of log2_fixed."""
    lost = np.int64(0)
    left = total
    bound = np.int64(1) << 62
    last = -1
    for _ in range(_PEELED):
        most = np.int64(0)
        which = -1
        for s in range(counts.size):  # in descending order, equal ones by number
            c = np.int64(counts[s])
            if c > most and (c < bound or (c == bound and s > last)):
                most = c
                which = s
        if which < 0 or 5 * most < 2 * left:
            break
        rest = left - most
        if rest == 0 and left < total:  # the last symbol takes no bit more
            return lost
        parted = left * log2_fixed(left) - most * log2_fixed(most)
        if rest:
            parted -= rest * log2_fixed(rest)
        lost += max(left * _ONE - parted, 0)
        left = rest
        bound = most
        last = which
    return lost + left * _BROAD


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
