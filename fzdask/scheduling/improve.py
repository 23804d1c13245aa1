"""Better plans for more work: multi-start, and a local search by swap and insert moves.

Budgets are counted in work, not read from a clock: one unit is what took about a nanosecond on
the machine where the kernels were measured. The same call therefore gives the same plan on
every machine; only how long it takes differs.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import chain

from fzdask.scheduling.backfill import backfill, backfilled_johnson
from fzdask.scheduling.instance import Instance, Placement
from fzdask.scheduling.johnson import perturbed_orders, starting_orders
from fzdask.scheduling.kernels.search import local_search
from fzdask.scheduling.listing import extended_johnson, place

__all__ = ["improve", "multi_start", "work_of"]

STARTS = 16


def work_of(seconds: float) -> int:
    """Work units that a budget in nominal seconds allows."""
    return int(seconds * 1e9)


def multi_start(
    instance: Instance, *, budget: int, seed: int = 0, target: int = 0, starts: int = STARTS
) -> Placement:
    """The best of Johnson's order with and without backfilling and of `starts` other orders.

    The other orders (`starting_orders`, then `perturbed_orders`) are backfilled one by one until
    `budget` work is used up or a makespan of `target` ns is reached. Johnson's order and the
    first of the others are always tried, whatever the budget.

    Priority rules on perturbed durations as a source of starts: Hart and Shogan, Operations
    Research Letters 6 (1987) 107.
    """
    best = backfilled_johnson(instance)
    work = best.work
    evaluations = 1

    def keep(trial: Placement) -> None:
        nonlocal best, work, evaluations
        work += trial.work
        evaluations += 1
        if trial.makespan < best.makespan:
            best = trial

    if best.makespan > target:
        keep(extended_johnson(instance))
    rules = starting_orders(instance.compress, instance.write, instance.release)
    del rules["johnson"]
    count = max(0, starts - len(rules))
    perturbed = perturbed_orders(instance.compress, instance.write, count, seed)
    named = chain(rules.items(), (("perturbed", order) for order in perturbed))
    for k, (name, order) in enumerate(named):
        if best.makespan <= target or (k > 0 and work + best.work > budget):
            break
        keep(backfill(instance, order, method=f"{name}+backfill"))
    return replace(best, evaluations=evaluations, work=work)


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
    first, second, best, evaluations, work = local_search(
        start.first, start.second, instance.arrays(), budget, seed + 1, target, mean // 8
    )
    evaluations += start.evaluations
    work += start.work
    if best >= start.makespan:
        return replace(start, evaluations=int(evaluations), work=int(work))
    found = place(instance, first, second, backfilling=True, method=f"{start.method}+improved")
    return replace(found, evaluations=int(evaluations), work=int(work))
