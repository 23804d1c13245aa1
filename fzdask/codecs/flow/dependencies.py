"""Who must wait for whom, inferred from what tasks read and write (sequential task flow).

Tasks are submitted in program order; a task depends on the earlier ones that give what it reads
(RAW), and, where it writes, on those that read (WAR) or gave (WAW) what it replaces. Copies
between host and device are tasks like any other, inserted where a task reads a datum that has no
instance at its place, so that they obey the same rules.

Sources: Agullo et al. 2017, "Achieving high performance on supercomputers with a sequential
task-based programming model"; Augonnet et al. 2024, "CUDASTF" (logical data, places).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fzdask.codecs.flow.data import Data, Instance, Place
from fzdask.codecs.flow.task import FlowError, Kind, Task

__all__ = ["bring", "connect"]


def connect(task: Task, reads: Sequence[Data], writes: Sequence[Data]) -> list[Task]:
    """Give a task its instances and its place in the graph; the copies it needs come first.

    Parameters
    ----------
    task : Task
        Not yet connected.
    reads, writes : sequences of Data
        As declared, in the order of arguments and results.

    Returns
    -------
    list of Task
        The copies, then the task, in program order.

    Raises
    ------
    FlowError
        A datum is read before anything gives it a value, or written twice by the task. Nothing
        has changed then.
    """
    _check(task, reads, writes)
    connected = [c for data in reads for c in bring(data, task.place, task.tag)]
    inputs = [data.instances[task.place] for data in reads]
    before = {instance.writer for instance in inputs}
    for data in writes:
        for instance in data.instances.values():
            before.add(instance.writer)
            before |= instance.readers
    outputs = [Instance(task.place, writer=task) for _ in writes]
    task.updates = [reads.index(data) if data in reads else -1 for data in writes]
    _link(task, inputs, outputs, before)
    for data, output in zip(writes, outputs, strict=True):
        data.instances = {task.place: output}
    return [*connected, task]


def bring(data: Data, place: Place, tag: Any = None) -> list[Task]:
    """The connected task that copies a datum to a place; none if it is there already."""
    if place in data.instances:
        return []
    (source,) = data.instances.values()
    kind: Kind = "upload" if place == "device" else "download"
    copy = Task(None, data.name, place, kind=kind, tag=tag)
    copied = Instance(place, writer=copy)
    _link(copy, [source], [copied], {source.writer})
    data.instances[place] = copied
    return [copy]


def _check(task: Task, reads: Sequence[Data], writes: Sequence[Data]) -> None:
    for data in reads:
        if not data.instances:
            raise FlowError(
                f"flow: task {task.name!r} reads {data.name!r}, to which nothing before it gives "
                "a value; submit the task that writes it first, or make it with flow.data(value)."
            )
    twice = [data.name for k, data in enumerate(writes) if data in writes[:k]]
    if twice:
        raise FlowError(
            f"flow: task {task.name!r} writes {twice[0]!r} twice; name each datum once."
        )


def _link(
    task: Task, inputs: list[Instance], outputs: list[Instance], before: set[Task | None]
) -> None:
    """Make the task a follower of those before it that are not complete."""
    task.inputs = inputs
    task.outputs = outputs
    if task.kind != "task":
        task.updates = [-1] * len(outputs)
    for instance in inputs:
        instance.readers.add(task)
    for other in before:
        if other is None or other is task or other.done:
            continue
        other.successors.append(task)
        task.incomplete += 1
        if task.on_stream and other.on_stream:
            task.waits.append(other)
            if not other.launched:
                task.unlaunched += 1
        else:
            task.unlaunched += 1
