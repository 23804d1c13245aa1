"""CUDA streams, events and pinned memory through CuPy, for the executor."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fzdask.codecs.flow.device import Device
from fzdask.codecs.kernels.cuda.backend import cupy_device

__all__ = ["CupyStreams"]

_HOST_MEMORY = 1  # cudaMemoryTypeHost: pinned


class CupyStreams(Device):
    """A CUDA device. Make one for a process and keep it: CuPy's memory pool is kept per stream.

    Parameters
    ----------
    number : int, optional
        Of the device. Default: the current one.

    Raises
    ------
    DeviceError
        CuPy is not installed, or there is no device.
    """

    def __init__(self, number: int | None = None) -> None:
        found = cupy_device(number)
        self.number: int = found.number
        self._cupy = found.xp
        self._lock = threading.Lock()
        self._streams: list[Any] = []
        self._idle: list[Any] = []
        stream = self.take_stream()
        with self.on(stream):
            self._origin = self.record(stream)
            self._origin.synchronize()
            self._origin_at = time.perf_counter()
        self.return_stream(stream)

    def take_stream(self) -> Any:
        with self._lock:
            if self._idle:
                return self._idle.pop()
            with self._cupy.cuda.Device(self.number):
                stream = self._cupy.cuda.Stream(non_blocking=True)
            self._streams.append(stream)
            return stream

    def return_stream(self, stream: Any) -> None:
        with self._lock:
            self._idle.append(stream)

    @contextlib.contextmanager
    def on(self, stream: Any) -> Iterator[None]:
        with self._cupy.cuda.Device(self.number), stream:
            yield

    def record(self, stream: Any) -> Any:
        # Blocking: the thread that waits for it sleeps, and others have the processor.
        event = self._cupy.cuda.Event(block=True)
        event.record(stream)
        return event

    def wait(self, stream: Any, event: Any) -> None:
        stream.wait_event(event)

    def arrival(self) -> Any:
        with self._cupy.cuda.Device(self.number):
            return self.record(self._cupy.cuda.get_current_stream())

    def synchronize(self, event: Any) -> None:
        with self._cupy.cuda.Device(self.number):
            event.synchronize()

    def when(self, event: Any) -> float:
        with self._cupy.cuda.Device(self.number):
            elapsed = self._cupy.cuda.get_elapsed_time(self._origin, event)
        return self._origin_at + 1e-3 * float(elapsed)

    def owns(self, value: Any) -> bool:
        return isinstance(value, self._cupy.ndarray)

    def stage(self, array: NDArray[Any]) -> NDArray[Any]:
        if not array.nbytes or self._is_pinned(array):
            return array
        staged = self._empty_pinned(array)
        np.copyto(staged, array)
        return staged

    def upload(self, staged: NDArray[Any], stream: Any) -> Any:
        out = self._cupy.empty(staged.shape, staged.dtype, order=_order(staged))
        out.set(staged, stream=stream)
        return out

    def download(self, array: Any, stream: Any) -> NDArray[Any]:
        out = self._empty_pinned(array)
        if array.nbytes:
            array.get(stream=stream, out=out, blocking=False)
        return out

    def close(self) -> None:
        for stream in self._streams:
            stream.synchronize()

    def _is_pinned(self, array: NDArray[Any]) -> bool:
        if not (array.flags.c_contiguous or array.flags.f_contiguous):
            return False
        address = array.__array_interface__["data"][0]
        found: int = self._cupy.cuda.runtime.pointerGetAttributes(address).type
        return found == _HOST_MEMORY

    def _empty_pinned(self, like: Any) -> NDArray[Any]:
        """A host array that goes back to CuPy's pool of pinned memory when it is dropped."""
        memory = self._cupy.cuda.alloc_pinned_memory(max(like.nbytes, 1))
        return np.ndarray(like.shape, like.dtype, buffer=memory, order=_order(like))


def _order(array: Any) -> Any:
    return "F" if array.flags.f_contiguous and not array.flags.c_contiguous else "C"
