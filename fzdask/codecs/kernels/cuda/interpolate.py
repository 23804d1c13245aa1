"""Decoding of an interpolation on a device: values from codes, class after class."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fzdask.codecs.kernels.cpu import interpolate_classes as classes
from fzdask.codecs.kernels.cuda.device import BLOCK, Device, blocks, suffix
from fzdask.codecs.kernels.cuda.interpolate_geometry import (
    GRID,
    POINTS,
    ROWS,
    c_strides,
    halve,
    level_rows,
    mean_of,
)

__all__ = ["decode_levels"]


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
    strides = halve(c_strides(grids[0]), plans)
    active = [*plans[:, classes.ACTIVE].tolist(), 0]
    rows = [level_rows(grids[k], active[k], strides[k]) for k in range(levels + 1)]
    table = device.upload(np.concatenate(rows).ravel())
    out = device.empty(codes.size, dtype)
    name = suffix(out.dtype)
    limits = np.float64(largest), np.uint32(whole), out
    coarsest = table[(levels * ROWS + GRID) * rows[0].shape[1] :]
    cell = np.float64(cells[max(levels - 1, 0)])
    device.launch("interpolate", f"coarsest_{name}", 1, BLOCK, codes, coarsest, cell, *limits)
    for level in range(levels - 1, -1, -1):
        for p in classes.CLASS_ORDER.tolist():
            points = int(rows[level][p, POINTS])
            if points:
                device.launch(
                    "interpolate", f"decode_class_{name}", blocks(points), BLOCK, codes, table,
                    np.uint32(level * ROWS + p), *mean_of(plans[level], p),
                    np.float64(cells[level]), *limits,
                )  # fmt: skip
    return out
