"""A device imitated by host threads, to try orderings, copies and lifetimes without a GPU."""

from __future__ import annotations

import contextlib
import queue
import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fzdask.codecs.flow.device import Device

__all__ = ["SimulatedArray", "SimulatedDevice"]

_POISON = 0xA5


class SimulatedArray:
    """An array in the imitated memory: the host cannot look into it.

    It begins with meaningless bytes. When it is dropped, they are overwritten again as soon as its
    own stream comes to that, as a memory pool would hand them on: a kernel or copy on another
    stream that still uses them then gives wrong results.
    """

    def __init__(self, values: NDArray[Any], stream: _Stream) -> None:
        _poison(values)
        self._values = values
        self._stream = stream
        self.shape = values.shape
        self.dtype = values.dtype
        self.nbytes = values.nbytes

    def __array__(self, *args: Any, **kwargs: Any) -> NDArray[Any]:
        raise TypeError("an array on the device; read it in a task on the host.")

    def __del__(self) -> None:
        values = self._values
        self._stream.put(lambda: _poison(values))


class SimulatedDevice(Device):
    """Streams are threads that run what is put on them in order, each step after a random delay.

    An error in a step is noticed, as on a GPU, when the host waits for an event after it; the
    stream then skips what follows.

    Parameters
    ----------
    jitter : float
        Longest delay before a step, in seconds.
    seed : int
        Of the delays.

    Attributes
    ----------
    uploads, downloads : int
        Copies made.
    uploaded, downloaded : int
        Bytes copied.
    pageable : int
        Copies from or to memory that was not pinned; a GPU could not overlap these.
    """

    def __init__(self, jitter: float = 0.0, seed: int = 0) -> None:
        self.jitter = jitter
        self.uploads = self.downloads = self.uploaded = self.downloaded = self.pageable = 0
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self._current = threading.local()
        self._streams: list[_Stream] = []
        self._idle: list[_Stream] = []

    def launch(self, kernel: Callable[..., Any], *args: Any) -> None:
        """Put a kernel on the current stream: a function of arrays, some of which it fills."""
        raw = [_raw(arg) for arg in args]
        self._current.stream.put(lambda: kernel(*raw))

    def empty(self, shape: int | tuple[int, ...], dtype: DTypeLike) -> SimulatedArray:
        """A new array of the current stream."""
        return SimulatedArray(np.empty(shape, dtype), self._current.stream)

    def take_stream(self) -> _Stream:
        with self._lock:
            if self._idle:
                return self._idle.pop()
            stream = _Stream(random.Random(self._random.random()), self.jitter)
            self._streams.append(stream)
            return stream

    def return_stream(self, stream: _Stream) -> None:
        with self._lock:
            self._idle.append(stream)

    @contextlib.contextmanager
    def on(self, stream: _Stream) -> Iterator[None]:
        before = getattr(self._current, "stream", None)
        self._current.stream = stream
        try:
            yield
        finally:
            self._current.stream = before

    def record(self, stream: _Stream) -> _Event:
        event = _Event()

        def fire() -> None:
            event.error = stream.error
            event.at = time.perf_counter()
            event.set()

        stream.put(fire, always=True)
        return event

    def wait(self, stream: _Stream, event: _Event) -> None:
        stream.put(event.wait, always=True)

    def arrival(self) -> _Event | None:
        stream = getattr(self._current, "stream", None)
        return None if stream is None else self.record(stream)

    def synchronize(self, event: _Event) -> None:
        event.wait()
        if event.error is not None:
            raise event.error

    def when(self, event: _Event) -> float:
        return event.at

    def owns(self, value: Any) -> bool:
        return isinstance(value, SimulatedArray)

    def stage(self, array: NDArray[Any]) -> NDArray[Any]:
        if _pinned(array):
            return array
        staged = _PinnedBlock.array_like(array)
        staged[...] = array
        return staged

    def upload(self, staged: NDArray[Any], stream: _Stream) -> SimulatedArray:
        out = SimulatedArray(np.empty_like(staged, subok=False), stream)
        target, source = out._values, _address(staged)
        stream.put(lambda: np.copyto(target, source))
        with self._lock:
            self.uploads += 1
            self.uploaded += staged.nbytes
            self.pageable += not _pinned(staged)
        return out

    def download(self, array: SimulatedArray, stream: _Stream) -> NDArray[Any]:
        out = _PinnedBlock.array_like(array._values)
        target, source = _address(out), array._values
        stream.put(lambda: np.copyto(target, source))
        with self._lock:
            self.downloads += 1
            self.downloaded += out.nbytes
        return out

    @property
    def unfinished(self) -> int:
        """Steps on all streams that have not run."""
        return sum(stream.unfinished for stream in self._streams)

    def close(self) -> None:
        """End the threads after what is on them."""
        for stream in self._streams:
            stream.close()


