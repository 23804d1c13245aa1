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
from typing import Any, NamedTuple

import numpy as np
from numba import njit, types
from numba.extending import overload

from fzdask.codecs.kernels.cuda.device import BLOCK, Device, blocks, suffix

__all__ = ["Reader", "Source"]

ROOM = 1 << 16  # reads that a new log has room for


class Logged(NamedTuple):
    """An array as a kernel of the host sees it: elements are binary64, parts are such arrays.

    Attributes
    ----------
    log : float64[2, room + 1]
        Places and values, after a column with the number of reads and of known values.
    start : int
        Where the array begins, for a part of another.
    size : int
        Its elements.
    """

    log: Any
    start: int
    size: int


@njit(nogil=True, cache=True)
def _read(log, place):
    """The value at a place if it is the one that was asked for here before; else 0 for now."""
    k = np.int64(log[0, 0]) + 1
    log[0, 0] = k
    if k <= np.int64(log[1, 0]):
        if log[0, k] == place:
            return log[1, k]
        log[1, 0] = k - 1  # the kernel goes another way than before
    if k < log.shape[1]:
        log[0, k] = place
    return 0.0


@overload(operator.getitem)
def _element_or_part(array, index):
    if not (isinstance(array, types.NamedTuple) and array.instance_class is Logged):
        return None
    if isinstance(index, types.SliceType):

        def part(array, index):
            return Logged(array.log, array.start + index.start, index.stop - index.start)

        return part
    if isinstance(index, types.Integer):

        def element(array, index):
            return _read(array.log, array.start + index)

        return element
    return None


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
            self._logs.append(np.empty((2, ROOM + 1)))
        for log in self._logs:
            log[:, 0] = 0
        while True:
            for log in self._logs:
                log[0, 0] = 0
            seen = [Logged(log, 0, s.size) for log, s in zip(self._logs, sources, strict=False)]
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
                self._logs[k] = np.empty((2, 2 * reads + 1))
                self._logs[k][:, : log.shape[1]] = log
                reads = log.shape[1] - 1
            wanted.append(slice(known + 1, max(known, reads) + 1))
        pairs = list(zip(self._logs, wanted, strict=False))
        places = np.concatenate([log[0, part] for log, part in pairs])
        there = self._device.upload(places)
        values = self._device.empty(places.size, np.float64)
        start = 0
        for source, (_, part) in zip(sources, pairs, strict=True):
            count = part.stop - part.start
            if count:
                self._device.launch(
                    "interpolate_encode", f"read_values_{suffix(source.array.dtype)}",
                    blocks(count), BLOCK, source.array, source.rows, np.uint32(source.first),
                    np.uint32(source.classes), there[start : start + count], np.uint64(count),
                    values[start : start + count],
                )  # fmt: skip
            start += count
        host = self._device.download(values)
        start = 0
        for log, part in pairs:
            count = part.stop - part.start
            log[1, part] = host[start : start + count]
            log[1, 0] = part.stop - 1
            start += count
