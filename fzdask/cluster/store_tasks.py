"""The two tasks that one task of `dask.array.store` becomes: compress, and write."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Hashable, Iterable
from typing import Any

import numpy as np
from dask.array.core import fuse_slice

from fzdask.cluster import hooks
from fzdask.cluster.recording import Encoded, encode_selection, store_encoded

__all__ = ["compress_chunk", "fused_index", "write_chunk"]


class _Room:
    """Bytes that wait to be stored on one worker. Used in its event loop only."""

    def __init__(self) -> None:
        self.nbytes = 0
        self.changed = asyncio.Event()

    async def take(self, nbytes: int, limit: int) -> None:
        """Wait until so many more fit; one that is larger than the limit goes alone."""
        while self.nbytes and self.nbytes + nbytes > limit:
            self.changed.clear()
            await self.changed.wait()
        self.nbytes += nbytes

    def give(self, nbytes: int) -> None:
        self.nbytes -= nbytes
        self.changed.set()


_rooms: weakref.WeakKeyDictionary[Any, _Room] = weakref.WeakKeyDictionary()


def fused_index(region: Any, index: Any) -> Any:
    """The selection of the target that a chunk goes to."""
    if not region:
        return index
    return fuse_slice(region, index) if index else region


def compress_chunk(values: Any, target: Any, index: Any, region: Any) -> Encoded | None:
    """Encode a chunk as `target` would store it; None if there is nothing in it."""
    values = np.asarray(values)
    if values.size == 0:
        return None
    return encode_selection(target, fused_index(region, index), values)


async def write_chunk(
    encoded: Encoded | None,
    target: Any,
    key: Hashable,
    label: str,
    index: Iterable[int],
    buffer: int,
) -> None:
    """Store an encoded chunk from the worker's I/O thread; done when it is stored.

    Holds no slot of the worker meanwhile, so that the next chunk is compressed. While more than
    `buffer` bytes wait to be stored it does hold its slot, so that no more are compressed.
    """
    if encoded is None:
        return
    worker = hooks.current_worker()
    room = _rooms.setdefault(worker, _Room())
    await room.take(encoded.nbytes, buffer)
    hooks.secede(worker, key)
    try:
        threads = hooks.executor(worker, "fz-io")
        loop = asyncio.get_running_loop()
        seconds = await loop.run_in_executor(
            threads, store_encoded, target.store_path.store, encoded
        )
    finally:
        room.give(encoded.nbytes)
    if hooks.find_worker_plugin(worker) is not None:  # then the scheduler's is there to listen
        hooks.tell_scheduler(
            worker,
            "fz-times",
            label=label,
            index=list(index),
            compress=encoded.seconds,
            write=seconds,
        )
