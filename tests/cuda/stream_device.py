"""The project's kernels on imitated streams: what is launched runs later, on another thread.

Memory begins poisoned, is poisoned again when dropped, and cannot be read by the host. So a task
that does not wait for what it reads, or drops what a kernel still uses, gives other bytes.
"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from fzdask.codecs.flow import SimulatedDevice
from fzdask.codecs.flow.simulated import SimulatedArray


class StreamArray(SimulatedArray):
    """With the views that launch code takes; they keep the memory that they are views of."""

    _current = None  # streams of threads, set by the device

    def __init__(self, values, stream, base=None):
        self._base = base
        if base is None:
            super().__init__(values, stream)
        else:
            self._values, self._stream = values, stream
            self.shape, self.dtype, self.nbytes = values.shape, values.dtype, values.nbytes

    def __del__(self):
        if self._base is None:
            super().__del__()

    size = property(lambda self: self._values.size)
    ndim = property(lambda self: self._values.ndim)
    strides = property(lambda self: self._values.strides)
    flags = property(lambda self: self._values.flags)
    T = property(lambda self: self._of(self._values.T))

    def _of(self, values):
        assert np.shares_memory(values, self._values) or not values.size, "a copy, not a view"
        return StreamArray(values, self._stream, self)

    def view(self, dtype):
        return self._of(self._values.view(dtype))

    def reshape(self, *shape):
        return self._of(self._values.reshape(*shape))

    def __getitem__(self, key):
        return self._of(self._values[key])

    def __setitem__(self, key, value):
        target = self._values[key : key + 1] if isinstance(key, int) else self._values[key]
        source = value._values if isinstance(value, StreamArray) else value
        kept = self, value  # until the step has run
        self._current.stream.put(lambda: (np.copyto(target, source), kept)[0])


class StreamKernels:
    """The device of :mod:`fzdask.codecs.kernels.cuda` on the current stream of an imitated one.

    ``before(kernel)`` is called on the stream's thread when its turn comes.
    """

    multiprocessors = 2
    number = 0

    def __init__(self, shim, jitter=0.0, seed=0):
        self.shim = shim
        self.streams = SimulatedDevice(jitter, seed)
        StreamArray._current = self.streams._current
        self.before = lambda kernel: None
        self.xp = SimpleNamespace(ascontiguousarray=self._contiguous)
        self.copied = {"to device": 0, "to host": 0}  # by the launch code itself, not by a flow

    def launch(self, module, kernel, grid, block, *args):
        def run(*raw):
            self.before(kernel)
            self.shim.launch(module, kernel, grid, block, *raw)

        self.streams.launch(run, *args)

    def empty(self, size, dtype):
        return StreamArray(np.empty(size, dtype), self.streams._current.stream)

    def zeros(self, size, dtype):
        out = self.empty(size, dtype)
        self.streams.launch(lambda target: target.fill(0), out)
        return out

    def upload(self, array):
        out = StreamArray(np.empty_like(array), self.streams._current.stream)
        self.copied["to device"] += array.nbytes
        kept = array.copy(order="K")
        self.streams.launch(lambda target: np.copyto(target, kept), out)
        return out

    def download(self, array):
        out = np.empty(array.shape, array.dtype)
        self.copied["to host"] += array.nbytes
        self.streams.launch(lambda source: np.copyto(out, source), array)
        self.streams.synchronize(self.streams.record(self.streams._current.stream))
        return out

    def _contiguous(self, array):
        if array.flags.c_contiguous:
            return array
        out = self.empty(array.shape, array.dtype)
        self.streams.launch(np.copyto, out, array)
        return out

    def arrays(self, fields):
        """Device arrays of these values, complete."""
        stream = self.streams.take_stream()
        with self.streams.on(stream):
            made = [self.upload(np.asarray(field)) for field in fields]
            self.streams.synchronize(self.streams.record(stream))
        self.streams.return_stream(stream)
        self.copied["to device"] = 0
        return made
