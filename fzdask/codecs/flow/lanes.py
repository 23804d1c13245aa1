"""The device's side of a flow: streams, the threads that feed them, and those that wait for them.

Each stream has a thread that launches: a task that waits for a small copy of its own, a range or a
count, before it can launch the rest holds up its stream alone. Copies have one thread for each
direction (staging takes its time). Each stream has another thread that waits for its events in
their order, so no worker ever stands still for the device.
"""

from __future__ import annotations

import heapq
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from fzdask.codecs.flow.data import is_host_array, map_arrays, nbytes_of
from fzdask.codecs.flow.device import Device
from fzdask.codecs.flow.task import State, Task

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
        self.launching = False
        self.last: Task | None = None


class Group:
    """Streams for tasks or copies of one kind, the threads that feed them, and what is ready."""

    def __init__(self, names: list[str], device: Device, thread: str) -> None:
        self.lanes = [Lane(name, device.take_stream()) for name in names]
        self.threads = ThreadPoolExecutor(len(names), thread_name_prefix=f"fzdask {thread}")
        self.ready: list[tuple[int, Task]] = []

    def choose(self, depth: int) -> Lane | None:
        """The stream for the first task that is ready; None if no task is or no stream has room."""
        if not self.ready:
            return None
        _, task = self.ready[0]
        free = [lane for lane in self.lanes if lane.unfinished < depth and not lane.launching]
        for other in task.waits:
            if other.lane in free and other.lane.last is other:
                return other.lane
        return min(free, key=lambda lane: lane.unfinished, default=None)


class Lanes:
    """All streams of one flow.

    Of the tasks that are ready the first in program order is launched first, on the stream of the
    last task that it waits for or on the one with least to do.

    Parameters
    ----------
    engine : Engine
        Told what was launched and what is complete.
    device : Device
    streams : int
        For tasks; copies have one stream for each direction.
    depth : int
        Most tasks on a stream at once. What is on a stream can no longer be overtaken.
    """

    def __init__(self, engine: Engine, device: Device, streams: int, depth: int) -> None:
        self.engine = engine
        self.device = device
        self.depth = depth
        self.groups = {
            "task": Group([f"stream {k}" for k in range(streams)], device, "launch"),
            "upload": Group(["upload"], device, "upload"),
            "download": Group(["download"], device, "download"),
        }

    def dispatch(self, task: Task) -> None:
        """Launch a task that is ready when its turn comes; called with the engine's lock held."""
        group = self.groups[task.kind]
        heapq.heappush(group.ready, (task.sequence, task))
        group.threads.submit(self._launch_next, group)

    def leave(self, task: Task) -> None:
        """A task has left its stream, which may have room now; called with the lock held."""
        lane = task.lane
        assert lane is not None
        lane.unfinished -= 1
        group = self.groups[task.kind]
        if group.ready:
            group.threads.submit(self._launch_next, group)

    def clear(self) -> None:
        """Forget the tasks that are ready; called with the lock held."""
        for group in self.groups.values():
            group.ready.clear()

    def close(self) -> None:
        """End the threads and hand back the streams, which must be idle."""
        for group in self.groups.values():
            group.threads.shutdown()
            for lane in group.lanes:
                lane.waiter.shutdown()
                self.device.return_stream(lane.stream)

    def _launch_next(self, group: Group) -> None:
        """Launch the first in program order of the tasks that are ready, if a stream has room."""
        with self.engine.lock:
            lane = group.choose(self.depth)
            if lane is None:
                return
            _, task = heapq.heappop(group.ready)
            task.state = State.RUNNING
            task.lane = lane
            lane.last = task
            lane.unfinished += 1
            lane.launching = True
        try:
            self.engine.guarded(self._launch, task, lane)
        finally:
            with self.engine.lock:
                lane.launching = False
                if group.ready:  # what came while no stream was free to be launched on
                    group.threads.submit(self._launch_next, group)

    def _launch(self, task: Task, lane: Lane) -> None:
        error: BaseException | None = None
        event = None
        try:
            with self.device.on(lane.stream):
                for other in task.waits:
                    # Both are None once the other is complete.
                    other_lane, event_before = other.lane, other.event
                    if other_lane is not lane and event_before is not None:
                        self.device.wait(lane.stream, event_before)
                for instance in task.inputs:
                    if instance.arrival is not None:
                        self.device.wait(lane.stream, instance.arrival)
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
        with self.engine.lock:
            lane.launching = False  # before its followers are dispatched, which go behind it
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
