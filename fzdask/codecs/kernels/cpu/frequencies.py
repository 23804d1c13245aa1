"""Normalised symbol frequencies of a static entropy coder, and their compact form.

A table holds how many of ``2**bits`` slots each symbol gets: those of values, and one that stands
for all too rare for a slot. All but one are kept to four significant bits; the most frequent one
gets what is left, so that a symbol that is nearly certain costs nearly nothing.
"""

import numpy as np

from fzdask.codecs.kernels.cpu.histogram import top_k
from fzdask.codecs.kernels.cpu.symbols import RUN, exponent
from fzdask.jit import njit

RARE = RUN  # RARE_BITS raw bits follow: a symbol without a frequency of its own
RARE_BITS = 10
SYMBOLS = RARE + 1
KEPT = 4  # significant bits
LEAST_BITS = 12
MOST_BITS = 14
_MODE_BITS = 10
_COUNT_BITS = 10
_SAME, _LESS, _MORE, _OTHER, _UNUSED = 0, 1, 2, 3, 4  # how many ones begin an entry
_CLASS_BITS = 4
_RUN_BITS = 4


@njit(nogil=True, cache=True)
def _rounded(g, half):
    """``g`` with four significant bits, to nearest (``half`` is 1) or downwards (0)."""
    if g < 1 << KEPT:
        return g
    e = exponent(g) - (KEPT - 1)
    return ((g + ((half << e) >> 1)) >> e) << e


