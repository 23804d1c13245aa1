"""Cutting a field into blocks: shapes that compress well in short slices, and their regions."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["BLOCK_NBYTES", "Region", "block_shape", "padded_block", "regions"]

BLOCK_NBYTES = 1 << 20
"""Raw bytes of a block, about, where nothing else is known. The steps of the default pipeline then
take half a millisecond each at most; below it the fixed cost of a block grows
(benchmarks/bench_insitu.py, BlockSize)."""

THICK = 8
"""Planes that a block has at least, where the field has them: prediction across planes needs
some, and a block of one plane compresses like a picture."""


class Region(NamedTuple):
    """One block of a field.

    Attributes
    ----------
    chunk : tuple of int
        Its coordinates in the chunk grid of the whole (global) array, without the step.
    slices : tuple of slice
        Where it lies in the process's own part of the field.
    """

    chunk: tuple[int, ...]
    slices: tuple[slice, ...]


def block_shape(shape: Sequence[int], itemsize: int, target: int = BLOCK_NBYTES) -> tuple[int, ...]:
    """Shape of blocks of about `target` bytes, of nearly equal parts of every axis.

    Later axes are cut last, so that a block is few long pieces of memory.
    """
    left = max(1, target // max(itemsize, 1))  # elements
    block = []
    for axis, n in enumerate(shape):
        inner = math.prod(shape[axis + 1 :])
        thick = left // max(inner, 1)
        if axis < len(shape) - 1:
            thick = max(thick, min(THICK, left))
        size = _even_part(n, max(1, thick))
        block.append(size)
        left = max(1, left // max(size, 1))
    return tuple(block)


def _even_part(n: int, most: int) -> int:
    """A part of at most about `most` that divides n, or else leaves little over."""
    if n <= most:
        return max(n, 1)
    for part in range(most, max(1, most // 2), -1):
        if n % part == 0:
            return part
    return -(-n // -(-n // most))


def regions(
    shape: Sequence[int], block: Sequence[int], start: Sequence[int] | None = None
) -> Iterator[Region]:
    """The blocks of a process's part of an array, in C order.

    Parameters
    ----------
    shape : sequence of int
        Of the process's part.
    block : sequence of int
        Shape of a block; the last one of an axis may stick out.
    start : sequence of int, optional
        Where the part begins in the whole array, a multiple of the block; default: 0.
    """
    first = [s // b for s, b in zip(start or [0] * len(shape), block, strict=True)]
    counts = [-(-n // b) for n, b in zip(shape, block, strict=True)]
    for index in itertools.product(*(range(c) for c in counts)):
        yield Region(
            tuple(i + f for i, f in zip(index, first, strict=True)),
            tuple(
                slice(i * b, min((i + 1) * b, n))
                for i, b, n in zip(index, block, shape, strict=True)
            ),
        )


def padded_block(
    source: NDArray[Any], slices: tuple[slice, ...], out: NDArray[Any]
) -> NDArray[Any]:
    """Copy a region into `out`, of the full shape of a block.

    What sticks out of the field repeats its last plane: readers never see it, it costs next to
    nothing to compress, and unlike a fill value it cannot widen the range that a relative bound
    is resolved from.
    """
    where: tuple[Any, ...] = (*slices, ...)  # the ellipsis keeps it an array if there are no axes
    part = source[where]
    inside: tuple[Any, ...] = (*(slice(0, n) for n in part.shape), ...)
    np.copyto(out[inside], part)
    for axis, (n, full) in enumerate(zip(part.shape, out.shape, strict=True)):
        if n < full:
            edge = tuple(slice(None) if k < axis else slice(0, m) for k, m in enumerate(part.shape))
            before = list(edge)
            after = list(edge)
            before[axis], after[axis] = slice(n - 1, n), slice(n, full)
            # Axes before this one are padded already.
            out[tuple(after)] = out[tuple(before)]
    return out
