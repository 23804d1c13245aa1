"""Lorenzo differences of tiles on vectors, and their sums on to values.

A tile is cut into stretches of rows, in each of which the rows before are in one piece. Axes of
long stride keep them in a ring, at most two of them in one step (any others go after it); axes of
short stride keep a few values in front of the tile. Differences along several axes may be taken
in any order; of two along the same axis, the second is undone first.
"""

import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fzdask.codecs.kernels.cpu import row_steps, tile_values, vectors
from fzdask.codecs.kernels.cpu.lattice_values import KNOWN, compare
from fzdask.codecs.kernels.cpu.row_windows import WINDOW
from fzdask.codecs.kernels.cpu.tile_values import HALO
from fzdask.jit import njit

TILE = 8192  # values: what a tile costs by itself counts for more than that it is in the L1 cache
FAR = 16  # strides from here on have a ring; shorter ones would fill no vector
ROOM = 64  # lanes past the end that a vector may touch
# What goes from tile to tile: place in the row, the value before or the running sum, and for each
# of two axes the row in its ring and in its span.
STATE = 6
KEPT = 4  # sets of buffers that a thread keeps, if the rings of the last
SMALL = 1 << 20  # are of no more bytes
_NEVER = 1 << 60  # the stride of an axis that is not there


_kept = threading.local()


def buffers_of(strides: Any, spans: Any) -> tuple[NDArray[Any], ...]:
    """Buffers of a pass over these axes, at its start; a thread keeps some that it used last."""
    kept: list[Any] | None = getattr(_kept, "buffers", None)
    if kept is None:
        kept = _kept.buffers = []
    for made in kept:
        if made[0] is strides and made[1] is spans:
            break
    else:
        made = strides, spans, new_buffers(strides, spans)
        kept.insert(0, made)
        del kept[KEPT if made[2][1].nbytes <= SMALL else 1 :]
    buffers: tuple[NDArray[Any], ...] = made[2]
    buffers[-1][:] = 0
    return buffers


