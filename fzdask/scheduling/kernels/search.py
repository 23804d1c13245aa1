"""Search over orders: insertion greedies and a local search by swap and insert moves.

Deterministic: random numbers come from an xorshift generator (Marsaglia 2003) seeded by the
caller, comparisons are between integers, and the end is set by counted work, never by a clock.
"""

from __future__ import annotations

import numpy as np

from fzdask.jit import njit
from fzdask.scheduling.kernels.flat_list import copy
from fzdask.scheduling.kernels.schedule import schedule

ROUNDS = 8


@njit(nogil=True, cache=True)
def _draw(state, below):
    """The next random whole number in 0 .. below - 1."""
    x = state[0]
    x ^= x << np.uint64(13)
    x ^= x >> np.uint64(7)
    x ^= x << np.uint64(17)
    state[0] = x
    return np.int64((x >> np.uint64(11)) % np.uint64(below))


@njit(nogil=True, cache=True)
def _move(order, i, j, insert):
    """Swap the jobs at positions i and j, or take out the one at i and insert it at j."""
    job = order[i]
    if not insert:
        order[i] = order[j]
    elif i < j:
        for q in range(i, j):
            order[q] = order[q + 1]
    else:
        for q in range(i, j, -1):
            order[q] = order[q - 1]
    order[j] = job


@njit(nogil=True, cache=True)
def _copied(order):
    new = np.empty(order.size, np.int64)
    copy(order, 0, order.size, new, 0)
    return new


@njit(nogil=True, cache=True)
def local_search(first, second, one, makespan, p, budget, seed, target, tolerance):
    """Improve a pair of orders under backfilling until `target` or `budget` work is reached.

    The budget is spent in `ROUNDS` rounds. The first two keep every move that does not lengthen
    the plan; `one` says whether one order serves both machines. Later rounds restart from the
    best found, by turns after a few random moves, or accepting moves that lengthen the plan by
    less than a threshold that falls from `tolerance` to 0 (threshold accepting, Dueck and
    Scheuer 1990); the last two move the order of the writes on its own as well.

    Returns the two best orders, their makespan (`makespan`, with the orders given, where nothing
    shorter was found), the number of plans evaluated and the work done.
    """
    n = first.size
    state = np.empty(1, np.uint64)
    state[0] = np.uint64(seed) * np.uint64(2654435769) + np.uint64(88172645463325252)
    c_start = np.empty(n, np.int64)
    w_start = np.empty(n, np.int64)
    best_first = _copied(first)
    best_second = _copied(second)
    best = makespan
    now_first = _copied(first)
    now_second = _copied(second)
    now = best
    try_first = _copied(first)
    try_second = _copied(second)
    evaluations = 0
    work = np.int64(0)
    for r in range(ROUNDS):
        start = work
        stop = budget * (r + 1) // ROUNDS
        two = r >= ROUNDS - 2 or not one
        threshold = tolerance if r % 2 == 1 and r > 1 else np.int64(0)
        if r > 1:
            copy(best_first, 0, n, now_first, 0)
            copy(best_second, 0, n, now_second, 0)
            if r % 2 == 0:
                for _ in range(max(1, n // 8)):
                    i = _draw(state, n)
                    j = _draw(state, n)
                    _move(now_first, i, j, True)
                    _move(now_second, i, j, True)
        fresh = True  # the plan that a round begins with is taken whatever it is worth
        while work < stop and best > target:
            copy(now_first, 0, n, try_first, 0)
            copy(now_second, 0, n, try_second, 0)
            if not fresh:
                i = _draw(state, n)
                j = _draw(state, n)
                insert = _draw(state, 2) == 1
                which = _draw(state, 3) if two else np.int64(0)  # both, the first, the second
                if which != 2:
                    _move(try_first, i, j, insert)
                if which != 1:
                    _move(try_second, i, j, insert)
            value, units = schedule(try_first, try_second, p, True, c_start, w_start)
            work += units + 60 + 4 * n
            evaluations += 1
            allowed = now
            if threshold > 0:
                allowed += threshold * (stop - min(work, stop)) // max(stop - start, 1)
            if fresh or value <= allowed:
                fresh = False
                now = value
                copy(try_first, 0, n, now_first, 0)
                copy(try_second, 0, n, now_second, 0)
                if value < best:
                    best = value
                    copy(try_first, 0, n, best_first, 0)
                    copy(try_second, 0, n, best_second, 0)
    return best_first, best_second, best, evaluations, work


@njit(nogil=True, cache=True)
def insertion_greedy(jobs, p, two_lists, backfilling, budget):
    """Build the order(s) job by job, each at the position that gives the shortest partial plan.

    `jobs` is the sequence in which they are taken up. With `two_lists` every pair of positions
    in two separate orders is tried, else every position in a common one; ties go to the later
    position. Once `budget` work is used up, the rest are appended at the end.

    Returns both orders, the number of plans evaluated and the work done.
    """
    n = jobs.size
    first = np.empty(n, np.int64)
    second = np.empty(n, np.int64)
    best_first = np.empty(n, np.int64)
    best_second = np.empty(n, np.int64)
    c_start = np.empty(n, np.int64)
    w_start = np.empty(n, np.int64)
    work = np.int64(0)
    evaluations = 0
    for k in range(n):
        first[k] = jobs[k]
        second[k] = jobs[k]
        if work >= budget:
            continue
        best = np.int64(-1)
        m = k + 1
        for i in range(m):
            # From the end of the order to its front, one step each.
            if i > 0:
                first[m - 1 - i], first[m - i] = first[m - i], first[m - 1 - i]
            for q in range(m if two_lists else 1):
                if two_lists:
                    if q > 0:
                        second[m - 1 - q], second[m - q] = second[m - q], second[m - 1 - q]
                else:
                    copy(first, 0, m, second, 0)
                value, units = schedule(first[:m], second[:m], p, backfilling, c_start, w_start)
                work += units + 60
                evaluations += 1
                if best < 0 or value < best:
                    best = value
                    copy(first, 0, m, best_first, 0)
                    copy(second, 0, m, best_second, 0)
            if two_lists:  # back to the end
                for q in range(m - 1):
                    second[q] = second[q + 1]
                second[m - 1] = jobs[k]
        copy(best_first, 0, m, first, 0)
        copy(best_second, 0, m, second, 0)
    return first, second, evaluations, work
