"""What the project, Zarr and Dask use of CuPy, on the CPU, as strict as CuPy and counting.

An array says that it is on a device and is converted to NumPy by nobody but ``asnumpy`` and
``get``. Every array belongs to the device that was current when it was made; a kernel that is
launched on another one, as a GPU would refuse it, is an error. Streams run at once.
"""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace

import numpy as np

from fzdask.codecs.kernels.cuda.sources import modules, source

_current = threading.local()


def current() -> int:
    """Number of the device that is current in this thread."""
    return getattr(_current, "stack", [0])[-1]


class DeviceArray(np.lib.mixins.NDArrayOperatorsMixin):
    """A cupy.ndarray."""

    __array_priority__ = 100
    counts = None  # of the stand-in that made it

    def __init__(self, values, number=None, counts=None):
        self._values = values
        self.number = current() if number is None else number
        self.counts = counts

    __cuda_array_interface__ = property(lambda self: self._values.__array_interface__)
    device = property(lambda self: SimpleNamespace(id=self.number))
    T = property(lambda self: self._like(self._values.T))
    base = property(lambda self: None if self._values.base is None else self)

    def _like(self, values):
        if isinstance(values, np.ndarray):
            return DeviceArray(values, self.number, self.counts)
        if isinstance(values, np.generic):  # CuPy's reductions give arrays of no axes
            return DeviceArray(np.asarray(values), self.number, self.counts)
        return values

    def __array__(self, *args, **kwargs):
        raise TypeError("Implicit conversion to a NumPy array is not allowed.")

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        return self._like(getattr(ufunc, method)(*_bare(inputs), **_bare(kwargs)))

    def __array_function__(self, function, types, args, kwargs):
        out = function(*_bare(args), **_bare(kwargs))
        return type(out)(map(self._like, out)) if isinstance(out, tuple | list) else self._like(out)

    def __getitem__(self, key):
        return self._like(self._values[_bare(key)])

    def __setitem__(self, key, value):
        self._values[_bare(key)] = _bare(value)

    def get(self, stream=None, order="C", out=None, blocking=True):
        self.counts["to host"] += self.nbytes
        if out is None:
            return self._values.copy(order)
        out[...] = self._values
        return out

    def set(self, arr, stream=None):
        self.counts["to device"] += arr.nbytes
        self._values[...] = arr

    def _scalar(self, kind):
        self.counts["to host"] += self.nbytes
        return kind(self._values)

    def __len__(self):
        return len(self._values)

    def __float__(self):
        return self._scalar(float)

    def __int__(self):
        return self._scalar(int)

    def __bool__(self):
        return self._scalar(bool)

    def __getattr__(self, name):
        if name.startswith("__") or name == "_values":
            raise AttributeError(name)
        found = getattr(self._values, name)
        if not callable(found):
            return found
        return lambda *args, **kwargs: self._like(found(*_bare(args), **_bare(kwargs)))


def _bare(value):
    """Values of device arrays; host arrays, which CuPy does not mix with its own, are refused."""
    if isinstance(value, DeviceArray):
        return value._values
    if isinstance(value, tuple | list):
        return type(value)(_bare(item) for item in value)
    if isinstance(value, dict):
        return {key: _bare(item) for key, item in value.items()}
    if isinstance(value, np.ndarray) and value.ndim:
        raise TypeError("Unsupported type <class 'numpy.ndarray'>")
    return value


class CupyStandIn:
    """Stands for the module ``cupy``; ``counts`` has the bytes that crossed."""

    __version__ = "0"
    ndarray = DeviceArray

    def __init__(self, shim):
        self.counts = {"to device": 0, "to host": 0}
        self.launched = []  # kernel and device
        self.before = lambda kernel: None
        lock = threading.Lock()

        class Device:
            def __init__(self, number=None):
                self.id = current() if number is None else number
                self.attributes = {"MultiProcessorCount": 2}

            def __enter__(self):
                _current.stack = [*getattr(_current, "stack", [0]), self.id]
                return self

            def __exit__(self, *_):
                _current.stack.pop()

        class Event:
            def __init__(self, block=False, disable_timing=False, interprocess=False):
                self.at = 0.0

            def record(self, stream=None):
                self.at = time.perf_counter()

            def synchronize(self):
                pass

        class Stream:
            ptr = 7

            def __init__(self, null=False, non_blocking=False, ptds=False, priority=None):
                self.number = current()

            def __enter__(self):
                assert self.number == current(), "a stream of another device"
                return self

            def __exit__(self, *_):
                pass

            def wait_event(self, event):
                pass

            def synchronize(self):
                pass

        class RawModule:
            def __init__(module, *, code, options):  # noqa: N805
                module.name = next(m for m in modules() if source(m) == code)
                module.number = current()

            def get_function(module, kernel):  # noqa: N805
                def call(grid, block, args):
                    arrays = [a for a in args if isinstance(a, DeviceArray)]
                    assert {a.number for a in arrays} <= {current()}, "arrays of another device"
                    assert module.number == current(), "a module of another device"
                    with lock:
                        self.launched.append((kernel, current()))
                    self.before(kernel)
                    shim.launch(module.name, kernel, grid, block, *[_bare(a) for a in args])

                return call

        Stream.null = Stream()
        self.RawModule = RawModule
        self.cuda = SimpleNamespace(
            Device=Device,
            Event=Event,
            Stream=Stream,
            get_current_stream=lambda: Stream(),
            get_elapsed_time=lambda start, end: 1e3 * (end.at - start.at),
            alloc_pinned_memory=lambda nbytes: np.empty(nbytes, np.uint8),
            runtime=SimpleNamespace(
                pointerGetAttributes=lambda address: SimpleNamespace(type=0)
            ),
        )  # fmt: skip

    def is_available(self):
        return True

    def _made(self, values):
        return DeviceArray(values, None, self.counts)

    def asarray(self, values, dtype=None):
        if hasattr(values, "on_device"):  # another library's array there
            values = values.on_device
        if isinstance(values, DeviceArray):
            return values if dtype is None else values.astype(dtype, copy=False)
        values = np.array(values, dtype)
        self.counts["to device"] += values.nbytes
        return self._made(values)

    array = asanyarray = asarray

    def frombuffer(self, buffer, dtype):
        return self.asarray(np.frombuffer(buffer, dtype))

    def asnumpy(self, array, stream=None, order="C", out=None, *, blocking=True):
        return array.get(order=order) if isinstance(array, DeviceArray) else np.asarray(array)

    def empty(self, shape, dtype=float, order="C"):
        return self._made(np.empty(shape, dtype, order))

    def zeros(self, shape, dtype=float):
        return self._made(np.zeros(shape, dtype))

    def ascontiguousarray(self, array):
        return array._like(np.ascontiguousarray(array._values))

    def concatenate(self, arrays):
        return self._made(np.concatenate(_bare(arrays)))

    def __getattr__(self, name):
        """Whatever else NumPy has, on arrays of the device."""
        found = getattr(np, name)
        if isinstance(found, type) or not callable(found):
            return found
        return lambda *args, **kwargs: self._made(found(*_bare(args), **_bare(kwargs)))
