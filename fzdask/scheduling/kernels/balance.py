"""Spread jobs over workers so that the estimated finish of the last worker is early."""

from __future__ import annotations

import numpy as np

from fzdask.jit import njit


@njit(nogil=True, cache=True)
def _reaches(starts, ends, first, stop, work):
    """When `work` ns of free time have passed in the holes first .. stop - 1."""
    for h in range(first, stop):
        room = ends[h] - starts[h]
        if room >= work:
            return starts[h] + work
        work -= room
    return ends[stop - 1]


@njit(nogil=True, cache=True)
def _finish(w, load1, load2, holes):
    """Estimated finish of a worker: its loads poured into the free time of its machines."""
    s1, e1, o1, s2, e2, o2 = holes
    one = np.int64(0)
    two = np.int64(0)
    if load1 > 0:
        one = _reaches(s1, e1, o1[w], o1[w + 1], load1)
    if load2 > 0:
        two = _reaches(s2, e2, o2[w], o2[w + 1], load2)
    return max(one, two)


@njit(nogil=True, cache=True)
def longest_first(order, compress, write, low, high, holes):
    """Give each job, in `order`, to the worker low[j] .. high[j] - 1 that finishes earliest."""
    workers = holes[2].size - 1
    load1 = np.zeros(workers, np.int64)
    load2 = np.zeros(workers, np.int64)
    chosen = np.empty(order.size, np.int64)
    for j in order:
        best = np.int64(-1)
        pick = low[j]
        if high[j] - low[j] > 1:
            for w in range(low[j], high[j]):
                end = _finish(w, load1[w] + compress[j], load2[w] + write[j], holes)
                if best < 0 or end < best:
                    best = end
                    pick = w
        chosen[j] = pick
        load1[pick] += compress[j]
        load2[pick] += write[j]
    return chosen, load1, load2


@njit(nogil=True, cache=True)
def move_and_swap(chosen, load1, load2, compress, write, low, high, holes, steps):
    """Move a job off the worker that finishes last, or swap it with another worker's, as long as
    the later of the two workers then finishes earlier; give up after `steps` trials."""
    workers = load1.size
    jobs = chosen.size
    while steps > 0:
        worst = 0
        latest = np.int64(-1)
        for w in range(workers):
            end = _finish(w, load1[w], load2[w], holes)
            if end > latest:
                latest = end
                worst = w
        best = latest
        give = -1
        take = -1
        to = -1
        for j in range(jobs):
            if chosen[j] != worst or high[j] - low[j] < 2:
                continue
            a1 = load1[worst] - compress[j]
            b1 = load2[worst] - write[j]
            for v in range(low[j], high[j]):
                steps -= 1
                if v == worst:
                    continue
                end = _finish(v, load1[v] + compress[j], load2[v] + write[j], holes)
                end = max(end, _finish(worst, a1, b1, holes))
                if end < best:
                    best, give, take, to = end, j, -1, v
            for k in range(jobs):
                v = chosen[k]
                if v == worst or v < low[j] or v >= high[j] or worst < low[k] or worst >= high[k]:
                    continue
                steps -= 1
                end = _finish(worst, a1 + compress[k], b1 + write[k], holes)
                if end >= best:
                    continue
                a2 = load1[v] + compress[j] - compress[k]
                b2 = load2[v] + write[j] - write[k]
                end = max(end, _finish(v, a2, b2, holes))
                if end < best:
                    best, give, take, to = end, j, k, v
            if steps <= 0:
                break
        if give < 0:
            break
        chosen[give] = to
        load1[worst] -= compress[give]
        load2[worst] -= write[give]
        load1[to] += compress[give]
        load2[to] += write[give]
        if take >= 0:
            chosen[take] = worst
            load1[to] -= compress[take]
            load2[to] -= write[take]
            load1[worst] += compress[take]
            load2[worst] += write[take]
    return chosen
