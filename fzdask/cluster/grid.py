"""From the chunks of a Dask array to the blocks of a Zarr array: whole blocks in every chunk."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from fzdask.errors import ConfigError
from fzdask.insitu.blocks import BLOCK_NBYTES, block_shape

__all__ = ["Chunk", "Whole", "check_chunks", "chunks_of", "default_block"]

FEW = 4
"""Blocks are at most so many times smaller than wanted, to divide a chunk evenly."""


class Whole(NamedTuple):
    """Shape and dtype of a field: all that its layout is made from."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]


class Chunk(NamedTuple):
    """One chunk of a Dask array, and where it begins in the whole."""

    field: str
    key: Any
    start: tuple[int, ...]

    @property
    def part(self) -> str:
        """A name that is the same in every step."""
        return f"{self.field}@{'.'.join(map(str, self.start))}"


def chunks_of(name: str, array: Any) -> Iterator[Chunk]:
    """The chunks of a Dask array, in C order; those without elements are left out."""
    starts = [[0, *itertools.accumulate(sizes)] for sizes in array.chunks]
    for index in itertools.product(*(range(len(sizes)) for sizes in array.chunks)):
        if all(array.chunks[axis][i] for axis, i in enumerate(index)):
            start = tuple(starts[axis][i] for axis, i in enumerate(index))
            yield Chunk(name, (array.name, *index), start)


def default_block(
    chunks: Sequence[Sequence[int]], itemsize: int, target: int = BLOCK_NBYTES
) -> tuple[int, ...]:
    """Shape of blocks of about `target` bytes, a whole number of which make up a chunk."""
    first = tuple(max(1, max(sizes, default=1)) for sizes in chunks)
    wanted = block_shape(first, itemsize, target)
    return tuple(_divisor(size, most) for size, most in zip(first, wanted, strict=True))


def _divisor(size: int, most: int) -> int:
    for part in range(most, max(1, most // FEW) - 1, -1):
        if size % part == 0:
            return part
    return size


def check_chunks(name: str, chunks: Sequence[Sequence[int]], block: Sequence[int]) -> None:
    """Refuse chunks that cut through blocks: a block is written by one task.

    Raises
    ------
    ConfigError
        They do, or their sizes are not known.
    """
    for axis, (sizes, part) in enumerate(zip(chunks, block, strict=True)):
        if any(np.isnan(size) for size in sizes):
            raise ConfigError(
                f"ClusterWriter: {name!r} has chunks of unknown size along axis {axis}; call its "
                "compute_chunk_sizes() first"
            )
        edges = list(itertools.accumulate(sizes))[:-1]
        if any(edge % part for edge in edges):
            raise ConfigError(
                f"ClusterWriter: the chunks {tuple(sizes)} of {name!r} along axis {axis} cut "
                f"through blocks of {part}; rechunk the array to equal chunks (the last may be "
                f"smaller), or give chunks= (or shards=) that divide them"
            )
