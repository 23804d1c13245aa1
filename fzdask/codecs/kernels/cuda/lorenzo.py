"""Lorenzo residuals on a device, the lattice from them, and the choice of axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fzdask.codecs.kernels.cuda.device import BLOCK, Device, blocks, suffix

__all__ = ["difference", "difference_costs", "undo_difference"]

MAX_AXES = 4
ALPHABET = 749
TILE = 4 * BLOCK
WARP = 32
THREADS = 2048  # of a multiprocessor: as many walk along an axis at once, where there are as many
LEAST_STEPS = 64  # of a part of a column
LEAST_ROUNDS = 8  # of a part of a row, each of a warp's width
MOST_PARTS = 65535  # blocks along the second axis of a grid


def difference(device: Device, lattice: Any, strides: Sequence[int], spans: Sequence[int]) -> Any:
    """Residual along the axes of these strides and spans (stride times length)."""
    nd = len(strides)
    if nd == 0:
        return lattice
    unused = [1] * (MAX_AXES - nd)
    out = device.empty(lattice.size, lattice.dtype)
    device.launch(
        "lorenzo", f"forward{nd}_{suffix(lattice.dtype)}", blocks(lattice.size, TILE), BLOCK,
        lattice, np.uint64(lattice.size),
        *(np.uint64(s) for s in (*strides, *unused, *spans, *unused)), out,
    )  # fmt: skip
    return out


def undo_difference(
    device: Device, residual: Any, strides: Sequence[int], spans: Sequence[int]
) -> None:
    """The lattice of a residual, in its place."""
    for stride, span in zip(strides, spans, strict=True):
        outer = residual.size // int(span)
        _prefix_sums(device, residual, outer, int(span) // int(stride), int(stride))


def _prefix_sums(device: Device, data: Any, outer: int, length: int, stride: int) -> None:
    """Prefix sums along the middle axis of an array (outer, length, stride), in place."""
    if length < 2 or not data.size:
        return
    wanted = device.multiprocessors * THREADS
    name = suffix(data.dtype)
    if stride >= WARP:
        columns = outer * stride
        steps = _part(length, wanted // columns, LEAST_STEPS, 1)
        parts = blocks(length, steps)
        grid = (blocks(columns), parts)
        args: tuple[Any, ...] = (data, *(np.uint64(v) for v in (columns, length, stride, steps)))
        kernels = f"column_sums_{name}", f"column_scan_{name}"
    else:
        width = WARP // stride * stride
        span = length * stride
        elements = _part(span, wanted // (outer * WARP), LEAST_ROUNDS * width, width)
        parts = blocks(span, elements)
        grid = (blocks(outer, BLOCK // WARP), parts)
        args = (data, np.uint64(outer), np.uint64(span), np.uint32(stride), np.uint64(elements))
        kernels = f"row_sums_{name}", f"row_scan_{name}"
    sums = device.empty(outer * parts * stride, data.dtype)
    if parts > 1:
        device.launch("lorenzo", kernels[0], grid, BLOCK, *args, sums)
        _prefix_sums(device, sums, outer, parts, stride)
    device.launch("lorenzo", kernels[1], grid, BLOCK, *args, sums)


def _part(length: int, parts: int, least: int, multiple: int) -> int:
    """Length of a part, if so many parts are wanted."""
    parts = min(max(parts, 1), MOST_PARTS, max(1, length // least))
    part = -(-length // parts)
    return -(-part // multiple) * multiple


def difference_costs(
    device: Device,
    x: Any,
    forced: Any,
    folded: Sequence[int],
    bound: float | None,
    limit: float,
    samples: int,
) -> NDArray[np.int64]:
    """Estimated size of a sample for every subset of axes, as the CPU's kernel computes it.

    ``x`` holds values that are to be quantized with this bound or, with None, a lattice.
    """
    nd = len(folded)
    strides = [1] * MAX_AXES
    for axis in range(nd - 2, -1, -1):
        strides[axis] = strides[axis + 1] * int(folded[axis + 1])
    cell = (
        (1.0, 1.0, 0.0, limit) if bound is None else (1.0 / (2.0 * bound), 2 * bound, bound, limit)
    )
    subsets = 1 << nd
    counts = device.zeros(subsets * ALPHABET, np.uint32)
    totals = device.zeros(1 + subsets, np.uint64)
    device.launch(
        "sample", f"count_sample_{suffix(x.dtype)}", blocks(samples * subsets), BLOCK,
        x, forced if forced.size else device.empty(1, np.uint8), np.uint32(forced.size > 0),
        np.uint64(x.size), np.uint32(nd), *(np.uint64(s) for s in strides),
        *(np.float64(v) for v in cell), np.uint64(samples), counts, totals,
    )  # fmt: skip
    costs = device.empty(subsets, np.uint64)
    device.launch("sample", "sample_costs", subsets, BLOCK, counts, totals, costs)
    return device.download(costs).astype(np.int64)
