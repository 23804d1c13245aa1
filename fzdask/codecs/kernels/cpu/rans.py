"""Range asymmetric numeral systems over the symbols of zigzagged residuals.

Values are coded in groups of a fixed number, each with a state of its own, so that groups can be
decoded in any order; here four go in step, since each waits for its own state. A state is below
2**31 and, between two values, at least 2**15; what exceeds that moves to and from 16-bit words.
The encoder runs backwards through a group, so that the decoder runs forwards.
"""

import numpy as np

from fzdask.codecs.kernels.cpu.frequencies import RARE, RARE_BITS
from fzdask.codecs.kernels.cpu.symbols import (
    DIRECT,
    WIDE,
    class_base,
    exponent,
    extra_bits,
    symbol_of,
    unzigzag,
)
from fzdask.jit import njit

LOWEST = 1 << 15  # of a state between two values, and the encoder's first state
STATE_BITS = 31
WORD_BITS = 16
RAW_BITS = STATE_BITS - WORD_BITS  # at most, that go into a state at once
PLACE_BITS = 10  # of a symbol in the decoding tables
WORST_WORDS = 7  # of a value: one for its symbol, one if that is rare, five for 61 raw bits


@njit(nogil=True, cache=True)
def encoding_tables(freqs, bits, starts, reciprocals, shifts):
    """First slots, and what multiplies and shifts instead of dividing, of every class and symbol.

    ``x // f`` is ``(x * reciprocal) >> shift`` for every ``x`` below 2**31 (Granlund and
    Montgomery 1994).
    """
    for c in range(freqs.shape[0]):
        start = np.uint32(0)
        for s in range(freqs.shape[1]):
            f = np.uint64(freqs[c, s])
            starts[c, s] = start
            start += np.uint32(f)
            if f > 0:
                size = exponent(f - np.uint64(1)) + 1 if f > 1 else np.int64(0)
                shift = np.uint64(STATE_BITS + size)
                reciprocals[c, s] = ((np.uint64(1) << shift) + f - np.uint64(1)) // f
                shifts[c, s] = shift


@njit(nogil=True, cache=True)
def decoding_tables(freqs, bits, slots, places):
    """Symbol of every slot; ``frequency | first slot << 16`` of every symbol.

    Class ``c`` has ``slots`` from ``c << bits`` and ``places`` from ``c << PLACE_BITS`` on.
    """
    for c in range(freqs.shape[0]):
        start = np.uint32(0)
        for s in range(freqs.shape[1]):
            f = np.uint32(freqs[c, s])
            places[(c << PLACE_BITS) + s] = f | (start << np.uint32(16))
            first = (c << bits) + np.int64(start)
            slots[first : first + f] = s
            start += f


@njit(nogil=True, cache=True)
def _push(x, words, w, value, width):
    """Put up to ``RAW_BITS`` bits into a state."""
    if x >= np.uint64(1) << np.uint64(STATE_BITS - width):
        w -= np.uint64(1)
        words[w] = np.uint16(x)
        x >>= np.uint64(WORD_BITS)
    return (x << np.uint64(width)) | value, w


@njit(nogil=True, cache=True)
def _push_raw(x, words, w, raw, width):
    """Put the low ``width`` bits of ``raw`` into a state, the lowest 15 first."""
    while width > 0:
        part = min(width, RAW_BITS)
        x, w = _push(x, words, w, raw & ((np.uint64(1) << np.uint64(part)) - np.uint64(1)), part)
        raw >>= np.uint64(part)
        width -= part
    return x, w


