"""`plan`: from jobs and busy intervals to a plan, its lower bound and its gap."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import numpy as np

from fzdask.errors import ConfigError
from fzdask.scheduling.assign import balance, eligible_workers
from fzdask.scheduling.backfill import (
    backfilled_generation,
    backfilled_johnson,
    backfilled_knapsack,
)
from fzdask.scheduling.bound import Pool, lower_bound
from fzdask.scheduling.exact import brute_force
from fzdask.scheduling.improve import first_plans, improve, multi_start, work_of
from fzdask.scheduling.instance import Instance, Ints, Placement, durations, holes_of
from fzdask.scheduling.listing import (
    extended_johnson,
    generation_list,
    one_list_greedy,
    two_list_greedy,
)
from fzdask.scheduling.model import Busy, Job, Storage, Worker, to_ns
from fzdask.scheduling.plan_record import Plan
from fzdask.scheduling.rebalance import rebalance

__all__ = ["METHODS", "Plan", "plan"]

_FIXED: dict[str, Callable[[Instance], Placement]] = {
    "fifo": generation_list,
    "fifo+backfill": backfilled_generation,
    "johnson": extended_johnson,
    "johnson+backfill": backfilled_johnson,
    "knapsack+backfill": backfilled_knapsack,
    "one-list": one_list_greedy,
    "one-list+backfill": lambda i: one_list_greedy(i, backfilling=True),
    "two-list": two_list_greedy,
    "two-list+backfill": lambda i: two_list_greedy(i, backfilling=True),
    "exact": brute_force,
}

METHODS = ("auto", "multi-start", *_FIXED)
"""What `plan` takes as `method`."""

MULTI_START_SHARE = 4  # multi-start gets a quarter of the budget, the local search the rest
REBALANCE_SHARE = 3  # before that, moving jobs between workers gets up to a third


def plan(
    jobs: Iterable[Job],
    busy: Busy | Worker | Sequence[Worker] | None = None,
    method: str = "auto",
    budget: float = 0.05,
    *,
    storage: Storage | None = None,
    seed: int = 0,
    stop_when_hidden: bool = False,
) -> Plan:
    """Place every compression and write in idle time, so that the last write ends early.

    Deterministic: the same arguments give the same plan on every machine, since the budget is
    counted in work done and not read from a clock.

    Parameters
    ----------
    jobs : iterable of Job
    busy : Busy, Worker or sequence of Worker, optional
        Busy intervals of the only worker, or the workers. Default: one worker, never busy.
    method : str
        "auto" (multi-start, then local search, until the lower bound or the budget is reached),
        "multi-start", "johnson", "fifo", "one-list", "two-list" (these also with "+backfill"),
        "knapsack+backfill", or "exact" (8 jobs a worker at most).
    budget : float
        For "auto" and "multi-start", in nominal seconds: about what the search takes on one
        core, but counted in work and not by the clock. The plans of `first_plans` are always made.
    storage : Storage, optional
        A bandwidth that the writes of all workers, or of every node, share.
    seed : int
        Of the perturbed starts and the moves of the search.
    stop_when_hidden : bool
        Stop searching once nothing is left to hide, that is when the makespan is no longer than
        the iteration, rather than go on to the lower bound.

    Returns
    -------
    Plan

    Raises
    ------
    ConfigError
        An unknown method, a negative budget, names that are not unique, a job that asks for a
        worker or node that does not exist, or times that overflow. (Negative or NaN times and
        unsorted or overlapping busy intervals already fail in `Job` and `Busy`.)

    Notes
    -----
    A job longer than every hole is not an error: it is placed after the last busy interval, and
    `Plan.too_long` names it. Times are rounded to the nearest nanosecond.
    """
    jobs = tuple(jobs)
    workers = _workers(busy)
    _check(method, budget)
    times = durations(jobs, workers, storage)
    order, low, high, nodes = eligible_workers(jobs, workers)
    compute = tuple(holes_of(workers[w].busy.compute) for w in order)
    background = tuple(holes_of(workers[w].busy.background) for w in order)
    place = balance(times, low, high, compute, background)
    whole = Instance(
        times.compress,
        times.write,
        times.release,
        place,
        compute,
        background,
        times.rate,
        times.capacity,
    )
    pools = _pools(low, high, len(workers), storage, nodes)
    bound = lower_bound(whole, pools)
    floor = bound
    if stop_when_hidden:
        floor = max(floor, to_ns(max(w.busy.iteration for w in workers)))
    work = 0
    if method not in _FIXED and storage is None and np.any(high - low > 1):
        place, work = rebalance(
            whole, low, high, budget=work_of(budget) // REBALANCE_SHARE, target=floor
        )
        whole = replace(whole, worker=place)
    groups = _groups(whole, storage, nodes)
    parts = [(jobs_of, whole.part(jobs_of, members)) for jobs_of, members in groups]
    done = _plan_parts([part for _, part in parts], method, work_of(budget) - work, seed, floor)
    return _record(
        jobs,
        workers,
        storage,
        order[place],
        whole,
        [jobs_of for jobs_of, _ in parts],
        done,
        bound,
        work,
    )


def _workers(busy: Busy | Worker | Sequence[Worker] | None) -> tuple[Worker, ...]:
    if busy is None:
        return (Worker(),)
    if isinstance(busy, Busy):
        return (Worker(busy=busy),)
    if isinstance(busy, Worker):
        return (busy,)
    workers = tuple(busy)
    if not workers or not all(isinstance(worker, Worker) for worker in workers):
        raise ConfigError(
            f"plan: busy={busy!r} must be a Busy, a Worker or a sequence of at least one Worker"
        )
    return workers


def _check(method: str, budget: float) -> None:
    if method not in METHODS:
        near = difflib.get_close_matches(str(method), METHODS, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ConfigError(f"plan: method={method!r} must be one of {', '.join(METHODS)}{hint}")
    if not 0.0 <= budget < math.inf:
        raise ConfigError(f"plan: budget={budget!r} must be a number of seconds, 0 or more")


def _groups(
    whole: Instance, storage: Storage | None, nodes: dict[str, tuple[int, int]]
) -> list[tuple[Ints, list[int]]]:
    """Jobs and workers that have to be planned together."""
    if storage is None:
        order = np.argsort(whole.worker, kind="stable")
        used, begin = np.unique(whole.worker[order], return_index=True)
        return (
            [(mine, [int(w)]) for w, mine in zip(used, np.split(order, begin[1:]), strict=True)]
            if whole.size
            else []
        )
    ranges = [(0, len(whole.compute))] if storage.shared == "all" else list(nodes.values())
    groups = []
    for first, stop in ranges:
        mine = np.flatnonzero((whole.worker >= first) & (whole.worker < stop))
        if mine.size:
            groups.append((mine, sorted(set(whole.worker[mine].tolist()))))
    return groups


def _pools(
    low: Ints, high: Ints, workers: int, storage: Storage | None, nodes: dict[str, tuple[int, int]]
) -> list[Pool]:
    """All jobs on all workers, and for every smaller range the jobs that cannot leave it."""
    per_node = storage is not None and storage.shared == "node"
    pools = [Pool(np.arange(low.size), list(range(workers)), len(nodes) if per_node else 1)]
    smaller = set(nodes.values()) if len(nodes) > 1 else set()
    pinned = np.flatnonzero((high - low == 1) & (workers > 1))
    by_worker = pinned[np.argsort(low[pinned], kind="stable")]
    used, begin = np.unique(low[by_worker], return_index=True)
    for w, mine in zip(used, np.split(by_worker, begin[1:]), strict=False):
        pools.append(Pool(mine, [int(w)]))
    for first, stop in sorted(smaller):
        mine = np.flatnonzero((low >= first) & (high <= stop))
        if mine.size and stop - first > 1:
            pools.append(Pool(mine, list(range(first, stop))))
    return pools


def _plan_parts(
    parts: list[Instance], method: str, budget: int, seed: int, floor: int
) -> list[Placement]:
    """Plan every group; with a budget, those that end last first, each as far as it matters."""
    if method in _FIXED:
        return [_FIXED[method](part) for part in parts]
    # No group needs to end before the earliest possible end of the group that must end last.
    if len(parts) > 1:
        floor = max([floor, *(lower_bound(part) for part in parts)])
    done = [first_plans(part, target=floor) for part in parts]
    left = budget
    waiting = sum(part.size for part in parts)
    for g in sorted(range(len(parts)), key=lambda g: -done[g].makespan):
        share = left * parts[g].size // max(1, waiting)
        waiting -= parts[g].size
        starts = share // MULTI_START_SHARE if method == "auto" else share
        best = multi_start(parts[g], done[g], budget=starts, seed=seed, target=floor)
        if method == "auto":
            best = improve(parts[g], best, budget=share - best.work, seed=seed, target=floor)
        left -= best.work
        done[g] = best
    return done


def _record(
    jobs: tuple[Job, ...],
    workers: tuple[Worker, ...],
    storage: Storage | None,
    worker_of: Ints,
    whole: Instance,
    members: list[Ints],
    done: list[Placement],
    bound: int,
    work: int,
) -> Plan:
    c_start = np.zeros(len(jobs), np.int64)
    w_start = np.zeros(len(jobs), np.int64)
    c_rank = np.zeros(len(jobs), np.int64)
    w_rank = np.zeros(len(jobs), np.int64)
    backfilled = np.zeros(len(workers), np.bool_)
    for mine, placed in zip(members, done, strict=True):
        c_start[mine] = placed.compress_start
        w_start[mine] = placed.write_start
        c_rank[mine[placed.first]] = np.arange(mine.size)
        w_rank[mine[placed.second]] = np.arange(mine.size)
        backfilled[worker_of[mine]] = placed.backfilled
    last = max(done, key=lambda placed: placed.makespan, default=None)
    return Plan(
        jobs,
        workers,
        storage,
        last.method if last else "nothing to place",
        worker_of,
        c_start,
        c_start + whole.compress,
        w_start,
        w_start + whole.write,
        c_rank,
        w_rank,
        backfilled,
        bound,
        sum(placed.evaluations for placed in done),
        work + sum(placed.work for placed in done),
    )
