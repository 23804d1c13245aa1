"""From jobs and workers to integer arrays: what heuristics and kernels compute with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fzdask.errors import ConfigError
from fzdask.scheduling.kernels.free_list import FOREVER
from fzdask.scheduling.kernels.schedule import Arrays
from fzdask.scheduling.model import MAX_SECONDS, Busy, Job, Storage, Worker

__all__ = ["Durations", "Holes", "Instance", "Ints", "Placement", "durations", "holes_of", "joined"]

Ints = NDArray[np.int64]

_LIMIT = 1 << 61  # half of FOREVER: no start plus duration can reach the end of the last hole


@dataclass(frozen=True, slots=True)
class Holes:
    """Free intervals of one machine in ns: sorted, disjoint, the last one without end."""

    starts: Ints
    ends: Ints


def holes_of(busy: Sequence[tuple[float, float]]) -> Holes:
    """The holes that busy intervals (sorted, disjoint, in seconds) leave; they may be none."""
    if not busy:
        return Holes(np.zeros(1, np.int64), np.full(1, FOREVER, np.int64))
    edges = np.rint(np.asarray(busy, np.float64) * 1e9).astype(np.int64)
    starts = np.concatenate([np.zeros(1, np.int64), edges[:, 1]])
    ends = np.concatenate([edges[:, 0], np.full(1, FOREVER, np.int64)])
    kept = ends > starts
    return Holes(starts[kept], ends[kept])


@dataclass(frozen=True, slots=True)
class Durations:
    """Compression, write and release of every job in ns, and the bandwidth its write draws."""

    compress: Ints
    write: Ints
    release: Ints
    rate: Ints
    capacity: int


def durations(
    jobs: Sequence[Job], workers: Sequence[Worker], storage: Storage | None = None
) -> Durations:
    """Durations of `jobs` in whole nanoseconds, checked against overflow.

    With `storage`, a write that alone would exceed the bandwidth is lengthened to the time that
    the bandwidth needs, and `rate` is what each write draws, in bytes per second rounded up.

    Raises
    ------
    ConfigError
        Something is not a job, two jobs have the same name, or the times are too long to be
        added up in 64 bits.
    """
    stranger = next((job for job in jobs if not isinstance(job, Job)), None)
    if stranger is not None:
        raise ConfigError(f"plan: {stranger!r} is not a Job(name, compress, write)")
    if len({job.name for job in jobs}) != len(jobs):
        name, times = Counter(job.name for job in jobs).most_common(1)[0]
        raise ConfigError(
            f"plan: {times} jobs are called {name!r}; names must be unique, for example "
            "'field/block/step'"
        )
    n = len(jobs)
    seconds = np.empty((3, n), np.float64)
    seconds[0] = np.fromiter((job.compress for job in jobs), np.float64, n)
    seconds[1] = np.fromiter((job.write for job in jobs), np.float64, n)
    seconds[2] = np.fromiter((job.release for job in jobs), np.float64, n)
    compress, write, release = np.rint(seconds * 1e9).astype(np.int64)
    rate = np.zeros(n, np.int64)
    capacity = 0
    if storage is not None:
        capacity = int(storage.bandwidth)
        for i, job in enumerate(jobs):
            if job.nbytes:
                write[i], rate[i] = _drawn(job, int(write[i]), capacity)
    latest = max((worker.busy.iteration for worker in workers), default=0.0)
    total = 1e-9 * (compress.sum(dtype=np.float64) + write.sum(dtype=np.float64))
    total += latest + (float(seconds[2].max()) if n else 0.0)
    if total * 1e9 * max(1, len(workers)) >= _LIMIT:
        raise ConfigError(
            f"plan: {n} jobs and the busy intervals of {len(workers)} workers add up to "
            f"{total:.3g} seconds, too many nanoseconds for 64 bits; are the times in seconds?"
        )
    return Durations(compress, write, release, rate, capacity)


def _drawn(job: Job, write: int, capacity: int) -> tuple[int, int]:
    """Length in ns of the write of a job, at most `capacity` bytes per second; and its rate."""
    scaled = job.nbytes * 1_000_000_000  # Python's integers: bytes times ns exceeds 64 bits
    longer = max(write, -(-scaled // capacity))
    if longer > MAX_SECONDS * 1e9:
        raise ConfigError(
            f"plan: job {job.name!r} writes nbytes={job.nbytes}, which takes longer than "
            f"{MAX_SECONDS:g} seconds at the storage's {capacity} bytes per second"
        )
    return longer, -(-scaled // longer)


@dataclass(frozen=True, slots=True)
class Instance:
    """Jobs of one group of workers that must be planned together.

    A group is one worker, or all workers that share a storage bandwidth.

    Attributes
    ----------
    compress, write, release : ndarray of int64
        Per job, in ns.
    worker : ndarray of int64
        Index of each job's worker within the group.
    compute, background : tuple of Holes
        Free intervals, per worker.
    rate : ndarray of int64
        Bandwidth that each write draws, in bytes per second.
    capacity : int
        Bandwidth shared by all writes of the group; 0 means that none is shared.
    """

    compress: Ints
    write: Ints
    release: Ints
    worker: Ints
    compute: tuple[Holes, ...]
    background: tuple[Holes, ...]
    rate: Ints
    capacity: int = 0

    @classmethod
    def from_jobs(cls, jobs: Sequence[Job], busy: Busy | None = None) -> Instance:
        """All of `jobs` on one worker with the busy intervals `busy`."""
        busy = Busy() if busy is None else busy
        d = durations(jobs, [Worker(busy=busy)])
        return cls(
            d.compress,
            d.write,
            d.release,
            np.zeros(len(jobs), np.int64),
            (holes_of(busy.compute),),
            (holes_of(busy.background),),
            d.rate,
        )

    @property
    def size(self) -> int:
        """Number of jobs."""
        return int(self.compress.size)

    def used_workers(self) -> list[int]:
        """Workers that have a job."""
        return [int(w) for w in np.unique(self.worker)]

    def part(self, jobs: Ints, workers: Sequence[int]) -> Instance:
        """Some jobs and some workers; jobs of a worker that is left out go to the first one."""
        index = np.zeros(len(self.compute), np.int64)
        index[list(workers)] = np.arange(len(workers))
        return Instance(
            self.compress[jobs],
            self.write[jobs],
            self.release[jobs],
            index[self.worker[jobs]],
            tuple(self.compute[w] for w in workers),
            tuple(self.background[w] for w in workers),
            self.rate[jobs],
            self.capacity,
        )

    def arrays(self) -> Arrays:
        """The form that the kernels take."""
        s1, e1, o1 = joined(self.compute)
        s2, e2, o2 = joined(self.background)
        return Arrays(
            self.compress,
            self.write,
            self.release,
            self.worker,
            s1,
            e1,
            o1,
            s2,
            e2,
            o2,
            self.rate,
            self.capacity,
        )


def joined(machines: Sequence[Holes]) -> tuple[Ints, Ints, Ints]:
    """Holes of several machines in a row, and where those of each begin."""
    return (
        np.concatenate([m.starts for m in machines]),
        np.concatenate([m.ends for m in machines]),
        np.cumsum([0, *(m.starts.size for m in machines)], dtype=np.int64),
    )


@dataclass(frozen=True, slots=True)
class Placement:
    """Starts of all tasks of an instance, and the orders that they were placed in.

    Attributes
    ----------
    compress_start, write_start : ndarray of int64
        Per job, in ns.
    first, second : ndarray of int64
        Jobs in the order in which compressions and writes were placed.
    makespan : int
        End of the last write in ns.
    method : str
        The heuristic.
    backfilled : bool
        Whether a task may start before one that was placed earlier.
    evaluations : int
        Number of plans that the heuristic looked at.
    work : int
        What it cost, in the units of `fzdask.scheduling.improve`.
    """

    compress_start: Ints
    write_start: Ints
    first: Ints
    second: Ints
    makespan: int
    method: str
    backfilled: bool = False
    evaluations: int = 1
    work: int = 0
