"""Orders in which jobs are placed: Johnson's, and the plain ones that a search starts from."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

__all__ = ["generation_order", "johnson_order", "perturbed_johnson_orders", "starting_orders"]

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
            late[np.argsort(write[late], kind="stable")[::-1]],
        ]
    ).astype(np.int64, copy=False)


def generation_order(release: Ints) -> Ints:
    """First in, first out: by release, ties in the order of the input."""
    return np.argsort(release, kind="stable").astype(np.int64, copy=False)


def perturbed_johnson_orders(compress: Ints, write: Ints, count: int, seed: int) -> Iterator[Ints]:
    """`count` orders by Johnson's rule on durations that were each scaled at random.

    Order k scales by factors between 1 - s and 1 + s, where s grows from 0.1 to 0.9 with k, so
    that neighbours in Johnson's order change places first. The same seed gives the same orders.
    """
    rng = np.random.default_rng(seed)
    for k in range(count):
        spread = 0.1 + 0.8 * k / max(1, count - 1)
        a = compress * (1.0 + spread * (2.0 * rng.random(compress.size) - 1.0))
        b = write * (1.0 + spread * (2.0 * rng.random(write.size) - 1.0))
        yield johnson_order(a, b)


def starting_orders(compress: Ints, write: Ints, release: Ints) -> dict[str, Ints]:
    """The orders that a multi-start begins with, by name, the most promising first.

    Longest tasks first leaves the short ones to fill what is left of the holes: the rule of
    first fit decreasing for bin packing (Johnson, Demers, Ullman, Garey and Graham 1974).
    """

    def descending(key: Ints) -> Ints:
        return np.argsort(-key, kind="stable").astype(np.int64, copy=False)

    return {
        "johnson": johnson_order(compress, write),
        "longest job": descending(compress + write),
        "longest compression": descending(compress),
        "longest write": descending(write),
        "compression minus write": descending(write - compress),
        "generation": generation_order(release),
    }