@njit(nogil=True, cache=True)
def _encode_group(z, wide, used, levels, lut, bits, freqs, starts, reciprocals, shifts, words):
    """Code one group into the end of ``words``; the first word used, and the wide values left."""
    down = np.uint64(bits)
    room = np.uint64(STATE_BITS - bits)
    word_bits = np.uint64(WORD_BITS)
    x = np.uint64(LOWEST)
    w = np.uint64(words.size)
    one = np.uint64(1)
    c = np.uint64(0)
    for i in range(z.size - 1, -1, -1):
        s = np.uint64(z[i])
        if s >= np.uint64(DIRECT):
            u = s
            if s == np.uint64(WIDE):
                used -= 1
                u = wide[used]
            symbol = symbol_of(u)
            x, w = _push_raw(x, words, w, u, extra_bits(symbol))
            s = np.uint64(symbol)
        if levels.size:
            c = np.uint64(lut[np.uint64(levels[i])])
        f = np.uint64(freqs[c, s])
        if f == np.uint64(0):
            x, w = _push(x, words, w, s, RARE_BITS)
            s = np.uint64(RARE)
            f = np.uint64(freqs[c, s])
        full = x >= f << room
        words[w - one] = np.uint16(x)  # in any case: no branch; there is room for one more
        w -= np.uint64(full)
        x = x >> word_bits if full else x
        q = (x * reciprocals[c, s]) >> shifts[c, s]
        x = (q << down) + (x - q * f) + np.uint64(starts[c, s])
    words[w - one] = np.uint16(x >> word_bits)
    words[w - one - one] = np.uint16(x)
    return np.int64(w) - 2, used


@njit(nogil=True, cache=True)
def words_needed(counts, freqs, bits):
    """About how many words the counted symbols take; rounded up for each, so rarely more."""
    total = np.int64(0)
    for c in range(counts.shape[0]):
        for s in range(counts.shape[1]):
            if counts[c, s] > 0:
                f = np.uint64(freqs[c, s])
                raw = extra_bits(s)
                if f == 0:
                    f = np.uint64(freqs[c, RARE])
                    raw += RARE_BITS
                total += counts[c, s] * (raw + bits - exponent(f))
    return total // WORD_BITS


@njit(nogil=True, cache=True)
def encode(
    z, wide, group, levels, lut, bits, freqs, starts, reciprocals, shifts, scratch, words, sizes
):
    """Code every group; ``sizes[g]`` gets its words. Returns how many words are used, or -1.

    ``levels`` is empty or the context level of every value, ``lut`` the class of each level.
    -1: ``words`` is too small.
    """
    used = wide.size
    w = words.size
    for g in range(sizes.size - 1, -1, -1):
        lo = g * group
        hi = min(z.size, lo + group)
        part = levels[lo:hi] if levels.size else levels
        first, used = _encode_group(
            z[lo:hi], wide, used, part, lut, bits, freqs, starts, reciprocals, shifts, scratch
        )
        size = scratch.size - first
        if size > w:
            return np.int64(-1)
        w -= size
        for k in range(size):
            words[w + k] = scratch[first + k]
        sizes[g] = size
    return np.int64(words.size - w)


@njit(nogil=True, cache=True)
def _refill(x, words, p):
    """A state that is at least ``LOWEST`` again, and the next word's place."""
    more = (x << np.uint64(WORD_BITS)) | np.uint64(words[p])  # read in any case: no branch
    short = x < np.uint64(LOWEST)
    p = min(p + np.uint64(short), np.uint64(words.size - 1))  # where no group ends
    return more if short else x, p


@njit(nogil=True, cache=True)
def _symbol(x, words, p, c, bits, slots, places):
    """The next symbol of a state by the tables of class ``c``."""
    down = np.uint64(bits)
    slot = x & ((np.uint64(1) << down) - np.uint64(1))
    s = np.uint64(slots[(c << down) | slot])  # unsigned indices are not tested for their sign
    place = np.uint64(places[(c << np.uint64(PLACE_BITS)) | s])
    x = (place & np.uint64(0xFFFF)) * (x >> down) + slot - (place >> np.uint64(16))
    x, p = _refill(x, words, p)
    return s, x, p


