"""Memory for intermediate results that is used again instead of given back.

A fresh page costs a page fault and its zeroing: about as much per byte as quantizing it. Each
thread keeps some blocks; one is taken again once no array on it is left, which the
interpreter's reference count tells, so nobody has to give anything back.
"""

from __future__ import annotations

import sys
import threading
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

__all__ = ["aligned_empty", "reserve", "scratch"]

KEPT = 1 << 25  # bytes that a thread keeps
SMALLEST = 1 << 18  # smaller blocks come more quickly from the allocator, which keeps them
SPARE = 1 << 20  # a reserve above this is better not kept: it is hardly ever touched
ALIGNED = 64  # bytes of a cache line: a vector that crosses two takes twice as long

_local = threading.local()


def scratch(size: int, dtype: DTypeLike) -> NDArray[Any]:
    """A flat array of that many elements, whatever is in it; aligned unless it is small.

    It is the caller's alone for as long as the caller, or anyone who got it from there, holds
    it or a view of it; in another thread too.
    """
    kind = np.dtype(dtype)
    nbytes = size * kind.itemsize
    if not SMALLEST <= nbytes <= KEPT:
        return np.empty(size, kind)
    kept: _Kept | None = getattr(_local, "kept", None)
    if kept is None:
        kept = _local.kept = _Kept()
    block, start = kept.take(nbytes)
    return block[start : start + nbytes].view(kind)


def reserve(size: int, dtype: DTypeLike) -> NDArray[Any]:
    """A flat array of which hardly anything will be touched."""
    kind = np.dtype(dtype)
    return scratch(size, kind) if size * kind.itemsize <= SPARE else np.empty(size, kind)


def aligned_empty(size: int, dtype: DTypeLike) -> NDArray[Any]:
    """A flat array that begins on a cache line."""
    kind = np.dtype(dtype)
    block = np.empty(size * kind.itemsize + ALIGNED, np.uint8)
    start = _to_line(block)
    return block[start : start + size * kind.itemsize].view(kind)


def _to_line(block: NDArray[np.uint8]) -> int:
    """Bytes before the first cache line that begins in a block."""
    return -int(block.__array_interface__["data"][0]) % ALIGNED


class _Kept:
    """The blocks of a thread, in the order in which they came."""

    def __init__(self) -> None:
        self.blocks: list[NDArray[np.uint8]] = []
        self.starts: list[int] = []

    def take(self, nbytes: int) -> tuple[NDArray[np.uint8], int]:
        """The smallest block that is free and not far too large, or a new one."""
        blocks = self.blocks
        best = -1
        most = max(4 * nbytes, 8 * SMALLEST)
        for k in range(len(blocks)):
            have = blocks[k].size
            if nbytes + ALIGNED <= have <= most and _holders(blocks, k) == _NOBODY:
                best = k
                most = have
        return (blocks[best], self.starts[best]) if best >= 0 else self._add(nbytes)

    def _add(self, nbytes: int) -> tuple[NDArray[np.uint8], int]:
        # A quarter more, so that a chunk a little larger than those before fits too.
        block = np.empty(nbytes + nbytes // 4 + ALIGNED, np.uint8)
        start = _to_line(block)
        room = KEPT - block.size - sum(b.size for b in self.blocks)
        k = 0
        while room < 0 and k < len(self.blocks):  # the oldest go first
            if _holders(self.blocks, k) == _NOBODY:
                room += self.blocks[k].size
                del self.blocks[k], self.starts[k]
            else:
                k += 1
        if room >= 0:
            self.blocks.append(block)
            self.starts.append(start)
        return block, start


def _holders(blocks: list[NDArray[np.uint8]], k: int) -> int:
    return sys.getrefcount(blocks[k])


_NOBODY = _holders([np.empty(0, np.uint8)], 0)  # a list alone
