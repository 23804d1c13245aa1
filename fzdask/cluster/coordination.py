"""The plan across workers: whose blocks go first where all share one storage. Knows no Dask."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Literal

import numpy as np

from fzdask.cluster.bandwidth import BandwidthEstimate, Write
from fzdask.cluster.profiles import Order, SnapshotProfile
from fzdask.scheduling.model import Job, Storage, Worker
from fzdask.scheduling.plan_record import Plan
from fzdask.scheduling.planner import plan

__all__ = ["Coordinator", "balanced_parts"]

METHOD = "johnson+backfill"
"""Milliseconds for thousands of blocks; what a search gains over it the engines' own refitting
at run time gains too."""

STALE = 0.05
"""A new plan is made when durations have changed by this share."""

WORTH = 0.1
"""A part moves to another process of its node if the snapshot then ends earlier by this share:
moving costs a copy between processes, which the model does not know."""

_JOIN = "\x00"  # between worker and block, in names of jobs


class Coordinator:
    """Collects profiles of the workers' snapshots, and orders their next ones.

    Parameters
    ----------
    storage : Storage, optional
        Bandwidth that the workers share. Default: estimated from their writes (`observe`); until
        there is an estimate each worker is planned alone.
    shared : {"all", "node"}
        Where it is estimated: whether all workers share one or those of each node.
    """

    def __init__(
        self, storage: Storage | None = None, shared: Literal["all", "node"] = "all"
    ) -> None:
        self._given = storage
        self._shared = shared
        self._estimate = BandwidthEstimate()
        self._profiles: dict[str, SnapshotProfile] = {}
        self._nodes: dict[str, str] = {}
        self._planned: dict[str, tuple[float, float, int]] = {}
        self._fresh: set[str] = set()
        self.last: Plan | None = None

    @property
    def profiles(self) -> Mapping[str, SnapshotProfile]:
        """The latest of every worker."""
        return self._profiles

    @property
    def storage(self) -> Storage | None:
        """The storage as it is planned with: given, estimated, or not known yet."""
        if self._given is not None:
            return self._given
        found = self._estimate.bandwidths
        if not found:
            return None
        # Of nodes the typical one: the model has one number for all of them.
        return Storage(float(np.median(list(found.values()))), self._shared)

    def observe(self, worker: str, node: str, writes: Iterable[Write]) -> None:
        """Note when a worker stored how much: bandwidths are estimated from it."""
        self._estimate.add("" if self._shared == "all" else node, worker, writes)

    def record(self, worker: str, node: str, profile: SnapshotProfile) -> bool:
        """Note what a snapshot took; whether it is time to plan: all workers have told."""
        if not profile.blocks:
            return False
        again = worker in self._fresh  # a second one, before others have told their first
        self._profiles[worker] = profile
        self._nodes[worker] = node
        self._fresh.add(worker)
        return again or self._fresh >= set(self._profiles)

    def forget(self, worker: str) -> None:
        """A worker has gone."""
        self._profiles.pop(worker, None)
        self._nodes.pop(worker, None)
        self._planned.pop(worker, None)
        self._fresh.discard(worker)
        self._estimate.forget(worker)

    def orders(self) -> dict[str, Order]:
        """The order for every worker whose blocks now take other times than when last planned."""
        self._fresh.clear()
        profiles = dict(self._profiles)  # called in a thread; others may come meanwhile
        nodes = dict(self._nodes)
        changed = [w for w, p in profiles.items() if self._changed(w, p)]
        if not changed:
            return {}
        jobs = [
            Job(
                f"{worker}{_JOIN}{b.name}",
                max(b.compress, 0.0),
                max(b.write, 0.0),
                field=b.field,
                nbytes=b.nbytes,
                worker=worker,
            )
            for worker, profile in profiles.items()
            for b in profile.blocks
        ]
        workers = [Worker(w, p.busy, nodes[w]) for w, p in profiles.items()]
        storage = self.storage
        self.last = plan(jobs, workers, METHOD, storage=storage)
        # With a shared storage everybody's order depends on everybody's blocks.
        told = list(profiles) if storage is not None else changed
        return {worker: _order(self.last, worker) for worker in told}

    def _changed(self, worker: str, profile: SnapshotProfile) -> bool:
        now = (
            sum(b.compress for b in profile.blocks),
            sum(b.write for b in profile.blocks),
            hash(frozenset(b.name for b in profile.blocks)),
        )
        old = self._planned.get(worker)
        if old is not None and old[2] == now[2]:
            moved = abs(now[0] - old[0]) + abs(now[1] - old[1])
            if moved <= STALE * (old[0] + old[1]):
                return False
        self._planned[worker] = now
        return True


def _order(made: Plan, worker: str) -> Order:
    skip = len(worker) + len(_JOIN)
    return Order(
        tuple(name[skip:] for name in made.order("compute", worker)),
        tuple(name[skip:] for name in made.order("background", worker)),
    )


def balanced_parts(
    homes: Mapping[str, str],
    seconds: Mapping[str, tuple[float, float]],
    nodes: Mapping[str, str],
) -> dict[str, str]:
    """Which worker compresses and stores each part of a snapshot.

    Parameters
    ----------
    homes : mapping of part to worker
        Where its data are.
    seconds : mapping of part to (compress, write)
        What it took before; a part that is missing stays at home.
    nodes : mapping of worker to node
        A part moves within its node only.

    Returns
    -------
    dict of part to worker
        The homes themselves, unless balancing ends the snapshot earlier by `WORTH`.
    """
    known = [part for part, home in homes.items() if part in seconds and home in nodes]
    per_node: dict[str, set[str]] = {}
    for worker, node in nodes.items():
        per_node.setdefault(node, set()).add(worker)
    if len(known) < len(homes) or all(len(w) < 2 for w in per_node.values()):
        return dict(homes)
    workers = [Worker(name, node=node) for name, node in nodes.items()]
    free = [Job(p, *seconds[p], node=nodes[homes[p]]) for p in known]
    pinned = [replace(job, worker=homes[job.name]) for job in free]
    at_home = plan(pinned, workers, METHOD)
    moved = plan(free, workers, METHOD)
    if moved.makespan > (1.0 - WORTH) * at_home.makespan:
        return dict(homes)
    chosen = {p: workers[int(w)].name for p, w in zip(known, moved.worker_of, strict=True)}
    return _stay_if_equal(homes, chosen, seconds)


def _stay_if_equal(
    homes: Mapping[str, str], chosen: dict[str, str], seconds: Mapping[str, tuple[float, float]]
) -> dict[str, str]:
    """Undo pairs of moves that exchange parts of about one size: they cost and gain nothing."""
    away = [p for p, w in chosen.items() if w != homes[p]]
    size = {p: float(np.sum(seconds[p])) for p in away}
    for p in away:
        if chosen[p] == homes[p]:
            continue
        for q in away:
            swapped = chosen[q] == homes[p] and chosen[q] != homes[q]
            if q != p and swapped and abs(size[p] - size[q]) <= STALE * size[p]:
                chosen[q] = chosen[p]
                chosen[p] = homes[p]
                break
    return chosen
