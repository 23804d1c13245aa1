"""Zarr's own encoding of a chunk without its storing: to bytes now, to the store later."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.abc.store import Store
from zarr.core.buffer import Buffer, default_buffer_prototype
from zarr.core.sync import sync
from zarr.storage import StorePath, WrapperStore

__all__ = ["Encoded", "encode_selection", "store_encoded"]


class Encoded(NamedTuple):
    """What Zarr would have stored for a selection: keys with bytes, None for a deletion."""

    items: list[tuple[str, NDArray[np.uint8] | None]]
    seconds: float

    @property
    def nbytes(self) -> int:
        """Bytes to store. Dask counts memory by this."""
        return sum(data.nbytes for _, data in self.items if data is not None)


class _RecordingStore(WrapperStore[Store]):
    """Reads from another store, and remembers what it was told to set or delete."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.items: list[tuple[str, NDArray[np.uint8] | None]] = []

    async def set(self, key: str, value: Buffer) -> None:
        self.items.append((key, np.asarray(value.as_numpy_array()).view(np.uint8)))

    async def delete(self, key: str) -> None:
        self.items.append((key, None))


def encode_selection(array: zarr.Array[Any], selection: Any, values: Any) -> Encoded:
    """The keys and bytes that ``array[selection] = values`` would store.

    Zarr itself encodes, so they are the same to the last bit. The selection must consist of
    whole chunks (or shards): nothing else may change them until the result is stored.
    """
    start = time.perf_counter()
    old = array._async_array
    recording = _RecordingStore(old.store_path.store)
    path = StorePath(recording, old.store_path.path)
    zarr.Array(replace(old, store_path=path))[selection] = values
    return Encoded(recording.items, time.perf_counter() - start)


def store_encoded(store: Store, encoded: Encoded) -> float:
    """Store what was encoded; returns the seconds that it took, when all is stored."""
    start = time.perf_counter()
    buffer = default_buffer_prototype().buffer

    async def put(key: str, data: NDArray[np.uint8] | None) -> None:
        if data is None:
            await store.delete(key)
        else:
            await store.set(key, buffer.from_array_like(np.ascontiguousarray(data)))

    async def put_all() -> None:
        puts = (put(key, data) for key, data in encoded.items)
        # All are waited for, also when one fails: the task is tried again, and none may end then.
        for error in await asyncio.gather(*puts, return_exceptions=True):
            if error is not None:
                raise error

    sync(put_all())
    return time.perf_counter() - start
