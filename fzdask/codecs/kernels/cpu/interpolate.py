"""From the codes of an interpolation to an array: the coarsest grid, then level after level."""

import numpy as np
from numba import njit

from fzdask.codecs.kernels.cpu.interpolate_classes import (
    ACTIVE,
    APART,
    AXES,
    CLASS_ORDER,
    CLASSES,
    GEOMETRY,
    WAY,
    class_offsets,
    dequantize,
    merge,
    set_geometry,
    set_weights,
    spread,
)
from fzdask.codecs.kernels.cpu.interpolate_runs import decode_class


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
    geo = np.empty(GEOMETRY, np.int64)
    offsets = np.zeros(CLASSES, np.int64)
    weights = np.empty(AXES)
    acc = np.zeros(1)
    grid = grids[levels]
    cell = cells[max(levels - 1, 0)]
    first = out if levels == 0 else work if levels % 2 else half
    for i in range(grid[0] * grid[1] * grid[2] * grid[3]):
        dequantize(codes[i : i + 1], acc[:1], cell, largest, whole, first[i : i + 1])
        acc[0] = np.float64(first[i])
    for level in range(levels - 1, -1, -1):
        grid, plan = grids[level], plans[level]
        active = plan[ACTIVE]
        room = half if level % 2 else work
        class_offsets(grid, active, offsets)
        spread(offsets, active)
        for k in range(CLASSES - 1):
            p = CLASS_ORDER[k]
            if p & ~active == 0:
                set_geometry(grid, grid, active, p, offsets, geo)
                set_weights(plan, p, plan[WAY + p], weights)
                decode_class(
                    codes, offsets[p] - (k + 1) * APART, grid, geo, plan, weights, cells[level],
                    largest, whole, room,
                )  # fmt: skip
        merge(room, grid, active, offsets, out if level == 0 else work if level % 2 else half)
