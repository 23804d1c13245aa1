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
from fzdask.codecs.kernels.cpu.huffman_steps import (
    EIGHTS,
    FAR,
    FOURS,
    JOINED,
    LONG_SIXTEEN,
    NEAR,
    SIXTEENS,
    UNIT,
    codes_far,
    codes_near,
    store_words,
)
from fzdask.codecs.kernels.cpu.lanes import FLAGS, flags_differing, trailing_zeros
from fzdask.codecs.kernels.cpu.symbols import (
    DIRECT,
    ESCAPE,
    ESCAPE_BITS,
    RUN,
    WIDE,
    exponent,
    extra_bits,
    symbol_of,
)

__all__ = ["WIDE_BOOK", "coded_bits", "count_runs", "decode", "encode"]

LATER = (1 << UNIT) - 1  # flags of symbols that are to be looked up in the larger table
MANY_LARGE = 1 << (MAX_LENGTH - 8)  # share of symbols that are not near, in 2**-MAX_LENGTH


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
            if wide.size:
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
    """Append 1 to 64 bits at addresses; ``acc`` holds ``nb < 32`` pending bits at its top.

    Two words are written; what is beyond the pending bits is written over later.
    """
    one, top = np.uint64(1), np.uint64(63)
    both = acc | ((value << (np.uint64(64) - width)) >> nb)
    store_words(words + np.int64(w << np.uint64(2)), both)
    total = nb + width
    left = total & np.uint64(31)
    rest = (value << one) << (top - left)  # of what was appended, if a word is full
    return w + (total >> np.uint64(5)), both if total < np.uint64(32) else rest, left


@njit(nogil=True, cache=True)
def _put_symbol(words, w, acc, nb, codes, symbol, raw):
    """Append a symbol and, for a class or a run, the low bits of ``raw`` that it needs."""
    byte, eight = np.uint64(255), np.uint64(8)
    packed = np.uint64(codes[symbol])
    if packed == np.uint64(NO_CODE):
        packed = np.uint64(codes[ESCAPE])
        w, acc, nb = _put(words, w, acc, nb, packed >> eight, packed & byte)
        packed = np.uint64((symbol << 8) | ESCAPE_BITS)
    w, acc, nb = _put(words, w, acc, nb, packed >> eight, packed & byte)
    extra = np.uint64(extra_bits(symbol))
    if extra:
        low = raw & ((np.uint64(1) << extra) - np.uint64(1))
        w, acc, nb = _put(words, w, acc, nb, low, extra)
    return w, acc, nb


@njit(nogil=True, cache=True)
def _put_values(words, w, acc, nb, codes, part, wide, used):
    """Append a few values of any kind."""
    for j in range(part.size):
        u = np.uint64(part[j])
        if u == np.uint64(WIDE):
            u = wide[used]
            used += 1
        w, acc, nb = _put_symbol(words, w, acc, nb, codes, symbol_of(u), u)
    return w, acc, nb, used


@njit(nogil=True, cache=True)
def _code_of(codes, z):
    """Code of a value with its raw bits, and its length: above 64 where it has no such code."""
    u = np.uint64(z)
    byte, eight = np.uint64(255), np.uint64(8)
    if u < np.uint64(DIRECT):
        packed = np.uint64(codes[u])
        return packed >> eight, packed & byte
    if u == np.uint64(WIDE):
        return np.uint64(0), byte
    s = np.uint64(symbol_of(u))
    extra = np.uint64(extra_bits(s))
    packed = np.uint64(codes[s])
    raw = u & ((np.uint64(1) << extra) - np.uint64(1))
    return (packed >> eight) << extra | raw, (packed & byte) + extra


@njit(nogil=True, cache=True)
def _flush(words, w, acc, nb):
    """Complete the last word."""
    store_words(words + np.int64(w << np.uint64(2)), acc)
    return w + np.uint64(nb > np.uint64(0))


@njit(nogil=True, cache=True)
def encode(z, wide, chunk, mode, codes, words, sizes):
    """Code every chunk; ``sizes[c]`` gets its words. Returns the number of words written.

    ``words`` has room for two more.
    """
    n = z.size
    table = np.zeros(2 * FAR, np.uint16)
    far = _fill_table(codes, table)
    joined = np.empty(JOINED, np.uint64)
    run_codes = np.zeros(FLAGS, np.uint64)
    run_lengths = np.zeros(FLAGS, np.uint64)
    if mode >= 0:
        _fill_runs(codes, run_codes, run_lengths)
    target = np.int64(words.ctypes.data)
    w = np.uint64(0)
    used = 0
    for c in range(sizes.size):
        first = w
        part = z[c * chunk : min(n, (c + 1) * chunk)]
        if mode >= 0:
            w, used = _encode_runs(
                part, wide, used, mode, codes, run_codes, run_lengths, target, w
            )  # fmt: skip
        else:
            w, used = _encode_values(part, wide, used, codes, table, far, joined, target, w)
        sizes[c] = w - first
    return np.int64(w)


