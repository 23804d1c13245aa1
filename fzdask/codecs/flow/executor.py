"""The executor: runs tasks as soon as what they declare to read and write allows it."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any

from fzdask.codecs.flow.data import PLACES, Data, Instance, Place, nbytes_of
from fzdask.codecs.flow.dependencies import bring, connect
from fzdask.codecs.flow.device import Device
from fzdask.codecs.flow.engine import Engine
from fzdask.codecs.flow.task import FlowError, State, Task, check_data
from fzdask.codecs.flow.timeline import Timeline

__all__ = ["Flow"]


class Flow:
    """Run tasks on host threads and device streams with the results of running them in order.

    Tasks are submitted in program order and say what they read and write. Whatever the threads and
    streams do, every task sees the values that the tasks before it in that order gave: the results
    are those of sequential execution, as long as the functions depend on nothing else.

    After the ``with`` block nothing of the flow runs any more, whether it ended well, by an error
    or by an interrupt. The first task that fails cancels those that have not started, and its
    exception is raised by :meth:`wait`, :meth:`first`, :meth:`result` and the end of the block.

    Parameters
    ----------
    device : Device, optional
        Where tasks with ``place="device"`` run. Without one they run on the host, and nothing is
        copied.
    workers : int, optional
        Host threads. Default: the processors this process may use.
    streams : int
        Streams for device tasks; copies have two of their own.
    depth : int
        Most tasks on a stream at once: more hide the time that launching takes, fewer keep the
        device nearer to program order.
    timeline : Timeline, optional
        Filled with what ran where and when.

    Raises
    ------
    FlowError
        ``workers``, ``streams`` or ``depth`` is no number from 1 on.

    Examples
    --------
    >>> import numpy as np
    >>> with Flow(workers=2) as flow:
    ...     x, total = flow.data(np.arange(5)), flow.data(name="total")
    ...     _ = flow.submit(np.sum, reads=x, writes=total)
    ...     int(flow.result(total))
    10
    """

    def __init__(
        self,
        device: Device | None = None,
        *,
        workers: int | None = None,
        streams: int = 4,
        depth: int = 4,
        timeline: Timeline | None = None,
    ) -> None:
        workers = processors() if workers is None else workers
        for name, value in (("workers", workers), ("streams", streams), ("depth", depth)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise FlowError(f"Flow: {name}={value!r} must be a whole number from 1 on.")
        self.device = device
        self._engine = Engine(device, workers, streams, depth, timeline)
        self._numbers = itertools.count()

    def data(self, *value: Any, name: str | None = None) -> Data:
        """A logical datum, with a value to begin with or none.

        A task that updates it (reads and writes it) may change the value in place. A value on the
        device is used after what this thread has launched on its current stream by now.
        """
        if len(value) > 1:
            raise FlowError(f"Flow.data takes one value or none; got {len(value)}.")
        data = Data(self, name or f"data {next(self._numbers)}")
        for given in value:
            instance = Instance("host", given)
            if self.device is not None and nbytes_of(given, self.device.owns) > 0:
                instance.place = "device"
                instance.arrival = self.device.arrival()
            data.instances[instance.place] = instance
        return data

    def submit(
        self,
        function: Callable[..., Any],
        *,
        reads: Data | Iterable[Data] = (),
        writes: Data | Iterable[Data] = (),
        place: Place = "host",
        name: str | None = None,
        tag: Any = None,
    ) -> Task:
        """Add a task after all that were submitted before; returns at once.

        Parameters
        ----------
        function : callable
            Called with the values of ``reads`` in their order; returns one value for each of
            ``writes`` (several: as a tuple). It must not change what it reads, except data that
            it also writes, which it may change in place (None returned for one says that). On the
            device it launches work on the current stream and returns without waiting for it.
        reads, writes : Data or iterables of Data
        place : "host" or "device"
            Where it runs. What it reads is copied there if need be.
        name : str, optional
            For messages and timelines. Default: the function's own.
        tag : object, optional
            What it belongs to, for messages and timelines: the number of a chunk, say.

        Raises
        ------
        FlowError
            A datum has no value yet or is of another flow, the flow is closed, or the call comes
            from one of its own tasks.
        FlowCancelled
            The flow was cancelled.
        Exception
            A task has failed before: its exception.
        """
        called = name or str(getattr(function, "__name__", "task"))
        if place not in PLACES:
            raise FlowError(f"flow: place={place!r} of task {called!r} must be one of {PLACES}.")
        read = check_data(called, "reads", reads, self)
        written = check_data(called, "writes", writes, self)
        task = Task(function, called, place if self.device is not None else "host", tag=tag)
        with self._engine.lock:
            self._engine.check_open()
            self._engine.add(connect(task, read, written))
        return task

    def result(self, data: Data, timeout: float | None = None) -> Any:
        """The value of a datum, on the host, as soon as the task that gives it is complete.

        Parameters
        ----------
        data : Data
        timeout : float, optional
            Seconds.

        Raises
        ------
        FlowError
            Nothing gives it a value.
        TimeoutError
            Not complete after that many seconds. The flow goes on.
        Exception
            What the task that failed raised, or :class:`FlowCancelled`.
        """
        check_data("result", "reads", data, self)
        engine = self._engine
        with engine.lock:
            if "host" not in data.instances:
                engine.check_open()
                if not data.instances:
                    raise FlowError(
                        f"flow: no task gives {data.name!r} a value; submit one that writes it."
                    )
                engine.add(bring(data, "host"))
            instance = data.instances["host"]
            writer = instance.writer
            if writer is not None:
                engine.wait(lambda: writer.done, timeout)
                if writer.state is not State.COMPLETE:
                    raise engine.failure()
            return instance.value

    def first(self, tasks: Iterable[Task], timeout: float | None = None) -> Task:
        """Wait until one of the tasks is complete, and return it: of several the first given.

        Raises
        ------
        TimeoutError
            None is complete after that many seconds. The flow goes on.
        Exception
            What a task of the flow raised, or :class:`FlowCancelled`.
        """
        given = list(tasks)
        if not given:
            raise FlowError("Flow.first: no tasks to wait for.")
        with self._engine.lock:
            self._engine.wait(lambda: any(task.done for task in given), timeout)
            for task in given:
                if task.state is State.COMPLETE:
                    return task
            raise self._engine.failure()

    def wait(self, timeout: float | None = None) -> None:
        """Wait until every task submitted is complete.

        Raises
        ------
        TimeoutError
            Not all are after that many seconds. The flow goes on.
        Exception
            What the task that failed raised (of several the first in program order), or
            :class:`FlowCancelled`.
        """
        engine = self._engine
        with engine.lock:
            engine.wait(lambda: not engine.live, timeout)
            if engine.broken:
                raise engine.failure()

    def cancel(self) -> None:
        """Drop every task that has not started; those that run come to their end."""
        self._engine.cancel()

    @property
    def cancelled(self) -> bool:
        """Whether the flow was cancelled or a task of it failed; long tasks may look at it."""
        return self._engine.broken

    def close(self) -> None:
        """Cancel what has not started, wait for what runs, and end all threads."""
        self._engine.close()

    def __enter__(self) -> Flow:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if error is None and not self._engine.closed:
                self.wait()
        finally:
            self.close()


def processors() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
