"""Kernels of the host that look at a few values of an array on a device.

What an encoding chooses is chosen by the host's own kernels, which read arrays at places of their
own choice. Here such a kernel gets, in the place of an array, a log of reads. What it reads is
noted, in order; the values are then fetched all at once, and the kernel runs again and finds
them. A kernel whose reads depend on what it read before is run until it asks nothing new, so that
its result is in any case the one that the array itself would give.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic, overload, overload_attribute

from fzdask.codecs.kernels.cuda.device import BLOCK, Device, blocks, suffix

__all__ = ["Reader", "Source"]

ROOM = 1 << 19  # reads that a new log has room for; memory is touched as they come


# What a kernel of the host gets for an array of binary64: a log and the array's size. The log is
# int64[2, room + 1]: places, and the bits of the values there; before them how many were read, and
# how many are known. It is a plain tuple as Numba's caches of those kernels name the types of
# their arguments, and must be read where this module is another or none.
LOGGED = types.Tuple((types.Array(types.int64, 2, "C"), types.int64))


@intrinsic
def _of_bits(_, bits):
    """The binary64 number of these bits."""

    def code(context, builder, signature, args):
        return builder.bitcast(args[0], ir.DoubleType())

    return types.float64(types.int64), code


@njit(nogil=True, cache=True)
def _element(log, place):
    """The value at a place if it is what was read here the last time; else 0, and it is noted."""
    k = log[0, 0] + 1
    log[0, 0] = k
    if k <= log[1, 0]:
        if log[0, k] == place:
            return _of_bits(log[1, k])
        log[1, 0] = k - 1  # the kernel goes another way now
    if k < log.shape[1]:
        log[0, k] = place
    return 0.0


@njit(nogil=True, cache=True)
def _part(log, place, n):
    """So many values from a place on, alike."""
    k = log[0, 0] + 1
    log[0, 0] = k + n - 1
    if k + n > log.shape[1]:
        log[1, 0] = min(log[1, 0], k - 1)
        log[0, k:] = place + np.arange(log.shape[1] - k)
        return np.zeros(n)
    places = log[0, k : k + n]
    same = k + n - 1 <= log[1, 0]
    if same:
        for i in range(n):
            same &= places[i] == place + i
    if not same:
        log[1, 0] = min(log[1, 0], k - 1)
        for i in range(n):
            places[i] = place + i
        log[1, k : k + n] = 0
    return log[1, k : k + n].view(np.float64)


@overload(operator.getitem)
def _element_or_part(array, index):
    if array != LOGGED:
        return None
    if isinstance(index, types.SliceType):
        return lambda array, index: _part(array[0], index.start, index.stop - index.start)
    if isinstance(index, types.Integer):
        return lambda array, index: _element(array[0], index)
    return None


@overload_attribute(types.Tuple, "size")
def _size(array):
    return (lambda array: array[1]) if array == LOGGED else None


@dataclass(frozen=True, slots=True)
class Source:
    """What a kernel of the host reads: points of an array on a device.

    Attributes
    ----------
    array : flat device array of float32 or float64
    rows : device array
        Rows as :func:`~fzdask.codecs.kernels.cuda.interpolate_geometry.level_rows` makes them.
    first, classes : int
        Those whose points, one class after the other, are the elements.
    size : int
        Number of elements.
    """

    array: Any
    rows: Any
    first: int
    classes: int
    size: int


class Reader:
    """Runs kernels of the host on arrays of a device."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._logs: list[Any] = []

    def run(self, kernel: Callable[..., Any], *sources: Source) -> Any:
        """What a kernel gives for these arrays.

        It is called several times: what it writes must not depend on what was there before.
        """
        while len(self._logs) < len(sources):
            self._logs.append(np.empty((2, ROOM + 1), np.int64))
        for log in self._logs:
            log[:, 0] = 0
        while True:
            for log in self._logs:
                log[0, 0] = 0
            seen = [(log, s.size) for log, s in zip(self._logs, sources, strict=False)]
            result = kernel(*seen)
            if all(log[0, 0] <= log[1, 0] for log in self._logs):
                return result
            self._fetch(sources)

    def _fetch(self, sources: tuple[Source, ...]) -> None:
        """Ask the device for what was read and is not known."""
        wanted = []
        for k in range(len(sources)):
            log = self._logs[k]
            known, reads = int(log[1, 0]), int(log[0, 0])
            if reads >= log.shape[1]:  # the next run notes those for which there was no room
                self._logs[k] = np.empty((2, 2 * reads + 1), np.int64)
                self._logs[k][:, : log.shape[1]] = log
                reads = log.shape[1] - 1
            wanted.append(slice(known + 1, max(known, reads) + 1))
        for k, (source, part) in enumerate(zip(sources, wanted, strict=True)):
            if part.stop > part.start:
                values = self._values(source, self._logs[k][0, part])
                self._logs[k][1, part] = values.astype(np.float64).view(np.int64)
                self._logs[k][1, 0] = part.stop - 1

    def _values(self, source: Source, places: Any) -> Any:
        """Values of an array of the device; on the host."""
        narrow = np.uint32 if source.size <= 2**32 else np.uint64  # half as much to move
        there = self._device.upload(places.astype(narrow))
        out = self._device.empty(places.size, source.array.dtype)
        self._device.launch(
            "interpolate_encode", f"read_values_{suffix(out.dtype)}_{suffix(narrow)}",
            blocks(out.size), BLOCK, source.array, source.rows, np.uint32(source.first),
            np.uint32(source.classes), there, np.uint64(out.size), out,
        )  # fmt: skip
        return self._device.download(out)
