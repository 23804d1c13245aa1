"""The order in which a policy works off the jobs of one worker, by the planner's heuristics."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from fzdask.scheduling.backfill import backfilled_johnson
from fzdask.scheduling.instance import Instance, Placement
from fzdask.scheduling.johnson import johnson_order
from fzdask.scheduling.model import Busy, Job, to_ns
from fzdask.scheduling.planner import plan

__all__ = ["order_jobs"]

Ints = npt.NDArray[np.int64]


def order_jobs(
    order: str, jobs: Sequence[Job], busy: Busy, budget: float | None
) -> tuple[Ints, Ints, Ints, Ints]:
    """(order of compressions, of writes, planned starts of compressions, of writes), by position.

    Starts are in ns; those of the plain orders "fifo" and "johnson", which are no plans, are 0.

    Parameters
    ----------
    order : str
        "fifo", "johnson", "backfill" (Johnson's order, backfilled) or a method of `plan`.
    budget : float, optional
        Of `plan`, in seconds.
    """
    n = len(jobs)
    if order in ("fifo", "johnson"):
        sequence = np.arange(n)
        if order == "johnson":
            sequence = johnson_order(
                np.array([to_ns(j.compress) for j in jobs], np.int64),
                np.array([to_ns(j.write) for j in jobs], np.int64),
            )
        return sequence, sequence, np.zeros(n, np.int64), np.zeros(n, np.int64)
    if n == 0:
        empty = np.zeros(0, np.int64)
        return empty, empty, empty, empty
    if order == "backfill":
        placed: Placement = backfilled_johnson(Instance.from_jobs(jobs, busy))
        return _by_start(placed.compress_start, placed.write_start)
    settings = {} if budget is None else {"budget": budget}
    made = plan(jobs, busy, method=order, **settings)
    place = {job.name: k for k, job in enumerate(jobs)}
    starts = {"compute": np.zeros(n, np.int64), "background": np.zeros(n, np.int64)}
    for task in made.tasks:
        starts[task.machine][place[task.job]] = to_ns(task.start)
    return _by_start(starts["compute"], starts["background"])


def _by_start(first: Ints, second: Ints) -> tuple[Ints, Ints, Ints, Ints]:
    return (
        np.argsort(first, kind="stable"),
        np.argsort(second, kind="stable"),
        first,
        second,
    )
