"""Writes that share a bandwidth: all in progress slow down by the same factor.

Each write alone would last a given time and draw a given bandwidth. While those in progress add
up to more than the bandwidth of the group, each is served at bandwidth / sum of its full speed.
As all are served alike, one clock per group tells the service each got since any moment, and a
write ends when that clock has advanced by its length: joining and leaving cost O(log workers).
"""

from __future__ import annotations

import math

from fzdask.scheduling.kernels.borrowing import borrowing_njit
from fzdask.scheduling.kernels.replay_state import (
    BANDWIDTH,
    CLOCK,
    CLOCK_SET,
    DRAWN,
    FIRST,
    INF,
    RATE,
    WRITES,
)
from fzdask.scheduling.kernels.timers import first_timer, get_timer, set_timer


@borrowing_njit
def next_to_end(groups, ends, g):
    """Worker of the group whose write ends first; of equal ones the lowest."""
    # The last row of `groups` only says where the last group ends.
    if groups.shape[0] == 2:
        return first_timer(ends)
    best = groups[g, FIRST]
    for w in range(best + 1, groups[g + 1, FIRST]):
        if get_timer(ends, w) < get_timer(ends, best):
            best = w
    return best


@borrowing_njit
def change_writes(groups, fluid, ends, g, w, t, write, draws):
    """Start (`write` >= 0 is its length) or end (`write` < 0) a write of worker w at time t.

    Returns when the next write of the group ends, as things stand.
    """
    fluid[g, CLOCK] += (t - groups[g, CLOCK_SET]) * fluid[g, RATE]
    groups[g, CLOCK_SET] = t
    if write >= 0:
        groups[g, WRITES] += 1
        fluid[g, DRAWN] += draws
        set_timer(ends, w, fluid[g, CLOCK] + write)
    else:
        groups[g, WRITES] -= 1
        fluid[g, DRAWN] -= draws
        set_timer(ends, w, math.inf)
    if groups[g, WRITES] == 0:
        # Nothing in progress: forget the rounding of the sums, restart the clock exactly.
        fluid[g, DRAWN] = 0.0
        fluid[g, CLOCK] = 0.0
        fluid[g, RATE] = 1.0
        return INF
    rate = 1.0
    if fluid[g, DRAWN] > fluid[g, BANDWIDTH]:
        rate = fluid[g, BANDWIDTH] / fluid[g, DRAWN]
    fluid[g, RATE] = rate
    service = get_timer(ends, next_to_end(groups, ends, g)) - fluid[g, CLOCK]
    if service <= 0.0:
        return t
    return t + math.ceil(service / rate)
