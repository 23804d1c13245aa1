"""Copies that wait until the simulation is about to change its arrays, or are never made."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fzdask.insitu.block import Slices
from fzdask.insitu.blocks import Region
from fzdask.insitu.bulk import BulkCopy
from fzdask.insitu.layout import FieldLayout
from fzdask.insitu.pool import BlockPool

__all__ = ["LateBlock", "LateCopies"]


class LateBlock:
    """One block that is encoded from the simulation's array until that may change.

    Encoding and copying may run in different threads: what is being read when the array is to
    change is read to the end of the slice, thrown away, and begun again from a copy.

    Attributes
    ----------
    lock : threading.Lock
        Held by whoever reads the array.
    """

    __slots__ = ("_array", "_layout", "_memory", "_pool", "_region", "lock")

    def __init__(
        self, layout: FieldLayout, region: Region, array: NDArray[Any], pool: BlockPool
    ) -> None:
        self._layout = layout
        self._region = region
        self._pool = pool
        self.lock = threading.Lock()
        self._array: NDArray[Any] | None = array  # None: encoded, or copied
        self._memory: NDArray[np.uint8] | None = None

    @property
    def nbytes(self) -> int:
        """Raw bytes."""
        return self._layout.block_nbytes

    @property
    def detached(self) -> bool:
        """Whether the array may change already."""
        return self._array is None

    def encode(self) -> Slices:
        """The slices of the block's encoding, from the array or from the copy."""
        direct: Slices | None = None
        try:
            while True:
                # Held during a slice: who detaches gets it when nobody reads the array any more.
                with self.lock:
                    values = self._in_array()
                    if values is None:
                        break
                    direct = direct or self._layout.encoder(values[None])
                    try:
                        next(direct)
                    except StopIteration as end:
                        self._array = None
                        return end.value
                yield
            if direct is not None:
                direct.close()
            return (yield from self._layout.encoder(self._in_memory()[None]))
        finally:
            self._end()

    def _in_array(self) -> NDArray[Any] | None:
        """The values as they lie in the array; None if they are copied. Hold the lock."""
        if self._array is None:
            return None
        where: tuple[Any, ...] = (*self._region.slices, ...)
        part: NDArray[Any] = self._array[where]
        if part.shape == self._layout.block and part.flags.c_contiguous:
            return part
        self._copy()  # what does not lie in one piece has to be copied anyway
        return None

    def _copy(self) -> None:
        together = BulkCopy(self._layout.block_nbytes)
        self.begin_copy(together)
        together.run()
        self._array = None

    def begin_copy(self, together: BulkCopy) -> None:
        """Add the copy to others; they are made before `lock` is released. Hold it."""
        assert self._array is not None
        self._memory = self._pool.take(self._layout.block_nbytes)
        together.add(self._array, self._region.slices, self._memory, self._layout.block)

    def end_copy(self) -> None:
        """The copies have been made: the array may change. Hold the lock."""
        self._array = None

    def _in_memory(self) -> NDArray[Any]:
        assert self._memory is not None
        return self._memory.view(self._layout.dtype).reshape(self._layout.block)

    def _end(self) -> None:
        with self.lock:
            memory, self._memory, self._array = self._memory, None, None
        if memory is not None:
            self._pool.give(memory)


class LateCopies:
    """The writes whose arrays the simulation has not yet taken back, oldest first.

    Used by the simulation's thread.
    """

    def __init__(self) -> None:
        self._writes: deque[tuple[int, tuple[LateBlock, ...]]] = deque()

    def add(self, step: int, blocks: Iterable[LateBlock]) -> None:
        """The blocks of a write."""
        while self._writes and all(block.detached for block in self._writes[0][1]):
            self._writes.popleft()
        kept = tuple(blocks)
        if kept:
            self._writes.append((step, kept))

    def detach(self, up_to: int | None = None) -> dict[int, int]:
        """Copy what is not encoded of the writes up to this step (None: of all).

        Returns the number of copies for each of these steps.
        """
        copies: dict[int, int] = {}
        while self._writes and (up_to is None or self._writes[0][0] <= up_to):
            step, blocks = self._writes[0]
            copies[step] = copies.get(step, 0) + _detach(blocks)
            self._writes.popleft()
        return copies


def _detach(blocks: Sequence[LateBlock]) -> int:
    """Copy the blocks (of one field) that are not encoded; how many they are."""
    held: list[LateBlock] = []
    try:
        together: BulkCopy | None = None
        for block in blocks:
            if block.detached:
                continue
            block.lock.acquire()  # waits for a slice that is reading
            held.append(block)
            if not block.detached:
                together = together or BulkCopy(block.nbytes)
                block.begin_copy(together)
        left = [block for block in held if not block.detached]
        if together is not None:
            together.run()
        for block in left:
            block.end_copy()
        return len(left)
    finally:
        for block in held:
            block.lock.release()
