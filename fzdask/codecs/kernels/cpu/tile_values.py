"""From running sums of tiles to values: what remains are axes of long stride.

Sums along the rows were taken as if there were only one row; what a row then has too much is the
sum in front of it. The last sums of a tile are in front of the next, for windows that it cuts.
"""

import numpy as np

from fzdask.codecs.kernels.cpu import row_steps, row_windows, vectors
from fzdask.codecs.kernels.cpu.row_windows import ROWS, WINDOW
from fzdask.jit import njit

__all__ = ["HALO", "write_flat", "write_rows"]

HALO = 64  # lanes in front of a tile, and in each place at the end of the rings
_BEGUN, _SPARE = WINDOW, 2 * WINDOW  # lanes of what is carried from tile to tile


@njit(nogil=True, cache=True)
def _row(wide, v, y, which, step, base, history, axes):
    if wide:
        if axes == 2:
            row_windows.row_f8(v, y, which, step, base, history)
        else:
            row_windows.row_f8(v, y, which, step, base, history[:3])
    else:
        if axes == 2:
            row_windows.row_f4(v, y, which, step, base, history)
        else:
            row_windows.row_f4(v, y, which, step, base, history[:3])


@njit(nogil=True, cache=True)
def _groups(wide, v, y, which, step, base, history, axes):
    if wide:
        if axes == 2:
            row_windows.groups_f8(v, y, which, step, base, history)
        else:
            row_windows.groups_f8(v, y, which, step, base, history[:3])
    else:
        if axes == 2:
            row_windows.groups_f4(v, y, which, step, base, history)
        else:
            row_windows.groups_f4(v, y, which, step, base, history[:3])


@njit(nogil=True, cache=True)
def _groups_apart(wide, v, y, which, step, base, history, axes):
    if wide:
        if axes == 2:
            row_windows.groups_apart_f8(v, y, which, step, base, history)
        else:
            row_windows.groups_apart_f8(v, y, which, step, base, history[:3])
    else:
        if axes == 2:
            row_windows.groups_apart_f4(v, y, which, step, base, history)
        else:
            row_windows.groups_apart_f4(v, y, which, step, base, history[:3])


@njit(nogil=True, cache=True)
def write_flat(tile, plan, state, m, target, wide, step):
    """Values of a tile without axes of long stride, row by row, at an address."""
    length, along = plan[0], plan[1]
    a = tile.ctypes.data + 4 * HALO
    c, base = state[0], np.int32(state[1])
    i = np.int64(0)
    while i < m:
        if c == 0:
            base = (tile[HALO + i - 1] if along else np.int32(0)) - step[2]
        n = min(m - i, length - c)
        if wide:
            row_steps.values_f8(a + 4 * i, target + 8 * i, n, step, base)
        else:
            row_steps.values_f4(a + 4 * i, target + 4 * i, n, step, base)
        i += n
        c = c + n if c + n < length else np.int64(0)
    state[0], state[1] = c, base


@njit(nogil=True, cache=True)
def write_rows(tile, rings, carry, plan, state, m, target, wide, step):
    """Sums along one or two axes of long stride, and values of a tile, at an address.

    At the end of the rings are places of biases, of what is not kept, and of zeros.
    """
    length, along, axes = plan[0], plan[1], plan[2]
    k1, span1, lead1, k2, span2, lead2 = plan[3], plan[4], plan[5], plan[7], plan[8], plan[9]
    ring = np.int64(rings.ctypes.data)
    ring1, ring2 = ring + 4 * plan[6], ring + 4 * plan[10]
    nothing = ring + 4 * (rings.size - HALO)
    dump = nothing - 4 * HALO
    biases = dump - 4 * HALO
    begun = np.int64(carry.ctypes.data + 4 * _BEGUN)
    some = np.int64(carry.ctypes.data + 4 * _SPARE)
    a = tile.ctypes.data + 4 * HALO
    pitch = 4 * length if along else np.int64(0)
    windows = (length + WINDOW - 1) // WINDOW
    slot = WINDOW * windows
    back = length - WINDOW  # where the last window begins
    size = 8 if wide else 4
    c, p1, r1, p2, r2 = state[0], state[2], state[3], state[4], state[5]
    i = np.int64(0)
    while i < m:
        w1, w2 = ring1 + 4 * slot * p1, ring2 + 4 * slot * p2
        m1, m2 = np.int64(r1 >= lead1), np.int64(r2 >= lead2)
        h1, h2 = w1 if m1 else biases, w2 if m2 else nothing
        history = h1, w1, m1, h2, w2, m2
        v, y = a + 4 * (i - c), target + size * (i - c)  # where the row begins, or would
        count = np.int64(0)
        chained = k1 == 1
        if c == 0 and (not chained or r1 + 1 >= lead1):
            count = min((m - i) // length, span1 - r1)
            if not chained:
                count = min(count, k1 - p1, (span1 if r1 >= lead1 else lead1) - r1)
            if axes == 2:
                count = min(count, k2 - p2, (span2 if r2 >= lead2 else lead2) - r2)
            count -= count % ROWS
        if count:
            base = v - 4 if along else nothing, pitch, slot
            which = length, windows, count // ROWS
            if chained:
                _groups(wide, v, y, which, step, base, history, axes)
            else:
                _groups_apart(wide, v, y, which, step, base, history, axes)
            i += count * length
        else:
            if c == 0:
                carry[_BEGUN] = tile[HALO + i - 1] if along else 0
            count = np.int64(1)
            base = begun, np.int64(0), slot
            n = min(m - i, length - c)
            end = c + n
            first = c // WINDOW
            stop = windows if end == length else end // WINDOW
            while first < stop and min(first * WINDOW, back) < c:  # begun in the last tile
                s = min(first * WINDOW, back)
                which = length, first, first + 1
                _row(wide, v, some - size * s, which, step, base, history, axes)
                vectors.copy_bytes(some + size * (c - s), y + size * c, size * (s + WINDOW - c))
                first += 1
            _row(wide, v, y, (length, first, stop), step, base, history, axes)
            while stop < windows and min(stop * WINDOW, back) < end:  # ends in the next tile
                w = dump - 4 * WINDOW * stop
                which = length, stop, stop + 1
                _row(wide, v, y, which, step, base, (h1, w, m1, h2, w, m2), axes)
                stop += 1
            i += n
            c = end if end < length else np.int64(0)
        if c == 0:
            p1 = p1 + count if p1 + count < k1 else np.int64(0)
            r1 = r1 + count if r1 + count < span1 else np.int64(0)
            p2 = p2 + count if p2 + count < k2 else np.int64(0)
            r2 = r2 + count if r2 + count < span2 else np.int64(0)
    state[0], state[2], state[3], state[4], state[5] = c, p1, r1, p2, r2
