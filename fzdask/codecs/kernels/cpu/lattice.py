"""Dual quantization onto an integer lattice, fused with Lorenzo differences.

``q = rint(x / 2eb)`` and ``x' = dtype(q * 2eb)``, both in IEEE binary64 (dual quantization, Tian
et al. 2020). A value is an inlier only if the decoder's own ``x'`` is within the bound; any other
is an outlier: its bits are kept, and the lattice repeats the last inlier so that it predicts well.
With no axes to difference, the fused kernels are plain quantization.
"""

import numpy as np
from numba import njit

from fzdask.codecs.kernels.cpu.difference import HALO, TILE, forward_tile, inverse_tile
from fzdask.codecs.kernels.cpu.outliers import collect, finish
from fzdask.codecs.kernels.cpu.symbols import (
    PAIRS,
    TILES_OF_PAIRS,
    add_pairs,
    count_pairs,
    symbolize,
)

PART = 256  # values that are quantized anew if one of them needs binary64
FARTHEST_INV = 2.0**100
_CLOSE = np.float32(2.0**-22)
_NEAR = np.float32(0.5 - 2.0**-20)
_ZERO = np.float32(0)


@njit(nogil=True, cache=True)
def _quantize_exactly(
    x, bits, minus_zero, forced, inv, step, bound, limit, q, flags, start, end
):  # fmt: skip
    """Lattice of a few values; flags and number of those that it cannot hold."""
    count = 0
    for i in range(np.uint64(start), np.uint64(end)):
        v = np.float64(x[i])
        r = np.rint(v * inv)
        inside = np.abs(r) <= limit  # False for NaN, so the conversion below is always defined
        r = r if inside else 0.0
        y = np.float64(x.dtype.type(r * step))
        kept = (np.abs(v - y) <= bound) & inside & (bits[i] != minus_zero)
        q[i] = np.int64(r)
        flags[i] = np.uint8(not kept)
        count += np.int64(not kept)
    if forced.size:
        count = 0
        for i in range(np.uint64(start), np.uint64(end)):
            flags[i] |= forced[i]
            count += np.int64(flags[i])
    return count


@njit(nogil=True, cache=True)
def _quantize_near(x, bits, minus_zero, inv, q, flags, start, end):
    """Lattice of a few float32 in binary32 alone; False where that proves too little.

    With ``t = x / step`` and ``p`` its product in binary32, ``|p - t| <= (|r| + 1) 2**-23``. So
    where ``|p - r| + |r| 2**-22 <= 1/2 - 2**-20``, ``r`` is the rounding of ``t`` in binary64
    too, and the decoder's value, which rounding moves by at most ``|r| step 2**-24``, is within
    the bound. That needs a step from 2**-100 to 2**100.
    """
    misses = np.uint32(0)
    for i in range(np.uint64(start), np.uint64(end)):
        p = x[i] * inv
        r = np.float32(np.rint(p))
        sure = np.abs(p - r) + np.abs(r) * _CLOSE <= _NEAR  # False for NaN
        q[i] = np.int32(r if sure else _ZERO)
        flags[i] = 0
        misses |= np.uint32(not sure) | np.uint32(bits[i] == minus_zero)
    return misses == 0


@njit(nogil=True, cache=True)
def _lattice_tile(
    x, bits, minus_zero, forced, inv, step, bound, limit, q, flags, state, runs, values
):  # fmt: skip
    """Lattice of one tile, outliers taken out; in binary32 where that will do."""
    single = np.float32(inv)
    near = x.itemsize == 4 and FARTHEST_INV > inv > 1 / FARTHEST_INV and forced.size == 0
    count = 0
    here = 0
    for start in range(0, x.size, PART):
        end = min(start + PART, x.size)
        # Outliers come together: after some, the cheap way is not tried.
        if near and here == 0 and _quantize_near(x, bits, minus_zero, single, q, flags, start, end):
            continue
        here = _quantize_exactly(
            x, bits, minus_zero, forced, inv, step, bound, limit, q, flags, start, end
        )
        count += here
    collect(count, flags, bits, q, state, runs, values)


