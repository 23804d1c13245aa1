"""A makespan that no plan can beat: relaxations of the flow shop, for any number of jobs.

Each function here is one bound; docs/planner.md derives them. `lower_bound` is their maximum.
All arithmetic is exact in integer nanoseconds, except one division that is rounded towards the
weaker bound.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from fzdask.scheduling.instance import Holes, Instance, Ints
from fzdask.scheduling.kernels.earliest import earliest_ends

__all__ = ["Capacity", "Pool", "lower_bound"]

MAX_SUBSETS = 14
"""All 2**n subsets of up to this many jobs are enumerated (a few milliseconds)."""

MAX_PAIRS = 20_000_000
"""Up to this many pairs of a job and a worker, every job is tried alone on every worker."""


class Capacity:
    """Free time of one or several machines together, as a function of the time.

    Parameters
    ----------
    machines : sequence of Holes
    """

    def __init__(self, machines: Sequence[Holes]) -> None:
        # Every machine is free after its last hole begins, so that end is no breakpoint.
        times = np.concatenate(
            [np.zeros(1, np.int64)] + [m.starts for m in machines] + [m.ends[:-1] for m in machines]
        )
        change = np.zeros(times.size, np.int64)
        opened = sum(m.starts.size for m in machines)
        change[1 : 1 + opened] = 1
        change[1 + opened :] = -1
        order = np.argsort(times, kind="stable")
        self.times, begin = np.unique(times[order], return_index=True)
        self.slope = np.cumsum(np.add.reduceat(change[order], begin))
        self.total = np.concatenate(
            [np.zeros(1, np.int64), np.cumsum(self.slope[:-1] * np.diff(self.times))]
        )

    def until(self, when: Ints) -> Ints:
        """Free time in [0, when], per entry."""
        i = np.searchsorted(self.times, when, side="right") - 1
        until: Ints = self.total[i] + self.slope[i] * (when - self.times[i])
        return until

    def reaches(self, work: Ints) -> Ints:
        """The earliest time by which `work` ns were free, per entry."""
        i = np.maximum(np.searchsorted(self.total, work, side="left") - 1, 0)
        slope = np.maximum(self.slope[i], 1)  # where it is 0 there is no work to reach
        when = self.times[i] - (-(work - self.total[i]) // slope)
        return np.where(work <= 0, 0, when)

    def after(self, start: Ints, work: Ints) -> Ints:
        """The earliest time by which `work` ns were free from `start` on, per entry."""
        return np.where(work <= 0, start, self.reaches(self.until(start) + work))


@dataclass(frozen=True, slots=True)
class _Relaxed:
    """What the bounds share: durations, pooled capacities, each job's earliest completion."""

    compress: Ints
    write: Ints
    begin: int  # no compression starts earlier
    release: Ints
    first: Capacity
    second: Capacity
    head: Ints  # earliest end of each compression if the job were alone


class Pool(NamedTuple):
    """Jobs that only these workers may take; together they reach `storages` shared storages."""

    jobs: Ints
    workers: list[int]
    storages: int = 1


def lower_bound(instance: Instance, pools: Sequence[Pool] | None = None) -> int:
    """A makespan in ns that no plan of `instance` can beat.

    Parameters
    ----------
    pools : sequence of Pool, optional
        Jobs with the workers that may take them; the bound is the largest over the pools. By
        default the instance's own assignment is taken as given.

    Notes
    -----
    O((n + g) log(n + g)) for n jobs and g busy intervals; all 2**n subsets are enumerated as
    well for a pool of one worker and at most `MAX_SUBSETS` jobs.
    """
    best = 0
    if pools is None:
        pools = [Pool(np.flatnonzero(instance.worker == w), [w]) for w in instance.used_workers()]
        if instance.capacity and instance.size:
            heads = _ends_alone(instance, pinned=True)[0]
            best = _storage_bound(instance, heads, instance.capacity)
    for pool in pools:
        if not pool.jobs.size:
            continue
        part = instance.part(pool.jobs, pool.workers)
        heads, ends = _ends_alone(part, pinned=False)
        best = max(best, int(ends.max()), _bound_of_pool(part, heads))
        if instance.capacity:
            best = max(best, _storage_bound(part, heads, instance.capacity * pool.storages))
    return best


def _bound_of_pool(part: Instance, heads: Ints) -> int:
    """Bound of jobs which any of the workers may take, ignoring shared storage."""
    relaxed = _Relaxed(
        part.compress,
        part.write,
        int(part.release.min()),
        part.release,
        Capacity(part.compute),
        Capacity(part.background),
        heads,
    )
    best = max(
        _compressions_then_a_write(part, relaxed),
        _writes_after_heads(relaxed),
        _counting(relaxed),
        _fractional_knapsack(relaxed),
    )
    if part.size <= MAX_SUBSETS and len(part.compute) == 1:
        best = max(best, _subset_knapsack(part))
    return best


