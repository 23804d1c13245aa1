"""The two tasks that one task of `dask.array.store` becomes: compress, and write."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterable
from typing import Any

import numpy as np
from dask.array.core import fuse_slice
from distributed import secede

from fzdask.cluster import hooks
from fzdask.cluster.recording import Encoded, encode_selection, store_encoded

__all__ = ["compress_chunk", "fused_index", "write_chunk"]


class _Room:
    """Bytes that wait to be stored on one worker."""

    def __init__(self) -> None:
        self.nbytes = 0
        self.changed = threading.Condition()

    def take(self, nbytes: int, limit: int) -> None:
        """Wait until so many more fit; one that is larger than the limit goes alone."""
        with self.changed:
            self.changed.wait_for(lambda: not self.nbytes or self.nbytes + nbytes <= limit)
            self.nbytes += nbytes

    def give(self, nbytes: int) -> None:
        """They are stored."""
        with self.changed:
            self.nbytes -= nbytes
            self.changed.notify_all()


_rooms_lock = threading.Lock()
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


def write_chunk(
    encoded: Encoded | None, target: Any, label: str, index: Iterable[int], buffer: int
) -> None:
    """Store an encoded chunk from the worker's I/O thread; returns when it is stored.

    Holds no slot of the worker meanwhile, so that the next chunk is compressed. While more than
    `buffer` bytes wait to be stored it does hold its slot, so that no more are compressed. A
    thread of its own waits for that: a coroutine would be lost wherever Dask fuses this task with
    another.
    """
    if encoded is None:
        return
    store = target.store_path.store
    try:
        worker = hooks.current_worker()
    except ValueError:  # run by another scheduler than that of the client
        store_encoded(store, encoded)
        return
    with _rooms_lock:
        room = _rooms.setdefault(worker, _Room())
        io = hooks.executor(worker, "fz-io")
    room.take(encoded.nbytes, buffer)
    try:
        secede()
        seconds = io.submit(store_encoded, store, encoded).result()
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