class _Event(threading.Event):
    error: BaseException | None = None
    at = 0.0


class _Stream:
    """A thread that runs steps in order; steps after an error are skipped, events are not."""

    def __init__(self, delays: random.Random, jitter: float) -> None:
        self.error: BaseException | None = None
        self.unfinished = 0
        self._delays = delays
        self._jitter = jitter
        self._closed = False
        self._lock = threading.Lock()
        self._steps: queue.SimpleQueue[tuple[Callable[[], Any], bool] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="fzdask simulated", daemon=True)
        self._thread.start()

    def put(self, step: Callable[[], Any], always: bool = False) -> None:
        if self._closed:
            return
        with self._lock:
            self.unfinished += 1
        self._steps.put((step, always))

    def close(self) -> None:
        self._closed = True
        self._steps.put(None)
        self._thread.join()

    def _run(self) -> None:
        while True:
            given = self._steps.get()
            if given is None:
                return
            step, always = given
            if self._jitter:
                time.sleep(self._delays.random() * self._jitter)
            try:
                if always or self.error is None:
                    step()
            except BaseException as error:
                self.error = error
            del step, given
            with self._lock:
                self.unfinished -= 1


class _PinnedBlock:
    """Pinned memory: overwritten as soon as no array of it is left, whoever still copies."""

    def __init__(self, nbytes: int) -> None:
        self.raw = np.full(nbytes, _POISON, np.uint8)

    @property
    def __array_interface__(self) -> dict[str, Any]:
        return self.raw.__array_interface__

    def __del__(self) -> None:
        _poison(self.raw)

    @classmethod
    def array_like(cls, array: NDArray[Any]) -> NDArray[Any]:
        order: Any = "F" if array.flags.f_contiguous and not array.flags.c_contiguous else "C"
        flat = np.asarray(cls(max(array.nbytes, 1)))[: array.nbytes].view(array.dtype)
        return flat.reshape(array.shape, order=order)


def _pinned(array: NDArray[Any]) -> bool:
    return isinstance(_owner(array), _PinnedBlock)


def _owner(array: NDArray[Any]) -> Any:
    owner: Any = array
    while isinstance(owner, np.ndarray):
        owner = owner.base
    return owner


def _address(array: NDArray[Any]) -> NDArray[Any]:
    """The same memory as plain values, which keeps no pinned block alive: a pointer."""
    owner = _owner(array)
    if not isinstance(owner, _PinnedBlock):
        return array
    order: Any = "F" if array.flags.f_contiguous and not array.flags.c_contiguous else "C"
    offset = array.__array_interface__["data"][0] - owner.raw.__array_interface__["data"][0]
    flat = owner.raw[offset : offset + array.nbytes].view(array.dtype)
    return flat.reshape(array.shape, order=order)


def _raw(arg: Any) -> Any:
    return arg._values if isinstance(arg, SimulatedArray) else arg


def _poison(values: NDArray[Any]) -> None:
    """Overwrite every byte of a contiguous array, whatever the order of memory."""
    values.ravel(order="K").view(np.uint8)[...] = _POISON
