"""First fit of single tasks into the holes of an otherwise empty machine."""

from __future__ import annotations

import numpy as np

from fzdask.jit import njit


@njit(nogil=True, cache=True)
def earliest_ends(starts, ends, ready, duration):
    """End of each task if it were alone on the machine, started at or after its `ready`.

    O(log holes) a task: a tree of longest holes finds the next hole that is long enough.
    """
    holes = starts.size
    size = 1
    while size < holes:
        size *= 2
    longest = np.zeros(2 * size, np.int64)
    for i in range(holes):
        longest[size + i] = ends[i] - starts[i]
    for i in range(size - 1, 0, -1):
        longest[i] = max(longest[2 * i], longest[2 * i + 1])
    out = np.empty(ready.size, np.int64)
    for j in range(ready.size):
        if duration[j] == 0:
            out[j] = ready[j]
            continue
        due = ready[j] + duration[j]
        i = np.searchsorted(ends, due)
        if max(starts[i], ready[j]) + duration[j] > ends[i]:
            # Every later hole starts after `ready`: climb until a right sibling is long enough.
            node = size + i
            while node % 2 == 1 or longest[node + 1] < duration[j]:
                node //= 2
            node += 1
            while node < size:
                node *= 2
                if longest[node] < duration[j]:
                    node += 1
            i = node - size
        out[j] = max(starts[i], ready[j]) + duration[j]
    return out
