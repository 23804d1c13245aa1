"""From the codes of an interpolation to an array: the coarsest grid, then level after level."""

import numpy as np

from fzdask.codecs.kernels.cpu.interpolate_classes import (
    ACTIVE,
    APART,
    AXES,
    CLASS_ORDER,
    CLASSES,
    GEOMETRY,
    SIZE,
    WAY,
    class_offsets,
    dequantize,
    merge_class,
    set_geometry,
    set_weights,
    spread,
)
from fzdask.codecs.kernels.cpu.interpolate_runs import decode_class
from fzdask.codecs.kernels.cpu.interpolate_vectors import MOST_PAIRS
from fzdask.jit import njit

BEHIND = 3  # even planes ahead of an odd one that it is predicted from


@njit(nogil=True, cache=True)
def decode_levels(codes, grids, plans, cells, levels, largest, whole, work, half, out):
    """The array from its codes.

    Parameters
    ----------
    codes : int32, flat
        Coarsest grid first, then the classes of each level in their order.
    grids : int64[levels + 1, 4]
        Shape of each level's grid, the array's own first.
    plans : int64[levels, PLAN]
    cells : float64[levels or 1]
        Width of the cells of each level.
    levels : int
    largest : float
        Predictions beyond it are taken as 0.
    whole : bool
        Whether predictions are rounded to integers.
    work, half : flat arrays of the dtype
        Room for the array and for the grid of level 1, and ``ROOM`` more each.
    out : flat array of the dtype
    """
    acc = np.zeros(1)
    grid = grids[levels]
    cell = cells[max(levels - 1, 0)]
    first = out if levels == 0 else work if levels % 2 else half
    for i in range(grid[0] * grid[1] * grid[2] * grid[3]):
        dequantize(codes[i : i + 1], acc[:1], cell, largest, whole, first[i : i + 1])
        acc[0] = np.float64(first[i])
    for level in range(levels - 1, -1, -1):
        to = out if level == 0 else work if level % 2 else half
        room = half if level % 2 else work
        _decode_level(codes, grids[level], plans[level], cells[level], largest, whole, room, to)


@njit(nogil=True, cache=True)
def _decode_level(codes, grid, plan, cell, largest, whole, room, out):
    """One level, plane by plane: a plane and those that it is predicted from stay in a cache."""
    taps = np.empty(2 * MOST_PAIRS, np.int64)
    pitches = np.empty(2 * MOST_PAIRS, np.int64)
    weights = np.empty(2 * MOST_PAIRS)
    active = plan[ACTIVE]
    offsets = np.zeros(CLASSES, np.int64)
    class_offsets(grid, active, offsets)
    spread(offsets, active)
    geo = np.empty((CLASSES, GEOMETRY), np.int64)
    shares = np.empty((CLASSES, AXES))
    for p in range(CLASSES):
        if p & ~active == 0:
            set_geometry(grid, grid, active, p, offsets, geo[p])
            set_weights(plan, p, plan[WAY + p], shares[p])
    outer = 0 if grid[0] > 1 else 1  # the axis that planes lie across
    halved = active >> outer & 1
    planes = (grid[outer] + 1) >> 1 if halved else grid[outer]
    begin, end = np.zeros(2, np.int64), np.empty(2, np.int64)
    for step in range(planes + BEHIND * halved):
        for odd in range(1 + halved):
            plane = step - BEHIND * odd
            begin[outer], end[outer] = plane, plane + 1
            for k in range(CLASSES - 1):
                p = CLASS_ORDER[k]
                size = geo[p, SIZE : SIZE + AXES]
                if _has(p, active, outer, odd) and 0 <= plane < size[outer]:
                    end[1 - outer] = size[1 - outer]
                    decode_class(
                        codes, offsets[p] - (k + 1) * APART, grid, geo[p], plan, shares[p], cell,
                        largest, whole, room, begin, end, taps, pitches, weights,
                    )  # fmt: skip
            for p in range(CLASSES >> 1):
                size = geo[p, SIZE : SIZE + AXES]
                if _has(p, active, outer, odd) and 0 <= plane < size[outer]:
                    end[1 - outer] = size[1 - outer]
                    merge_class(room, grid, active, p, offsets, begin, end, out)


@njit(nogil=True, cache=True)
def _has(p, active, outer, odd):
    """Whether a class has planes of this parity across the outer axis."""
    return p & ~active == 0 and (p >> outer & 1) == odd
