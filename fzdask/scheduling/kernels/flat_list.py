"""The free time of one machine as two flat arrays of hole starts and ends.

Quicker than `free_list` while there are few holes, as in the inner loop of a search; linear in
the number of holes at worst. Work is counted in units of one to two nanoseconds, by the entries
looked at and moved, so that a search can stop at the same point on every machine.
"""

from __future__ import annotations

from fzdask.jit import njit

# Arrays are copied by loops here and in the other kernels: slices would do the same, but each
# takes a quarter of a second to compile.

PLACEMENT_WORK = 12
"""Work of a placement that scans and moves nothing."""


@njit(nogil=True, cache=True)
def copy(source, first, stop, target, at):
    """target[at:] = source[first:stop]."""
    for i in range(first, stop):
        target[at + i - first] = source[i]


@njit(nogil=True, cache=True)
def first_fit(starts, ends, base, count, ready, duration):
    """Index of the first of the holes base .. base + count - 1 with room from `ready` on."""
    due = ready + duration
    low = base
    high = base + count - 1
    while low < high:  # holes that end before `due` cannot hold it
        mid = (low + high) // 2
        if ends[mid] < due:
            low = mid + 1
        else:
            high = mid
    while max(starts[low], ready) + duration > ends[low]:
        low += 1
    return low


@njit(nogil=True, cache=True)
def occupy(starts, ends, base, count, hole, start, end):
    """Take [start, end) out of the hole at index `hole`; return the new count and the work."""
    stop = base + count
    if start > starts[hole]:
        if end < ends[hole]:
            for i in range(stop, hole + 1, -1):
                starts[i] = starts[i - 1]
                ends[i] = ends[i - 1]
            starts[hole + 1] = end
            ends[hole + 1] = ends[hole]
            ends[hole] = start
            return count + 1, stop - hole
        ends[hole] = start
        return count, 0
    if end < ends[hole]:
        starts[hole] = end
        return count, 0
    for i in range(hole, stop - 1):
        starts[i] = starts[i + 1]
        ends[i] = ends[i + 1]
    return count - 1, stop - hole


@njit(nogil=True, cache=True)
def place(starts, ends, count, ready, duration):
    """Occupy the earliest `duration` ns free from `ready` on: (start, new count, work).

    A task of zero length starts at `ready` and occupies nothing.
    """
    if duration == 0:
        return ready, count, 1
    hole = first_fit(starts, ends, 0, count, ready, duration)
    start = max(starts[hole], ready)
    count, moved = occupy(starts, ends, 0, count, hole, start, start + duration)
    return start, count, PLACEMENT_WORK + moved + hole // 4
