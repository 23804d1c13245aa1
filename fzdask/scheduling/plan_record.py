"""What `plan` returns: starts and ends of every task, and how good the plan is."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fzdask.errors import ConfigError
from fzdask.scheduling.bound import Capacity
from fzdask.scheduling.instance import Ints, holes_of
from fzdask.scheduling.model import Job, Machine, Storage, Task, Worker, from_ns, to_ns

__all__ = ["Plan"]


@dataclass(frozen=True, eq=False, repr=False)
class Plan:
    """Where every compression and every write goes, and how far that is from the best possible.

    No task overlaps another on its machine or a busy interval, no write starts before its
    compression has ended, and none before its job's release. Times in ns are exact; those in
    seconds are their nearest floats.

    Attributes
    ----------
    jobs : tuple of Job
        As given to `plan`.
    workers : tuple of Worker
        As given to `plan`.
    storage : Storage or None
        The bandwidth that writes share, if any.
    method : str
        The heuristic that the plan comes from; with several workers, of the one that ends last.
    worker_of : ndarray of int64, shape (jobs,)
        Index in `workers` of every job's worker.
    compress_start_ns, compress_end_ns, write_start_ns, write_end_ns : ndarray of int64
        Per job, in the order of `jobs`.
    compress_rank, write_rank : ndarray of int64
        When each task was placed, compared with the others of its worker: backfilling may start
        a task before one of a lower rank, but never moves that one.
    backfilled : ndarray of bool, shape (workers,)
        Whether the tasks of each worker were backfilled.
    lower_bound_ns : int
        A makespan that no plan of these jobs on these workers can beat.
    evaluations : int
        Number of plans looked at.
    work : int
        Work counted against the budget, in the units of `fzdask.scheduling.improve`.
    """

    jobs: tuple[Job, ...]
    workers: tuple[Worker, ...]
    storage: Storage | None
    method: str
    worker_of: Ints
    compress_start_ns: Ints
    compress_end_ns: Ints
    write_start_ns: Ints
    write_end_ns: Ints
    compress_rank: Ints
    write_rank: Ints
    backfilled: NDArray[np.bool_]
    lower_bound_ns: int
    evaluations: int
    work: int

    @cached_property
    def makespan_ns(self) -> int:
        """End of the last write, in ns; 0 without jobs."""
        return int(self.write_end_ns.max(initial=0))

    @property
    def makespan(self) -> float:
        """End of the last write, in seconds from the start of the iteration."""
        return from_ns(self.makespan_ns)

    @property
    def lower_bound(self) -> float:
        """A makespan in seconds that no plan of these jobs can beat."""
        return from_ns(self.lower_bound_ns)

    @property
    def gap_percent(self) -> float:
        """Makespan over lower bound, less one, in percent: 0 means proven optimal."""
        if self.lower_bound_ns == 0:
            return 0.0
        return 100.0 * (self.makespan_ns - self.lower_bound_ns) / self.lower_bound_ns

    @property
    def iteration(self) -> float:
        """Length of the iteration without any dump, in seconds: that of the longest worker."""
        return max((worker.busy.iteration for worker in self.workers), default=0.0)

    @property
    def overhead(self) -> float:
        """Iteration with the dump minus without, over without: 0 when all of it is hidden.

        Infinite for a dump with no simulation to hide behind.
        """
        return self._overhead(self.makespan)

    @property
    def overhead_bound(self) -> float:
        """The overhead that the lower bound leaves unavoidable."""
        return self._overhead(self.lower_bound)

    def _overhead(self, makespan: float) -> float:
        late = max(0.0, makespan - self.iteration)
        if late == 0.0:
            return 0.0
        return late / self.iteration if self.iteration else float("inf")

    @property
    def end(self) -> float:
        """End of the iteration with the dump, in seconds."""
        return max(self.iteration, self.makespan)

    @cached_property
    def idle(self) -> dict[Machine, float]:
        """Free time that no task uses until `end`, in seconds, summed over the workers."""
        end = np.array([max(to_ns(self.iteration), self.makespan_ns)])
        free1 = sum(int(Capacity([holes_of(w.busy.compute)]).until(end)[0]) for w in self.workers)
        free2 = sum(
            int(Capacity([holes_of(w.busy.background)]).until(end)[0]) for w in self.workers
        )
        used1 = int((self.compress_end_ns - self.compress_start_ns).sum())
        used2 = int((self.write_end_ns - self.write_start_ns).sum())
        return {"compute": from_ns(free1 - used1), "background": from_ns(free2 - used2)}

    @cached_property
    def tasks(self) -> tuple[Task, ...]:
        """Compression and write of every job, in the order of `jobs`."""
        names = [worker.name for worker in self.workers]
        tasks = []
        rows = zip(
            self.jobs,
            self.worker_of.tolist(),
            self.compress_start_ns.tolist(),
            self.compress_end_ns.tolist(),
            self.write_start_ns.tolist(),
            self.write_end_ns.tolist(),
            strict=True,
        )
        for job, w, c0, c1, w0, w1 in rows:
            name = names[w]
            tasks.append(Task(job.name, "compute", name, from_ns(c0), from_ns(c1), job.field))
            tasks.append(Task(job.name, "background", name, from_ns(w0), from_ns(w1), job.field))
        return tuple(tasks)

    def order(self, machine: Machine, worker: str | None = None) -> list[str]:
        """Names of the jobs in the order in which a worker's thread runs them.

        This, rather than the start times, is what an engine follows: durations differ from what
        was predicted, the order survives that.

        Parameters
        ----------
        machine : {"compute", "background"}
        worker : str, optional
            Default: the only worker.

        Raises
        ------
        ConfigError
            No such machine or worker, or no name although there are several workers.
        """
        names = [w.name for w in self.workers]
        if machine not in ("compute", "background"):
            raise ConfigError(f"Plan.order: machine={machine!r} must be 'compute' or 'background'")
        if worker is None and len(names) == 1:
            worker = names[0]
        if worker not in names:
            raise ConfigError(
                f"Plan.order: worker={worker!r} must be one of {', '.join(map(repr, names[:8]))}"
            )
        index = names.index(worker)
        starts = self.compress_start_ns if machine == "compute" else self.write_start_ns
        ends = self.compress_end_ns if machine == "compute" else self.write_end_ns
        mine = np.flatnonzero(self.worker_of == index)
        return [self.jobs[j].name for j in mine[np.lexsort((ends[mine], starts[mine]))]]

    @cached_property
    def too_long(self) -> tuple[str, ...]:
        """Jobs with a task longer than every hole that its worker has within the iteration.

        Such a task cannot be hidden by any plan: it is placed where it delays the end least,
        usually after the last busy interval. The remedy is to cut the block in two. Empty where
        the iteration has no length, since then there is nothing to hide behind.
        """
        limit = to_ns(self.iteration)
        if limit == 0:
            return ()
        longest = np.zeros((2, len(self.workers)), np.int64)
        for w, worker in enumerate(self.workers):
            for m, busy in enumerate((worker.busy.compute, worker.busy.background)):
                holes = holes_of(busy)
                room = np.minimum(holes.ends, limit) - np.minimum(holes.starts, limit)
                longest[m, w] = room.max(initial=0)
        compress = self.compress_end_ns - self.compress_start_ns
        write = self.write_end_ns - self.write_start_ns
        bad = (compress > longest[0, self.worker_of]) | (write > longest[1, self.worker_of])
        return tuple(self.jobs[j].name for j in np.flatnonzero(bad))

    def to_dict(self) -> dict[str, Any]:
        """Plain Python values for JSON: the figures, and one row per job."""
        rows = zip(
            (job.name for job in self.jobs),
            (self.workers[w].name for w in self.worker_of),
            self.compress_start_ns.tolist(),
            self.compress_end_ns.tolist(),
            self.write_start_ns.tolist(),
            self.write_end_ns.tolist(),
            strict=True,
        )
        return {
            "method": self.method,
            "makespan": self.makespan,
            "iteration": self.iteration,
            "overhead": self.overhead,
            "lower_bound": self.lower_bound,
            "gap_percent": self.gap_percent,
            "idle": dict(self.idle),
            "evaluations": self.evaluations,
            "columns_ns": ["job", "worker", "compress", "compressed", "write", "written"],
            "jobs": [list(row) for row in rows],
        }

    def __repr__(self) -> str:
        count = len(self.workers)
        return (
            f"Plan({len(self.jobs)} jobs on {count} worker{'s' if count != 1 else ''}, "
            f"{self.method}: makespan {self.makespan:.6g} s, overhead {100 * self.overhead:.3g} %, "
            f"lower bound {self.lower_bound:.6g} s, gap {self.gap_percent:.3g} %)"
        )

    def _repr_html_(self) -> str:
        from fzdask.scheduling.gantt_svg import gantt_html

        return gantt_html(self)
