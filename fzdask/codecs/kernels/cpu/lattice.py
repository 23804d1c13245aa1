"""Dual quantization onto an integer lattice, fused with Lorenzo differences.

``q = rint(x / 2eb)`` and ``x' = dtype(q * 2eb)``, both in IEEE binary64 (dual quantization, Tian
et al. 2020). A value is an inlier only if the decoder's own ``x'`` is within the bound; any other
is an outlier: its bits are kept, and the lattice repeats the last inlier so that it predicts well.
With no axes to difference, the fused kernels are plain quantization.
"""

import numpy as np

from fzdask.codecs.kernels.cpu.difference import HALO, TILE, forward_tile, inverse_tile
from fzdask.codecs.kernels.cpu.lattice_vectors import LANES, UNSURE, quantize_groups, take_outliers
from fzdask.codecs.kernels.cpu.outliers import collect, finish
from fzdask.codecs.kernels.cpu.symbols import (
    PAIRS,
    TILES_OF_PAIRS,
    add_pairs,
    count_pairs,
    symbolize,
)
from fzdask.jit import njit

_NOTHING = np.float32(-1)  # no distance is below


@njit(nogil=True, cache=True)
def _lattice_tile(
    x, bits, minus_zero, forced, inv, step, bound, limit, below, high, low, near, q, narrow,
    lost, flags, state, runs, values,
):  # fmt: skip
    """Lattice of one tile, outliers taken out; on vectors of what fits 32 bits."""
    groups = x.size // LANES
    if q.itemsize == 4:
        count = quantize_groups(
            np.int64(x.ctypes.data), x.itemsize == 8, groups, np.int64(q.ctypes.data), inv, step,
            bound, below, high, low, near, lost,
        )  # fmt: skip
    else:  # by the rule that knows by itself what is too large
        groups = groups if near and x.itemsize == 4 else 0
        count = quantize_groups(
            np.int64(x.ctypes.data), False, groups, np.int64(narrow.ctypes.data), inv, step, bound,
            _NOTHING, high, low, near, lost,
        )  # fmt: skip
        for i in range(groups * LANES):
            q[i] = narrow[i]
    for g in range(groups, (x.size + LANES - 1) // LANES):  # what no vector took
        lost[g] = UNSURE
        count += 1
    if count or forced.size:
        take_outliers(
            np.int64(x.ctypes.data), x, bits, minus_zero, forced, inv, step, bound, limit, lost, q,
            flags, state, runs, values,
        )  # fmt: skip
    else:
        collect(0, flags, bits, q, state, runs, values)


@njit(nogil=True, cache=True)
def quantize(
    x, bits, minus_zero, forced, inv, step, bound, limit, below, high, low, near, strides, spans,
    bufs, hist, out, state, runs, values,
):  # fmt: skip
    """Lorenzo residual of the lattice of ``x`` into ``out``; outliers into runs and values.

    ``forced`` is empty or flags values that must be outliers; ``below``, ``high``, ``low`` and
    ``near`` belong to the cheap rules of :mod:`~fzdask.codecs.kernels.cpu.lattice_vectors`.
    """
    flags = np.zeros(TILE, np.uint8)
    lost = np.empty(TILE // LANES, np.uint64)
    narrow = np.empty(TILE, np.int32)
    n = x.size
    pos = 0
    while pos < n:
        end = min(pos + TILE, n)
        _lattice_tile(
            x[pos:end], bits[pos:end], minus_zero, forced[pos:end], inv, step, bound, limit,
            below, high, low, near, bufs[0][HALO : HALO + end - pos], narrow, lost,
            flags, state, runs, values,
        )  # fmt: skip
        forward_tile(bufs, hist, strides, spans, pos, end - pos, out[pos:end])
        pos = end
    finish(state, runs)


@njit(nogil=True, cache=True)
def quantize_to_symbols(
    x, bits, minus_zero, forced, inv, step, bound, limit, below, high, low, near, strides, spans,
    bufs, hist, z, wide, tables, state, runs, values,
):  # fmt: skip
    """As :func:`quantize`, but on to symbols and their counts; returns the used wide list."""
    flags = np.zeros(TILE, np.uint8)
    lost = np.empty(TILE // LANES, np.uint64)
    narrow = np.empty(TILE, np.int32)
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
            below, high, low, near, bufs[0][HALO : HALO + m], narrow, lost, flags,
            state, runs, values,
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
