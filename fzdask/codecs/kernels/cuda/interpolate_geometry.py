"""Where the points of an interpolation's classes are, as the kernels on a device take it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fzdask.codecs.kernels.cpu import interpolate_classes as classes

__all__ = ["GRID", "POINTS", "ROWS", "c_strides", "halve", "level_rows", "mean_of"]

AXES = classes.AXES
# As in interpolate.cuh.
LENGTH, STEP, STRIDE, EVENS = 0, 4, 8, 12
START, CODES, POINTS, USER_STEP, USER_START, ROW = 16, 17, 18, 19, 23, 24

GRID = classes.CLASSES
"""Of the rows of a level the one of its whole grid; those before it are of its classes."""
ROWS = GRID + 1


def c_strides(grid: NDArray[np.int64]) -> NDArray[np.int64]:
    """Strides of a grid in C order."""
    strides = np.ones(AXES, np.int64)
    for d in range(AXES - 2, -1, -1):
        strides[d] = strides[d + 1] * grid[d + 1]
    return strides


def halve(strides: NDArray[np.int64], plans: NDArray[np.int64]) -> NDArray[np.int64]:
    """Strides of the grids of all levels and of the coarsest, given those of the first."""
    halved = plans[:, classes.ACTIVE, None] >> np.arange(AXES) & 1
    return np.concatenate([strides[None], strides << np.cumsum(halved, axis=0)])


def level_rows(
    grid: NDArray[np.int64],
    active: int,
    strides: NDArray[np.int64],
    user: NDArray[np.int64] | None = None,
) -> NDArray[np.int64]:
    """The rows of a level's classes and of its grid, which has these strides in its array.

    ``user``: those in the user's array, where outliers are noted.
    """
    rows = np.zeros((ROWS, ROW), np.int64)
    offsets = np.zeros(classes.CLASSES, np.int64)
    classes.class_offsets(grid, active, offsets)
    for p in range(classes.CLASSES):
        if p & ~active == 0:
            _fill(rows[p], grid, active, p, strides, strides if user is None else user)
            rows[p, CODES] = offsets[p]
    _fill(rows[GRID], grid, 0, 0, strides, strides if user is None else user)
    return rows


def _fill(
    row: NDArray[np.int64],
    grid: NDArray[np.int64],
    active: int,
    p: int,
    strides: NDArray[np.int64],
    user: NDArray[np.int64],
) -> None:
    for d in range(AXES):
        halved, odd = active >> d & 1, p >> d & 1
        row[LENGTH + d] = classes.class_length(int(grid[d]), active, p, d)
        row[STEP + d], row[USER_STEP + d] = strides[d] << halved, user[d] << halved
        row[STRIDE + d] = strides[d]
        row[EVENS + d] = (grid[d] + 1) >> 1
        row[START] += strides[d] * odd
        row[USER_START] += user[d] * odd
    row[POINTS] = row[LENGTH : LENGTH + AXES].prod()


def mean_of(plan: NDArray[np.int64], p: int) -> tuple[np.generic, ...]:
    """How class ``p`` of a level is predicted: splines in two bits each, and shares of the axes."""
    shares = np.empty(AXES)
    classes.set_weights(plan, p, plan[classes.WAY + p], shares)
    splines = plan[classes.SPLINE : classes.SPLINE + AXES].tolist()
    return np.uint32(sum(spline << 2 * d for d, spline in enumerate(splines))), *shares
