"""Lorenzo residuals on a device, and the lattice from them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fzdask.codecs.kernels.cuda.device import BLOCK, Device, blocks, suffix

__all__ = ["difference", "undo_difference", "undo_difference_to_values"]

MAX_AXES = 4
TILE = 4 * BLOCK
WARP = 32
THREADS = 1024  # of a multiprocessor that walk along an axis at once, where there are as many
LEAST_STEPS = 64  # of a part of a column
LEAST_ROUNDS = 8  # of a part of a row, each of a warp's width
MOST_PARTS = 65535  # blocks along the second axis of a grid


def difference(device: Device, lattice: Any, strides: Sequence[int], spans: Sequence[int]) -> Any:
    """Residual along the axes of these strides and spans (stride times length)."""
    axes = list(zip(strides, spans, strict=True))
    once = list(dict.fromkeys(axes))
    out = _difference(device, lattice, once, lead=1)
    # The second time from the second difference on, so that the first value of a line costs once.
    return _difference(device, out, [a for a in once if axes.count(a) > 1], lead=2)


def _difference(device: Device, lattice: Any, axes: list[tuple[int, int]], lead: int) -> Any:
    if not axes:
        return lattice
    unused = [1] * (MAX_AXES - len(axes))
    strides, spans = zip(*axes, strict=True)
    leads = [lead * s for s in strides]
    out = device.empty(lattice.size, lattice.dtype)
    device.launch(
        "lorenzo", f"forward{len(axes)}_{suffix(lattice.dtype)}", blocks(out.size, TILE), BLOCK,
        lattice, np.uint64(lattice.size),
        *(np.uint64(s) for s in (*strides, *unused, *spans, *unused, *leads, *unused)), out,
    )  # fmt: skip
    return out


def undo_difference(
    device: Device, residual: Any, strides: Sequence[int], spans: Sequence[int]
) -> None:
    """The lattice of a residual, in its place."""
    for lines in _passes(residual, strides, spans):
        _prefix_sums(device, *lines)


def undo_difference_to_values(
    device: Device,
    residual: Any,
    strides: Sequence[int],
    spans: Sequence[int],
    bound: float,
    dtype: Any,
) -> Any:
    """What :func:`undo_difference` and then ``dtype(q * 2 bound)`` give; there is an axis.

    The lattice is not written back along the last axis.
    """
    out = device.empty(residual.size, dtype)
    *passes, last = _passes(residual, strides, spans)
    for lines in passes:
        _prefix_sums(device, *lines)
    _prefix_sums(device, *last, values=(np.float64(2.0 * bound), out))
    return out


def _passes(
    residual: Any, strides: Sequence[int], spans: Sequence[int]
) -> list[tuple[Any, int, int, int, int]]:
    """Lines to sum along: data, how many outer indices, length, stride, pitch."""
    axes = list(zip(strides, spans, strict=True))
    passes = []
    for k, (stride, span) in enumerate(axes):
        # Of an axis that was differenced twice, the second time left the first value alone.
        skip = int((stride, span) in axes[k + 1 :])
        length = span // stride - skip
        if length > 1:
            data = residual[skip * stride :]
            passes.append((data, residual.size // span, length, stride, span))
    return passes


def _prefix_sums(
    device: Device,
    data: Any,
    outer: int,
    length: int,
    stride: int,
    pitch: int,
    values: tuple[np.float64, Any] | None = None,
) -> None:
    """Prefix sums along the middle axis of an array (outer, length, stride).

    ``pitch`` elements lie between two outer indices. The sums take the place of the data or, with
    ``values``, go times a step into another array of the same length.
    """
    wanted = device.multiprocessors * THREADS
    width = suffix(data.dtype)
    if stride >= WARP:
        columns = outer * stride
        steps = _part(length, wanted // columns, LEAST_STEPS, 1)
        parts = blocks(length, steps)
        grid = (blocks(columns), parts)
        sizes = (columns, length, stride, pitch, steps)
        args: tuple[Any, ...] = (data, *(np.uint64(v) for v in sizes))
        name = "column"
    else:
        round_ = WARP // stride * stride
        span = length * stride
        elements = _part(span, wanted // (outer * WARP), LEAST_ROUNDS * round_, round_)
        parts = blocks(span, elements)
        grid = (blocks(outer, BLOCK // WARP), parts)
        args = (
            data, np.uint64(outer), np.uint64(span), np.uint32(stride), np.uint64(pitch),
            np.uint64(elements),
        )  # fmt: skip
        name = "row"
    sums = device.empty(outer * parts * stride, data.dtype)
    if parts > 1:
        device.launch("lorenzo", f"{name}_sums_{width}", grid, BLOCK, *args, sums)
        _prefix_sums(device, sums, outer, parts, stride, parts * stride)
    if values is None:
        device.launch("lorenzo", f"{name}_scan_{width}", grid, BLOCK, *args, sums)
    else:
        kernel = f"{name}_values_{width}_{suffix(values[1].dtype)}"
        device.launch("lorenzo", kernel, grid, BLOCK, *args, sums, *values)


def _part(length: int, parts: int, least: int, multiple: int) -> int:
    """Length of a part, if so many parts are wanted."""
    parts = min(max(parts, 1), MOST_PARTS, max(1, length // least))
    part = -(-length // parts)
    return -(-part // multiple) * multiple
