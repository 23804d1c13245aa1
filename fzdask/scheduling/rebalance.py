"""Move jobs off the worker that ends last, judged by real plans rather than by estimates."""

from __future__ import annotations

import numpy as np

from fzdask.scheduling.improve import first_plans
from fzdask.scheduling.instance import Instance, Ints, Placement

__all__ = ["rebalance"]

GIVEN = 6  # jobs of the last worker that are tried, those written last first
RECEIVERS = 3  # workers that each is offered to, those that end first first
SWAPPED = 3  # jobs of a receiver that are tried in exchange, the longest of the shorter ones

OVERHEAD = 150_000
"""Work of `first_plans` besides what its kernels count: about 0.15 ms of Python."""


class _Trial:
    """One worker's jobs with the plan that `first_plans` makes of them."""

    def __init__(self, whole: Instance, worker: int, jobs: Ints) -> None:
        self.worker = worker
        self.jobs = jobs
        self.plan: Placement | None = None
        self.end = 0
        self.work = 0
        if jobs.size:
            self.plan = first_plans(whole.part(jobs, [worker]))
            self.end = self.plan.makespan
            self.work = self.plan.work + OVERHEAD


def rebalance(
    whole: Instance, low: Ints, high: Ints, *, budget: int, target: int
) -> tuple[Ints, int]:
    """A better assignment than ``whole.worker``, by hill climbing; and the work it took.

    As long as it makes the worker that ends last end earlier, a job of that worker is moved to,
    or swapped with a shorter one of, another worker that may take it and then ends earlier than
    the last one did. Stops when none is found, at a makespan of `target` ns, or when `budget`
    work is used up. Workers must not share a storage: each is planned alone.
    """
    assigned = whole.worker.copy()
    size = whole.compress + whole.write
    free = high - low > 1
    trials = [_Trial(whole, w, np.flatnonzero(assigned == w)) for w in range(len(whole.compute))]
    work = sum(t.work for t in trials)
    while work < budget:
        last = max(trials, key=lambda t: t.end)
        if last.end <= target or last.plan is None:
            break
        found = None
        late = last.jobs[np.argsort(-last.plan.write_start, kind="stable")]
        for j in [j for j in late.tolist() if free[j]][:GIVEN]:
            others = [t for t in trials[low[j] : high[j]] if t is not last]
            for other in sorted(others, key=lambda t: t.end)[:RECEIVERS]:
                # Nothing in exchange, or a shorter job that may go to the last worker.
                back = [
                    k
                    for k in other.jobs[np.argsort(-size[other.jobs], kind="stable")].tolist()
                    if size[k] < size[j] and low[k] <= last.worker < high[k]
                ]
                for k in [None, *back[:SWAPPED]]:
                    more = _Trial(whole, other.worker, _exchanged(other.jobs, k, j))
                    work += more.work
                    if more.end >= last.end:
                        continue
                    less = _Trial(whole, last.worker, _exchanged(last.jobs, j, k))
                    work += less.work
                    if less.end < last.end:
                        found = (less, more)
                        break
                if found or work >= budget:
                    break
            if found or work >= budget:
                break
        if not found:
            break
        for trial in found:
            trials[trial.worker] = trial
            assigned[trial.jobs] = trial.worker
    return assigned, work


def _exchanged(jobs: Ints, out: int | None, into: int | None) -> Ints:
    kept = jobs if out is None else jobs[jobs != out]
    return kept if into is None else np.sort(np.append(kept, into))
