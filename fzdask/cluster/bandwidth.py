"""The bandwidth of a storage that workers share, estimated from their writes. Knows no Dask."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

__all__ = ["BandwidthEstimate", "Write", "aggregate_rate"]

KEEP = 2000
"""Writes of a group that are remembered: some tens of snapshots."""

LEAST = 16
"""Writes before which there is no estimate."""

SHARE = 0.8
"""Of the bytes, how many were moved at no more than the estimate. Above a half, since a storage is
not saturated all the time; below one, since some writes end in a cache."""


class Write(NamedTuple):
    """Bytes stored from `start` to `end`, in seconds of the wall clock."""

    start: float
    end: float
    nbytes: int


def aggregate_rate(writes: Iterable[Write], share: float = SHARE) -> float:
    """Bytes per second of all writes together, as large as for this share of the bytes.

    At every moment the writes in progress, each at its mean rate, add up to a rate. The result is
    the rate below which that share of the bytes was moved; 0 without writes that took any time.

    Parameters
    ----------
    writes : iterable of Write
        In any order; they may overlap.
    share : float
        From 0 to 1.
    """
    found = np.array([w for w in writes if w.end > w.start], np.float64).reshape(-1, 3)
    if not len(found):
        return 0.0
    start, end, nbytes = found.T
    rate = nbytes / (end - start)
    moments = np.concatenate([start, end])
    order = np.argsort(moments, kind="stable")
    rates = np.cumsum(np.concatenate([rate, -rate])[order])[:-1]
    lengths = np.diff(moments[order])
    moved = np.maximum(rates * lengths, 0.0)  # rounding may leave less than nothing
    by_rate = np.argsort(rates, kind="stable")
    reached = np.cumsum(moved[by_rate])
    at = int(np.searchsorted(reached, share * reached[-1]))
    return float(max(rates[by_rate][min(at, rates.size - 1)], 0.0))


class BandwidthEstimate:
    """Running estimate for every group of workers that shares a storage.

    A lower bound while the workers never saturate it. Hiccups and writes that end in a cache do
    not move it, as long as they are less than about a fifth of the bytes. The clocks of the
    workers should agree to well below the length of a dump; those of one node are the same.

    Parameters
    ----------
    keep : int
        Latest writes of a group that count.
    """

    def __init__(self, keep: int = KEEP) -> None:
        self._keep = keep
        self._writes: dict[str, deque[Write]] = {}
        self._workers: dict[str, set[str]] = {}

    def add(self, group: str, worker: str, writes: Iterable[Write]) -> None:
        """Note what a worker of a group has stored."""
        self._writes.setdefault(group, deque(maxlen=self._keep)).extend(writes)
        self._workers.setdefault(group, set()).add(worker)

    def forget(self, worker: str) -> None:
        """A worker has gone; what it has shown of the storage stays."""
        for workers in self._workers.values():
            workers.discard(worker)

    @property
    def bandwidths(self) -> Mapping[str, float]:
        """Bytes per second of each group in which several workers have written enough."""
        found = {}
        for group, writes in list(self._writes.items()):
            if len(self._workers[group]) < 2 or len(writes) < LEAST:
                continue
            rate = aggregate_rate(tuple(writes))
            if rate >= 1.0:
                found[group] = rate
        return found
