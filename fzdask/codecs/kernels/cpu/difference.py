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
from numpy.typing import NDArray

from fzdask.codecs.kernels.cpu.lanes import LANES, add, load, running_sum, store, subtract
from fzdask.codecs.kernels.cpu.scratch import aligned_empty, scratch
from fzdask.codecs.kernels.cpu.symbols import load as load_residuals
from fzdask.jit import njit

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
    rows = bufs.reshape(-1)  # and no slices below: each costs as much as some vectors
    ring = 0
    for k in range(nd):
        s = strides[k]
        span = spans[k]
        lead = _lead(strides, k, k - 1)
        src = k * _ROW + HALO
        dst = 0 if k == nd - 1 else src + _ROW
        target = out if k == nd - 1 else rows
        if s <= HALO:
            _forward_near(rows, src, target, dst, s, lead, span, pos, m)
            for j in range(np.uint64(src - s), np.uint64(src)):
                rows[j] = rows[j + np.uint64(m)]
        else:
            i = 0
            p = pos % s
            w = pos % span
            while i < m:
                n = min(m - i, s - p)
                _forward_ring(rows, src + i, target, dst + i, hist, ring + p, n, w < lead)
                i += n
                p = 0
                w = w + n if w + n < span else 0
            ring += s
    if nd == 0:
        for i in range(m):
            out[i] = rows[HALO + i]


@njit(nogil=True, cache=True)
def _forward_near(rows, src, out, dst, s, lead, span, pos, m):
    """Differences along an axis of a short stride."""
    main = m - m % LANES
    for i in range(0, main, LANES):
        store(out, dst + i, subtract(load(rows, src + i), load(rows, src + i - s)))
    for i in range(main, m):
        out[dst + i] = rows[src + i] - rows[src + i - s]
    start = -(pos % span)
    if lead == 1:  # no loop for one value
        start = start + span if start < 0 else start
        while start < m:
            out[dst + start] = rows[src + start]
            start += span
    while start < m:
        for i in range(max(start, 0), min(start + lead, m)):
            out[dst + i] = rows[src + i]
        start += span


@njit(nogil=True, cache=True)
def _forward_ring(rows, src, out, dst, hist, at, n, first):
    """Differences from the row before, whose place this one takes; none of the first rows."""
    main = n - n % LANES
    if first:
        for i in range(0, main, LANES):
            values = load(rows, src + i)
            store(out, dst + i, values)
            store(hist, at + i, values)
    else:
        for i in range(0, main, LANES):
            values = load(rows, src + i)
            store(out, dst + i, subtract(values, load(hist, at + i)))
            store(hist, at + i, values)
    for i in range(main, n):
        value = rows[src + i]
        out[dst + i] = value if first else value - hist[at + i]
        hist[at + i] = value


@njit(nogil=True, cache=True)
def inverse_tile(residual, bufs, hist, strides, spans, pos):
    """Undo :func:`forward_tile` for one tile (of residuals, or zigzagged ones as uint16).

    Each axis leaves its result in the next buffer; the lattice is in ``bufs[nd, HALO:HALO+m]``.
    """
    m = residual.size
    nd = strides.size
    rows = bufs.reshape(-1)
    ring = 0
    load_residuals(residual, rows[HALO : HALO + m])
    for k in range(nd):
        s = strides[k]
        span = spans[k]
        lead = _lead(strides, k, k + 1)  # second differences are undone first
        src = k * _ROW + HALO
        dst = src + _ROW
        if s <= HALO:
            _inverse_near(rows, src, dst, s, lead, span, pos, m)
            for j in range(np.uint64(dst - s), np.uint64(dst)):
                rows[j] = rows[j + np.uint64(m)]
            continue
        i = 0
        p = pos % s
        w = pos % span
        while i < m:
            n = min(m - i, s - p)
            _inverse_ring(rows, src + i, dst + i, hist, ring + p, n, w < lead)
            i += n
            p = 0
            w = w + n if w + n < span else 0
        ring += s


@njit(nogil=True, cache=True)
def _inverse_ring(rows, src, dst, hist, at, n, first):
    """Sums with the row before, whose place they take; the first rows stand for themselves."""
    main = n - n % LANES
    if first:
        for i in range(0, main, LANES):
            values = load(rows, src + i)
            store(rows, dst + i, values)
            store(hist, at + i, values)
    else:
        for i in range(0, main, LANES):
            values = add(load(rows, src + i), load(hist, at + i))
            store(rows, dst + i, values)
            store(hist, at + i, values)
    for i in range(main, n):
        value = rows[src + i] if first else rows[src + i] + hist[at + i]
        rows[dst + i] = value
        hist[at + i] = value


@njit(nogil=True, cache=True)
def _inverse_near(rows, src, dst, s, lead, span, pos, m):
    """Sums along an axis of a short stride.

    Vectors run past the end of a span; what they leave there is written over next.
    """
    w = pos % span
    i = 0
    if s == 1 and lead == 1 and span < 2 * LANES:  # as of the components of points
        total = rows[dst - 1]
        for j in range(m):
            total = rows[src + j] + (total if w > 0 else 0)
            rows[dst + j] = total
            w = w + 1 if w + 1 < span else 0
        return
    while i < m:
        if w < lead:  # the first values of a span stand for themselves
            n = min(lead - w, m - i)
            rows[dst + i] = rows[src + i]
            for j in range(i + 1, i + n):
                rows[dst + j] = rows[src + j]
        else:
            n = min(span - w, m - i)
            if s == 1:
                before = load(rows, dst + i - LANES)
                for j in range(i, i + n, LANES):
                    before = running_sum(load(rows, src + j), before)
                    store(rows, dst + j, before)
            elif s >= LANES:
                for j in range(i, i + n, LANES):
                    store(rows, dst + j, add(load(rows, src + j), load(rows, dst + j - s)))
            else:
                for j in range(i, i + n):
                    rows[dst + j] = rows[src + j] + rows[dst + j - s]
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