def new_buffers(strides: Any, spans: Any) -> tuple[NDArray[Any], ...]:
    """What a pass needs for these axes: tiles, rings, last values, leads, a plan and a state.

    The lead of an axis: values at the start of a span that are left as they are; twice as many
    if it is the second difference. The plan: length of a row; whether it is differenced; how many
    axes (at most two) go with it, and for each, in rows, its stride, span and lead, and where its
    ring is, in which a row takes whole windows; then where other rings begin, how many more axes
    of long stride follow, how many of short stride, and their numbers in that order; and what is
    known of the last step. Of the last values, one row more has the last sums of a tile.
    """
    seconds = [k > 0 and strides[k] == strides[k - 1] for k in range(len(strides))]
    leads = [int(s) * (1 + second) for s, second in zip(strides, seconds, strict=True)]
    near = [k for k, s in enumerate(strides) if s < FAR]
    far = [k for k, s in enumerate(strides) if s >= FAR]
    along = bool(near) and strides[near[0]] == 1 and spans[near[0]] >= FAR
    row = int(spans[near[0]]) if along else int(strides[far[0]]) if far else _NEVER
    near = near[1:] if along else near
    plan = [row, along, min(len(far), 2)]
    slot = -(-row // WINDOW) * WINDOW
    rings = 0
    for k in (*far[:2], None, None)[:2]:
        if k is None:
            plan += [_NEVER, _NEVER, _NEVER, 0]
        else:
            plan += [int(strides[k]) // row, int(spans[k]) // row, leads[k] // row, rings]
            rings += int(strides[k]) // row * slot + ROOM
    plan += [rings, len(far[2:]), len(near), *far[2:], *near, *[0] * KNOWN]
    rings += sum(int(strides[k]) + ROOM for k in far[2:])
    return (
        aligned(2 * (HALO + TILE + ROOM)).reshape(2, HALO + TILE + ROOM),
        aligned(rings + 3 * HALO),  # biases, what is not kept, zeros
        np.zeros((len(strides) + 1, HALO), np.int32),
        np.array(leads, np.int64),
        np.array(plan, np.int64),
        np.zeros(STATE, np.int64),
    )


def aligned(size: int) -> NDArray[np.int32]:
    """Zeros that begin at a cache line: a vector across two costs twice."""
    raw = np.zeros(4 * size + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + 4 * size].view(np.int32)


@njit(nogil=True, cache=True)
def subtract_rows(a, ring, s, span, lead, pos, m):
    """Difference along one axis of long stride, in place, at addresses."""
    i = np.int64(0)
    p = pos % s
    r = pos % span
    while i < m:
        n = min(m - i, s - p)
        v = a + 4 * i
        h = ring + 4 * p
        for j in range(0, n, 16):
            if r < lead:
                vectors.set_history(v + 4 * j, h + 4 * j, n - j)
            else:
                vectors.subtract_history(v + 4 * j, h + 4 * j, n - j)
        i += n
        p = p + n if p + n < s else np.int64(0)
        r = r + n if r + n < span else np.int64(0)


@njit(nogil=True, cache=True)
def add_rows(a, ring, s, span, lead, pos, m):
    """Undo :func:`subtract_rows`."""
    i = np.int64(0)
    p = pos % s
    r = pos % span
    while i < m:
        n = min(m - i, s - p)
        v = a + 4 * i
        h = ring + 4 * p
        for j in range(0, n, 16):
            if r < lead:
                vectors.set_history(v + 4 * j, h + 4 * j, n - j)
            else:
                vectors.add_history(v + 4 * j, h + 4 * j, n - j)
        i += n
        p = p + n if p + n < s else np.int64(0)
        r = r + n if r + n < span else np.int64(0)


@njit(nogil=True, cache=True)
def subtract_near(source, target, last, s, span, lead, pos, m):
    """Difference along an axis of short stride from one tile into the other."""
    for j in range(s):
        source[HALO - s + j] = last[j]
        last[j] = source[max(HALO + m - s + j, 0)]
    a = source.ctypes.data + 4 * HALO
    d = target.ctypes.data + 4 * HALO
    for i in range(0, m, 32):
        vectors.subtract_lag(a + 4 * i, a + 4 * (i - s), d + 4 * i)
    start = -(pos % span)
    while start < m:
        for i in range(max(start, 0), min(start + lead, m)):
            target[HALO + i] = source[HALO + i]
        start += span


@njit(nogil=True, cache=True)
def add_near(row, last, s, span, lead, pos, m):
    """Undo :func:`subtract_near`, in place."""
    for j in range(s):
        row[HALO - s + j] = last[j]
    r = pos % span
    a = row.ctypes.data + 4 * HALO
    i = np.int64(0)
    while i < m:
        n = min(m - i, span - r)
        start = i + max(min(lead - r, n), 0)
        place, count = a + 4 * start, i + n - start
        if s == 2:
            row_steps.sum_lag_2(place, count)
        elif s == 3:
            row_steps.sum_lag_3(place, count)
        elif s == 4:
            row_steps.sum_lag_4(place, count)
        else:
            for j in range(start, i + n):
                row[HALO + j] += row[HALO + j - s]
        i += n
        r = r + n if r + n < span else np.int64(0)
    for j in range(s):
        last[j] = row[max(HALO + m - s + j, 0)]


@njit(nogil=True, cache=True)
def forward(tiles, rings, lasts, leads, plan, state, strides, spans, pos, m):
    """Difference the tile in the first row along every axis; which row the residual is in."""
    ring = np.int64(rings.ctypes.data)
    nothing = ring + 4 * (rings.size - HALO)
    a = tiles[0].ctypes.data + 4 * HALO
    d = tiles[1].ctypes.data + 4 * HALO
    length, along, rows = plan[0], plan[1], plan[2]
    k1, span1, lead1, k2, span2, lead2 = plan[3], plan[4], plan[5], plan[7], plan[8], plan[9]
    ring1, ring2 = ring + 4 * plan[6], ring + 4 * plan[10]
    slot = 4 * WINDOW * ((length + WINDOW - 1) // WINDOW)
    at, last = state[0], np.int32(state[1])
    p1, q1, p2, q2 = state[2], state[3], state[4], state[5]
    i = np.int64(0)
    while i < m:
        n = min(m - i, length - at)
        before = last if at else np.int32(0)
        w1, w2 = ring1 + slot * p1 + 4 * at, ring2 + slot * p2 + 4 * at
        s1, s2 = np.int64(q1 >= lead1), np.int64(q2 >= lead2)
        r1, r2 = w1 if s1 else nothing, w2 if s2 else nothing
        v, o = a + 4 * i, d + 4 * i
        if along:
            if rows == 2:
                last = row_steps.forward_row_2(v, o, n, before, r1, w1, s1, r2, w2, s2)
            elif rows == 1:
                last = row_steps.forward_row_1(v, o, n, before, r1, w1, s1)
            else:
                last = row_steps.forward_row_0(v, o, n, before)
        elif rows == 2:
            row_steps.forward_2(v, o, n, before, r1, w1, s1, r2, w2, s2)
        elif rows == 1:
            row_steps.forward_1(v, o, n, before, r1, w1, s1)
        else:
            row_steps.forward_0(v, o, n, before)
        i += n
        at += n
        if at == length:
            at = np.int64(0)
            p1 = p1 + 1 if p1 + 1 < k1 else np.int64(0)
            q1 = q1 + 1 if q1 + 1 < span1 else np.int64(0)
            p2 = p2 + 1 if p2 + 1 < k2 else np.int64(0)
            q2 = q2 + 1 if q2 + 1 < span2 else np.int64(0)
    state[0], state[1] = at, last
    state[2], state[3], state[4], state[5] = p1, q1, p2, q2
    extra = ring + 4 * plan[11]
    for k in range(plan[12]):
        axis = plan[14 + k]
        subtract_rows(d, extra, strides[axis], spans[axis], leads[axis], pos, m)
        extra += 4 * (strides[axis] + ROOM)
    which = 1
    for k in range(plan[13]):
        axis = plan[14 + plan[12] + k]
        subtract_near(
            tiles[which], tiles[1 - which], lasts[axis], strides[axis], spans[axis],
            leads[axis], pos, m,
        )  # fmt: skip
        which = 1 - which
    return which


@njit(nogil=True, cache=True)
def sums_first(plan):
    """Whether :func:`inverse` begins with running sums, which its caller may then take.

    It begins with :func:`begin_sums`.
    """
    return plan[1] != 0 and plan[12] == 0 and plan[13] == 0


@njit(nogil=True, cache=True)
def begin_sums(tiles, lasts, pos):
    """Put the last sum of the tile before in front of the tile, where its sums go on from it."""
    tiles[0, HALO - 1] = lasts[-1, WINDOW - 1] if pos else np.int32(0)


@njit(nogil=True, cache=True)
def inverse(
    tiles, rings, lasts, leads, plan, state, strides, spans, pos, m, target, wide, cell,
    summed=False, total=1 << 18,
):  # fmt: skip
    """Undo :func:`forward` of the residual in the first row, and write values at an address.

    Up to 31 values more than m are written, with anything.
    """
    a = tiles[0].ctypes.data + 4 * HALO
    for k in range(plan[13] - 1, -1, -1):
        axis = plan[14 + plan[12] + k]
        add_near(tiles[0], lasts[axis], strides[axis], spans[axis], leads[axis], pos, m)
    places = rings.size - 3 * HALO
    extra = np.int64(rings.ctypes.data) + 4 * places
    for k in range(plan[12] - 1, -1, -1):
        axis = plan[14 + k]
        extra -= 4 * (strides[axis] + ROOM)
        add_rows(a, extra, strides[axis], spans[axis], leads[axis], pos, m)
    carry = lasts[-1]
    step = compare(cell, m if pos else total, wide, plan[plan.size - KNOWN :])
    if pos == 0:
        carry[:] = 0
        rings[places : places + HALO] = step[2]
    for j in range(WINDOW):
        tiles[0, HALO - WINDOW + j] = carry[j]
    if plan[1] and not summed:
        row_steps.sum_flat(a, (m + 63) >> 6)
    for j in range(WINDOW):
        carry[j] = tiles[0, HALO + m - WINDOW + j]
    if plan[2]:
        tile_values.write_rows(tiles[0], rings, carry, plan, state, m, target, wide, step)
    else:
        tile_values.write_flat(tiles[0], plan, state, m, target, wide, step)
