"""Place the tasks of one group of jobs in given orders: after what is placed, or backfilled.

`first` and `second` are the orders in which compressions and writes are placed; a partial plan
names some of the jobs only. Times are int64 nanoseconds; of each machine the last hole has no
end. Every function fills the starts `c_start` and `w_start`, indexed by job, and returns the
makespan and the work done, in units of one to two nanoseconds.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fzdask.jit import njit
from fzdask.scheduling.kernels import flat_list, free_list

FLAT_HOLES = 512
"""With fewer holes than this on a machine a flat list is quicker than a blocked one (measured:
18 ns a placement against 120 with 9 holes, equal at about 600)."""

BLOCKED_WORK = 300
"""Work of one placement in a blocked list: 160 to 400 ns from 10^3 to 10^6 jobs."""


class Arrays(NamedTuple):
    """One group of jobs on one or more workers, as arrays.

    Holes of worker w on machine 1 are s1[o1[w]:o1[w + 1]] to e1[...], likewise machine 2.
    Worker is 0 for every job of a group of one. Where `capacity` is not 0, a write draws
    `rate` of it for its whole length.
    """

    compress: np.ndarray
    write: np.ndarray
    release: np.ndarray
    worker: np.ndarray
    s1: np.ndarray
    e1: np.ndarray
    o1: np.ndarray
    s2: np.ndarray
    e2: np.ndarray
    o2: np.ndarray
    rate: np.ndarray
    capacity: int


@njit(nogil=True, cache=True)
def _list_one(first, second, p, c_start, w_start):
    time = np.int64(0)
    h = 0
    for k in range(first.size):
        j = first[k]
        if p.compress[j] == 0:
            c_start[j] = p.release[j]
            continue
        time = max(time, p.release[j])
        while max(time, p.s1[h]) + p.compress[j] > p.e1[h]:
            h += 1
        time = max(time, p.s1[h])
        c_start[j] = time
        time += p.compress[j]
    work = h
    time = np.int64(0)
    makespan = np.int64(0)
    h = 0
    for k in range(second.size):
        j = second[k]
        done = c_start[j] + p.compress[j]
        if p.write[j] == 0:
            w_start[j] = done
            makespan = max(makespan, done)
            continue
        time = max(time, done)
        while max(time, p.s2[h]) + p.write[j] > p.e2[h]:
            h += 1
        time = max(time, p.s2[h])
        w_start[j] = time
        time += p.write[j]
        makespan = max(makespan, time)
    return makespan, work + h + 6 * first.size


@njit(nogil=True, cache=True)
def _backfill_flat(first, second, p, c_start, w_start):
    room = max(p.s1.size, p.s2.size) + first.size + 1
    starts = np.empty(room, np.int64)
    ends = np.empty(room, np.int64)
    work = np.int64(100 + p.s1.size + p.s2.size)
    count = p.s1.size
    flat_list.copy(p.s1, 0, count, starts, 0)
    flat_list.copy(p.e1, 0, count, ends, 0)
    for k in range(first.size):
        j = first[k]
        c_start[j], count, units = flat_list.place(starts, ends, count, p.release[j], p.compress[j])
        work += units
    count = p.s2.size
    flat_list.copy(p.s2, 0, count, starts, 0)
    flat_list.copy(p.e2, 0, count, ends, 0)
    makespan = np.int64(0)
    for k in range(second.size):
        j = second[k]
        done = c_start[j] + p.compress[j]
        w_start[j], count, units = flat_list.place(starts, ends, count, done, p.write[j])
        work += units
        makespan = max(makespan, w_start[j] + p.write[j])
    return makespan, work


@njit(nogil=True, cache=True)
def _backfill_blocked(first, second, p, c_start, w_start):
    free = free_list.make(p.s1, p.e1, first.size)
    for k in range(first.size):
        j = first[k]
        c_start[j] = free_list.place(free, p.release[j], p.compress[j])
    free = free_list.make(p.s2, p.e2, second.size)
    makespan = np.int64(0)
    for k in range(second.size):
        j = second[k]
        w_start[j] = free_list.place(free, c_start[j] + p.compress[j], p.write[j])
        makespan = max(makespan, w_start[j] + p.write[j])
    return makespan, BLOCKED_WORK * 2 * first.size


@njit(nogil=True, cache=True)
def _copy_holes(starts, ends, offsets, jobs_of):
    """Holes of all workers with room for the splits that their own jobs can cause."""
    workers = offsets.size - 1
    base = np.zeros(workers + 1, np.int64)
    count = np.empty(workers, np.int64)
    for w in range(workers):
        count[w] = offsets[w + 1] - offsets[w]
        base[w + 1] = base[w] + count[w] + jobs_of[w] + 1
    s = np.empty(base[workers], np.int64)
    e = np.empty(base[workers], np.int64)
    for w in range(workers):
        flat_list.copy(starts, offsets[w], offsets[w + 1], s, base[w])
        flat_list.copy(ends, offsets[w], offsets[w + 1], e, base[w])
    return s, e, base, count


@njit(nogil=True, cache=True)
def _last_at_or_before(times, count, when):
    """Index of the last of times[:count], ascending from 0, that is not after `when`."""
    low = 0
    high = count - 1
    while low < high:
        mid = (low + high + 1) // 2
        if times[mid] <= when:
            low = mid
        else:
            high = mid - 1
    return low


@njit(nogil=True, cache=True)
def _split_profile(times, levels, count, when):
    """Make `when` a breakpoint of the step function; return its index and the new count."""
    i = _last_at_or_before(times, count, when)
    if times[i] == when:
        return i, count
    for k in range(count, i + 1, -1):
        times[k] = times[k - 1]
        levels[k] = levels[k - 1]
    times[i + 1] = when
    levels[i + 1] = levels[i]
    return i + 1, count + 1


@njit(nogil=True, cache=True)
def _joint(first, second, p, backfilling, c_start, w_start):
    """Several workers, whose writes may share a bandwidth: place in the order given."""
    workers = p.o1.size - 1
    jobs_of = np.zeros(workers, np.int64)
    for k in range(first.size):
        jobs_of[p.worker[first[k]]] += 1
    work = np.int64(200)
    last = np.zeros(workers, np.int64)
    s, e, base, count = _copy_holes(p.s1, p.e1, p.o1, jobs_of)
    for k in range(first.size):
        j = first[k]
        w = p.worker[j]
        c_start[j] = p.release[j]
        if p.compress[j] == 0:
            continue
        ready = p.release[j] if backfilling else max(p.release[j], last[w])
        hole = flat_list.first_fit(s, e, base[w], count[w], ready, p.compress[j])
        start = max(s[hole], ready)
        end = start + p.compress[j]
        count[w], moved = flat_list.occupy(s, e, base[w], count[w], hole, start, end)
        c_start[j] = start
        last[w] = end
        work += flat_list.PLACEMENT_WORK + moved
    s, e, base, count = _copy_holes(p.s2, p.e2, p.o2, jobs_of)
    times = np.zeros(2 * second.size + 2, np.int64)  # what the writes placed so far draw
    levels = np.zeros(2 * second.size + 2, np.int64)
    steps = 1
    last = np.zeros(workers, np.int64)
    makespan = np.int64(0)
    for k in range(second.size):
        j = second[k]
        w = p.worker[j]
        start = c_start[j] + p.compress[j]
        if p.write[j] == 0:
            w_start[j] = start
            makespan = max(makespan, start)
            continue
        if not backfilling:
            start = max(start, last[w])
        while True:
            hole = flat_list.first_fit(s, e, base[w], count[w], start, p.write[j])
            start = max(s[hole], start)
            end = start + p.write[j]
            if p.capacity == 0:
                break
            i = _last_at_or_before(times, steps, start)
            clash = -1
            while i < steps and times[i] < end:
                if levels[i] + p.rate[j] > p.capacity:
                    clash = i
                i += 1
                work += 1
            if clash < 0:
                break
            # Level 0 ends the profile, so a step that is too high has one after it.
            start = times[clash + 1]
        count[w], moved = flat_list.occupy(s, e, base[w], count[w], hole, start, end)
        work += flat_list.PLACEMENT_WORK + moved
        if p.capacity > 0:
            i, steps = _split_profile(times, levels, steps, start)
            until, steps = _split_profile(times, levels, steps, end)
            for q in range(i, until):
                levels[q] += p.rate[j]
            work += 2 * (steps - i)
        w_start[j] = start
        last[w] = end
        makespan = max(makespan, end)
    return makespan, work


@njit(nogil=True, cache=True)
def schedule(first, second, p, backfilling, c_start, w_start):
    """Place compressions in the order `first`, then writes in the order `second`.

    Without backfilling every task starts as early as possible after the one placed before it on
    its machine; with it, in the earliest idle interval that holds it, so that no task placed
    before is moved. A task of zero length starts when it is ready and occupies no machine.
    """
    if p.o1.size > 2 or p.capacity > 0:
        return _joint(first, second, p, backfilling, c_start, w_start)
    if not backfilling:
        return _list_one(first, second, p, c_start, w_start)
    if p.s1.size < FLAT_HOLES and p.s2.size < FLAT_HOLES:
        return _backfill_flat(first, second, p, c_start, w_start)
    return _backfill_blocked(first, second, p, c_start, w_start)