@njit(nogil=True, cache=True)
def normalise(counts, bits, freqs):
    """Fill ``freqs`` for these counts of the symbols below ``RARE``; ``2**bits`` together.

    A symbol that occurs once, or would get less than half a slot, is counted as ``RARE``.
    Returns the symbol that gets the rest, the first of the most frequent; -1 if none occurs.
    """
    total = np.int64(0)
    for s in range(RARE):
        total += counts[s]
    full = np.int64(1) << bits
    kept = np.zeros(SYMBOLS, np.int64)
    used = np.int64(0)
    for s in range(RARE):
        if counts[s] > 1 and counts[s] * full * 2 >= total:
            kept[s] = counts[s]
            used += 1
        else:
            kept[RARE] += counts[s]
    used += np.int64(kept[RARE] > 0)
    freqs[:] = 0
    if total == 0:
        return np.int64(-1)
    mode = top_k(kept, 1)[0]
    others = np.int64(0)
    for s in range(SYMBOLS):
        if kept[s] > 0 and s != mode:
            freqs[s] = 1 + _rounded(max((kept[s] * full + total // 2) // total - 1, 0), 1)
            others += freqs[s]
    if others >= full:  # of a wide alphabet: downwards, which always fits
        others = np.int64(0)
        for s in range(SYMBOLS):
            if kept[s] > 0 and s != mode:
                freqs[s] = 1 + _rounded(kept[s] * (full - used) // total, 0)
                others += freqs[s]
    freqs[mode] = full - others
    return mode


@njit(nogil=True, cache=True)
def _put(out, bit, value, width):
    for k in range(width - 1, -1, -1):
        if (value >> k) & 1:
            out[bit >> 3] |= np.uint8(128 >> (bit & 7))
        bit += 1
    return bit


@njit(nogil=True, cache=True)
def _take(data, bit, width):
    value = 0
    for k in range(bit, bit + width):
        value = (value << 1) | ((data[k >> 3] >> (7 - (k & 7))) & 1)
    return value


@njit(nogil=True, cache=True)
def _bit_length(g):
    return exponent(g) + 1 if g > 0 else np.int64(0)


@njit(nogil=True, cache=True)
def _pack_one(out, bit, freq, before):
    """Append the entry of a symbol that occurs; the bit after it, and its class."""
    g = np.int64(freq) - 1
    size = _bit_length(g)
    if size == before:
        bit = _put(out, bit, 0, 1)
    elif size == before - 1:
        bit = _put(out, bit, 2, 2)
    elif size == before + 1:
        bit = _put(out, bit, 6, 3)
    else:
        bit = _put(out, bit, (14 << _CLASS_BITS) | size, 4 + _CLASS_BITS)
    low = max(min(size - 1, KEPT - 1), 0)
    return _put(out, bit, g >> max(size - 1 - low, 0), low), size


@njit(nogil=True, cache=True)
def pack(freqs, mode, bits, out, bit):
    """Append the compact form of a table to ``out`` (zeroed) at ``bit``; the bit after it.

    The mode (10 bits), then the number ``n`` of symbols below ``RARE`` up to the last one but the
    mode that occurs (10 bits). For each symbol below ``n`` but the mode, with ``g`` its frequency
    minus one and its class the bit length of ``g``: ``0``: the class of the one before; ``10``:
    one less; ``110``: one more; ``1110`` and 4 bits: that class; each followed by the at most 3
    bits below the leading one of ``g``; or ``1111``, 4 bits ``e`` and ``e`` bits: a run of unused
    symbols, of a length with those ``e`` bits below the leading one. The first class is relative
    to ``bits - 2``. Last, unless it is the mode, ``RARE``; ``1111`` if it is unused. Most
    significant bit first.
    """
    n = RARE
    while n > 0 and (freqs[n - 1] == 0 or n - 1 == mode):
        n -= 1
    bit = _put(out, bit, mode, _MODE_BITS)
    bit = _put(out, bit, n, _COUNT_BITS)
    before = np.int64(bits - 2)
    s = 0
    while s < n:
        run = 0
        while s == mode or freqs[s] == 0:  # ends, since symbol n - 1 occurs
            run += np.int64(s != mode)
            s += 1
        if run > 0:
            e = exponent(run)
            bit = _put(out, bit, (15 << _RUN_BITS) | e, 4 + _RUN_BITS)
            bit = _put(out, bit, run, e)
        bit, before = _pack_one(out, bit, freqs[s], before)
        s += 1
    if mode != RARE:
        if freqs[RARE] > 0:
            bit, before = _pack_one(out, bit, freqs[RARE], before)
        else:
            bit = _put(out, bit, 15, 4)
    return bit


@njit(nogil=True, cache=True)
def _take_ones(data, bit, end):
    """How many ones, at most four, begin an entry, and the bit after them and the zero."""
    ones = 0
    while ones < _UNUSED and bit < end and _take(data, bit, 1) == 1:
        ones += 1
        bit += 1
    return ones, bit + np.int64(ones < _UNUSED)


@njit(nogil=True, cache=True)
def _unpack_one(data, bit, end, ones, before, bits):
    """Frequency, class and the bit after an entry that begins with so many ones; or bit -1."""
    size = before
    if ones == _LESS:
        size = before - 1
    elif ones == _MORE:
        size = before + 1
    elif ones == _OTHER:
        if bit + _CLASS_BITS > end:
            return np.int64(0), before, np.int64(-1)
        size = np.int64(_take(data, bit, _CLASS_BITS))
        bit += _CLASS_BITS
    low = max(min(size - 1, KEPT - 1), 0)
    if size < 0 or size > bits or bit + low > end:
        return np.int64(0), before, np.int64(-1)
    g = np.int64(0)
    if size > 0:
        g = ((np.int64(1) << low) | _take(data, bit, low)) << (size - 1 - low)
    return g + 1, size, np.int64(bit + low)


@njit(nogil=True, cache=True)
def unpack(data, bit, bits, freqs):
    """Fill ``freqs`` from the compact form at ``bit``; the bit after it, or -1 if it is none."""
    end = data.size * 8
    bad = np.int64(-1)
    freqs[:] = 0
    if bit + _MODE_BITS + _COUNT_BITS > end:
        return bad
    mode = _take(data, bit, _MODE_BITS)
    n = _take(data, bit + _MODE_BITS, _COUNT_BITS)
    bit += _MODE_BITS + _COUNT_BITS
    if mode >= SYMBOLS or n > RARE or n == mode + 1:
        return bad
    before = np.int64(bits - 2)
    others = np.int64(0)
    s = 0
    while s <= n:
        if s == n:
            if mode == RARE:
                break
            s = RARE
        elif s == mode:
            s += 1
            continue
        ones, bit = _take_ones(data, bit, end)
        if bit > end:
            return bad
        if ones == _UNUSED and s == RARE:
            break
        if ones == _UNUSED:
            e = _take(data, bit, _RUN_BITS) if bit + _RUN_BITS <= end else end
            if bit + _RUN_BITS + e > end or e > _MODE_BITS:
                return bad
            run = (1 << e) | _take(data, bit + _RUN_BITS, e)
            bit += _RUN_BITS + e
            while run > 0 and s < n:
                run -= np.int64(s != mode)
                s += 1
            if run > 0 or s >= n:  # unused symbols at the end are never written
                return bad
            continue
        freq, before, bit = _unpack_one(data, bit, end, ones, before, bits)
        if bit < 0:
            return bad
        freqs[s] = freq
        others += freq
        s += 1
    if others >= np.int64(1) << bits:
        return bad
    freqs[mode] = (np.int64(1) << bits) - others
    return np.int64(bit)