@njit(nogil=True, cache=True)
def _raw(s, x, words, p):
    """The zigzagged value of a symbol with raw bits, which come next."""
    if s == np.uint64(RARE):
        s = x & np.uint64((1 << RARE_BITS) - 1)
        x, p = _refill(x >> np.uint64(RARE_BITS), words, p)
        if s < np.uint64(DIRECT):
            return s, x, p
        if s >= np.uint64(RARE):  # only if damaged
            return s, x, np.uint64(words.size - 1)
    width = extra_bits(np.int64(s))
    raw = np.uint64(0)
    part = width % RAW_BITS  # the highest bits were put in last
    if part == 0:
        part = RAW_BITS
    while width > 0:
        mask = (np.uint64(1) << np.uint64(part)) - np.uint64(1)
        raw = (raw << np.uint64(part)) | (x & mask)
        x, p = _refill(x >> np.uint64(part), words, p)
        width -= part
        part = RAW_BITS
    return class_base(np.int64(s)) | raw, x, p


@njit(nogil=True, cache=True)
def _first_state(words, p):
    x = np.uint64(words[p]) | (np.uint64(words[p + 1]) << np.uint64(WORD_BITS))
    return x, np.uint64(p + 2)


@njit(nogil=True, cache=True)
def _decode_one(words, p, end, bits, slots, places, out):
    """Decode a group; False where it does not end as it should."""
    direct, none = np.uint64(DIRECT), np.uint64(0)
    x, p = _first_state(words, p)
    for i in range(out.size):
        s, x, p = _symbol(x, words, p, none, bits, slots, places)
        if s >= direct:
            s, x, p = _raw(s, x, words, p)
        out[i] = unzigzag(s)
    return np.int64(p) == end and x == np.uint64(LOWEST)


@njit(nogil=True, cache=True)
def decode(words, firsts, group, bits, slots, places, out):
    """Decode every group; False where one is damaged.

    ``firsts`` is the first word of each group, then the number of words; each group has at least
    two, and ``words`` is two longer: one for what looks ahead, one for a group that ran past its
    end to stop at.
    """
    direct, none = np.uint64(DIRECT), np.uint64(0)
    groups = firsts.size - 1
    g = 0
    while g + 4 <= groups and (g + 4) * group <= out.size:
        x0, p0 = _first_state(words, firsts[g])
        x1, p1 = _first_state(words, firsts[g + 1])
        x2, p2 = _first_state(words, firsts[g + 2])
        x3, p3 = _first_state(words, firsts[g + 3])
        out0 = out[g * group : (g + 1) * group]
        out1 = out[(g + 1) * group : (g + 2) * group]
        out2 = out[(g + 2) * group : (g + 3) * group]
        out3 = out[(g + 3) * group : (g + 4) * group]
        for i in range(group):
            s0, x0, p0 = _symbol(x0, words, p0, none, bits, slots, places)
            s1, x1, p1 = _symbol(x1, words, p1, none, bits, slots, places)
            s2, x2, p2 = _symbol(x2, words, p2, none, bits, slots, places)
            s3, x3, p3 = _symbol(x3, words, p3, none, bits, slots, places)
            if max(max(s0, s1), max(s2, s3)) >= direct:
                if s0 >= direct:
                    s0, x0, p0 = _raw(s0, x0, words, p0)
                if s1 >= direct:
                    s1, x1, p1 = _raw(s1, x1, words, p1)
                if s2 >= direct:
                    s2, x2, p2 = _raw(s2, x2, words, p2)
                if s3 >= direct:
                    s3, x3, p3 = _raw(s3, x3, words, p3)
            out0[i], out1[i] = unzigzag(s0), unzigzag(s1)
            out2[i], out3[i] = unzigzag(s2), unzigzag(s3)
        lowest = np.uint64(LOWEST)
        if x0 != lowest or x1 != lowest or x2 != lowest or x3 != lowest:
            return False
        ends = np.int64(p0) == firsts[g + 1] and np.int64(p1) == firsts[g + 2]
        if not (ends and np.int64(p2) == firsts[g + 3] and np.int64(p3) == firsts[g + 4]):
            return False
        g += 4
    while g < groups:
        part = out[g * group : min(out.size, (g + 1) * group)]
        if not _decode_one(words, firsts[g], firsts[g + 1], bits, slots, places, part):
            return False
        g += 1
    return True