def _ends_alone(instance: Instance, *, pinned: bool) -> tuple[Ints, Ints]:
    """When each job's compression and its write would end if it were the only job."""
    release, compress, write = instance.release, instance.compress, instance.write
    pairs = zip(instance.compute, instance.background, strict=True)
    if not pinned and instance.size * len(instance.compute) > MAX_PAIRS:
        return release + compress, release + compress + write
    heads = np.full(instance.size, np.iinfo(np.int64).max)
    ends = heads.copy()
    for w, (one, two) in enumerate(pairs):
        mine = np.flatnonzero(instance.worker == w) if pinned else slice(None)
        done = earliest_ends(one.starts, one.ends, release[mine], compress[mine])
        heads[mine] = np.minimum(heads[mine], done)
        done = earliest_ends(two.starts, two.ends, done, write[mine])
        ends[mine] = np.minimum(ends[mine], done)
    return heads, ends


def _compressions_then_a_write(part: Instance, r: _Relaxed) -> int:
    """The compressions released from some time on need that much free time; one write follows."""
    order = np.argsort(-r.release, kind="stable")
    work = np.cumsum(r.compress[order])
    shortest = np.minimum.accumulate(r.write[order])
    # Jobs of equal release count together: only the last of each run has all of them.
    release = r.release[order]
    last = np.append(release[1:] != release[:-1], True)
    done = r.first.after(release[last], work[last])
    ends = [earliest_ends(h.starts, h.ends, done, shortest[last]) for h in part.background]
    return int(np.min(ends, axis=0).max())


def _writes_after_heads(r: _Relaxed) -> int:
    """The writes of jobs that cannot be compressed before some time all come after it."""
    order = np.argsort(-r.head, kind="stable")
    return int(r.second.after(r.head[order], np.cumsum(r.write[order])).max())


def _counting(r: _Relaxed) -> int:
    """Until the (k + 1)-th compression is done, n - k writes have not started."""
    shortest_compressions = np.cumsum(np.sort(r.compress))
    shortest_writes = np.cumsum(np.sort(r.write))[::-1]
    begin = np.full(r.compress.size, r.begin)
    return int(r.second.after(r.first.after(begin, shortest_compressions), shortest_writes).max())


def _fractional_knapsack(r: _Relaxed) -> int:
    """By any time t only the writes of jobs compressed by t are done: at most the value of a
    knapsack of the compute time free until t, where weights are compressions, values writes."""
    worth = np.where(r.compress > 0, r.write / np.maximum(r.compress, 1), np.inf)
    order = np.argsort(-worth, kind="stable")
    weight = np.concatenate([np.zeros(1, np.int64), np.cumsum(r.compress[order])])
    value = np.concatenate([np.zeros(1, np.int64), np.cumsum(r.write[order])])
    begin = np.full(weight.size, r.begin)
    times = np.concatenate([r.first.times, r.second.times, r.first.after(begin, weight)])
    times = times[times >= r.begin]
    room = r.first.until(times) - r.first.until(begin[:1])
    k = np.searchsorted(weight, room, side="right") - 1  # jobs that fit whole
    following = order[np.minimum(k, order.size - 1)]
    share = (room - weight[k]) / np.maximum(r.compress[following], 1)
    # Rounded up by more than the divisions can have lost: a larger value weakens the bound.
    part = np.ceil(share * r.write[following] * (1.0 + 2.0**-48)).astype(np.int64) + 1
    part = np.where(k < order.size, np.minimum(part, r.write[following]), 0)
    left = value[-1] - value[k] - part
    return int(np.where(left > 0, r.second.after(times, left), 0).max(initial=0))


def _subset_knapsack(part: Instance) -> int:
    """As `_fractional_knapsack`, for whole jobs, which fill holes only by subset sums."""
    weight = np.zeros(1, np.int64)
    value = np.zeros(1, np.int64)
    for a, b in zip(part.compress, part.write, strict=True):
        weight = np.concatenate([weight, weight + a])
        value = np.concatenate([value, value + b])
    sums1 = np.unique(weight)
    sums2 = np.unique(value)
    order = np.lexsort((-value, weight))
    most = np.maximum.accumulate(value[order])
    rises = np.flatnonzero(np.diff(most)) + 1
    total = int(part.write.sum())
    begin = int(part.release.min())
    best = 0
    for i in rises:
        # Before compressions of this total fit, writes of at most most[i - 1] are ready.
        t = _whole_jobs_fit(part.compute[0], begin, int(weight[order[i]]), sums1)
        end = _whole_jobs_fit(part.background[0], t, total - int(most[i - 1]), sums2)
        best = max(best, end)
    return best


def _whole_jobs_fit(holes: Holes, begin: int, work: int, sums: Ints) -> int:
    """Earliest time by which whole jobs of total length `work` can be done from `begin` on, if
    every hole can be filled by any subset of the jobs (whose sums are `sums`, ascending)."""
    if work <= 0:
        return begin
    left = work
    for opened, end in zip(holes.starts.tolist(), holes.ends.tolist(), strict=True):
        start = max(int(opened), begin)
        if end <= start:
            continue
        fill = int(sums[int(np.searchsorted(sums, end - start, side="right")) - 1])
        if fill >= left:
            return start + int(sums[int(np.searchsorted(sums, left))])
        left -= fill
    raise AssertionError("the last hole has no end")


def _storage_bound(part: Instance, heads: Ints, capacity: int) -> int:
    """All writes draw their bytes from one bandwidth, none before the first compression ends."""
    pairs = zip(part.rate.tolist(), part.write.tolist(), strict=True)
    drawn = int(sum(rate * write for rate, write in pairs))  # beyond 64 bits
    return int(heads.min()) - (-drawn // capacity)
