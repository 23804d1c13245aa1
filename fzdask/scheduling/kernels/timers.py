"""A tournament tree: the earliest of many timers, each moved in O(log n), with no stale entries.

Eight children a node, so that the children of a node are one line of cache: node 0 is the root
and holds the minimum, the children of node i are 8 (i + 1) to 8 (i + 1) + 7, leaves come last.
"""

from __future__ import annotations

from fzdask.scheduling.kernels.borrowing import borrowing_njit


def tree_size(leaves: int) -> int:
    """Length of the array for so many leaves; to be filled with the value of an unset timer."""
    first, width = 0, 1
    while width < leaves:
        first, width = 8 * (first + 1), 8 * width
    return first + width


@borrowing_njit
def _first_leaf(tree):
    first = 0
    while 8 * (first + 1) < tree.size:
        first = 8 * (first + 1)
    return first


@borrowing_njit
def get_timer(tree, leaf):
    """Value of one leaf."""
    return tree[_first_leaf(tree) + leaf]


@borrowing_njit
def set_timer(tree, leaf, value):
    """Set one leaf and repair the path to the root."""
    i = _first_leaf(tree) + leaf
    tree[i] = value
    while i > 0:
        i = i // 8 - 1
        children = 8 * (i + 1)
        least = tree[children]
        for k in range(children + 1, children + 8):
            least = min(least, tree[k])
        if tree[i] == least:
            return
        tree[i] = least


@borrowing_njit
def first_timer(tree):
    """Leaf with the least value; of equal ones the lowest."""
    i = 0
    while 8 * (i + 1) < tree.size:
        i = 8 * (i + 1)
        while tree[i] != tree[i // 8 - 1]:
            i += 1
    return i - _first_leaf(tree)