@njit(nogil=True, cache=True)
def _fill_table(codes, table):
    """Codes and lengths to look up; whether many values are too large for the smaller table."""
    large = 0
    for s in range(FAR):
        packed = codes[s]
        table[s] = np.uint16(packed >> np.uint32(8))
        table[FAR + s] = np.uint16(packed & np.uint32(255))
        if s >= NEAR and packed != np.uint32(NO_CODE):
            large += 1 << (MAX_LENGTH - np.int64(packed & np.uint32(255)))
    return large > MANY_LARGE


@njit(nogil=True, cache=True)
def _encode_values(part, wide, used, codes, table, far, joined, words, w):
    """Words of up to 16 codes each, found on vectors where symbols are small."""
    acc = np.uint64(0)
    nb = np.uint64(0)
    source = part.ctypes.data
    codes_at = table.ctypes.data
    out = joined.ctypes.data
    main = part.size - part.size % UNIT
    for i in range(0, main, UNIT):
        found = LATER if far else codes_near(source + 2 * i, codes_at, out)
        if found & LATER:
            found = codes_far(source + 2 * i, codes_at, out)
        if found == 0:
            for k in range(SIXTEENS, SIXTEENS + 2):
                w, acc, nb = _put(words, w, acc, nb, joined[k], joined[k + 2])
        elif found & ~LONG_SIXTEEN == 0:
            for k in range(EIGHTS, EIGHTS + 4):
                w, acc, nb = _put(words, w, acc, nb, joined[k], joined[k + 4])
        else:
            for k in range(FOURS, FOURS + 8):
                if found & 15:
                    for j in range(i + 4 * k, i + 4 * k + 4, 2):
                        one, l1 = _code_of(codes, part[np.uint64(j)])
                        other, l2 = _code_of(codes, part[np.uint64(j + 1)])
                        if l1 + l2 <= np.uint64(64):
                            both = (one << l2) | other
                            w, acc, nb = _put(words, w, acc, nb, both, l1 + l2)
                        else:
                            w, acc, nb, used = _put_values(
                                words, w, acc, nb, codes, part[j : j + 2], wide, used
                            )
                else:
                    w, acc, nb = _put(words, w, acc, nb, joined[k], joined[k + 8])
                found >>= 4
    w, acc, nb, used = _put_values(words, w, acc, nb, codes, part[main:], wide, used)
    return _flush(words, w, acc, nb), used


@njit(nogil=True, cache=True)
def _fill_runs(codes, run_codes, run_lengths):
    """Codes of the runs shorter than ``FLAGS``, raw bits included; none where one has no code."""
    for run in range(1, FLAGS):
        e = exponent(run)
        packed = np.uint64(codes[RUN + e])
        low = np.uint64(run - (1 << e))
        run_codes[run] = ((packed >> np.uint64(8)) << np.uint64(e)) | low
        run_lengths[run] = (packed & np.uint64(255)) + np.uint64(e)


@njit(nogil=True, cache=True)
def _encode_runs(part, wide, used, mode, codes, run_codes, run_lengths, words, w):
    """A run, perhaps of none, and the value that ends it, again and again."""
    byte = np.uint64(255)
    eight = np.uint64(8)
    acc = np.uint64(0)
    nb = np.uint64(0)
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
                l0, l1 = run_lengths[run], packed & byte
                if l0 + l1 < np.uint64(NO_CODE):
                    both = (run_codes[run] << l1) | (packed >> eight)
                    w, acc, nb = _put(words, w, acc, nb, both, l0 + l1)
                    continue
            if run:
                w, acc, nb = _put_symbol(
                    words, w, acc, nb, codes, RUN + exponent(run), np.uint64(run)
                )
            w, acc, nb, used = _put_values(words, w, acc, nb, codes, part[at : at + 1], wide, used)
    if m - last > 1:
        run = m - last - 1
        w, acc, nb = _put_symbol(words, w, acc, nb, codes, RUN + exponent(run), np.uint64(run))
    return _flush(words, w, acc, nb), used
