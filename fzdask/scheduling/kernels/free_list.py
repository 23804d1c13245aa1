"""The free time of one machine as an ordered list of holes, with first-fit placement.

The list is cut into blocks of up to `BLOCK` holes kept in time order; every block knows its
longest hole and the end of its last one, and every group of `GROUP` consecutive blocks knows
its longest hole. A first-fit query is a binary search over the ends, then a scan over groups,
over blocks and over the holes of one block; a placement shrinks a hole, removes it or splits it.
With n placements among g holes a query looks at no more than about
log2(n + g) + (n + g) / (BLOCK * GROUP / 2) + GROUP + BLOCK entries.

A list is the tuple that `make` returns; all times are int64 nanoseconds, and the last hole ends
at `FOREVER`.
"""

from __future__ import annotations

import numpy as np

from fzdask.jit import njit

BLOCK = 64
GROUP = 64
FOREVER = 1 << 62
"""End of the last hole: later than any sum of durations that the planner accepts."""


@njit(nogil=True, cache=True)
def make(starts, ends, extra):
    """Free list over the holes [starts, ends), sorted and disjoint, with room for `extra` splits.

    Blocks begin half full, so that a block splits only after BLOCK / 2 splits of its holes.
    """
    half = BLOCK // 2
    blocks = (starts.size + half - 1) // half
    room = blocks + extra // half + 2
    hole_start = np.empty((room, BLOCK), np.int64)
    hole_end = np.empty((room, BLOCK), np.int64)
    count = np.zeros(room, np.int64)
    order = np.empty(room, np.int64)  # position in time -> block
    longest = np.zeros(room, np.int64)  # by position
    last_end = np.zeros(room, np.int64)  # by position
    group_longest = np.zeros((room + GROUP - 1) // GROUP, np.int64)
    used = np.array([blocks], np.int64)
    for i in range(starts.size):
        q = i // half
        k = count[q]
        hole_start[q, k] = starts[i]
        hole_end[q, k] = ends[i]
        count[q] = k + 1
        longest[q] = max(longest[q], ends[i] - starts[i])
        last_end[q] = ends[i]
        group_longest[q // GROUP] = max(group_longest[q // GROUP], longest[q])
    for q in range(blocks):
        order[q] = q
    return hole_start, hole_end, count, order, longest, last_end, group_longest, used


@njit(nogil=True, cache=True)
def _refresh(free, pos, old):
    """Recompute the longest hole of the block at `pos`, and of its group, after a hole of
    length `old` there was shortened: only where `old` was the longest."""
    hole_start, hole_end, count, order, longest, _, group_longest, used = free
    if old < longest[pos]:
        return
    q = order[pos]
    best = np.int64(0)
    for k in range(count[q]):
        best = max(best, hole_end[q, k] - hole_start[q, k])
    before = longest[pos]
    longest[pos] = best
    g = pos // GROUP
    if before < group_longest[g]:
        return
    best = np.int64(0)
    for p in range(g * GROUP, min(g * GROUP + GROUP, used[0])):
        best = max(best, longest[p])
    group_longest[g] = best


@njit(nogil=True, cache=True)
def _split_block(free, pos):
    """Move the later half of the full block at `pos` into a new block right after it."""
    hole_start, hole_end, count, order, longest, last_end, group_longest, used = free
    q = order[pos]
    new = used[0]
    half = BLOCK // 2
    kept = count[q] - half
    for k in range(half):
        hole_start[new, k] = hole_start[q, kept + k]
        hole_end[new, k] = hole_end[q, kept + k]
    count[new] = half
    count[q] = kept
    for p in range(used[0], pos + 1, -1):
        order[p] = order[p - 1]
        longest[p] = longest[p - 1]
        last_end[p] = last_end[p - 1]
    used[0] += 1
    order[pos + 1] = new
    for p in (pos, pos + 1):
        block = order[p]
        best = np.int64(0)
        for k in range(count[block]):
            best = max(best, hole_end[block, k] - hole_start[block, k])
        longest[p] = best
        last_end[p] = hole_end[block, count[block] - 1]
    for g in range(pos // GROUP, (used[0] + GROUP - 1) // GROUP):
        best = np.int64(0)
        for p in range(g * GROUP, min(g * GROUP + GROUP, used[0])):
            best = max(best, longest[p])
        group_longest[g] = best


@njit(nogil=True, cache=True)
def place(free, ready, duration):
    """Occupy the earliest `duration` ns that are free from `ready` on; return their start.

    A task of zero length starts at `ready` and occupies nothing.
    """
    hole_start, hole_end, count, order, longest, last_end, group_longest, used = free
    if duration == 0:
        return ready
    due = ready + duration
    low = 0
    high = used[0] - 1
    while low < high:  # first block whose last hole ends late enough
        mid = (low + high) // 2
        if last_end[mid] < due:
            low = mid + 1
        else:
            high = mid
    pos = low
    q = order[pos]
    k = 0
    while k < count[q] and (
        hole_end[q, k] < due or max(hole_start[q, k], ready) + duration > hole_end[q, k]
    ):
        k += 1
    if k == count[q]:
        # Every hole from here on starts after `ready`: its length alone decides.
        pos += 1
        while True:
            if pos % GROUP == 0:
                g = pos // GROUP
                while group_longest[g] < duration:
                    g += 1
                pos = g * GROUP
            stop = min((pos // GROUP + 1) * GROUP, used[0])
            while pos < stop and longest[pos] < duration:
                pos += 1
            if pos < stop:
                break
        q = order[pos]
        k = 0
        while hole_end[q, k] - hole_start[q, k] < duration:
            k += 1
    start = max(hole_start[q, k], ready)
    end = start + duration
    old = hole_end[q, k] - hole_start[q, k]
    if start > hole_start[q, k] and end < hole_end[q, k]:
        if count[q] == BLOCK:
            _split_block(free, pos)
            if k >= count[q]:
                k -= count[q]
                pos += 1
                q = order[pos]
        for i in range(count[q], k + 1, -1):
            hole_start[q, i] = hole_start[q, i - 1]
            hole_end[q, i] = hole_end[q, i - 1]
        count[q] += 1
        hole_start[q, k + 1] = end
        hole_end[q, k + 1] = hole_end[q, k]
        hole_end[q, k] = start
    elif start > hole_start[q, k]:
        hole_end[q, k] = start
    elif end < hole_end[q, k]:
        hole_start[q, k] = end
    elif count[q] > 1:
        for i in range(k, count[q] - 1):
            hole_start[q, i] = hole_start[q, i + 1]
            hole_end[q, i] = hole_end[q, i + 1]
        count[q] -= 1
    else:
        # An empty block keeps one hole of no length, so that the ends stay in order.
        hole_start[q, k] = end
    last_end[pos] = hole_end[q, count[q] - 1]
    _refresh(free, pos, old)
    return start
