"""What happened: intervals of both threads and one row per snapshot, kept in bounded memory."""

from __future__ import annotations

from collections import deque
from typing import Literal, NamedTuple

from fzdask.scheduling.model import Task

__all__ = ["Interval", "Kind", "Records", "SnapshotRow"]

Kind = Literal["compress", "write", "core", "compute", "window", "blocked", "publish", "plan"]

_MACHINE: dict[Kind, Literal["compute", "background"]] = {
    "compress": "compute",
    "compute": "compute",
    "write": "background",
    "core": "background",
    "publish": "background",
}


class Interval(NamedTuple):
    """Something that took from `start` to `end`, in seconds of `time.perf_counter`."""

    kind: Kind
    name: str
    field: str | None
    start: float
    end: float


class SnapshotRow(NamedTuple):
    """Figures of one stored snapshot; seconds and bytes."""

    name: str
    blocks: int
    raw_nbytes: int
    nbytes: int
    compress_seconds: float
    write_seconds: float
    latency: float
    fields: dict[str, tuple[int, int, float, float]]


class Records:
    """The latest intervals and snapshots.

    Parameters
    ----------
    keep : int
        Intervals that are kept; a quarter as many snapshots.
    """

    def __init__(self, keep: int) -> None:
        self.intervals: deque[Interval] = deque(maxlen=max(1, keep))
        self.snapshots: deque[SnapshotRow] = deque(maxlen=max(1, keep // 4))

    def add(self, kind: Kind, name: str, field: str | None, start: float, end: float) -> None:
        """Note an interval."""
        self.intervals.append(Interval(kind, name, field, start, end))

    def tasks(self, worker: str) -> tuple[Task, ...]:
        """The intervals as tasks for Gantt charts, in seconds from the first of them.

        The simulation's own work is what lies between its idle windows ("compute").
        """
        kept = [i for i in tuple(self.intervals) if i.kind in _MACHINE]
        begin = min((i.start for i in kept), default=0.0)
        tasks = []
        for i in sorted(kept, key=lambda i: i.start):
            # Charts know the simulation's own work by these names.
            name = i.kind if i.kind in ("compute", "core") else i.name
            field = "making steps visible" if i.kind == "publish" else i.field
            tasks.append(
                Task(name, _MACHINE[i.kind], worker, i.start - begin, i.end - begin, field)
            )
        return tuple(tasks)
