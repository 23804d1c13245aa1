"""Blocks of a field on a cluster: told from a short profile of a chunk that a worker holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fzdask.cluster.grid import Whole, default_block
from fzdask.insitu.block_size import (
    CANDIDATES,
    LEAST_BLOCKS,
    BlockTiming,
    choose,
    measure,
    unmeasured,
)
from fzdask.insitu.blocks import padded_block
from fzdask.insitu.layout import field_layout

__all__ = ["profiled_block"]


def profiled_block(
    client: Any, name: str, array: Any, encoding: Mapping[str, Any], dims: Sequence[str]
) -> tuple[int, ...]:
    """Shape of the blocks of a Dask array, a whole number of which make up a chunk.

    A worker that holds a chunk encodes a block of each size. Of a field whose chunks are not
    computed yet the encoding decides (`fzdask.insitu.block_size.unmeasured`), and one that is too
    small to choose has blocks of the smallest size.
    """
    itemsize = array.dtype.itemsize
    shapes = [default_block(array.chunks, itemsize)]
    for target in CANDIDATES[1:]:
        shape = default_block(array.chunks, itemsize, target)
        if array.nbytes >= LEAST_BLOCKS * target and shape not in shapes:
            shapes.append(shape)
    if len(shapes) == 1:
        return shapes[0]
    held = _held(array)
    if held is None:
        return default_block(array.chunks, itemsize, unmeasured(encoding, array.nbytes))
    whole = Whole(tuple(map(int, array.shape)), np.dtype(array.dtype))
    task = client.submit(_time_blocks, held, name, whole, dict(encoding), dims, shapes, pure=False)
    timings: list[BlockTiming] = task.result()
    return shapes[choose(timings)] if timings else shapes[0]


def _held(array: Any) -> Any | None:
    """The future of a chunk from the middle, or None if there is none."""
    from distributed import futures_of

    chunks = [f for f in futures_of(array) if isinstance(f.key, tuple) and f.key[0] == array.name]
    return chunks[len(chunks) // 2] if chunks else None


def _time_blocks(
    chunk: Any,
    name: str,
    whole: Whole,
    encoding: dict[str, Any],
    dims: Sequence[str],
    shapes: Sequence[tuple[int, ...]],
) -> list[BlockTiming]:
    """On a worker: what blocks of these shapes take; nothing where a chunk is no NumPy array."""
    if not isinstance(chunk, np.ndarray):
        return []
    timings = []
    for shape in shapes:
        layout = field_layout(name, whole, {**encoding, "chunks": shape}, dims, False)
        corner = tuple(slice(0, n) for n in shape)
        values = padded_block(chunk, corner, np.empty(layout.block, layout.dtype))[None]
        seconds, longest = measure(lambda e=layout.encoder, v=values: e(v))  # type: ignore[misc]
        timings.append(BlockTiming(layout.block_nbytes, seconds, longest, len(layout.regions)))
    return timings
