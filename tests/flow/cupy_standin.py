"""What the executor uses of CuPy, with CuPy's names and signatures, on a simulated device.

It refuses what a GPU would punish late or silently: work on a stream that is not current, copies
of memory that is not pinned or not contiguous, elapsed times of events that have not fired.
"""

from __future__ import annotations

import threading
import weakref
from types import SimpleNamespace

import numpy as np

from fzdask.codecs.flow import simulated
from fzdask.codecs.flow.simulated import SimulatedArray, SimulatedDevice


class StandInArray(SimulatedArray):
    """A cupy.ndarray with ``set`` and ``get``."""

    simulator: SimulatedDevice

    @property
    def flags(self):
        return self._values.flags

    def set(self, arr, stream=None):
        assert stream is not None
        assert arr.dtype == self.dtype
        assert arr.shape == self.shape
        assert not arr.nbytes or simulated._pinned(arr), "a pageable copy would stop the host"
        target, source = self._values, simulated._address(arr)
        stream.steps.put(lambda: np.copyto(target, source))
        self.simulator.uploads += 1

    def get(self, stream=None, order="C", out=None, blocking=True):
        assert stream is not None
        assert not blocking
        assert simulated._pinned(out)
        assert out.flags.c_contiguous == self.flags.c_contiguous
        target, source = simulated._address(out), self._values
        stream.steps.put(lambda: np.copyto(target, source))
        self.simulator.downloads += 1
        return out


class StandIn:
    """Stands for the module ``cupy``."""

    ndarray = StandInArray

    def __init__(self, jitter=0.0, seed=0):
        self.simulator = simulator = SimulatedDevice(jitter, seed)
        current = threading.local()

        class Stream:
            def __init__(self, null=False, non_blocking=False, ptds=False, priority=None):
                assert non_blocking, "it would wait for the default stream"
                self.steps = simulator.take_stream()

            def __enter__(self):
                current.streams = [*getattr(current, "streams", []), self]
                return self

            def __exit__(self, *_):
                current.streams.pop()

            def wait_event(self, event):
                simulator.wait(self.steps, event.fired)

            def synchronize(self):
                simulator.synchronize(simulator.record(self.steps))

        class Event:
            def __init__(self, block=False, disable_timing=False, interprocess=False):
                assert block, "the thread that waits for it would keep a processor busy"
                assert not disable_timing

            def record(self, stream=None):
                assert stream is not None
                self.fired = simulator.record(stream.steps)

            def synchronize(self):
                simulator.synchronize(self.fired)

        class Device:
            def __init__(self, number):
                assert number == 0

            def __enter__(self):
                return self

            def __exit__(self, *_):
                pass

        def get_elapsed_time(start_event, end_event):
            assert start_event.fired.is_set()
            assert end_event.fired.is_set()
            return 1e3 * (end_event.fired.at - start_event.fired.at)

        def get_current_stream():
            streams = getattr(current, "streams", [])
            return streams[-1] if streams else default

        default = Stream(non_blocking=True)

        def pointer_attributes(address):
            pinned = any(low <= address < high for low, high in self.pinned_ranges())
            return SimpleNamespace(type=1 if pinned else 0)

        def alloc_pinned_memory(nbytes):
            block = simulated._PinnedBlock(nbytes)
            self.blocks.append(weakref.ref(block))
            return np.asarray(block)

        self.blocks: list[weakref.ref] = []
        self.current = current
        self.cuda = SimpleNamespace(
            Stream=Stream,
            Event=Event,
            Device=Device,
            get_current_stream=get_current_stream,
            get_elapsed_time=get_elapsed_time,
            alloc_pinned_memory=alloc_pinned_memory,
            runtime=SimpleNamespace(pointerGetAttributes=pointer_attributes),
        )

    def pinned_ranges(self):
        alive = [block for block in (ref() for ref in self.blocks) if block is not None]
        starts = [block.raw.ctypes.data for block in alive]
        return [(start, start + b.raw.nbytes) for start, b in zip(starts, alive, strict=True)]

    def empty(self, shape, dtype=float, order="C"):
        streams = getattr(self.current, "streams", [])
        assert streams, "allocated with no stream current: its memory would be another stream's"
        array = StandInArray(np.empty(shape, dtype, order), streams[-1].steps)
        array.simulator = self.simulator
        return array

    def launch(self, kernel, *args):
        raw = [simulated._raw(arg) for arg in args]
        self.current.streams[-1].steps.put(lambda: kernel(*raw))
