"""What launch code asks of a device; CuPy gives it, and so does anything that acts like one."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["BLOCK", "Device", "blocks", "suffix"]

BLOCK = 256
"""Threads of a block, as in ``common.cuh``."""


class Device(Protocol):
    """Arrays, copies and launches of one device, in the order in which they are asked for."""

    xp: Any
    multiprocessors: int

    def launch(self, module: str, kernel: str, grid: Any, block: Any, *args: Any) -> None:
        """Run a kernel of ``<module>.cu``; scalars are NumPy scalars of the kernel's types."""

    def empty(self, size: int, dtype: Any) -> Any:
        """A flat array of anything."""

    def zeros(self, size: int, dtype: Any) -> Any:
        """A flat array of zeros."""

    def upload(self, array: NDArray[Any]) -> Any:
        """A copy of a host array on the device."""

    def download(self, array: Any) -> NDArray[Any]:
        """A copy on the host; waits for what makes the array."""


def blocks(size: int, each: int = BLOCK) -> int:
    """How many blocks of so many elements cover an array; at least one."""
    return max(1, -(-size // each))


def suffix(dtype: Any) -> str:
    """How kernels of a dtype are named, as in ``f4``."""
    return np.dtype(dtype).str[1:]
