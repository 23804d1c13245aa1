"""Bitmaps of fields in few bytes: adaptive binary arithmetic coding with neighbours as context.

Signs and masks of fields have long borders and wide insides. A bit is coded with the probability
that bits with the same neighbours had so far: those before it in its row, in the row above, in
the plane behind. Where all neighbours of a group of bits are alike, one decision says that the
group is, too. Bits are numbered from the least significant of each word.
"""

import numpy as np

from fzdask.jit import njit

CONTEXTS = 256
GROUP = 16  # bits that one decision can cover
_ONE = 1 << 16  # probabilities are in units of 2**-16
_RATE = 5  # a probability moves by 2**-5 of its distance to what was seen
_HIGHEST = 0xFFFFFFFF
_TOP_BYTE = 24


@njit(nogil=True, cache=True)
def _window(words, pos, count):
    """Bits from a position on, at most 62; those before the beginning are 0."""
    cut = np.int64(0)
    if pos < 0:
        cut = min(-pos, count)
        pos = 0
    k = pos >> 6
    shift = np.uint64(pos & 63)
    value = words[k] >> shift
    if shift:
        value |= words[k + 1] << (np.uint64(64) - shift)
    value &= (np.uint64(1) << np.uint64(count - cut)) - np.uint64(1)
    return np.int64(value << np.uint64(cut))


@njit(nogil=True, cache=True)
def _group_size(i, n, row):
    """Bits in the group at i: so few that the row above, and one more bit of it, come before."""
    most = min(GROUP, row - 1) if row else GROUP
    return min(max(most, 1), n - i)


@njit(nogil=True, cache=True)
def _neighbours(words, hint, i, m, row, plane):
    """Windows of the bits around a group: before, above, behind, above those, and the hint."""
    left = _window(words, i - 2, 2)
    up = _window(words, i - row - 1, m + 2) if row else np.int64(0)
    back = _window(words, i - plane, m) if plane else np.int64(0)
    corner = _window(words, i - plane - row, m) if plane else np.int64(0)
    hints = _window(hint, i, m) if hint.size else np.int64(0)
    return left, up, back, corner, hints


@njit(nogil=True, cache=True)
def _all_alike(left, up, back, m, row, plane):
    """0 or 1 where all neighbours of a group are that, else -1."""
    if left == 0 and up == 0 and back == 0:
        return 0
    full = (1 << m) - 1
    if left != 3 or (row and up != 4 * full + 3) or (plane and back != full):
        return -1
    return 1


@njit(nogil=True, cache=True)
def _context(j, before, up, back, corner, hints):
    """Number of the context of bit j of a group, ``before`` being the two bits in front of it."""
    above = up >> j & 7
    return (
        before | above << 2 | (back >> j & 1) << 5 | (corner >> j & 1) << 6 | (hints >> j & 1) << 7
    )


@njit(nogil=True, cache=True)
def _encode_bit(bit, p, low, high, out, at):
    """Narrow the range to the bit's part, the lower for 1; returns p, low, high, at."""
    middle = low + ((high - low) * p >> 16)
    if bit:
        high = middle
        p += (_ONE - p) >> _RATE
    else:
        low = middle + 1
        p -= p >> _RATE
    while (low ^ high) >> _TOP_BYTE == 0 and at < out.size:
        out[at] = np.uint8(high >> _TOP_BYTE)
        at += 1
        low = (low << 8) & _HIGHEST
        high = (high << 8) & _HIGHEST | 255
    return p, low, high, at


@njit(nogil=True, cache=True)
def encode(words, hint, n, row, plane, out):
    """Code the first n bits; returns the bytes used, or -1 where ``out`` is too short.

    Parameters
    ----------
    words : uint64, with at least one more word than n bits need
    hint : uint64, as long, or empty
        Bits that the decoder knows already.
    row, plane : int
        Distance of the row above and of the plane behind; 0 if there is none.
    """
    p = np.full(CONTEXTS + 2, _ONE // 2, np.int64)
    low, high, at = np.int64(0), np.int64(_HIGHEST), np.int64(0)
    i = np.int64(0)
    while i < n:
        m = _group_size(i, n, row)
        left, up, back, corner, hints = _neighbours(words, hint, i, m, row, plane)
        mine = _window(words, i, m)
        alike = _all_alike(left, up, back, m, row, plane) if m > 1 else -1
        if at >= out.size - 64:  # 17 decisions take less
            return -1
        if alike >= 0:
            same = mine == (((1 << m) - 1) if alike else 0)
            c = CONTEXTS + alike
            p[c], low, high, at = _encode_bit(same, p[c], low, high, out, at)
            if same:
                i += m
                continue
        before = left
        for j in range(m):
            bit = mine >> j & 1
            c = _context(j, before, up, back, corner, hints)
            p[c], low, high, at = _encode_bit(bit, p[c], low, high, out, at)
            before = before >> 1 | bit << 1
        i += m
    out[at] = np.uint8(high >> _TOP_BYTE)  # zeros that follow it stay within the range
    return at + 1


@njit(nogil=True, cache=True)
def _next_byte(data, at):
    return np.int64(data[at]) if at < data.size else np.int64(0)


@njit(nogil=True, cache=True)
def _decode_bit(p, low, high, code, data, at):
    """The next bit; returns it and p, low, high, code, at."""
    middle = low + ((high - low) * p >> 16)
    bit = np.int64(code <= middle)
    if bit:
        high = middle
        p += (_ONE - p) >> _RATE
    else:
        low = middle + 1
        p -= p >> _RATE
    while (low ^ high) >> _TOP_BYTE == 0:
        low = (low << 8) & _HIGHEST
        high = (high << 8) & _HIGHEST | 255
        code = (code << 8) & _HIGHEST | _next_byte(data, at)
        at += 1
    return bit, p, low, high, code, at


@njit(nogil=True, cache=True)
def decode(data, hint, n, row, plane, words):
    """Undo :func:`encode` into zeroed ``words``; False where bytes are left over or missing."""
    p = np.full(CONTEXTS + 2, _ONE // 2, np.int64)
    low, high, at = np.int64(0), np.int64(_HIGHEST), np.int64(4)
    code = np.int64(0)
    for k in range(4):
        code = code << 8 | _next_byte(data, k)
    i = np.int64(0)
    while i < n:
        m = _group_size(i, n, row)
        left, up, back, corner, hints = _neighbours(words, hint, i, m, row, plane)
        alike = _all_alike(left, up, back, m, row, plane) if m > 1 else -1
        mine = np.int64(0)
        same = np.int64(0)
        if alike >= 0:
            c = CONTEXTS + alike
            same, p[c], low, high, code, at = _decode_bit(p[c], low, high, code, data, at)
            mine = ((1 << m) - 1) * alike if same else 0
        if not same:
            before = left
            for j in range(m):
                c = _context(j, before, up, back, corner, hints)
                bit, p[c], low, high, code, at = _decode_bit(p[c], low, high, code, data, at)
                before = before >> 1 | bit << 1
                mine |= bit << j
        shift = np.uint64(i & 63)
        words[i >> 6] |= np.uint64(mine) << shift
        if shift > 64 - m:
            words[(i >> 6) + 1] |= np.uint64(mine) >> (np.uint64(64) - shift)
        i += m
    return at - 3 == data.size
