"""The optimum of small instances, by enumeration."""

from __future__ import annotations

from fzdask.errors import ConfigError
from fzdask.scheduling.instance import Instance, Placement
from fzdask.scheduling.kernels.exact import enumerate_orders
from fzdask.scheduling.listing import list_schedule

__all__ = ["MAX_BRUTE_FORCE", "brute_force"]

MAX_BRUTE_FORCE = 8
"""8! squared orders, cut early: about a second; 7 jobs take about 0.1 s."""


def brute_force(instance: Instance) -> Placement:
    """A plan of the lowest possible makespan for at most `MAX_BRUTE_FORCE` jobs on one worker.

    Some optimal plan starts every task as early as its two orders allow, so enumerating all
    pairs of orders finds one. The orders are cut where even the write of the last job placed
    ends no earlier than the best plan found; no lower bound and no heuristic is used, so that
    it can serve as the truth that those are tested against.

    Raises
    ------
    ConfigError
        There are more jobs, or several workers share a storage.
    """
    if instance.size > MAX_BRUTE_FORCE or len(instance.compute) > 1 or instance.capacity:
        raise ConfigError(
            f"brute_force: {instance.size} jobs on {len(instance.compute)} workers; it takes at "
            f"most {MAX_BRUTE_FORCE} jobs on one worker without shared storage: use "
            "method='auto', whose gap to the lower bound is in the plan"
        )
    p = instance.arrays()
    beyond = (1 << 61) + 1
    _, first, second = enumerate_orders(
        p.compress, p.write, p.release, p.s1, p.e1, p.s2, p.e2, beyond
    )
    return list_schedule(instance, first, second, method="brute force")
