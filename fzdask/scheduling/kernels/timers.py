"""A tournament tree: the earliest of many timers, each moved in O(log n), with no stale entries.

`tree` has 2 * size entries; leaf i is `tree[size + i]`, the root `tree[1]` the minimum.
"""

from __future__ import annotations

from numba import njit


@njit(nogil=True, cache=True)
def set_timer(tree, leaf, value):
    """Set one leaf and repair the path to the root."""
    size = tree.size // 2
    i = size + leaf
    tree[i] = value
    i //= 2
    while i >= 1:
        least = min(tree[2 * i], tree[2 * i + 1])
        if tree[i] == least:
            break
        tree[i] = least
        i //= 2


@njit(nogil=True, cache=True)
def first_timer(tree):
    """Leaf with the least value; of equal ones the lowest."""
    size = tree.size // 2
    least = tree[1]
    i = 1
    while i < size:
        i *= 2
        if tree[i] != least:
            i += 1
    return i - size