@njit(nogil=True, cache=True)
def quantize(
    x, bits, minus_zero, forced, inv, step, bound, limit, strides, spans, bufs, hist, out, state,
    runs, values,
):  # fmt: skip
    """Lorenzo residual of the lattice of ``x`` into ``out``; outliers into runs and values.

    ``forced`` is empty or flags values that must be outliers.
    """
    flags = np.zeros(TILE, np.uint8)
    n = x.size
    pos = 0
    while pos < n:
        end = min(pos + TILE, n)
        _lattice_tile(
            x[pos:end], bits[pos:end], minus_zero, forced[pos:end], inv, step, bound, limit,
            bufs[0][HALO : HALO + end - pos], flags, state, runs, values,
        )  # fmt: skip
        forward_tile(bufs, hist, strides, spans, pos, end - pos, out[pos:end])
        pos = end
    finish(state, runs)


@njit(nogil=True, cache=True)
def quantize_to_symbols(
    x, bits, minus_zero, forced, inv, step, bound, limit, strides, spans, bufs, hist, z, wide,
    tables, state, runs, values,
):  # fmt: skip
    """As :func:`quantize`, but on to symbols and their counts; returns the used wide list."""
    flags = np.zeros(TILE, np.uint8)
    residual = np.empty(TILE, bufs.dtype)
    pairs = np.zeros((2, PAIRS), np.uint16)
    n = x.size
    pos = 0
    used = 0
    while pos < n:
        end = min(pos + TILE, n)
        m = end - pos
        _lattice_tile(
            x[pos:end], bits[pos:end], minus_zero, forced[pos:end], inv, step, bound, limit,
            bufs[0][HALO : HALO + m], flags, state, runs, values,
        )  # fmt: skip
        forward_tile(bufs, hist, strides, spans, pos, m, residual[:m])
        before = used
        used = symbolize(residual[:m], z[pos:end], wide, used)
        count_pairs(z[pos:end], wide, before, pairs, tables)
        if pos // TILE % TILES_OF_PAIRS == TILES_OF_PAIRS - 1:
            add_pairs(pairs, tables)
        pos = end
    add_pairs(pairs, tables)
    finish(state, runs)
    return used


@njit(nogil=True, cache=True)
def dequantize(residual, step, strides, spans, bufs, hist, out):
    """Values of a Lorenzo residual: the lattice by sums, then ``dtype(q * step)``."""
    nd = strides.size
    n = residual.size
    pos = 0
    while pos < n:
        m = min(TILE, n - pos)
        inverse_tile(residual[pos : pos + m], bufs, hist, strides, spans, pos)
        q = bufs[nd][HALO : HALO + m]
        y = out[pos : pos + m]
        for i in range(m):
            y[i] = out.dtype.type(np.float64(q[i]) * step)
        pos += m


@njit(nogil=True, cache=True)
def quantize_integers(x, bits, forced, bound, out, state, runs, values):
    """Lattice of integers, ``floor((x + bound) / (2 bound + 1))``, exact in every bit."""
    width = 2 * np.int64(bound) + 1
    inverse = 1.0 / np.float64(width)
    # Up to 32 bits v / width is farther from the middle of two integers than it is rounded by.
    narrow = (x.itemsize <= 4) | (out.itemsize == 4)
    flags = np.zeros(TILE, np.uint8)
    n = x.size
    pos = 0
    while pos < n:
        m = min(TILE, n - pos)
        part = x[pos : pos + m]
        q = out[pos : pos + m]
        if bound == 0:
            for i in range(m):
                q[i] = part[i]
        elif narrow:
            for i in range(m):
                q[i] = np.int64(np.rint(np.float64(part[i]) * inverse))
        else:
            for i in range(m):
                v = np.int64(part[i])
                low = v // width
                q[i] = low + np.int64(v - low * width > bound)
        count = 0
        if forced.size:
            for i in range(m):
                flags[i] = forced[pos + i]
                count += np.int64(flags[i])
        collect(count, flags, bits[pos : pos + m], q, state, runs, values)
        pos += m
    finish(state, runs)


@njit(nogil=True, cache=True)
def dequantize_integers(q, bound, low, high, out):
    """``q (2 bound + 1)``, clipped to the dtype's range (which only brings it nearer)."""
    if bound == 0:
        for i in range(q.size):
            out[i] = q[i]
        return
    width = 2 * np.int64(bound) + 1
    for i in range(q.size):
        out[i] = min(max(np.int64(q[i]) * width, low), high)
