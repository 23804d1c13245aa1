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


@njit(nogil=True, cache=True)
def _quantize_tile(x, bits, minus_zero, inv, step, bound, limit, q, flags):
    """Lattice and outlier flags of one tile; returns the number of outliers."""
    count = 0
    for i in range(x.size):
        v = np.float64(x[i])
        r = np.rint(v * inv)
        inside = np.abs(r) <= limit  # False for NaN, so the conversion below is always defined
        r = r if inside else 0.0
        y = np.float64(x.dtype.type(r * step))
        kept = (np.abs(v - y) <= bound) & inside & (bits[i] != minus_zero)
        q[i] = np.int64(r)
        flag = np.uint8(not kept)
        flags[i] = flag
        count += np.int64(flag)
    return count


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
        m = min(TILE, n - pos)
        q = bufs[0][HALO : HALO + m]
        count = _quantize_tile(
            x[pos : pos + m], bits[pos : pos + m], minus_zero, inv, step, bound, limit, q, flags
        )
        if forced.size:
            must = forced[pos : pos + m]
            count = 0
            for i in range(m):
                flags[i] |= must[i]
                count += np.int64(flags[i])
        collect(count, flags, bits[pos : pos + m], q, state, runs, values)
        forward_tile(bufs, hist, strides, spans, pos, m, out[pos : pos + m])
        pos += m
    finish(state, runs)


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
