"""Enumerate all pairs of orders: the optimum for a handful of jobs."""

from __future__ import annotations

import numpy as np

from fzdask.jit import njit


@njit(nogil=True, cache=True)
def _fit(starts, ends, free, ready, duration):
    """End of a task on a machine that is free from `free` on; without length it needs none."""
    if duration == 0:
        return ready
    begin = max(free, ready)
    h = 0
    while max(starts[h], begin) + duration > ends[h]:
        h += 1
    return max(starts[h], begin) + duration


@njit(nogil=True, cache=True)
def _best_writes(done, write, s2, e2, bound, best, choice):
    """Lowest end of the last write below `bound`, given when every compression is done.

    Depth first over write orders, cut where the time reached is no better than the best found.
    Fills `best` with that order; returns `bound` where no order beats it.
    """
    n = write.size
    used = np.zeros(n, np.bool_)
    time = np.zeros(n + 1, np.int64)
    last = np.zeros(n + 1, np.int64)
    choice[:] = -1
    depth = 0
    while depth >= 0:
        if choice[depth] >= 0:
            used[choice[depth]] = False
        c = choice[depth] + 1
        while c < n and used[c]:
            c += 1
        if c == n:
            choice[depth] = -1
            depth -= 1
            continue
        choice[depth] = c
        used[c] = True
        end = _fit(s2, e2, time[depth], done[c], write[c])
        last[depth + 1] = max(last[depth], end)
        if end >= bound:
            continue
        if depth == n - 1:
            bound = last[n]
            best[:] = choice[:n]
            continue
        depth += 1
        time[depth] = end if write[c] > 0 else time[depth - 1]
        choice[depth] = -1
    return bound


@njit(nogil=True, cache=True)
def enumerate_orders(compress, write, release, s1, e1, s2, e2, bound):
    """Lowest makespan below `bound` over all orders of compressions and all orders of writes.

    Returns it with the two orders; the orders are meaningless where nothing beats `bound`.
    """
    n = compress.size
    used = np.zeros(n, np.bool_)
    time = np.zeros(n + 1, np.int64)
    choice = np.full(n + 1, -1, np.int64)
    inner = np.full(n + 1, -1, np.int64)
    done = np.empty(n, np.int64)
    first = np.arange(n)
    second = np.arange(n)
    found = np.arange(n)
    depth = 0
    while depth >= 0:
        if choice[depth] >= 0:
            used[choice[depth]] = False
        c = choice[depth] + 1
        while c < n and used[c]:
            c += 1
        if c == n:
            choice[depth] = -1
            depth -= 1
            continue
        choice[depth] = c
        used[c] = True
        end = _fit(s1, e1, time[depth], release[c], compress[c])
        done[c] = end
        if _fit(s2, e2, 0, end, write[c]) >= bound:
            continue
        if depth == n - 1:
            value = _best_writes(done, write, s2, e2, bound, found, inner)
            if value < bound:
                bound = value
                first[:] = choice[:n]
                second[:] = found
            continue
        depth += 1
        time[depth] = end if compress[c] > 0 else time[depth - 1]
        choice[depth] = -1
    return bound, first, second
