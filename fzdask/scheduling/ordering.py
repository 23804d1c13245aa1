"""The order in which a policy works off the jobs of one worker, by the planner's heuristics."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from fzdask.scheduling.johnson import johnson_order
from fzdask.scheduling.model import Busy, Job, to_ns
from fzdask.scheduling.planner import plan

__all__ = ["order_jobs"]

Ints = npt.NDArray[np.int64]


def order_jobs(
    order: str, jobs: Sequence[Job], busy: Busy, budget: float
) -> tuple[Ints, Ints, Ints, Ints]:
    """(order of compressions, of writes, planned starts of compressions, of writes), by position.

    Starts are in ns; those of the plain orders "fifo" and "johnson", which are no plans, are 0.

    Parameters
    ----------
    order : str
        "fifo" (as given), "johnson", or another method of `plan`, ordered by planned starts.
    budget : float
        Of `plan`, in nominal seconds.
    """
    n = len(jobs)
    if order in ("fifo", "johnson"):
        sequence = np.arange(n)
        if order == "johnson":
            compress, write = (
                np.array([to_ns(getattr(j, what)) for j in jobs], np.int64)
                for what in ("compress", "write")
            )
            sequence = johnson_order(compress, write)
        return sequence, sequence, np.zeros(n, np.int64), np.zeros(n, np.int64)
    made = plan(jobs, busy, order, budget, stop_when_hidden=True)
    first, second = made.compress_start_ns, made.write_start_ns
    return np.argsort(first, kind="stable"), np.argsort(second, kind="stable"), first, second
