"""Better plans for more work: multi-start, and a local search by swap and insert moves.

Budgets are counted in work, not read from a clock: the kernels count the entries they look at and
move, in units of one to two nanoseconds. The same call therefore gives the same plan on every
machine; only how long it takes differs.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import chain

import numpy as np

from fzdask.scheduling.backfill import backfill, backfilled_johnson, backfilled_knapsack
from fzdask.scheduling.instance import Instance, Placement
from fzdask.scheduling.johnson import perturbed_orders, starting_orders
from fzdask.scheduling.kernels.search import local_search
from fzdask.scheduling.listing import extended_johnson, place

__all__ = ["first_plans", "improve", "multi_start", "work_of"]

STARTS = 16

WORK_PER_SECOND = 600_000_000
"""Measured: a unit takes 1.5 to 1.8 ns of processor time with 7 to 2000 jobs around 8 busy
intervals, up to 2.7 ns around 40, on one core of a busy server."""


def work_of(seconds: float) -> int:
    """Work units that a budget in nominal seconds allows."""
    return int(seconds * WORK_PER_SECOND)


def first_plans(instance: Instance, *, target: int = 0) -> Placement:
    """The best of Johnson's order with and without backfilling and of the knapsack order.

    What every search begins with, whatever its budget; stops at a makespan of `target` ns.
    """
    best = backfilled_johnson(instance)
    if best.makespan > target:
        best = _better(best, extended_johnson(instance))
    if best.makespan > target:
        best = _better(best, backfilled_knapsack(instance))
    return best


def multi_start(
    instance: Instance,
    start: Placement | None = None,
    *,
    budget: int,
    seed: int = 0,
    target: int = 0,
    starts: int = STARTS,
) -> Placement:
    """The best of `start` (default: `first_plans`) and of `starts` other orders, backfilled.

    The orders of `starting_orders` come first, then those of `perturbed_orders`, one by one
    until `budget` work is used up or a makespan of `target` ns is reached. Priority rules on
    perturbed durations as a source of starts: Hart and Shogan, Operations Research Letters 6
    (1987) 107.
    """
    best = first_plans(instance, target=target) if start is None else start
    one = best.work // best.evaluations
    if best.makespan <= target or best.work + one > budget:
        return best
    rules = starting_orders(instance.compress, instance.write, instance.release)
    perturbed = perturbed_orders(
        instance.compress, instance.write, max(0, starts - len(rules)), seed
    )
    for name, order in chain(rules.items(), (("perturbed", order) for order in perturbed)):
        if best.makespan <= target or best.work + one > budget:
            break
        best = _better(best, backfill(instance, order, method=f"{name}+backfill"))
    return best


def _better(best: Placement, trial: Placement) -> Placement:
    """The shorter plan, with the cost of both."""
    kept = trial if trial.makespan < best.makespan else best
    return replace(
        kept, evaluations=best.evaluations + trial.evaluations, work=best.work + trial.work
    )


def improve(
    instance: Instance, start: Placement, *, budget: int, seed: int = 0, target: int = 0
) -> Placement:
    """Search around `start` by swap and insert moves, backfilling every order tried.

    Never returns a longer plan than `start`. Stops at a makespan of `target` ns or when `budget`
    work is used up; rounds of descent, of descent from a perturbed best (iterated local search,
    Lourenço, Martin and Stützle 2003) and of threshold accepting (Dueck and Scheuer, Journal of
    Computational Physics 90 (1990) 161) take turns.
    """
    n = instance.size
    if n < 2 or start.makespan <= target or budget <= 0:
        return start
    mean = int(instance.compress.sum() + instance.write.sum()) // (2 * n)
    one = bool(np.array_equal(start.first, start.second))
    first, second, best, evaluations, work = local_search(
        start.first,
        start.second,
        one,
        start.makespan,
        instance.arrays(),
        budget,
        seed + 1,
        target,
        mean // 8,
    )
    evaluations += start.evaluations
    work += start.work
    if best >= start.makespan:
        return replace(start, evaluations=int(evaluations), work=int(work))
    found = place(instance, first, second, backfilling=True, method=f"{start.method}+improved")
    return replace(found, evaluations=int(evaluations), work=int(work))
