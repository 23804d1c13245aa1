"""The device's side of a flow: streams, the threads that feed them, and those that wait for them.

One thread launches the tasks, one the copies (staging takes its time). Each stream has a thread
that waits for its events in their order, so no worker ever stands still for the device.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from fzdask.codecs.flow.data import is_host_array, map_arrays, nbytes_of
from fzdask.codecs.flow.device import Device
from fzdask.codecs.flow.task import Task

if TYPE_CHECKING:
    from fzdask.codecs.flow.engine import Engine

__all__ = ["Lane", "Lanes"]


class Lane:
    """A stream, and the thread that waits for its events."""

    def __init__(self, name: str, stream: Any) -> None:
        self.name = name
        self.stream = stream
        self.waiter = ThreadPoolExecutor(1, thread_name_prefix=f"fzdask {name}")
        self.unfinished = 0
        self.last: Task | None = None


class Lanes:
    """All streams of one flow.

    Parameters
    ----------
    engine : Engine
        Told what was launched and what is complete.
    device : Device
    streams : int
        For tasks; copies have one stream for each direction.
    """

    def __init__(self, engine: Engine, device: Device, streams: int) -> None:
        self.engine = engine
        self.device = device
        self.compute = [Lane(f"stream {k}", device.take_stream()) for k in range(streams)]
        self.copies = {kind: Lane(kind, device.take_stream()) for kind in ("upload", "download")}
        self.launcher = ThreadPoolExecutor(1, thread_name_prefix="fzdask launch")
        self.mover = ThreadPoolExecutor(1, thread_name_prefix="fzdask copy")

    def dispatch(self, task: Task) -> None:
        """Launch a task that is ready, as soon as its thread comes to it."""
        thread = self.launcher if task.kind == "task" else self.mover
        thread.submit(self.engine.guarded, self._launch, task)

    def choose(self, task: Task) -> Lane:
        """The stream of the last task waited for, or the one with least to do.

        Called with the lock of the flow held.
        """
        if task.kind != "task":
            return self.copies[task.kind]
        for other in task.waits:
            lane = other.lane
            if lane is not None and lane.last is other and lane in self.compute:
                return lane
        return min(self.compute, key=lambda lane: lane.unfinished)

    def close(self) -> None:
        """End the threads and hand back the streams, which must be idle."""
        for thread in (self.launcher, self.mover):
            thread.shutdown()
        for lane in [*self.compute, *self.copies.values()]:
            lane.waiter.shutdown()
            self.device.return_stream(lane.stream)

    def _launch(self, task: Task) -> None:
        lane = self.engine.begin_launch(task, self)
        if lane is None:
            return
        error: BaseException | None = None
        event = None
        try:
            with self.device.on(lane.stream):
                for other in task.waits:
                    # Both are None once the other is complete.
                    other_lane, event_before = other.lane, other.event
                    if other_lane is not lane and event_before is not None:
                        self.device.wait(lane.stream, event_before)
                task.began = self.device.record(lane.stream)
                values = [instance.value for instance in task.inputs]
                if task.kind == "task":
                    assert task.function is not None
                    task.set_outputs(task.function(*values))
                else:
                    task.set_outputs(self._copy(task, values[0], lane))
        except BaseException as raised:
            error = raised
        try:  # what was launched before the error still uses its inputs
            event = self.device.record(lane.stream)
        except BaseException as raised:
            error = error or raised
        self.engine.launched(task, event, error)
        lane.waiter.submit(self.engine.guarded, self._await, task, event)

    def _copy(self, task: Task, value: Any, lane: Lane) -> Any:
        """Put the copies of all arrays of a value on the stream."""
        kept: list[Any] = []
        task.kept = kept

        def up(array: Any) -> Any:
            staged = self.device.stage(array)
            kept.append(staged)
            return self.device.upload(staged, lane.stream)

        def down(array: Any) -> Any:
            copied = self.device.download(array, lane.stream)
            kept.append((array, copied))
            return copied

        upwards = task.kind == "upload"
        is_array = is_host_array if upwards else self.device.owns
        task.nbytes = nbytes_of(value, is_array)
        return map_arrays(value, is_array, up if upwards else down)

    def _await(self, task: Task, event: Any) -> None:
        error: BaseException | None = None
        try:
            if event is not None:
                self.device.synchronize(event)
        except BaseException as raised:
            error = raised
        self.engine.fired(task, error)
