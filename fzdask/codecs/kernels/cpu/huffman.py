"""Chunked canonical Huffman coding of zigzagged residuals.

Values are coded in chunks of a fixed number; each chunk starts on a 32-bit word, so chunks can
be coded in any order or in parallel (Tian et al. 2020). Bits fill a word from its most
significant end. With ``mode >= 0`` every run of that symbol is
one run symbol with raw length bits, so a constant stretch costs far below one bit a value.
"""

import numpy as np
from numba import njit

from fzdask.codecs.kernels.cpu.codebook import MAX_LENGTH, NO_CODE
from fzdask.codecs.kernels.cpu.huffman_decode import WIDE_BOOK, decode
from fzdask.codecs.kernels.cpu.lanes import FLAGS, flags_differing, trailing_zeros
from fzdask.codecs.kernels.cpu.symbols import (
    DIRECT,
    ESCAPE,
    ESCAPE_BITS,
    NOT_SMALL,
    PAIRS,
    RUN,
    SMALL,
    SMALL_BITS,
    WIDE,
    exponent,
    extra_bits,
    symbol_of,
)

__all__ = ["WIDE_BOOK", "coded_bits", "count_runs", "decode", "encode"]

MANY_LARGE = 1 << (MAX_LENGTH - 5)  # values that are not small: too many for pairs
FEW_VALUES = 1 << 13  # a table of pairs takes 3 us
_RUNS, _SINGLE, _PAIRS, _FOURS = range(4)


