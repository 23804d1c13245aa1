"""Stores that fail or wait, for the tests of the writer."""

from __future__ import annotations

import asyncio
import errno
import threading
from typing import Any

from zarr.storage import WrapperStore


class Failing(WrapperStore[Any]):
    """Raises ENOSPC when a key is set for the n-th time, and from then on for as long as told."""

    set_sync: Any = None  # of newer releases of Zarr: all goes through `set`

    def __init__(self, store: Any, at: int, times: int = 1_000_000) -> None:
        super().__init__(store)
        self.at, self.times = at, times
        self.calls = 0

    async def set(self, key: str, value: Any) -> None:
        self.calls += 1
        if self.at <= self.calls < self.at + self.times:
            raise OSError(errno.ENOSPC, "No space left on device")
        await self._store.set(key, value)


class Gated(WrapperStore[Any]):
    """Blocks are not stored before `open` is set; says when one has begun, and counts them."""

    set_sync: Any = None

    def __init__(self, store: Any) -> None:
        super().__init__(store)
        self.open = threading.Event()
        self.began = threading.Event()
        self.running = 0

    async def set(self, key: str, value: Any) -> None:
        if "/c/" in key and not key.startswith("step/"):
            self.running += 1
            self.began.set()
            while not self.open.is_set():
                await asyncio.sleep(0.001)
            await self._store.set(key, value)
            self.running -= 1
        else:
            await self._store.set(key, value)
