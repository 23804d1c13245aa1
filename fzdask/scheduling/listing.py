"""List schedules: every task as early as possible after those placed before it.

The names follow Jin, Di, Vivien, Wang, Robert, Tao and Cappello, Concealing
compression-accelerated I/O for HPC applications through in situ task scheduling, EuroSys 2024,
which compares extended Johnson, generation list, one-list greedy and two-list greedy schedules.
The greedy ones are defined here as insertion into one order, or into two independent ones: what
each does exactly, ties included, is in its docstring.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fzdask.errors import ConfigError
from fzdask.scheduling.instance import Instance, Ints, Placement
from fzdask.scheduling.johnson import generation_order, johnson_order
from fzdask.scheduling.kernels.schedule import schedule
from fzdask.scheduling.kernels.search import insertion_greedy

__all__ = [
    "extended_johnson",
    "generation_list",
    "list_schedule",
    "one_list_greedy",
    "place",
    "two_list_greedy",
]

UNLIMITED = 1 << 60

MAX_ONE_LIST = 2000
MAX_TWO_LISTS = 300
"""Most jobs for the greedy lists without a budget: beyond, they take longer than minutes."""


def place(
    instance: Instance, first: Ints, second: Ints, *, backfilling: bool, method: str
) -> Placement:
    """Place compressions in the order `first`, then writes in the order `second`."""
    c_start = np.empty(instance.size, np.int64)
    w_start = np.empty(instance.size, np.int64)
    makespan, work = schedule(first, second, instance.arrays(), backfilling, c_start, w_start)
    return Placement(
        c_start, w_start, first, second, int(makespan), method, backfilling, 1, int(work)
    )


def list_schedule(
    instance: Instance, first: Ints, second: Ints | None = None, *, method: str = "list"
) -> Placement:
    """Start each task as early as possible after the task before it on its machine.

    Optimal for its two orders: no schedule that keeps them ends earlier. O(jobs + holes).

    Parameters
    ----------
    first, second : ndarray of int64
        Orders of compressions and of writes; one order serves both where `second` is None.
    """
    return place(
        instance, first, first if second is None else second, backfilling=False, method=method
    )


def extended_johnson(instance: Instance) -> Placement:
    """Johnson's order around busy intervals, without backfilling.

    Optimal where there are neither busy intervals nor releases (Johnson 1954); "ExtJohnson" in
    Jin et al. 2024, and the first adaptation in section 8.2 of Cappello et al., Future
    Generation Computer Systems (2024), doi:10.1016/j.future.2024.05.022.
    """
    order = johnson_order(instance.compress, instance.write)
    return list_schedule(instance, order, method="johnson")


def generation_list(instance: Instance) -> Placement:
    """Jobs in the order in which they come, without backfilling (first in, first out)."""
    return list_schedule(instance, generation_order(instance.release), method="fifo")


def one_list_greedy(
    instance: Instance, *, backfilling: bool = False, budget: int = UNLIMITED
) -> Placement:
    """Build one order for both machines, inserting each job where the plan ends earliest.

    Jobs are taken up in Johnson's order; each is tried at every position of the order so far,
    and ties go to the later position. This is the insertion of Nawaz, Enscore and Ham (Omega 11
    (1983) 91). Looks at n (n + 1) / 2 plans, so O(n^3) time. Once `budget` work (see
    `fzdask.scheduling.improve`) is used up the remaining jobs are appended.
    """
    return _greedy(instance, False, backfilling, budget, "one-list")


def two_list_greedy(
    instance: Instance, *, backfilling: bool = False, budget: int = UNLIMITED
) -> Placement:
    """Build an order per machine, inserting each job where the plan ends earliest.

    As `one_list_greedy`, but every pair of positions in the two orders is tried: n (n + 1)
    (2 n + 1) / 6 plans, so O(n^4) time.
    """
    return _greedy(instance, True, backfilling, budget, "two-list")


def _greedy(
    instance: Instance, two_lists: bool, backfilling: bool, budget: int, method: str
) -> Placement:
    most = MAX_TWO_LISTS if two_lists else MAX_ONE_LIST
    if budget == UNLIMITED and instance.size > most:
        raise ConfigError(
            f"{method}: {instance.size} jobs; without a budget it takes at most {most}, since its "
            f"time grows with the {'fourth' if two_lists else 'third'} power: use method='auto'"
        )
    jobs = johnson_order(instance.compress, instance.write)
    first, second, evaluations, work = insertion_greedy(
        jobs, instance.arrays(), two_lists, backfilling, budget
    )
    done = place(instance, first, second, backfilling=backfilling, method=method)
    return replace(done, evaluations=int(evaluations) + 1, work=int(work) + done.work)
