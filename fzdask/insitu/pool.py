"""Memory for copies of blocks, used again and again."""

from __future__ import annotations

import threading
from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

__all__ = ["BlockPool"]

SLAB = 4 << 20
"""Bytes from which on NumPy asks for huge pages: touched for the first time, they cost a fifth of
what small ones do, and a copy needs fewer entries of the address cache."""

ALIGNMENT = 64


class BlockPool:
    """Memory for copies of blocks, used again: no page is touched for the first time twice.

    It holds as much as was in use at once, and at most `SLAB` more for each size of blocks, and
    gives it back with itself.
    """

    def __init__(self) -> None:
        self._free: defaultdict[int, list[NDArray[np.uint8]]] = defaultdict(list)
        self._made: defaultdict[int, int] = defaultdict(int)
        self._lock = threading.Lock()
        self.nbytes = 0

    def take(self, nbytes: int) -> NDArray[np.uint8]:
        """Memory of this size, with anything in it."""
        with self._lock:
            free = self._free[nbytes]
            if not free:
                most = max(1, SLAB // max(nbytes, 1))
                self._grow(nbytes, min(most, max(1, self._made[nbytes])))
            return free.pop()

    def reserve(self, nbytes: int, count: int) -> None:
        """Have memory for so many blocks ready to be taken."""
        with self._lock:
            lacking = count - len(self._free[nbytes])
            if lacking > 0:
                self._grow(nbytes, lacking)

    def give(self, memory: NDArray[np.uint8]) -> None:
        """Memory that `take` gave and nobody uses any more."""
        with self._lock:
            self._free[memory.nbytes].append(memory)

    def _grow(self, nbytes: int, count: int) -> None:
        stride = -(-nbytes // ALIGNMENT) * ALIGNMENT
        slab = np.empty(count * stride, np.uint8)
        self._free[nbytes] += [slab[i * stride : i * stride + nbytes] for i in range(count)]
        self._made[nbytes] += count
        self.nbytes += slab.nbytes
