"""Balanced assignment of blocks to the workers of a node."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fzdask.errors import ConfigError
from fzdask.scheduling.instance import Durations, Holes, Ints, joined
from fzdask.scheduling.kernels.balance import longest_first, move_and_swap
from fzdask.scheduling.model import Job, Worker

__all__ = ["balance", "eligible_workers"]

MAX_STEPS = 2_000_000
"""Trials of moves and swaps, tens of nanoseconds each."""


def eligible_workers(
    jobs: Sequence[Job], workers: Sequence[Worker]
) -> tuple[Ints, Ints, Ints, dict[str, tuple[int, int]]]:
    """Which workers may take each job, once the workers of a node stand side by side.

    Returns
    -------
    order : ndarray of int64
        Workers sorted by node, ties in the order given.
    low, high : ndarray of int64
        Job j may go to order[low[j]] .. order[high[j] - 1].
    nodes : dict
        The same range for every node.

    Raises
    ------
    ConfigError
        A job names a worker or a node that does not exist, or a worker that is on another node.
    """
    order = np.array(sorted(range(len(workers)), key=lambda w: workers[w].node), np.int64)
    place = {workers[w].name: p for p, w in enumerate(order)}
    if len(place) != len(workers):
        raise ConfigError("plan: two workers have the same name; names must be unique")
    nodes: dict[str, tuple[int, int]] = {}
    for p, w in enumerate(order):
        nodes[workers[w].node] = (nodes.get(workers[w].node, (p, p))[0], p + 1)
    low = np.zeros(len(jobs), np.int64)
    high = np.full(len(jobs), len(workers), np.int64)
    for j, job in enumerate(jobs):
        if job.node is None and job.worker is None:
            continue
        if job.node is not None:
            if job.node not in nodes:
                raise ConfigError(
                    f"plan: job {job.name!r} wants node {job.node!r}, but the workers are on "
                    f"{', '.join(map(repr, list(nodes)[:8]))}"
                )
            low[j], high[j] = nodes[job.node]
        if job.worker is not None:
            p = place.get(job.worker, -1)
            if not low[j] <= p < high[j]:
                where = "" if job.node is None else f" on node {job.node!r}"
                raise ConfigError(
                    f"plan: job {job.name!r} wants worker {job.worker!r}{where}, which is not "
                    f"among the {len(workers)} workers: {', '.join(map(repr, list(place)[:8]))}"
                )
            low[j], high[j] = p, p + 1
    return order, low, high, nodes


def balance(
    times: Durations, low: Ints, high: Ints, compute: Sequence[Holes], background: Sequence[Holes]
) -> Ints:
    """The worker of every job: low[j] <= result[j] < high[j], deterministic.

    Jobs are handed out longest first to the worker that would finish earliest (longest processing
    time first, Graham, SIAM Journal on Applied Mathematics 17 (1969) 416), where a worker's finish
    is estimated by pouring its compressions and its writes into the free time of its two threads.
    Then jobs are moved off the worker that finishes last, or swapped, as long as that helps
    (Finn and Horowitz, BIT 19 (1979) 312, for the moves).

    O(jobs x workers x busy intervals) at worst.
    """
    if not len(low) or int((high - low).max()) == 1:
        return low.copy()
    # Jobs without a choice first, so that the others see their load.
    free = high - low > 1
    order = np.lexsort((-(times.compress + times.write), free)).astype(np.int64, copy=False)
    holes = (*joined(compute), *joined(background))
    chosen, load1, load2 = longest_first(order, times.compress, times.write, low, high, holes)
    return np.asarray(
        move_and_swap(
            chosen, load1, load2, times.compress, times.write, low, high, holes, MAX_STEPS
        ),
        np.int64,
    )
