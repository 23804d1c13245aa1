"""The scheduling model: jobs, busy intervals, workers, shared storage, placed tasks.

Every worker is a two-machine flow shop with fixed unavailability intervals and non-resumable
jobs: machine 1 is the idle time of its compute thread (compression), machine 2 that of its
background thread (writing). A job compresses first and writes afterwards.

The records of this module are what planner, simulator, recorder and pictures exchange:

========== ==========================================================================
`Job`      one block to compress and write, with durations in seconds
`Busy`     when the two threads of one worker are taken by the simulation itself
`Worker`   a name, a node and its busy intervals
`Storage`  a bandwidth that the writes of a node, or of all workers, share
`Task`     one placed or executed interval: what a plan and a trace consist of
========== ==========================================================================

Times are seconds (float) at the interface. Planning itself is done in integer nanoseconds
(`to_ns`: rounded to the nearest), so that no comparison needs a tolerance.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from fzdask.errors import ConfigError

__all__ = [
    "MAX_SECONDS",
    "Busy",
    "Job",
    "Machine",
    "Storage",
    "Task",
    "Worker",
    "from_ns",
    "to_ns",
]

Machine = Literal["compute", "background"]
Interval = tuple[float, float]

MAX_SECONDS = 1e8
"""Longest duration or latest time accepted, in seconds (3 years): 2**63 ns is 92 times this,
so sums over a plan can be checked before they overflow."""

MAX_BANDWIDTH = 1e18
"""Largest bandwidth of a `Storage`, in bytes per second: sums of rates stay within 64 bits."""

_NS = 1_000_000_000


def to_ns(seconds: float) -> int:
    """Whole nanoseconds nearest to `seconds` (ties to even, as `round`)."""
    return round(seconds * _NS)


def from_ns(nanoseconds: int) -> float:
    """Seconds for a whole number of nanoseconds, correctly rounded."""
    return int(nanoseconds) / _NS


def _check_time(who: str, what: str, value: float) -> float:
    try:
        number = float(value + 0.0)  # unlike float(value), refuses text
    except (TypeError, ValueError):
        raise ConfigError(f"{who}: {what}={value!r} must be a number of seconds") from None
    if not 0.0 <= number <= MAX_SECONDS:  # also catches NaN
        raise ConfigError(
            f"{who}: {what}={value!r} must be between 0 and {MAX_SECONDS:g} seconds; "
            "times and durations are finite, not negative, and in seconds"
        )
    return number


@dataclass(frozen=True, slots=True)
class Job:
    """One block: compress it in the compute thread's idle time, then write it in the background.

    Parameters
    ----------
    name : str
        Unique within a plan.
    compress, write : float
        Durations in seconds, not negative. A task of zero length occupies no machine.
    release : float
        Earliest start of the compression, in seconds from the start of the iteration.
    field : str, optional
        Variable that the block belongs to; pictures colour by it, predictions group by it.
    nbytes : int
        Compressed size in bytes; only counts where workers share a `Storage`.
    worker : str, optional
        Worker that must compress and write it; None leaves the choice to the planner.
    node : str, optional
        Node whose workers may take it; None means any.

    Raises
    ------
    ConfigError
        A duration, the release or the size is negative, NaN or infinite, or the name is empty.
    """

    name: str
    compress: float
    write: float
    release: float = 0.0
    field: str | None = None
    nbytes: int = 0
    worker: str | None = None
    node: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise ConfigError(f"Job: name={self.name!r} must be a non-empty text")
        # Compared in one go where all is well: a plan may hold a million jobs.
        try:
            good = (
                0.0 <= self.compress <= MAX_SECONDS
                and 0.0 <= self.write <= MAX_SECONDS
                and 0.0 <= self.release <= MAX_SECONDS
            )
        except TypeError:
            good = False
        if not good:
            for what in ("compress", "write", "release"):
                _check_time(f"Job {self.name!r}", what, getattr(self, what))
        if self.nbytes < 0:
            raise ConfigError(f"Job {self.name!r}: nbytes={self.nbytes!r} must not be negative")


@dataclass(frozen=True, slots=True)
class Busy:
    """When the simulation itself occupies the two threads of a worker, in one iteration.

    Parameters
    ----------
    compute, background : sequence of (start, end)
        Busy intervals in seconds from the start of the iteration, sorted, disjoint (they may
        touch). Intervals of zero length are dropped. After the last one the thread is free
        for ever. Arrays of shape (n, 2) are accepted; tuples are stored.
    length : float, optional
        Length of the iteration without any dump. Default: the end of the last busy interval.
        Never shorter than that.

    Raises
    ------
    ConfigError
        An interval is reversed, negative or not finite, the intervals are unsorted or overlap,
        or `length` ends before the last of them.
    """

    compute: Sequence[Interval] = ()
    background: Sequence[Interval] = ()
    length: float | None = None

    def __post_init__(self) -> None:
        compute = _check_intervals("compute", self.compute)
        background = _check_intervals("background", self.background)
        last = max((i[-1][1] for i in (compute, background) if i), default=0.0)
        if self.length is None:
            length = last
        else:
            length = _check_time("Busy", "length", self.length)
            if length < last:
                raise ConfigError(
                    f"Busy: length={self.length!r} is shorter than the last busy interval, which "
                    f"ends at {last!r}; an iteration lasts at least until its own work is done"
                )
        object.__setattr__(self, "compute", compute)
        object.__setattr__(self, "background", background)
        object.__setattr__(self, "length", length)

    @property
    def iteration(self) -> float:
        """Length of the iteration without any dump, in seconds."""
        assert self.length is not None  # set in __post_init__
        return self.length


def _check_intervals(machine: str, intervals: Iterable[Iterable[float]]) -> tuple[Interval, ...]:
    kept: list[Interval] = []
    last = 0.0
    for index, pair in enumerate(intervals):
        who = f"Busy: {machine} interval {index}"
        try:
            start, end = (float(x) for x in pair)
        except (TypeError, ValueError):
            raise ConfigError(f"{who}: {pair!r} must be a pair (start, end) of seconds") from None
        if not (0.0 <= start <= end <= MAX_SECONDS) or math.isnan(start + end):
            raise ConfigError(
                f"{who}: ({start!r}, {end!r}) must satisfy 0 <= start <= end <= {MAX_SECONDS:g}"
            )
        if start < last:
            raise ConfigError(
                f"{who} starts at {start!r}, before the one before it ends ({last!r}); busy "
                "intervals must be sorted and disjoint: sort them and merge those that overlap"
            )
        last = end
        if end > start:
            kept.append((start, end))
    return tuple(kept)


@dataclass(frozen=True, slots=True)
class Worker:
    """A process with one compute thread and one background thread.

    Parameters
    ----------
    name : str
        Unique within a plan.
    busy : Busy
        Its busy intervals in this iteration.
    node : str
        Node that it runs on: blocks may move between the workers of a node.
    """

    name: str = "0"
    busy: Busy = Busy()
    node: str = "0"

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise ConfigError(f"Worker: name={self.name!r} must be a non-empty text")
        if not isinstance(self.busy, Busy):
            raise ConfigError(
                f"Worker {self.name!r}: busy={self.busy!r} must be a Busy(compute, background)"
            )


@dataclass(frozen=True, slots=True)
class Storage:
    """A storage bandwidth that several background threads share.

    A write of `nbytes` in `write` seconds draws nbytes / write bytes per second for its whole
    length, and the writes in progress at any time together draw at most `bandwidth`. A write
    that alone would exceed it is lengthened to nbytes / bandwidth.

    Parameters
    ----------
    bandwidth : float
        Bytes per second, at least 1; planned with as a whole number, rounded down.
    shared : {"all", "node"}
        Whether all workers share one such bandwidth or each node has its own.
    """

    bandwidth: float
    shared: Literal["all", "node"] = "all"

    def __post_init__(self) -> None:
        if not (1.0 <= self.bandwidth <= MAX_BANDWIDTH):
            raise ConfigError(
                f"Storage: bandwidth={self.bandwidth!r} must be between 1 and {MAX_BANDWIDTH:g} "
                "bytes per second"
            )
        if self.shared not in ("all", "node"):
            raise ConfigError(f"Storage: shared={self.shared!r} must be 'all' or 'node'")


@dataclass(frozen=True, slots=True)
class Task:
    """One interval on one machine: planned (by `Plan.tasks`) or executed (in a trace).

    A job has one task on each machine, or several where its execution was sliced.

    Attributes
    ----------
    job : str
        Name of the job; the label of the work for a task of the simulation itself.
    machine : {"compute", "background"}
        The thread that it ran on.
    worker : str
        Name of the worker.
    start, end : float
        Seconds from the start of the iteration (a plan) or of the run (a trace).
    field : str, optional
        Variable that the job belongs to.
    """

    job: str
    machine: Machine
    worker: str
    start: float
    end: float
    field: str | None = None

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return self.end - self.start
