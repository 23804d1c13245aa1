"""The range of whole variables: one pass over all of them together, lazily where they are lazy."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fzdask.metrics.blocks import as_components, walk_blocks

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Range", "as_objects", "finite_range", "whole_ranges"]

Range = tuple[float, float]
"""Least and greatest, exact whole numbers for integers; ``(inf, -inf)`` where there is no value."""

BLOCK = 1 << 16  # values; temporaries stay in the cache


def whole_ranges(
    wanted: Mapping[Hashable, tuple[xr.Variable, tuple[float, ...]]],
) -> dict[Hashable, Range]:
    """Range of the finite values that are no sentinels, for each variable.

    All Dask-backed variables are computed together, chunk by chunk, so that what they share is
    read once and no variable is held whole.

    Parameters
    ----------
    wanted : mapping
        Variable and sentinels by name.
    """
    import dask

    found: dict[Hashable, Range] = {}
    lazy: dict[Hashable, Any] = {}
    for name, (variable, sentinels) in wanted.items():
        if variable.chunks is None:
            found[name] = finite_range(np.asarray(variable.data), sentinels)
        else:
            lazy[name] = _per_block(variable.data, sentinels)
    for name, pairs in zip(lazy, dask.compute(*lazy.values()), strict=True):
        flat = np.asarray(pairs, object).reshape(-1, 2)
        found[name] = (min(flat[:, 0]), max(flat[:, 1]))
    return found


def _per_block(array: Any, sentinels: tuple[float, ...]) -> Any:
    """A lazy array with a pair for every block."""

    def pair(block: Any) -> NDArray[Any]:
        return as_objects(finite_range(np.asarray(block), sentinels), (1,) * block.ndim + (2,))

    return array.map_blocks(
        pair,
        chunks=(*((1,) * count for count in array.numblocks), (2,)),
        new_axis=array.ndim,
        dtype=object,
        meta=np.empty((0,) * (array.ndim + 1), object),
    )


def as_objects(values: Any, shape: tuple[int, ...]) -> NDArray[Any]:
    """Python objects in an array of this shape, which Dask can put together."""
    out = np.empty(len(values), object)
    out[:] = values
    return out.reshape(shape)


def finite_range(array: NDArray[Any], sentinels: tuple[float, ...] = ()) -> Range:
    """Range of the finite values that are no sentinels.

    Of complex numbers, over the real and imaginary parts of those that are finite.
    """
    low, high = math.inf, -math.inf
    for _, (block,) in walk_blocks(array, values=BLOCK):
        kept = _kept(block, sentinels)
        parts = as_components(block if kept is None else block[kept])
        if parts.size:
            number = int if parts.dtype.kind in "iub" else float
            low, high = min(low, number(parts.min())), max(high, number(parts.max()))
    return low, high


def _kept(block: NDArray[Any], sentinels: tuple[float, ...]) -> NDArray[np.bool_] | None:
    kept = None
    if block.dtype.kind in "fc":
        finite = np.isfinite(block)
        kept = None if finite.all() else finite
    for value in sentinels:
        with np.errstate(over="ignore"):
            other = block != block.dtype.type(value)
        kept = other if kept is None else kept & other
    return kept
