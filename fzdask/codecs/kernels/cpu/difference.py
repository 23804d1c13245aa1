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

from fzdask.codecs.kernels.cpu.lanes import LANES, add, load, running_sum, store
from fzdask.codecs.kernels.cpu.scratch import aligned_empty, scratch
from fzdask.codecs.kernels.cpu.symbols import load as load_residuals

TILE = 2048  # elements; three int32 tiles and the input fit in a 32 KiB L1 cache
# Strides up to this keep their history in front of the tile, others in a ring. Neighbouring
# buffers are then 2 KiB apart modulo a page: loads do not wait for stores of like addresses.
HALO = 512
_ROW = HALO + TILE + LANES  # a vector may run past the end of a tile


def new_state(dtype: Any, strides: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    """Tile buffers and ring histories for one pass over an array.

    What is in them does not matter: the first values of an axis have no history.
    """
    rows = (len(strides) + 1) * _ROW
    rings = sum([s for s in np.asarray(strides).tolist() if s > HALO])
    many = rows + rings
    memory = scratch(many, dtype) if rings else aligned_empty(many, dtype)
    return memory[:rows].reshape(-1, _ROW), memory[rows:]


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
        if s <= HALO:
            old = bufs[k][HALO - s : HALO + m - s]
            for i in range(m):
                dst[i] = src[i] - old[i]
            start = -(pos % span)
            if lead == 1:  # no loop for one value
                start = start + span if start < 0 else start
                while start < m:
                    dst[start] = src[start]
                    start += span
            while start < m:
                for i in range(max(start, 0), min(start + lead, m)):
                    dst[i] = src[i]
                start += span
            _keep_history(bufs[k], s, m)
        else:
            i = 0
            p = pos % s
            w = pos % span
            while i < m:
                n = min(m - i, s - p)
                h = hist[ring + p : ring + p + n]
                a = src[i : i + n]
                d = dst[i : i + n]
                if w < lead:
                    for j in range(n):
                        d[j] = a[j]
                        h[j] = a[j]
                else:
                    for j in range(n):
                        v = a[j]
                        d[j] = v - h[j]
                        h[j] = v
                i += n
                p = 0
                w = w + n if w + n < span else 0
            ring += s
    if nd == 0:
        src = bufs[0][HALO : HALO + m]
        for i in range(m):
            out[i] = src[i]


@njit(nogil=True, cache=True)
def _keep_history(row, s, m):
    """Move the last ``s`` values of a tile in front of the next one."""
    for j in range(s):
        row[HALO - s + j] = row[HALO + m - s + j]


@njit(nogil=True, cache=True)
def inverse_tile(residual, bufs, hist, strides, spans, pos):
    """Undo :func:`forward_tile` for one tile (of residuals, or zigzagged ones as uint16).

    Each axis leaves its result in the next buffer; the lattice is in ``bufs[nd, HALO:HALO+m]``.
    """
    m = residual.size
    nd = strides.size
    ring = 0
    load_residuals(residual, bufs[0][HALO : HALO + m])
    for k in range(nd):
        s = strides[k]
        span = spans[k]
        lead = _lead(strides, k, k + 1)  # second differences are undone first
        src = bufs[k]
        dst = bufs[k + 1]
        if s <= HALO:
            _inverse_near(src, dst, s, lead, span, pos, m)
            _keep_history(dst, s, m)
            continue
        i = 0
        p = pos % s
        w = pos % span
        while i < m:
            n = min(m - i, s - p)
            h = hist[ring + p : ring + p + n]
            a = src[HALO + i : HALO + i + n]
            d = dst[HALO + i : HALO + i + n]
            if w < lead:
                for j in range(n):
                    d[j] = a[j]
                    h[j] = a[j]
            else:
                for j in range(n):
                    v = a[j] + h[j]
                    d[j] = v
                    h[j] = v
            i += n
            p = 0
            w = w + n if w + n < span else 0
        ring += s


@njit(nogil=True, cache=True)
def _inverse_near(src, dst, s, lead, span, pos, m):
    """Sums along an axis of a short stride.

    Vectors run past the end of a span; what they leave there is written over next.
    """
    w = pos % span
    i = HALO
    end = HALO + m
    if s == 1 and lead == 1 and span < 2 * LANES:  # as of the components of points
        total = dst[HALO - 1]
        for j in range(i, end):
            total = src[j] + (total if w > 0 else 0)
            dst[j] = total
            w = w + 1 if w + 1 < span else 0
        return
    while i < end:
        if w < lead:  # the first values of a span stand for themselves
            n = min(lead - w, end - i)
            dst[i] = src[i]
            for j in range(i + 1, i + n):
                dst[j] = src[j]
        elif s == 1:
            n = min(span - w, end - i)
            before = load(dst, i - LANES)
            for j in range(i, i + n, LANES):
                before = running_sum(load(src, j), before)
                store(dst, j, before)
        else:
            n = min(span - w, end - i)
            if s >= LANES:
                for j in range(i, i + n, LANES):
                    store(dst, j, add(load(src, j), load(dst, j - s)))
            else:
                for j in range(i, i + n):
                    dst[j] = src[j] + dst[j - s]
        i += n
        w = w + n if w + n < span else 0


@njit(nogil=True, cache=True)
def forward(lattice, strides, spans, bufs, hist, out):
    """Lorenzo residual of a flat lattice array."""
    n = lattice.size
    pos = 0
    while pos < n:
        m = min(TILE, n - pos)
        load_residuals(lattice[pos : pos + m], bufs[0][HALO : HALO + m])
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
        load_residuals(bufs[nd][HALO : HALO + m], out[pos : pos + m])
        pos += m
