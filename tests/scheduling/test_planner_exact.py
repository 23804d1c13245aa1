"""Truth: brute force equals CP-SAT; bounds never exceed the optimum, plans never beat it."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planner_cases import (
    MS,
    busies,
    instance_of,
    job_lists,
    place_slowly,
    random_problem,
)

from fzdask.errors import ConfigError
from fzdask.scheduling import Busy, Job, Storage, Worker, plan
from fzdask.scheduling import bound as bounds
from fzdask.scheduling.bound import Capacity, lower_bound
from fzdask.scheduling.exact import MAX_BRUTE_FORCE, brute_force
from fzdask.scheduling.families import FAMILIES
from fzdask.scheduling.instance import holes_of
from fzdask.scheduling.kernels.earliest import earliest_ends

MS_NS = 1_000_000


@given(job_lists(4, zeros=True), busies(3))
@settings(max_examples=40, deadline=None)
def test_brute_force_is_the_best_of_all_pairs_of_orders(jobs, busy):
    n = len(jobs)
    best = min(
        max((s + round(jobs[j].write * 1e9) for j, s in enumerate(starts)), default=0)
        for first in permutations(range(n))
        for second in permutations(range(n))
        for starts in [place_slowly(jobs, busy, first, second, False)[1]]
    )
    assert brute_force(instance_of(jobs, busy)).makespan == best


@given(job_lists(6), busies())
@settings(max_examples=200, deadline=None)
def test_the_lower_bound_never_exceeds_the_optimum(jobs, busy):
    instance = instance_of(jobs, busy)
    assert lower_bound(instance) <= brute_force(instance).makespan


@given(job_lists(6, least=1), busies())
@settings(max_examples=150, deadline=None)
def test_each_bound_alone_never_exceeds_the_optimum(jobs, busy):
    instance = instance_of(jobs, busy)
    optimum = brute_force(instance).makespan
    heads, ends = bounds._ends_alone(instance, pinned=False)
    relaxed = bounds._Relaxed(
        instance.compress,
        instance.write,
        int(instance.release.min()),
        instance.release,
        Capacity(instance.compute),
        Capacity(instance.background),
        heads,
    )
    values = {
        "alone": int(ends.max()),
        "compressions then a write": bounds._compressions_then_a_write(instance, relaxed),
        "writes after heads": bounds._writes_after_heads(relaxed),
        "counting": bounds._counting(relaxed),
        "fractional knapsack": bounds._fractional_knapsack(relaxed),
        "subset knapsack": bounds._subset_knapsack(instance),
    }
    assert {k: v for k, v in values.items() if v > optimum} == {}


@given(job_lists(5, least=2, releases=False), st.integers(1, 30), busies(1))
@settings(max_examples=200, deadline=None)
def test_knapsack_bounds_hold_where_a_long_busy_interval_starves_the_writes(jobs, room, tail):
    """What fits before the interval decides: the bounds must not overrate it by rounding."""
    instance = instance_of(jobs, Busy([(room * MS, (room + 80) * MS)], tail.background))
    assert lower_bound(instance) <= brute_force(instance).makespan


def test_the_best_knapsack_need_not_be_the_greedy_one():
    """10 s of room: the greedy order takes a (2 of writing), the best choice is b (15)."""
    jobs = [Job("a", 1.0, 2.0), Job("b", 10.0, 15.0)]
    made = plan(jobs, Busy([(10.0, 100.0)]))
    assert made.makespan == 103.0
    assert made.lower_bound == 103.0


@pytest.mark.parametrize("family", FAMILIES)
def test_bounds_and_searches_bracket_the_optimum_on_the_families(family):
    rng = np.random.default_rng(11)
    ratios = []
    for _ in range(4):
        jobs, busy = FAMILIES[family].draw(rng, 7, (0.8, 1.0))
        optimum = brute_force(instance_of(jobs, busy)).makespan
        made = plan(jobs, busy)
        assert made.lower_bound_ns <= optimum <= made.makespan_ns
        ratios.append(made.makespan_ns / optimum)
    assert np.mean(ratios) <= 1.002


def test_brute_force_has_a_limit_and_says_so():
    jobs = [Job(f"{i}", MS, MS) for i in range(MAX_BRUTE_FORCE + 1)]
    with pytest.raises(ConfigError, match="method='auto'"):
        brute_force(instance_of(jobs, Busy()))
    assert plan(jobs[:-1], method="exact").gap_percent == 0.0


@given(busies(6), st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), min_size=1))
@settings(max_examples=150, deadline=None)
def test_capacity_and_first_fit_equal_counting_milliseconds(busy, queries):
    pair = [holes_of(busy.compute), holes_of(busy.background)]
    for machines in (pair[:1], pair):
        capacity = Capacity(machines)
        free = np.zeros(400, np.int64)
        for holes in machines:
            for start, end in zip(holes.starts.tolist(), holes.ends.tolist(), strict=True):
                free[start // MS_NS : min(end // MS_NS, 400)] += 1
        total = np.concatenate([[0], np.cumsum(free)])
        for when, work in queries:
            until = capacity.until(np.array([when * MS_NS]))[0]
            assert until == total[when] * MS_NS
            after = int(capacity.after(np.array([when * MS_NS]), np.array([work * MS_NS]))[0])
            if work == 0:
                assert after == when * MS_NS
            elif len(machines) == 1:
                due = next(t for t in range(when, 401) if total[t] - total[when] >= work)
                assert after == due * MS_NS
            else:
                assert capacity.until(np.array([after]))[0] - until >= work * MS_NS
                assert capacity.until(np.array([after - 1]))[0] - until < work * MS_NS
    holes = pair[0]
    ready = np.array([r for r, _ in queries]) * MS_NS
    length = np.array([d for _, d in queries]) * MS_NS
    ends = earliest_ends(holes.starts, holes.ends, ready, length)
    jobs = [Job("a", d * MS, 0.0, r * MS) for r, d in queries]
    for job, end in zip(jobs, ends.tolist(), strict=True):
        start = place_slowly([job], busy, [0], [0], True)[0][0]
        assert end == start + round(job.compress * 1e9)


@pytest.mark.parametrize("seed", range(8))
def test_cpsat_agrees_with_brute_force(seed):
    cpsat = pytest.importorskip("planner_cpsat")
    rng = np.random.default_rng(seed)
    edges = [np.sort(rng.choice(40, 6, replace=False)) * MS for _ in range(2)]
    busy = Busy(*(list(zip(e[::2], e[1::2], strict=True)) for e in edges))
    jobs = [
        Job(f"{i}", a * MS, b * MS, r * MS * (seed % 2))
        for i, (a, b, r) in enumerate(rng.integers(1, 13, (6, 3)).tolist())
    ]
    best = cpsat.optimum(jobs, [Worker(busy=busy)])
    assert brute_force(instance_of(jobs, busy)).makespan == best * MS_NS


def shared_problem(seed):
    """Two or three workers on two nodes, with or without shared storage, six small jobs."""
    rng = np.random.default_rng(seed)
    workers = []
    for w in range(2 + seed % 2):
        edges = [np.sort(rng.choice(24, 4, replace=False)) * MS for _ in range(2)]
        busy = Busy(*(list(zip(e[::2], e[1::2], strict=True)) for e in edges))
        workers.append(Worker(f"w{w}", busy, node=f"n{w % 2}"))
    storage = [None, Storage(9000.0, "all"), Storage(7000.0, "node")][seed % 3]
    jobs = []
    for i, (a, b) in enumerate(rng.integers(1, 9, (6, 2)).tolist()):
        # At most 6 bytes a millisecond, so that no write is lengthened.
        size = int(rng.integers(1, 7)) * b if storage else 0
        on = f"w{rng.integers(0, len(workers))}" if rng.random() < 0.3 else None
        jobs.append(Job(f"{i}", a * MS, b * MS, nbytes=size, worker=on))
    return jobs, workers, storage


@pytest.mark.parametrize("seed", range(9))
def test_plans_of_several_workers_are_between_bound_and_reach_of_cpsat(seed):
    cpsat = pytest.importorskip("planner_cpsat")
    jobs, workers, storage = shared_problem(seed)
    best = cpsat.optimum(jobs, workers, storage) * MS_NS
    made = plan(jobs, workers, storage=storage)
    assert made.lower_bound_ns <= best <= made.makespan_ns
    # The assignment is a heuristic: far from the optimum would be a bug, though.
    assert made.makespan_ns <= 1.35 * best


@pytest.mark.slow
@given(job_lists(7, least=7), busies())
@settings(max_examples=1000, deadline=None)
def test_the_lower_bound_never_exceeds_the_optimum_of_seven_jobs(jobs, busy):
    instance = instance_of(jobs, busy)
    assert lower_bound(instance) <= brute_force(instance).makespan


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(9, 90))
def test_many_plans_of_several_workers_are_between_bound_and_reach_of_cpsat(seed):
    test_plans_of_several_workers_are_between_bound_and_reach_of_cpsat(seed)


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_many_instances_of_the_families_against_the_optimum(family):
    rng = np.random.default_rng(5)
    ratios = []
    for _ in range(60):
        jobs, busy = FAMILIES[family].draw(rng, 7, (0.8, 1.0))
        optimum = brute_force(instance_of(jobs, busy)).makespan
        made = plan(jobs, busy)
        assert made.lower_bound_ns <= optimum <= made.makespan_ns
        ratios.append(made.makespan_ns / optimum)
    assert np.mean(ratios) <= 1.002


def test_a_bound_is_met_where_one_thread_never_waits():
    jobs = [Job("a", 1.0, 5.0), Job("b", 2.0, 4.0)]
    made = plan(jobs, Busy([(3.0, 4.0)]))
    assert (made.lower_bound, made.makespan, made.gap_percent) == (10.0, 10.0, 0.0)


def test_the_bound_of_large_instances_is_below_every_plan():
    for seed in range(4):
        jobs, busy = random_problem(seed, 3000, 200)
        instance = instance_of(jobs, busy)
        made = plan(jobs, busy, budget=0.0)
        assert lower_bound(instance) == made.lower_bound_ns <= made.makespan_ns
