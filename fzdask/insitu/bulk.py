"""Copies of blocks made together: Python's global lock is given up and taken again once."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fzdask.codecs.kernels.cpu.pieces import copy_pieces
from fzdask.insitu.blocks import padded_block

__all__ = ["BulkCopy"]


class BulkCopy:
    """Copies of blocks of one size.

    A copy for each block would give up Python's lock, and wait for whoever took it, hundreds of
    times in a write.
    """

    def __init__(self, nbytes: int) -> None:
        self._nbytes = nbytes
        self._sources: list[int] = []
        self._targets: list[int] = []
        self._kept: list[NDArray[Any]] = []  # the kernel knows addresses only

    def add(
        self, array: NDArray[Any], slices: tuple[slice, ...], target: NDArray[np.uint8],
        block: tuple[int, ...],
    ) -> None:  # fmt: skip
        """Copy a region of an array, as a block of this shape; made by `run` at the latest."""
        where: tuple[Any, ...] = (*slices, ...)  # the ellipsis keeps it an array without axes
        part = array[where]
        if part.shape == block and part.flags.c_contiguous:
            self._sources.append(_address(part))
            self._targets.append(_address(target))
            self._kept += [part, target]
        else:
            padded_block(array, slices, target.view(array.dtype).reshape(block))

    def run(self) -> None:
        """Make the copies that are left."""
        if self._sources:
            copy_pieces(
                np.array(self._sources, np.int64), np.array(self._targets, np.int64), self._nbytes
            )
        self._kept.clear()


def _address(array: NDArray[Any]) -> int:
    found: int = array.__array_interface__["data"][0]
    return found
