"""The integer logarithm of floats and its inverse, on their bit patterns, in integers only."""

import math

import numpy as np

from fzdask.codecs.kernels.cpu.difference import TILE
from fzdask.codecs.kernels.cpu.log_tables import CELLS_LOG2, EXP_BITS, LOG_BITS
from fzdask.codecs.kernels.cpu.outliers import collect, finish
from fzdask.codecs.kernels.cpu.symbols import exponent
from fzdask.jit import njit

_OFFSET_BITS = 32  # of a place within a cell, so that its product with a slope fits 64 bits
# Two binary64 operations err by less: what is accepted keeps the bound exactly.
_ALMOST = 1.0 - 2.0**-50


@njit(nogil=True, cache=True)
def _logarithm(a, mantissa, bias, scale, smooth, table):
    """Of a positive finite value with these bits, rounded down."""
    e = a >> mantissa
    m = a & ((np.int64(1) << mantissa) - 1)
    if e == 0:  # a denormal: as if its exponent had no end
        lift = mantissa - exponent(m)
        m = (m << lift) & ((np.int64(1) << mantissa) - 1)
        e = 1 - lift
    octaves = (e - bias) << scale
    if not smooth:
        return octaves + m
    rest = mantissa - CELLS_LOG2
    kept = min(rest, _OFFSET_BITS)
    k = m >> rest
    offset = (m & ((np.int64(1) << rest) - 1)) >> (rest - kept)
    log = table[k] + ((offset * (table[k + 1] - table[k])) >> kept)
    return octaves + (log >> (LOG_BITS - scale))


@njit(nogil=True, cache=True)
def _power(t, mantissa, bias, scale, smooth, table):
    """Bits of the value of a logarithm, rounded towards 0; at most the greatest finite one."""
    e = (t >> scale) + bias
    f = t & ((np.int64(1) << scale) - 1)
    if e > 2 * bias:
        return (np.int64(2 * bias + 1) << mantissa) - 1
    if smooth:
        rest = scale - CELLS_LOG2
        k = f >> rest
        low = f & ((np.int64(1) << rest) - 1)
        m = table[k] + ((low * (table[k + 1] - table[k])) >> rest) - (np.int64(1) << EXP_BITS)
        m >>= EXP_BITS - mantissa
    else:
        m = f
    if e > 0:
        return (e << mantissa) | m
    return ((np.int64(1) << mantissa) | m) >> min(1 - e, 63)


@njit(nogil=True, cache=True)
def _in_smallest(a, mantissa):
    """A value in units of the smallest denormal, exact in binary64."""
    e = a >> mantissa
    m = a & ((np.int64(1) << mantissa) - 1)
    return math.ldexp(np.float64(m + (np.int64(e > 0) << mantissa)), max(e - 1, 0))


@njit(nogil=True, cache=True)
def _stays_near(a, t, bound, rel, mantissa, bias, scale, smooth, powers):
    """Whether all that the logarithm may become within ``bound`` is within ``rel`` of the value."""
    x = _in_smallest(a, mantissa)
    low = _in_smallest(_power(t - bound, mantissa, bias, scale, smooth, powers), mantissa)
    high = _in_smallest(_power(t + bound, mantissa, bias, scale, smooth, powers), mantissa)
    allowed = rel * x * _ALMOST
    return (x - low <= allowed) & (high - x <= allowed)


@njit(nogil=True, cache=True)
def _pack_signs(bits, top, signs):
    """Sign bits of a tile, from bit 0 of byte 0 on; returns how many are set."""
    n = bits.size
    negative = np.int64(0)
    for at in range((n + 7) >> 3):
        byte = np.int64(0)
        for k in range(min(8, n - 8 * at)):
            sign = np.int64(bits[8 * at + k]) >> top & 1
            byte |= sign << k
            negative += sign
        signs[at] = np.uint8(byte)
    return negative


