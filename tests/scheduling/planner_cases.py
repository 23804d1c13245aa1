"""Instances for the planner's tests: hypothesis strategies, and slow obvious references."""

from __future__ import annotations

from itertools import accumulate

import numpy as np
from hypothesis import strategies as st

from fzdask.scheduling.instance import Instance
from fzdask.scheduling.model import Busy, Job, Storage, Worker

MS = 1e-3
times = st.integers(0, 12)


@st.composite
def busy_intervals(draw, most=4):
    """Sorted disjoint (they may touch) intervals of whole milliseconds."""
    steps = draw(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), max_size=most))
    edges = [MS * t for t in accumulate(x for pair in steps for x in pair)]
    return tuple(zip(edges[::2], edges[1::2], strict=True))


@st.composite
def busies(draw, most=4):
    return Busy(draw(busy_intervals(most)), draw(busy_intervals(most)))


@st.composite
def job_lists(draw, most, least=0, releases=True, zeros=True):
    first = times if zeros else st.integers(1, 12)
    rows = draw(
        st.lists(st.tuples(first, first, st.integers(0, 25)), min_size=least, max_size=most)
    )
    with_release = releases and draw(st.booleans())
    return [
        Job(f"job {i}", MS * a, MS * b, MS * r if with_release else 0.0)
        for i, (a, b, r) in enumerate(rows)
    ]


@st.composite
def crews(draw, most=4):
    """Workers on one or two nodes."""
    return [
        Worker(f"w{i}", draw(busies(3)), node=f"n{draw(st.integers(0, 1))}")
        for i in range(draw(st.integers(1, most)))
    ]


@st.composite
def problems(draw, most=14, zeros=True):
    """Jobs, workers and storage, with some jobs bound to a worker or a node."""
    workers = draw(crews())
    jobs = []
    for job in draw(job_lists(most, zeros=zeros)):
        where = draw(st.sampled_from(["any", "any", "worker", "node"]))
        on = draw(st.sampled_from(workers))
        jobs.append(
            Job(
                job.name,
                job.compress,
                job.write,
                job.release,
                field=f"field {len(jobs) % 3}",
                nbytes=draw(st.integers(0, 200)),
                worker=on.name if where == "worker" else None,
                node=on.node if where == "node" else None,
            )
        )
    storage = draw(
        st.sampled_from([None, None, Storage(20_000.0, "all"), Storage(15_000.0, "node")])
    )
    return jobs, workers, storage


def first_fit(taken, ready, duration):
    """Earliest start beside any set of disjoint spans: tries `ready` and every end."""
    if duration == 0:
        return ready
    for start in sorted([ready] + [end for _, end in taken if end > ready]):
        if all(start + duration <= s or e <= start for s, e in taken):
            return start
    raise AssertionError("after the last span everything is free")


def spans(busy):
    """Busy intervals of both machines in whole ns."""
    return [
        [(round(s * 1e9), round(e * 1e9)) for s, e in intervals]
        for intervals in (busy.compute, busy.background)
    ]


def place_slowly(jobs, busy, first, second, backfilling):
    """Starts of compressions and writes in ns, by a list of taken spans."""
    result = []
    ready = [round(job.release * 1e9) for job in jobs]
    for order, taken, durations in zip(
        (first, second),
        spans(busy),
        ([round(j.compress * 1e9) for j in jobs], [round(j.write * 1e9) for j in jobs]),
        strict=True,
    ):
        starts = [0] * len(jobs)
        after = 0
        for j in order:
            least = ready[j]
            if durations[j] and not backfilling:
                least = max(least, after)
            starts[j] = first_fit(taken, least, durations[j])
            if durations[j]:
                taken = [*taken, (starts[j], starts[j] + durations[j])]
                after = starts[j] + durations[j]
        ready = [s + d for s, d in zip(starts, durations, strict=True)]
        result.append(starts)
    return result


def instance_of(jobs, busy):
    return Instance.from_jobs(jobs, busy)


def random_problem(seed, jobs, intervals, span=1.0):
    """A larger instance, in whole nanoseconds from a seed: loads of about 0.9."""
    rng = np.random.default_rng(seed)

    def cut(count):
        edges = np.sort(rng.choice(int(span * 1e9), 2 * count, replace=False)) * 1e-9
        return tuple(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))

    busy = Busy(cut(intervals), cut(intervals), length=span)
    compress = rng.lognormal(0.0, 0.6, jobs)
    write = rng.lognormal(0.0, 0.6, jobs)
    compress *= 0.45 * span / compress.sum()
    write *= 0.45 * span / write.sum()
    release = rng.uniform(0.0, span, jobs) * (seed % 2)
    return [
        Job(f"job {i}", float(a), float(b), float(r))
        for i, (a, b, r) in enumerate(zip(compress, write, release, strict=True))
    ], busy
