"""From an array to the codes of its interpolation, and the values that it cannot hold."""

import numpy as np

from fzdask.codecs.kernels.cpu.interpolate_classes import (
    ACTIVE,
    APART,
    AXES,
    CLASS_ORDER,
    CLASSES,
    GEOMETRY,
    PART,
    WAY,
    class_offsets,
    flag,
    merge,
    quantize,
    set_geometry,
    set_weights,
    spread,
)
from fzdask.codecs.kernels.cpu.interpolate_runs import encode_class
from fzdask.codecs.kernels.cpu.interpolate_tuning import SAMPLE, level_bits, tune_axes, tune_way
from fzdask.codecs.kernels.cpu.outliers import GAP, RUN, VALUES, finish
from fzdask.codecs.kernels.cpu.symbols import ALPHABET
from fzdask.jit import njit


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
def encode_levels(
    x, coarser, starts, grids, fines, plans, cells, levels, first, last, bound, largest, whole,
    work, half, codes, flags, missed, samples, known,
):  # fmt: skip
    """Tune and encode some levels, coarse ones first.

    Parameters
    ----------
    x, coarser, starts
        The array, and the coarser grids as :func:`plan_grids` makes them.
    grids, fines, plans, cells
        Of each level: shape, strides in the array, plan, width of the cells.
    first, last : int
        The coarsest level to encode (``levels - 1``: with the coarsest grid) and the finest.
    bound, largest, whole
        See :func:`~fzdask.codecs.kernels.cpu.interpolate_classes.quantize`.
    work, half
        Room for the array and for the grid of level 1, each with ``ROOM`` more; the grid that
        level ``first`` is predicted from is at the start of one or the other: ``work`` for even
        levels.
    codes, flags : int32, uint8
        Get the codes, and a 1 where a value misses the bound.
    missed : int64[1]
        Grows by how many do.
    samples : int
        With any, level ``last`` is only tuned, and its size estimated from so many values.
    known : bool
        Splines and weights of all levels are in their plans, and ways of weighting of all but
        the finest.

    Returns
    -------
    int
        Estimated bits of level ``last``, in units of 2**-8; 0 without samples.
    """
    errors = np.empty(max(SAMPLE, samples))
    sampled = np.empty(samples, np.int64)
    counts = np.empty((2, ALPHABET), np.int64)
    offsets = np.zeros(CLASSES, np.int64)
    geo = np.empty(GEOMETRY, np.int64)
    weights = np.empty(AXES)
    acc = np.empty(PART)
    values = np.empty(PART)
    axis_bits = np.zeros(AXES, np.int64)
    if first == levels - 1:
        room = work if levels % 2 else half
        missed[0] += _encode_anchors(
            coarser[starts[levels] :], grids[levels], fines[levels], cells[first], bound, largest,
            whole, room, codes, flags,
        )  # fmt: skip
    for level in range(first, last - 1, -1):
        grid, plan, cell = grids[level], plans[level], cells[level]
        source = x if level == 0 else coarser[starts[level] :]
        room = half if level % 2 else work
        estimating = samples > 0 and level == last
        active = plan[ACTIVE]
        class_offsets(grid, active, offsets)
        spread(offsets, active)
        if estimating or not known:
            tune_axes(
                source, grid, plan, cell, offsets, room, geo, acc, values, errors,
                sampled if estimating else sampled[:0], counts, known, axis_bits,
            )  # fmt: skip
        if estimating:
            return level_bits(grid, plan, axis_bits)
        for k in range(CLASSES - 1):
            p = CLASS_ORDER[k]
            if p & ~active:
                continue
            set_geometry(grid, fines[level], active, p, offsets, geo)
            if p & (p - 1) and (level == 0 or not known):
                tune_way(source, grid, plan, p, room, geo, acc, values, errors[:SAMPLE])
            set_weights(plan, p, plan[WAY + p], weights)
            missed[0] += encode_class(
                source, grid, geo, plan, weights, cell, bound, largest, whole, room, codes,
                offsets[p] - (k + 1) * APART, flags, acc, values,
            )  # fmt: skip
        if level > 0:
            merge(room, grid, active, offsets, work if level % 2 else half)
    return np.int64(0)


@njit(nogil=True, cache=True)
def count_odd(x, bits, minus_zero):
    """How many values are no finite numbers, or -0.0."""
    count = 0
    for i in range(x.size):
        count += np.int64((bits[i] == minus_zero) | (not np.abs(x[i]) < np.inf))
    return count


@njit(nogil=True, cache=True)
def flag_odd(x, bits, minus_zero, flags):
    """Flag what :func:`count_odd` counts."""
    for i in range(x.size):
        if (bits[i] == minus_zero) | (not np.abs(x[i]) < np.inf):
            flags[i] = 1


@njit(nogil=True, cache=True)
def collect_at(places, bits, state, runs, values):
    """Runs and bits of the values at ascending places, as the outliers of a lattice."""
    end = np.int64(0)
    for k in range(places.size):
        place = places[k]
        if place > end or k == 0:
            finish(state, runs)
            state[GAP] = place - end
        state[RUN] += 1
        values[k] = bits[place]
        end = place + 1
    state[VALUES] = places.size
    finish(state, runs)
