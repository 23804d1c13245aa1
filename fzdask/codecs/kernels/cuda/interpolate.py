"""Decoding of an interpolation on a device: values from codes, class after class."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fzdask.codecs.kernels.cpu import interpolate_classes as classes
from fzdask.codecs.kernels.cuda.device import BLOCK, Device, blocks, suffix

__all__ = ["decode_levels"]

AXES = classes.AXES
# As in interpolate.cu.
LENGTH, STEP, STRIDE, EVENS, SPLINE = 0, 4, 8, 12, 16
START, CODES, POINTS, ODD, ROW = 20, 21, 22, 23, 24


def decode_levels(
    device: Device,
    codes: Any,
    grids: NDArray[np.int64],
    plans: NDArray[np.int64],
    cells: NDArray[np.float64],
    largest: float,
    whole: bool,
    dtype: Any,
) -> Any:
    """The flat array of a dtype (binary64 for integers) whose codes these are.

    ``grids``, ``plans`` and ``cells`` are those of the section ``levels``, finest first.
    """
    levels = plans.shape[0]
    rows, shares, cell_of = _table(grids, plans, cells)
    out = device.empty(codes.size, dtype)
    name = suffix(out.dtype)
    limits = np.float64(largest), np.uint32(whole), out
    table, weights = device.upload(rows), device.upload(shares)
    cell = np.float64(cells[max(levels - 1, 0)])
    device.launch("interpolate", f"coarsest_{name}", 1, BLOCK, codes, table, cell, *limits)
    for k in range(1, rows.shape[0]):
        if rows[k, POINTS]:
            device.launch(
                "interpolate", f"decode_class_{name}", blocks(int(rows[k, POINTS])), BLOCK,
                codes, table, weights, np.uint32(k), np.float64(cell_of[k]), *limits,
            )  # fmt: skip
    return out


def _table(
    grids: NDArray[np.int64], plans: NDArray[np.int64], cells: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64], list[float]]:
    """A row for the coarsest grid and then for each class, in the order of coding."""
    levels = plans.shape[0]
    strides = np.ones((levels + 1, AXES), np.int64)
    for d in range(AXES - 2, -1, -1):
        strides[0, d] = strides[0, d + 1] * grids[0, d + 1]
    for level in range(levels):
        halved = plans[level, classes.ACTIVE] >> np.arange(AXES) & 1
        strides[level + 1] = strides[level] << halved
    rows = [_row(grids[levels], strides[levels], 0, 0, 0)]
    shares = [np.zeros(AXES)]
    cell_of = [0.0]
    offsets = np.zeros(classes.CLASSES, np.int64)
    for level in range(levels - 1, -1, -1):
        plan = plans[level]
        active = int(plan[classes.ACTIVE])
        classes.class_offsets(grids[level], active, offsets)
        for p in (int(p) for p in classes.CLASS_ORDER):
            if p & ~active:
                continue
            row = _row(grids[level], strides[level], active, p, int(offsets[p]))
            row[SPLINE : SPLINE + AXES] = plan[classes.SPLINE : classes.SPLINE + AXES]
            share = np.zeros(AXES)
            classes.set_weights(plan, p, plan[classes.WAY + p], share)
            rows.append(row)
            shares.append(share)
            cell_of.append(float(cells[level]))
    return np.array(rows), np.array(shares), cell_of


def _row(
    grid: NDArray[np.int64], stride: NDArray[np.int64], active: int, p: int, offset: int
) -> NDArray[np.int64]:
    """Geometry of class ``p`` of a grid with these strides in the array."""
    row = np.zeros(ROW, np.int64)
    for d in range(AXES):
        halved, odd = active >> d & 1, p >> d & 1
        row[LENGTH + d] = classes.class_length(int(grid[d]), active, p, d)
        row[STEP + d] = stride[d] << halved
        row[STRIDE + d] = stride[d]
        row[EVENS + d] = (grid[d] + 1) >> 1
        row[START] += stride[d] * odd
    row[CODES] = offset
    row[POINTS] = row[LENGTH : LENGTH + AXES].prod()
    row[ODD] = p
    return row