@njit(nogil=True, cache=True)
def _encode_odd(
    bits, forced, top, mantissa, bias, scale, smooth, logs, powers, bound, shift, rel, first,
    infinity, last, sign, q, flags, signs, zeros,
):  # fmt: skip
    """A tile with values that need care; ``last`` and ``sign`` are those of the value before."""
    magnitude = (np.int64(1) << top) - 1
    count = np.int64(0)
    negative = np.int64(0)
    zero = np.int64(0)
    for i in range(bits.size):
        a = np.int64(bits[i]) & magnitude
        kept = a < infinity
        if forced.size:
            kept &= forced[i] == 0
        nothing = kept & (a == 0)
        if kept & (not nothing):
            t = _logarithm(a, mantissa, bias, scale, smooth, logs) - shift
            if a < first:
                kept = _stays_near(a, t, bound, rel, mantissa, bias, scale, smooth, powers)
            last = t if kept else last
        q[i] = last
        flags[i] = not kept
        count += np.int64(not kept)
        sign = np.int64(bits[i]) >> top & 1 if kept else sign
        negative += sign
        zero += np.int64(nothing)
        at = i >> 3
        bit = i & 7
        signs[at] = np.uint8(sign) if bit == 0 else signs[at] | np.uint8(sign << bit)
        zeros[at] = np.uint8(nothing) if bit == 0 else zeros[at] | np.uint8(nothing << bit)
    return count, last, sign, negative, zero


@njit(nogil=True, cache=True)
def encode(
    bits, forced, top, mantissa, bias, scale, smooth, logs, powers, bound, shift, rel, safe,
    out, signs, zeros, state, runs, values,
):  # fmt: skip
    """Logarithms of the values with these bits into ``out``, what has none set aside.

    ``top`` is the number of the sign bit: those of halves may come in words of 32 bits.
    Where a value has no logarithm, ``out`` repeats the last one. Bit ``i`` of ``signs`` is the
    sign of value ``i`` (repeated too where its bits are kept), bit ``i`` of ``zeros`` whether it
    is 0. NaN, infinities, forced values, and values so small that rounding to a denormal could
    exceed the bound are outliers. ``safe`` is the least exponent field that needs no such check.

    Returns
    -------
    negative, zero : int
        How many bits of ``signs`` and of ``zeros`` are set.
    """
    magnitude = (np.int64(1) << top) - 1
    infinity = np.int64(2 * bias + 1) << mantissa
    first = np.int64(safe) << mantissa
    flags = np.zeros(TILE, np.uint8)
    n = bits.size
    negative = np.int64(0)
    zero = np.int64(0)
    last = np.int64(0)
    sign = np.int64(0)
    pos = 0
    while pos < n:
        m = min(TILE, n - pos)
        part = bits[pos : pos + m]
        q = out[pos : pos + m]
        odd = np.int64(forced.size)
        for i in range(m):
            a = np.int64(part[i]) & magnitude
            odd += np.int64((a < first) | (a >= infinity))
        count = np.int64(0)
        if odd == 0:
            for i in range(m):
                a = np.int64(part[i]) & magnitude
                q[i] = _logarithm(a, mantissa, bias, scale, smooth, logs) - shift
            last = np.int64(q[m - 1])
            sign = np.int64(part[m - 1]) >> top & 1
            negative += _pack_signs(part, top, signs[pos >> 3 :])
            zeros[pos >> 3 : (pos + m + 7) >> 3] = 0
        else:
            count, last, sign, more, none = _encode_odd(
                part, forced[pos : pos + m], top, mantissa, bias, scale, smooth, logs, powers,
                bound, shift, rel, first, infinity, last, sign,
                q, flags, signs[pos >> 3 :], zeros[pos >> 3 :],
            )  # fmt: skip
            negative += more
            zero += none
        collect(count, flags, part, q, state, runs, values)
        pos += m
    finish(state, runs)
    return negative, zero


@njit(nogil=True, cache=True)
def count_exact(runs, most):
    """How many elements the runs of outliers name; -1 where they are broken, or more than most."""
    total = np.int64(0)
    number = np.int64(0)
    shift = 0
    gap = True
    for i in range(runs.size):
        number |= (np.int64(runs[i]) & 127) << shift
        shift += 7
        if runs[i] >= 128:
            if shift > 56:
                return np.int64(-1)
            continue
        if not gap:
            total += number
        if number > most or total > most:
            return np.int64(-1)
        number = np.int64(0)
        shift = 0
        gap = not gap
    return total if gap and shift == 0 else np.int64(-1)


@njit(nogil=True, cache=True)
def decode(t, top, mantissa, bias, scale, smooth, powers, signs, negative, zeros, out):
    """Bits of the values of these logarithms.

    ``signs`` and ``zeros`` may be empty: then all signs are ``negative``, and nothing is 0.
    """
    all_signs = np.int64(negative) << top
    for i in range(t.size):
        a = _power(np.int64(t[i]), mantissa, bias, scale, smooth, powers)
        if zeros.size:
            a = np.int64(0) if zeros[i >> 3] >> (i & 7) & 1 else a
        if signs.size:
            a |= np.int64(signs[i >> 3] >> (i & 7) & 1) << top
        out[i] = a | all_signs
