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
from numba import carray, njit, types
from numba.extending import intrinsic, overload, overload_attribute

from fzdask.codecs.kernels.cuda.device import BLOCK, Device, blocks, suffix

__all__ = ["Reader", "Source"]

ROOM = 1 << 19  # reads that a new log has room for


READS, KNOWN, CAPACITY, HEAD = 0, 1, 2, 3  # fields of a log; then come places, then values

# What a kernel of the host gets for an array of binary64: the address of a log of int64 (an array
# would be counted at every read), the array's size, and a third field that sets it apart from
# pairs, of which Numba has elements of its own. It is a plain tuple as Numba's caches of those
# kernels name the types of their arguments, and must be read where this module is another or none.
LOGGED = types.Tuple((types.int64, types.int64, types.boolean))


@intrinsic
def _load(_, address, k):
    """The k-th of the integers at an address."""

    def code(context, builder, signature, args):
        pointer = builder.inttoptr(args[0], ir.IntType(64).as_pointer())
        return builder.load(builder.gep(pointer, [args[1]]))

    return types.int64(types.int64, types.int64), code


@intrinsic
def _store(_, address, k, value):
    """Set the k-th of the integers at an address."""

    def code(context, builder, signature, args):
        pointer = builder.inttoptr(args[0], ir.IntType(64).as_pointer())
        builder.store(args[2], builder.gep(pointer, [args[1]]))
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), code


@intrinsic
def _of_bits(_, bits):
    """The binary64 number of these bits."""

    def code(context, builder, signature, args):
        return builder.bitcast(args[0], ir.DoubleType())

    return types.float64(types.int64), code


@intrinsic
def _pointer(_, address):
    def code(context, builder, signature, args):
        return builder.inttoptr(args[0], ir.IntType(8).as_pointer())

    return types.voidptr(types.int64), code


@njit(nogil=True, cache=True)
def _element(log, place):
    """The value at a place if it is what was read here the last time; else 0, and it is noted."""
    k = _load(log, READS)
    _store(log, READS, k + 1)
    room = _load(log, CAPACITY)
    if k < _load(log, KNOWN):
        if _load(log, HEAD + k) == place:
            return _of_bits(_load(log, HEAD + room + k))
        _store(log, KNOWN, k)  # the kernel goes another way now
    if k < room:
        _store(log, HEAD + k, place)
    return 0.0


@njit(nogil=True, cache=True)
def _part(log, place, n):
    """So many values from a place on, alike."""
    n = max(n, 0)
    k = _load(log, READS)
    _store(log, READS, k + n)
    room = _load(log, CAPACITY)
    same = k + n <= _load(log, KNOWN)
    if same:
        for i in range(n):
            same &= _load(log, HEAD + k + i) == place + i
    if not same:
        _store(log, KNOWN, min(_load(log, KNOWN), k))
        for i in range(min(n, room - k)):
            _store(log, HEAD + k + i, place + i)
            _store(log, HEAD + room + k + i, 0)
    if k + n > room:
        return np.zeros(n)
    return carray(_pointer(log + 8 * (HEAD + room + k)), (n,), np.float64)


@overload(operator.getitem)
def _element_or_part(array, index):
    if array != LOGGED:
        return None
    if isinstance(index, types.SliceType):
        return lambda array, index: _part(array[0], index.start, index.stop - index.start)
    if isinstance(index, types.Integer):
        return lambda array, index: _element(array[0], np.int64(index))
    return None


@overload_attribute(types.Tuple, "size")
def _size(array):
    return (lambda array: array[1]) if array == LOGGED else None


class _Log:
    """A log of reads on the host."""

    def __init__(self, room: int) -> None:
        self.words = np.empty(HEAD + 2 * room, np.int64)  # memory is touched as reads come
        self.words[:HEAD] = 0, 0, room
        self.places = self.words[HEAD : HEAD + room]
        self.values = self.words[HEAD + room :].view(np.float64)

    def seen(self, size: int) -> tuple[int, int, bool]:
        """An array of this size, as a kernel gets it."""
        self.words[READS] = 0
        return self.words.ctypes.data, size, True

    def wanted(self) -> slice:
        """Reads of which the values are not known."""
        known, reads = int(self.words[KNOWN]), int(self.words[READS])
        return slice(known, max(known, min(reads, self.places.size)))

    def grown(self) -> _Log:
        """A log with room for all that was read, if this one has not."""
        reads, known = int(self.words[READS]), int(self.words[KNOWN])
        if reads <= self.places.size:
            return self
        larger = _Log(2 * reads)
        larger.words[KNOWN] = known
        larger.places[:known], larger.values[:known] = self.places[:known], self.values[:known]
        return larger


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
        self._logs: list[_Log] = []

    def run(self, kernel: Callable[..., Any], *sources: Source) -> Any:
        """What a kernel gives for these arrays.

        It is called several times: what it writes must not depend on what was there before.
        """
        while len(self._logs) < len(sources):
            self._logs.append(_Log(ROOM))
        for log in self._logs:
            log.words[KNOWN] = 0
        while True:
            logs = self._logs[: len(sources)]
            seen = [log.seen(s.size) for log, s in zip(logs, sources, strict=True)]
            result = kernel(*seen)
            if all(log.words[READS] <= log.words[KNOWN] for log in logs):
                return result
            for k, (log, source) in enumerate(zip(logs, sources, strict=True)):
                part = log.wanted()
                if part.stop > part.start:
                    log.values[part] = self._values(source, log.places[part])
                    log.words[KNOWN] = part.stop
                self._logs[k] = log.grown()

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
