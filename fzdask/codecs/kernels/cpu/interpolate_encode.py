"""From an array to the codes of its interpolation, and the values that it cannot hold."""

import numpy as np
from numba import njit

from fzdask.codecs.kernels.cpu.interpolate_classes import (
    ACTIVE,
    AXES,
    BY_WEIGHT,
    CLASS_ORDER,
    CLASSES,
    GEOMETRY,
    PART,
    WAY,
    class_offsets,
    encode_class,
    flag,
    merge,
    quantize,
    set_geometry,
    set_weights,
)
from fzdask.codecs.kernels.cpu.interpolate_tuning import SAMPLE, tune_axes, tune_way
from fzdask.codecs.kernels.cpu.outliers import GAP, RUN, VALUES, finish


@njit(nogil=True, cache=True)
def encode_level(
    x, grid, fine, plan, cell, bound, largest, whole, work, codes, flags, errors
):  # fmt: skip
    """Tune and encode one level whose coarser grid is decoded at the start of ``work``.

    Returns how many values miss the bound.
    """
    offsets = np.zeros(CLASSES, np.int64)
    geo = np.empty(GEOMETRY, np.int64)
    weights = np.empty(AXES)
    acc = np.empty(PART)
    values = np.empty(PART)
    means = np.zeros(AXES)
    active = plan[ACTIVE]
    class_offsets(grid, active, offsets)
    tune_axes(x, grid, plan, offsets, work, geo, acc, values, errors, means)
    missed = 0
    for k in range(CLASSES - 1):
        p = CLASS_ORDER[k]
        if p & ~active:
            continue
        set_geometry(grid, fine, active, p, offsets, geo)
        plan[WAY + p] = BY_WEIGHT
        if p & (p - 1):
            tune_way(x, grid, plan, p, work, geo, acc, values, errors, means)
        set_weights(plan, p, plan[WAY + p], weights)
        missed += encode_class(
            x,
            grid,
            geo,
            plan,
            weights,
            cell,
            bound,
            largest,
            whole,
            work,
            codes,
            flags,
            acc,
            values,
        )
    return missed


@njit(nogil=True, cache=True)
def _encode_anchors(x, grid, fine, cell, bound, largest, whole, work, codes, flags):
    """The coarsest grid: each value predicted by the one before; returns how many miss."""
    missed = 0
    acc = np.zeros(1)
    value = np.empty(1)
    at = 0
    for i0 in range(grid[0]):
        for i1 in range(grid[1]):
            for i2 in range(grid[2]):
                start = i0 * fine[0] + i1 * fine[1] + i2 * fine[2]
                for i3 in range(grid[3]):
                    value[0] = np.float64(x[at])
                    c, y = codes[at : at + 1], work[at : at + 1]
                    if quantize(value, acc, cell, 1.0 / cell, bound, largest, whole, c, y):
                        place = start + i3 * fine[3]
                        flag(value, acc, bound, largest, whole, c, y, flags, place, 0, 0, 1)
                        missed += 1
                    acc[0] = np.float64(y[0])
                    at += 1
    return missed


@njit(nogil=True, cache=True)
def encode_coarse(
    coarser, starts, grids, fines, plans, cells, levels, bound, largest, whole, work, half, codes,
    flags,
):  # fmt: skip
    """Encode all levels but the finest; returns how many values miss the bound.

    The grid of level 1 is left, decoded, at the start of ``work``.
    """
    errors = np.empty(SAMPLE)
    offsets = np.zeros(CLASSES, np.int64)
    grid = grids[levels]
    size = grid[0] * grid[1] * grid[2] * grid[3]
    x = coarser[starts[levels] : starts[levels] + size]
    room = work if levels % 2 else half
    missed = _encode_anchors(
        x, grid, fines[levels], cells[levels - 1], bound, largest, whole, room, codes, flags
    )
    for level in range(levels - 1, 0, -1):
        grid, plan = grids[level], plans[level]
        size = grid[0] * grid[1] * grid[2] * grid[3]
        x = coarser[starts[level] : starts[level] + size]
        room = half if level % 2 else work
        missed += encode_level(
            x, grid, fines[level], plan, cells[level], bound, largest, whole, room, codes, flags,
            errors,
        )  # fmt: skip
        class_offsets(grid, plan[ACTIVE], offsets)
        merge(room, grid, plan[ACTIVE], offsets, work if level % 2 else half)
    return missed


@njit(nogil=True, cache=True)
def mark(x, bits, minus_zero, forced, flags):
    """Flag values that must come back bit for bit: forced ones, no finite numbers, -0.0."""
    count = 0
    for i in range(x.size):
        odd = (bits[i] == minus_zero) | (not np.abs(x[i]) < np.inf)
        flags[i] = np.uint8(odd)
        count += np.int64(odd)
    for i in range(forced.size):
        if forced[i] != 0 and flags[i] == 0:
            flags[i] = 1
            count += 1
    return count


@njit(nogil=True, cache=True)
def collect_flagged(flags, bits, state, runs, values):
    """Runs and bits of the flagged values, as the outliers of a lattice."""
    at = 0
    for i in range(flags.size):
        if flags[i]:
            values[at] = bits[i]
            at += 1
            state[RUN] += 1
        else:
            if state[RUN] > 0:
                finish(state, runs)
            state[GAP] += 1
    state[VALUES] = at
    finish(state, runs)
