"""Lorenzo prediction as successive differences along axes, in tiles that stay in the L1 cache.

The n-dimensional order-1 Lorenzo residual is the composition of first differences along the
axes (Ibarria et al. 2003). In a C-order array an axis is a stride and a span (stride times
length): ``d[i] = q[i] - q[i - stride]`` unless ``i mod span < stride``. All arithmetic wraps in
the lattice's own integer width, so any residual is exact.

A stride given twice in a row is differenced twice: the second time from the second difference on,
so that the first value of a line costs once, not twice.
"""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from fzdask.codecs.kernels.cpu.symbols import load

TILE = 2048  # elements; three int32 tiles and the input fit in a 32 KiB L1 cache
HALO = 64  # strides below this keep their history in front of the tile, others in a ring


def new_state(dtype: Any, strides: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    """Tile buffers and ring histories for one pass over an array."""
    bufs = np.zeros((len(strides) + 1, HALO + TILE), dtype)
    rings = [s if s >= HALO else 0 for s in strides]
    return bufs, np.zeros(sum(rings), dtype)


@njit(nogil=True, cache=True)
def _lead(strides, k, other):
    """Elements at the start of a span that pass k leaves: twice as many if it is the second."""
    if 0 <= other < strides.size and strides[other] == strides[k]:
        return 2 * strides[k]
    return strides[k]


@njit(nogil=True, cache=True)
def forward_tile(bufs, hist, strides, spans, pos, m, out):
    """Difference the lattice tile in ``bufs[0, HALO:HALO+m]`` along every axis into ``out``."""
    nd = strides.size
    ring = 0
    for k in range(nd):
        s = strides[k]
        span = spans[k]
        lead = _lead(strides, k, k - 1)
        src = bufs[k][HALO : HALO + m]
        last = k == nd - 1
        dst = out if last else bufs[k + 1][HALO : HALO + m]
        if s < HALO:
            old = bufs[k][HALO - s : HALO + m - s]
            for i in range(m):
                dst[i] = src[i] - old[i]
            start = -(pos % span)
            while start < m:
                for i in range(max(start, 0), min(start + lead, m)):
                    dst[i] = src[i]
                start += span
            row = bufs[k]
            for j in range(s):
                row[HALO - s + j] = row[HALO + m - s + j]
        else:
            i = 0
            while i < m:
                p = (pos + i) % s
                n = min(m - i, s - p)
                h = hist[ring + p : ring + p + n]
                a = src[i : i + n]
                d = dst[i : i + n]
                if (pos + i) % span < lead:
                    for j in range(n):
                        d[j] = a[j]
                        h[j] = a[j]
                else:
                    for j in range(n):
                        v = a[j]
                        d[j] = v - h[j]
                        h[j] = v
                i += n
            ring += s
    if nd == 0:
        src = bufs[0][HALO : HALO + m]
        for i in range(m):
            out[i] = src[i]


@njit(nogil=True, cache=True)
def inverse_tile(residual, bufs, hist, strides, spans, pos):
    """Undo :func:`forward_tile` for one tile (of residuals, or zigzagged ones as uint16).

    Each axis leaves its result in the next buffer; the lattice is in ``bufs[nd, HALO:HALO+m]``.
    """
    m = residual.size
    nd = strides.size
    ring = 0
    load(residual, bufs[0][HALO : HALO + m])
    for k in range(nd):
        s = strides[k]
        span = spans[k]
        lead = _lead(strides, k, k + 1)  # second differences are undone first
        src = bufs[k][HALO : HALO + m]
        row = bufs[k + 1]
        dst = row[HALO : HALO + m]
        if s < HALO:
            r = pos % span
            i = 0
            while i < m:
                if r < lead:
                    n = min(lead - r, m - i)
                    a = src[i : i + n]
                    d = dst[i : i + n]
                    for j in range(n):
                        d[j] = a[j]
                    i += n
                    r += n
                else:
                    n = min(span - r, m - i)
                    if s == 1:
                        a = src[i : i + n]
                        d = dst[i : i + n]
                        acc = np.int64(row[HALO + i - 1])
                        for j in range(n):
                            acc += a[j]
                            d[j] = acc
                        i += n
                        r += n
                    else:
                        while n > 0:  # runs of s values depend only on the run before
                            c = min(s, n)
                            a = src[i : i + c]
                            o = row[HALO + i - s : HALO + i - s + c]
                            d = dst[i : i + c]
                            for j in range(c):
                                d[j] = a[j] + o[j]
                            i += c
                            r += c
                            n -= c
                if r >= span:
                    r -= span
            for j in range(s):
                row[HALO - s + j] = row[HALO + m - s + j]
        else:
            i = 0
            while i < m:
                p = (pos + i) % s
                n = min(m - i, s - p)
                h = hist[ring + p : ring + p + n]
                a = src[i : i + n]
                d = dst[i : i + n]
                if (pos + i) % span < lead:
                    for j in range(n):
                        d[j] = a[j]
                        h[j] = a[j]
                else:
                    for j in range(n):
                        v = a[j] + h[j]
                        d[j] = v
                        h[j] = v
                i += n
            ring += s


@njit(nogil=True, cache=True)
def forward(lattice, strides, spans, bufs, hist, out):
    """Lorenzo residual of a flat lattice array."""
    n = lattice.size
    pos = 0
    while pos < n:
        m = min(TILE, n - pos)
        load(lattice[pos : pos + m], bufs[0][HALO : HALO + m])
        forward_tile(bufs, hist, strides, spans, pos, m, out[pos : pos + m])
        pos += m


@njit(nogil=True, cache=True)
def inverse(residual, strides, spans, bufs, hist, out):
    """Lattice of a flat Lorenzo residual."""
    n = residual.size
    nd = strides.size
    pos = 0
    while pos < n:
        m = min(TILE, n - pos)
        inverse_tile(residual[pos : pos + m], bufs, hist, strides, spans, pos)
        load(bufs[nd][HALO : HALO + m], out[pos : pos + m])
        pos += m
