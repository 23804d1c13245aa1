"""Orders in which jobs are placed: Johnson's, and the plain ones that a search starts from."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "generation_order",
    "johnson_order",
    "knapsack_order",
    "perturbed_orders",
    "starting_orders",
]

Ints = NDArray[np.int64]
Times = NDArray[np.int64] | NDArray[np.float64]


def johnson_order(compress: Times, write: Times) -> Ints:
    """Optimal order for two machines without busy intervals and without releases.

    Jobs whose compression is not longer than their write come first, by compression time
    ascending; the others follow, by write time descending. Ties keep the order of the input.
    With busy intervals it is a heuristic: the problem is NP-hard with a single one (Lee 1997).

    Parameters
    ----------
    compress, write : ndarray, shape (n,)
        Durations in any unit.

    Returns
    -------
    ndarray of int64, shape (n,)
        Job indices, in O(n log n).

    References
    ----------
    S. M. Johnson, Optimal two- and three-stage production schedules with setup times included,
    Naval Research Logistics Quarterly 1 (1954) 61.
    """
    early = np.flatnonzero(compress <= write)
    late = np.flatnonzero(compress > write)
    return np.concatenate(
        [
            early[np.argsort(compress[early], kind="stable")],
            late[np.argsort(-write[late], kind="stable")],
        ]
    ).astype(np.int64, copy=False)


def generation_order(release: Ints) -> Ints:
    """First in, first out: by release, ties in the order of the input."""
    return np.argsort(release, kind="stable").astype(np.int64, copy=False)


def knapsack_order(compress: Times, write: Times, power: float = 1.0) -> Ints:
    """Most writing per compressing first: by write over compression**power, descending.

    With power 1 this is the greedy order of the fractional knapsack (Dantzig, Operations
    Research 5 (1957) 266): at any time the compute time spent so far has bought as much work
    for the background thread as it can, which is what counts while long busy intervals of the
    compute thread keep the background thread short of work. Ties keep the order of the input.
    """
    worth = np.full(compress.size, np.inf)
    np.divide(write, np.asarray(compress, np.float64) ** power, out=worth, where=compress > 0)
    return np.argsort(-worth, kind="stable").astype(np.int64, copy=False)


def perturbed_orders(compress: Ints, write: Ints, count: int, seed: int) -> Iterator[Ints]:
    """`count` orders by Johnson's and the knapsack rule in turn, on randomly scaled durations.

    Order k scales every duration by a factor between 1 - s and 1 + s, where s grows from 0.1 to
    0.9 with k, so that neighbours in the order change places first. The same seed gives the
    same orders.
    """
    rng = np.random.default_rng(seed)
    for k in range(count):
        spread = 0.1 + 0.8 * k / max(1, count - 1)
        a = compress * (1.0 + spread * (2.0 * rng.random(compress.size) - 1.0))
        b = write * (1.0 + spread * (2.0 * rng.random(write.size) - 1.0))
        yield knapsack_order(a, b) if k % 2 else johnson_order(a, b)


def starting_orders(compress: Ints, write: Ints, release: Ints) -> dict[str, Ints]:
    """What a multi-start tries after Johnson's and the knapsack order, most promising first.

    Among them the longest write first, which leaves short ones to fill what is left
    of the holes (first fit decreasing, Johnson, Demers, Ullman, Garey and Graham, SIAM Journal
    on Computing 3 (1974) 299); "palmer", the slope index for two machines (Palmer, Operational
    Research Quarterly 16 (1965) 101), by write minus compression.
    """

    def descending(key: Ints) -> Ints:
        return np.argsort(-key, kind="stable").astype(np.int64, copy=False)

    return {
        "root knapsack": knapsack_order(compress, write, 0.5),
        "longest write": descending(write),
        "palmer": descending(write - compress),
        "longest job": descending(compress + write),
        "fifo": generation_order(release),
    }
