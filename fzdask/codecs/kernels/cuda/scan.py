"""Exclusive prefix sums and running maxima on a device."""

from __future__ import annotations

from typing import Any

import numpy as np

from fzdask.codecs.kernels.cuda.device import BLOCK, Device, blocks, suffix

__all__ = ["exclusive_max", "exclusive_sum"]

TILE = 4 * BLOCK


def exclusive_sum(device: Device, values: Any) -> Any:
    """Sums of the values before each, and of all, as uint64 of one entry more.

    Sums above 2**62 stay there.
    """
    return _exclusive(device, "sum", values)


def exclusive_max(device: Device, values: Any) -> Any:
    """Greatest of the values before each (0 before the first), and of all."""
    return _exclusive(device, "max", values)


def _exclusive(device: Device, operation: str, values: Any) -> Any:
    n = values.size
    if n == 0:
        return device.zeros(1, np.uint64)
    name = f"{operation}_{suffix(values.dtype)}"
    tiles = blocks(n, TILE)
    if tiles > 1:
        totals = device.empty(tiles, np.uint64)
        device.launch("scan", f"reduce_{name}", tiles, BLOCK, values, np.uint64(n), totals)
        before = _exclusive(device, operation, totals)
    else:
        before = device.zeros(1, np.uint64)
    out = device.empty(n + 1, np.uint64)
    device.launch("scan", f"scan_{name}", tiles, BLOCK, values, np.uint64(n), before, out)
    return out
