"""The state of a flow: which tasks wait, run and are complete, under one lock."""

from __future__ import annotations

import heapq
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from fzdask.codecs.flow.device import Device
from fzdask.codecs.flow.lanes import Lanes
from fzdask.codecs.flow.task import FlowCancelled, FlowError, State, Task
from fzdask.codecs.flow.timeline import Span, Timeline

__all__ = ["Engine"]

_inside = threading.local()


class Engine:
    """Takes connected tasks in program order and sees each to its end.

    Every change of a task's state happens with ``lock`` held. Of the tasks that are ready the
    first in program order runs first. A task is complete when it has run (on the device: when its
    event has fired) and all it depends on is complete.
    """

    def __init__(
        self,
        device: Device | None,
        workers: int,
        streams: int,
        depth: int,
        timeline: Timeline | None,
    ) -> None:
        self.device = device
        self.timeline = timeline
        self.lock = threading.RLock()
        self.cancelled = False
        self.closed = False
        self.live: dict[int, Task] = {}
        self._failed: Task | None = None
        self._changed = threading.Condition(self.lock)
        self._awaited: list[Callable[[], bool]] = []
        self._ready: list[tuple[int, Task]] = []
        self._submitted = 0
        self._unclaimed = 0
        self._workers = ThreadPoolExecutor(workers, thread_name_prefix="fzdask host")
        self._lanes = None if device is None else Lanes(self, device, streams, depth)

    # For those who submit and wait.

    def check_open(self) -> None:
        """Raise unless tasks may be added: the failure, the cancellation, or the misuse."""
        self.check_outside("submit to")
        if self._failed is not None or self.cancelled:
            raise self.failure()
        if self.closed:
            raise FlowError("flow: it is closed; submit and ask for results in its with block.")

    def check_outside(self, what: str) -> None:
        """Raise in a task of the flow, which would wait for itself or break the order."""
        if getattr(_inside, "engine", None) is self:
            raise FlowError(
                f"flow: a task cannot {what} the flow that runs it; its program order is that of "
                "the threads outside."
            )

    def add(self, tasks: list[Task]) -> None:
        """Take over connected tasks, in program order; called with the lock held."""
        for task in tasks:
            task.sequence = self._submitted
            self._submitted += 1
            self.live[task.sequence] = task
        for task in tasks:
            if not task.unlaunched:
                self._dispatch(task)
        self._recruit()

    def wait(self, until: Callable[[], bool], timeout: float | None) -> None:
        """Wait, with the lock held, for what the end of a task can bring about."""
        self.check_outside("wait for")
        self._awaited.append(until)
        try:
            if not self._changed.wait_for(until, timeout):
                raise TimeoutError(
                    f"flow: not done after {timeout} s; {len(self.live)} tasks have not ended."
                )
        finally:
            self._awaited.remove(until)

    def failure(self) -> BaseException:
        """Why tasks were dropped."""
        if self._failed is not None and self._failed.error is not None:
            return self._failed.error
        return FlowCancelled("flow: it was cancelled before this was done.")

    @property
    def broken(self) -> bool:
        return self.cancelled or self._failed is not None

    def cancel(self) -> None:
        """Drop what has not started."""
        with self.lock:
            self.cancelled = True
            last = self._drop()
            self._wake()
        del last

    def close(self) -> None:
        """Drop what has not started, wait for the rest, end the threads."""
        with self.lock:
            if self.closed:
                return
            self.check_outside("close")
        if self.live:
            self.cancel()
        with self.lock:
            self.wait(lambda: not self.live, None)
            self.closed = True
        self._workers.shutdown()
        if self._lanes is not None:
            self._lanes.close()

    # For the threads of the flow.

    def guarded(self, step: Callable[..., None], task: Task, *args: Any) -> None:
        """Run a step; a fault of the executor itself fails the flow instead of hanging it."""
        _inside.engine = self
        try:
            step(task, *args)
        except BaseException as error:
            with self.lock:
                if not task.done:
                    self._end(task, error)
                    self._recruit()
        finally:
            _inside.engine = None

    def launched(self, task: Task, event: Any, error: BaseException | None) -> None:
        """A task is on its stream: followers on streams may be put behind it."""
        with self.lock:
            task.event = event
            task.state = State.LAUNCHED
            task.waits = []
            last = [] if error is None else self._fail(task, error)
            for other in task.successors:
                if other.on_stream and not other.done:
                    self._approach(other)
            self._wake()
        del last

    def fired(self, task: Task, error: BaseException | None) -> None:
        """The event of a launched task has fired, or waiting for it raised an error."""
        self._note_launched(task, error)
        with self.lock:
            assert self._lanes is not None
            self._lanes.leave(task)
            task.fired = True
            last = [] if error is None or task.error is not None else self._fail(task, error)
            if not task.incomplete:
                last += self._end(task, None)
            self._recruit()
        del last

    def _dispatch(self, task: Task) -> None:
        task.state = State.READY
        if task.on_stream:
            assert self._lanes is not None
            self._lanes.dispatch(task)
        else:
            heapq.heappush(self._ready, (task.sequence, task))
            self._unclaimed += 1

    def _recruit(self) -> None:
        """Call a worker for each host task that became ready and has none."""
        for _ in range(self._unclaimed):
            self._workers.submit(self._work)
        self._unclaimed = 0

    def _work(self) -> None:
        """Run the first in program order of the host tasks that are ready, and what it frees.

        A worker goes on with what its task has made ready: that is in its cache, and no other
        thread has to be woken for it.
        """
        again = True
        while again:
            with self.lock:
                if not self._ready:  # the task that this worker was called for was dropped
                    return
                _, task = heapq.heappop(self._ready)
                task.state = State.RUNNING
            self.guarded(self._run, task)
            with self.lock:
                again = self._unclaimed > 0
                self._unclaimed -= again
                self._recruit()

    def _run(self, task: Task) -> None:
        error: BaseException | None = None
        start = time.perf_counter()
        try:
            assert task.function is not None
            task.set_outputs(task.function(*[instance.value for instance in task.inputs]))
        except BaseException as raised:
            error = raised
        if self.timeline is not None:
            place = threading.current_thread().name.removeprefix("fzdask ").replace("_", " ")
            self.timeline.add(Span.of(task, place, start, time.perf_counter(), error))
        with self.lock:
            last = self._end(task, error)
        del last

    def _note_launched(self, task: Task, error: BaseException | None) -> None:
        if self.timeline is None or self.device is None or error is not None:
            return
        if task.kind != "task" and not task.nbytes:  # an object that passed as it is
            return
        if task.began is not None and task.event is not None and task.lane is not None:
            start, end = self.device.when(task.began), self.device.when(task.event)
            self.timeline.add(Span.of(task, task.lane.name, start, end, task.error))

    def _approach(self, task: Task) -> None:
        """One predecessor less to wait for before the task can start."""
        task.unlaunched -= 1
        if not task.unlaunched and task.state is State.WAITING:
            self._dispatch(task)

    def _end(self, first: Task, error: BaseException | None) -> list[Any]:
        """A task has run, and all it depends on is complete; so may be what was waiting for it.

        Returns what the caller should drop after the lock.
        """
        last: list[Any] = []
        if error is not None:
            last += self._fail(first, error)
        ended = [first]
        while ended:
            task = ended.pop()
            good = task.error is None and not task.spoiled
            ways = State.DROPPED if task.error is None else State.FAILED
            task.state = State.COMPLETE if good else ways
            del self.live[task.sequence]
            for other in task.successors:
                if other.done:
                    continue
                other.incomplete -= 1
                other.spoiled |= not good
                if not (task.on_stream and other.on_stream):
                    self._approach(other)
                elif other.fired and not other.incomplete:
                    ended.append(other)
            last += task.forget()
        self._wake()
        return last

    def _fail(self, task: Task, error: BaseException) -> list[Any]:
        """Note the error and drop all tasks that have not started."""
        task.error = error
        tag = "" if task.tag is None else f" of {task.tag!r}"
        error.add_note(f"flow: raised by task {task.name!r}{tag} (at {task.place})")
        if self._failed is None or task.sequence < self._failed.sequence:
            self._failed = task
        return self._drop()

    def _drop(self) -> list[Any]:
        last: list[Any] = []
        for task in list(self.live.values()):
            if task.state in (State.WAITING, State.READY):
                task.state = State.DROPPED
                del self.live[task.sequence]
                last += task.forget()
        self._ready.clear()
        self._unclaimed = 0
        if self._lanes is not None:
            self._lanes.clear()
        return last

    def _wake(self) -> None:
        """Wake those who wait, if what one of them waits for has come."""
        if any(until() for until in self._awaited):
            self._changed.notify_all()