@njit(nogil=True, cache=True)
def count_runs(z, wide, chunk, every, mode, counts):
    """Add the symbol counts of every so many-th chunk, runs of ``mode`` being run symbols.

    Returns the number of values counted.
    """
    n = z.size
    taken = 0
    used = 0
    short = np.zeros(FLAGS, np.int64)
    for start in range(0, n, chunk):
        end = min(n, start + chunk)
        if (start // chunk) % every:
            for i in range(start, end):
                used += np.int64(z[i] == WIDE)
            continue
        last = start - 1
        for i in range(start, end, FLAGS):
            others = flags_differing(z, i, end, mode)
            while others:
                at = i + trailing_zeros(others)
                others &= others - np.uint64(1)
                run = at - last - 1
                last = at
                if run < FLAGS:
                    short[run] += 1
                else:
                    counts[RUN + exponent(run)] += 1
                u = np.uint64(z[at])
                if u == WIDE:
                    u = wide[used]
                    used += 1
                counts[symbol_of(u)] += 1
        if end - last > 1:
            counts[RUN + exponent(end - last - 1)] += 1
        taken += end - start
    for run in range(1, FLAGS):
        counts[RUN + exponent(run)] += short[run]
    return taken


@njit(nogil=True, cache=True)
def coded_bits(counts, lengths):
    """Bits that the counted symbols take, raw bits and escapes included; -1 if some cannot."""
    bits = np.int64(0)
    escaped = np.int64(0)
    for s in range(counts.size):
        if counts[s]:
            bits += counts[s] * (np.int64(lengths[s]) + extra_bits(s))
            if lengths[s] == 0:
                if s >= RUN:  # only values can be escaped
                    return np.int64(-1)
                escaped += counts[s]
    if escaped and lengths[ESCAPE] == 0:
        return np.int64(-1)
    return bits + escaped * (np.int64(lengths[ESCAPE]) + ESCAPE_BITS)


@njit(nogil=True, cache=True)
def _put(words, w, acc, nb, value, width):
    """Append up to 32 bits; ``acc`` holds ``nb < 32`` pending bits at its top."""
    acc |= value << np.uint64(64 - nb - width)
    nb += width
    words[w] = np.uint32(acc >> np.uint64(32))
    full = nb >> 5
    return w + full, acc << np.uint64(full << 5), nb & 31


@njit(nogil=True, cache=True)
def _put_symbol(words, w, acc, nb, codes, symbol, raw):
    """Append a symbol and, for a class or a run, the low bits of ``raw`` that it needs."""
    packed = codes[symbol]
    if packed == np.uint32(NO_CODE):
        packed = codes[ESCAPE]
        w, acc, nb = _put(
            words, w, acc, nb, np.uint64(packed >> np.uint32(8)), np.int64(packed & np.uint32(255))
        )
        packed = np.uint32((symbol << 8) | ESCAPE_BITS)
    w, acc, nb = _put(
        words, w, acc, nb, np.uint64(packed >> np.uint32(8)), np.int64(packed & np.uint32(255))
    )
    extra = extra_bits(symbol)
    if extra > 32:
        high = (raw >> np.uint64(32)) & np.uint64((1 << (extra - 32)) - 1)
        w, acc, nb = _put(words, w, acc, nb, high, extra - 32)
        extra = 32
    if extra > 0:
        low = raw & np.uint64((1 << extra) - 1)
        w, acc, nb = _put(words, w, acc, nb, low, extra)
    return w, acc, nb


_put_symbol_inline = njit(nogil=True, inline="always")(_put_symbol.py_func)


@njit(nogil=True, cache=True)
def encode(z, wide, chunk, mode, codes, words, sizes):
    """Code every chunk; ``sizes[c]`` gets its words. Returns the number of words written."""
    n = z.size
    way = _way_to_encode(n, mode, codes)
    pair_codes = np.empty(PAIRS if way == _PAIRS else 0, np.uint32)
    pair_lengths = np.empty(pair_codes.size, np.uint8)
    if way == _PAIRS:
        _fill_pairs(codes, pair_codes, pair_lengths)
    run_codes = np.empty(FLAGS, np.uint32)
    run_lengths = np.empty(FLAGS, np.uint32)
    if way == _RUNS:
        _fill_runs(codes, run_codes, run_lengths)
    w = 0
    used = 0
    for c in range(sizes.size):
        first = w
        part = z[c * chunk : min(n, (c + 1) * chunk)]
        if way == _RUNS:
            w, used = _encode_runs(part, wide, used, mode, codes, run_codes, run_lengths, words, w)
        elif way == _SINGLE:
            w, used = _encode_single(part, wide, used, codes, words, w)
        elif way == _PAIRS:
            w, used = _encode_pairs(part, wide, used, codes, pair_codes, pair_lengths, words, w)
        else:
            w, used = _encode_fours(part, wide, used, codes, words, w)
        sizes[c] = w - first
    return w


@njit(nogil=True, cache=True)
def _way_to_encode(n, mode, codes):
    """The quickest way for values of which the lengths of their codes tell how they spread."""
    if mode >= 0:
        return _RUNS
    classes = 0
    large = 0
    for s in range(SMALL, RUN):
        if codes[s] != NO_CODE:
            share = 1 << (MAX_LENGTH - np.int64(codes[s] & np.uint32(255)))
            large += share
            classes += share if s >= DIRECT else 0
    if classes >= WIDE_BOOK:
        return _SINGLE
    return _PAIRS if large < MANY_LARGE and n >= FEW_VALUES else _FOURS


@njit(nogil=True, cache=True)
def _fill_pairs(codes, pair_codes, pair_lengths):
    """Joint codes of two small values; a length of ``NO_CODE`` or more where one has none."""
    byte = np.uint32(255)
    eight = np.uint32(8)
    for second in range(SMALL):
        length = codes[second] & byte
        code = codes[second] >> eight
        shift = length & np.uint32(31)
        row = second << SMALL_BITS
        for first in range(SMALL):
            pair_codes[row | first] = ((codes[first] >> eight) << shift) | code
            pair_lengths[row | first] = (codes[first] & byte) + length


@njit(nogil=True, cache=True)
def _flush(words, w, acc, nb):
    if nb > 0:
        words[w] = np.uint32(acc >> np.uint64(32))
        w += 1
    return w


@njit(nogil=True, cache=True)
def _encode_fours(part, wide, used, codes, words, w):
    """Four values at a time: one append, where their codes fit 32 bits, breaks the long chain."""
    byte = np.uint64(255)
    eight = np.uint64(8)
    acc = np.uint64(0)
    nb = 0
    m = part.size
    main = m - m % 4
    for i in range(0, main, 4):
        z0, z1, z2, z3 = part[i], part[i + 1], part[i + 2], part[i + 3]
        if (z0 | z1 | z2 | z3) < DIRECT:
            p0 = np.uint64(codes[z0])
            p1 = np.uint64(codes[z1])
            p2 = np.uint64(codes[z2])
            p3 = np.uint64(codes[z3])
            l0 = (p0 & byte) + (p1 & byte)
            l2 = (p2 & byte) + (p3 & byte)
            first = ((p0 >> eight) << (p1 & byte)) | (p1 >> eight)
            second = ((p2 >> eight) << (p3 & byte)) | (p3 >> eight)
            if l0 + l2 <= np.uint64(32):
                w, acc, nb = _put(words, w, acc, nb, (first << l2) | second, np.int64(l0 + l2))
            elif l0 + l2 >= np.uint64(NO_CODE):
                for j in range(i, i + 4):
                    u = np.uint64(part[j])
                    w, acc, nb = _put_symbol(words, w, acc, nb, codes, np.int64(u), u)
            else:
                w, acc, nb = _put(words, w, acc, nb, first, np.int64(l0))
                w, acc, nb = _put(words, w, acc, nb, second, np.int64(l2))
        else:
            for j in range(i, i + 4):
                u = np.uint64(part[j])
                if u < np.uint64(DIRECT) and codes[u] != np.uint32(NO_CODE):
                    p0 = np.uint64(codes[u])
                    w, acc, nb = _put(words, w, acc, nb, p0 >> eight, np.int64(p0 & byte))
                else:
                    if u == np.uint64(WIDE):
                        u = wide[used]
                        used += 1
                    w, acc, nb = _put_symbol(words, w, acc, nb, codes, symbol_of(u), u)
    for i in range(main, m):
        u = np.uint64(part[i])
        if u == np.uint64(WIDE):
            u = wide[used]
            used += 1
        w, acc, nb = _put_symbol(words, w, acc, nb, codes, symbol_of(u), u)
    return _flush(words, w, acc, nb), used


@njit(nogil=True, cache=True)
def _append(words, w, acc, nb, value, width):
    """Append up to 32 bits, where ``acc`` ends with ``nb < 32`` pending bits.

    What is above them in ``acc`` is gone already; the word is written before it is full.
    """
    acc = (acc << width) | value
    nb += width
    words[w] = np.uint32(acc >> ((nb - np.uint64(32)) & np.uint64(63)))
    return w + (nb >> np.uint64(5)), acc, nb & np.uint64(31)


@njit(nogil=True, cache=True)
def _encode_pairs(part, wide, used, codes, pair_codes, pair_lengths, words, w):
    """Two values by one look-up, and four by one append."""
    index = np.uint64(PAIRS - 1)
    acc = np.uint64(0)
    nb = np.uint64(0)
    main = part.size - part.size % 4
    fours = part[:main].view(np.uint64)
    w = np.uint64(w)
    for k in range(fours.size):
        four = fours[k]
        if four & np.uint64(NOT_SMALL) == np.uint64(0):
            two = four | (four >> np.uint64(16 - SMALL_BITS))
            i0 = two & index
            i1 = (two >> np.uint64(32)) & index
            l0 = np.uint64(pair_lengths[i0])
            l1 = np.uint64(pair_lengths[i1])
            p0 = np.uint64(pair_codes[i0])
            p1 = np.uint64(pair_codes[i1])
            if l0 + l1 <= np.uint64(32):
                w, acc, nb = _append(words, w, acc, nb, (p0 << l1) | p1, l0 + l1)
                continue
            if l0 + l1 < np.uint64(NO_CODE):
                w, acc, nb = _append(words, w, acc, nb, p0, l0)
                w, acc, nb = _append(words, w, acc, nb, p1, l1)
                continue
        place, top, pending = _turned(w, acc, nb)
        place, top, pending, used = _put_few(
            words, place, top, pending, codes, part[4 * k : 4 * k + 4], wide, used
        )
        w, acc, nb = _turned_back(place, top, pending)
    place, top, pending = _turned(w, acc, nb)
    place, top, pending, used = _put_few(words, place, top, pending, codes, part[main:], wide, used)
    return _flush(words, place, top, pending), used


@njit(nogil=True, cache=True)
def _turned(w, acc, nb):
    """The state of :func:`_append` as that of :func:`_put`."""
    top = acc << (np.uint64(64) - nb) if nb else np.uint64(0)
    return np.int64(w), top, np.int64(nb)


@njit(nogil=True, cache=True)
def _turned_back(w, acc, nb):
    """Inverse of :func:`_turned`."""
    end = acc >> np.uint64(64 - nb) if nb else np.uint64(0)
    return np.uint64(w), end, np.uint64(nb)


@njit(nogil=True, cache=True)
def _put_few(words, w, acc, nb, codes, part, wide, used):
    """Append a few values of any kind."""
    byte = np.uint64(255)
    eight = np.uint64(8)
    for j in range(part.size):
        u = np.uint64(part[j])
        if u < np.uint64(DIRECT) and codes[u] != np.uint32(NO_CODE):
            packed = np.uint64(codes[u])
            w, acc, nb = _put(words, w, acc, nb, packed >> eight, np.int64(packed & byte))
        else:
            if u == np.uint64(WIDE):
                u = wide[used]
                used += 1
            w, acc, nb = _put_symbol(words, w, acc, nb, codes, symbol_of(u), u)
    return w, acc, nb, used


@njit(nogil=True, cache=True)
def _encode_single(part, wide, used, codes, words, w):
    acc = np.uint64(0)
    nb = 0
    for i in range(part.size):
        u = np.uint64(part[i])
        if u == np.uint64(WIDE):
            u = wide[used]
            used += 1
        w, acc, nb = _put_symbol_inline(words, w, acc, nb, codes, symbol_of(u), u)
    return _flush(words, w, acc, nb), used


@njit(nogil=True, cache=True)
def _fill_runs(codes, run_codes, run_lengths):
    """Codes of the runs shorter than ``FLAGS``, raw bits included; none where one has no code."""
    run_codes[0] = 0
    run_lengths[0] = 0
    for run in range(1, FLAGS):
        e = exponent(run)
        packed = codes[RUN + e]
        low = run - (1 << e)
        run_codes[run] = ((packed >> np.uint32(8)) << np.uint32(e)) | np.uint32(low)
        run_lengths[run] = (packed & np.uint32(255)) + np.uint32(e)


@njit(nogil=True, cache=True)
def _encode_runs(part, wide, used, mode, codes, run_codes, run_lengths, words, w):
    """A run, perhaps of none, and the value that ends it, again and again."""
    byte = np.uint64(255)
    eight = np.uint64(8)
    acc = np.uint64(0)
    nb = np.uint64(0)
    w = np.uint64(w)
    m = part.size
    last = -1
    for i in range(0, m, FLAGS):
        others = flags_differing(part, i, m, mode)
        while others:
            at = i + trailing_zeros(others)
            others &= others - np.uint64(1)
            run = at - last - 1
            last = at
            u = np.uint64(part[at])
            if run < FLAGS and u < np.uint64(DIRECT):
                packed = np.uint64(codes[u])
                l0, l1 = np.uint64(run_lengths[run]), packed & byte
                p0, p1 = np.uint64(run_codes[run]), packed >> eight
                if l0 + l1 <= np.uint64(32):
                    w, acc, nb = _append(words, w, acc, nb, (p0 << l1) | p1, l0 + l1)
                    continue
            place, top, pending = _turned(w, acc, nb)
            if run:
                place, top, pending = _put_symbol(
                    words, place, top, pending, codes, RUN + exponent(run), np.uint64(run)
                )
            place, top, pending, used = _put_few(
                words, place, top, pending, codes, part[at : at + 1], wide, used
            )
            w, acc, nb = _turned_back(place, top, pending)
    place, top, pending = _turned(w, acc, nb)
    if m - last > 1:
        run = m - last - 1
        place, top, pending = _put_symbol(
            words, place, top, pending, codes, RUN + exponent(run), np.uint64(run)
        )
    return _flush(words, place, top, pending), used
