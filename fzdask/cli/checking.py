"""Every chunk of a store read once, to find those that cannot be."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fzdask.cli.console import progress_bar

if TYPE_CHECKING:
    import zarr

__all__ = ["damaged_chunks"]


def damaged_chunks(
    source: Path, arrays: list[tuple[str, zarr.Array[Any]]]
) -> tuple[list[str], int]:
    """What cannot be read, a line for each chunk, and how many chunks were looked at.

    Chunks are read one by one, those within shards too; one that is not stored is fill value.
    """
    damaged, seen = [], 0
    with progress_bar() as bar:
        task = bar.add_task(f"checking {source.name}", total=sum(a.nchunks for _, a in arrays))
        for name, array in arrays:
            for place, region in _chunks(array):
                try:
                    array[region]
                except Exception as error:  # stores and codecs raise every kind
                    damaged.append(f"{name}, chunk {place}: {type(error).__name__}: {error}")
                seen += 1
                bar.advance(task)
    return damaged, seen


def _chunks(array: zarr.Array[Any]) -> Iterator[tuple[tuple[int, ...], tuple[slice, ...]]]:
    """Number along each axis and region of every chunk, edges cut off."""
    sides = array.chunks
    counts = (-(-n // side) for n, side in zip(array.shape, sides, strict=True))
    for place in itertools.product(*map(range, counts)):
        yield place, tuple(slice(k * s, (k + 1) * s) for k, s in zip(place, sides, strict=True))
