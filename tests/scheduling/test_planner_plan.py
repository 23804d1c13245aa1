"""`plan`: valid by the independent validator, deterministic, and its figures are what they say."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planner_cases import MS, problems, random_problem

from fzdask.scheduling import Busy, Job, Plan, Storage, Task, Worker, plan
from fzdask.scheduling.assign import balance, eligible_workers
from fzdask.scheduling.families import FAMILIES
from fzdask.scheduling.improve import first_plans, work_of
from fzdask.scheduling.instance import Instance, durations, holes_of
from fzdask.scheduling.planner import METHODS
from fzdask.scheduling.rebalance import rebalance
from fzdask.scheduling.validate import check_plan, check_tasks

QUICK = [m for m in METHODS if m != "exact"]


@given(problems(), st.sampled_from(QUICK))
@settings(max_examples=150, deadline=None)
def test_every_plan_of_every_method_is_valid(problem, method):
    jobs, workers, storage = problem
    made = plan(jobs, workers, method, budget=3e-3, storage=storage)
    assert check_plan(made) == []


@given(problems(most=6), st.integers(0, 3))
@settings(max_examples=40, deadline=None)
def test_the_same_arguments_give_the_same_plan(problem, seed):
    jobs, workers, storage = problem
    one, two = (plan(jobs, workers, budget=1e-3, storage=storage, seed=seed) for _ in range(2))
    assert one.to_dict() == two.to_dict()


def test_the_same_plan_in_another_process():
    jobs, busy = random_problem(3, 40, 5)
    code = (
        "from planner_cases import random_problem; from fzdask.scheduling import plan; "
        "jobs, busy = random_problem(3, 40, 5); p = plan(jobs, busy, budget=0.005); "
        "print(p.makespan_ns, p.work, p.evaluations, p.compress_start_ns.sum())"
    )
    here = plan(jobs, busy, budget=0.005)
    there = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=str(__import__("pathlib").Path(__file__).parent),
    ).stdout.split()
    expected = [here.makespan_ns, here.work, here.evaluations, here.compress_start_ns.sum()]
    assert [int(x) for x in there] == [int(x) for x in expected]


def test_a_larger_budget_is_used_and_never_hurts():
    jobs, busy = random_problem(6, 30, 6)
    makespans = [plan(jobs, busy, budget=b).makespan_ns for b in (0.0, 0.001, 0.01, 0.1)]
    assert makespans == sorted(makespans, reverse=True)
    assert makespans[-1] < makespans[0]


def test_no_heuristic_beats_auto_where_it_has_time():
    for seed in (0, 2, 4):
        jobs, busy = random_problem(seed, 16, 5)
        best = plan(jobs, busy, budget=0.05).makespan_ns
        for method in QUICK:
            assert best <= plan(jobs, busy, method).makespan_ns, method


def test_figures_by_hand():
    busy = Busy([(1.0, 3.0)], [(0.0, 1.5)], length=4.0)
    made = plan([Job("a", 1.0, 2.0, field="rho"), Job("b", 1.0, 1.0, field="T")], busy)
    assert made.tasks == (
        Task("a", "compute", "0", 0.0, 1.0, "rho"),
        Task("a", "background", "0", 1.5, 3.5, "rho"),
        Task("b", "compute", "0", 3.0, 4.0, "T"),
        Task("b", "background", "0", 4.0, 5.0, "T"),
    )
    assert (made.makespan, made.lower_bound, made.gap_percent) == (5.0, 5.0, 0.0)
    assert (made.iteration, made.end, made.overhead, made.overhead_bound) == (4.0, 5.0, 0.25, 0.25)
    assert made.idle == {"compute": 1.0, "background": 0.5}
    assert made.order("compute") == ["a", "b"] == made.order("background")
    assert repr(made) == (
        "Plan(2 jobs on 1 worker, johnson+backfill: makespan 5 s, overhead 25 %, "
        "lower bound 5 s, gap 0 %)"
    )
    assert json.loads(json.dumps(made.to_dict()))["jobs"][0] == [
        "a", "0", 0, 1_000_000_000, 1_500_000_000, 3_500_000_000,
    ]  # fmt: skip


def test_overhead_without_a_simulation_is_infinite_and_zero_when_hidden():
    assert plan([Job("a", 1.0, 1.0)]).overhead == float("inf")
    assert plan([Job("a", 1.0, 1.0)], Busy(length=2.0)).overhead == 0.0


def test_stop_when_hidden_ends_the_search_at_the_iteration():
    jobs, busy = random_problem(8, 60, 6)
    busy = Busy(busy.compute, busy.background, length=1.2)
    enough = plan(jobs, busy, stop_when_hidden=True)
    best = plan(jobs, busy)
    assert enough.overhead == best.overhead == 0.0
    assert best.makespan_ns < enough.makespan_ns <= 1_200_000_000
    assert enough.evaluations < best.evaluations


def test_what_busy_may_be():
    busy = Busy([(0.0, 1.0)])
    jobs = [Job("a", 1.0, 1.0)]
    expected = plan(jobs, busy).to_dict()["jobs"]
    assert plan(iter(jobs), [Worker(busy=busy)]).to_dict()["jobs"] == expected
    assert plan(jobs, Worker(busy=busy)).to_dict()["jobs"] == expected
    assert plan(jobs).makespan == 2.0


def test_pins_and_nodes_are_kept_and_the_rest_is_balanced():
    workers = [Worker(f"w{i}", Busy(length=1.0), node=f"n{i // 2}") for i in range(4)]
    jobs = [Job(f"pinned {i}", 1.0, 1.0, worker="w3") for i in range(2)]
    jobs += [Job(f"node {i}", 1.0, 1.0, node="n0") for i in range(4)]
    jobs += [Job(f"free {i}", 1.0, 1.0) for i in range(2)]
    made = plan(jobs, workers)
    assert check_plan(made) == []
    loads = np.bincount(made.worker_of, minlength=4)
    assert loads.tolist() == [2, 2, 2, 2]
    assert [made.workers[w].name for w in made.worker_of[:2]] == ["w3", "w3"]
    assert made.order("compute", "w3") == ["pinned 0", "pinned 1"]
    assert made.makespan == 3.0 == made.lower_bound


def test_workers_of_a_node_need_not_stand_side_by_side():
    workers = [Worker(f"w{i}", node=f"n{i % 2}") for i in range(5)]
    jobs = [Job(f"{i}", 1.0, 1.0, node=f"n{i % 2}") for i in range(10)]
    made = plan(jobs, workers)
    assert check_plan(made) == []
    assert {made.workers[w].node for w in made.worker_of[::2]} == {"n0"}
    assert {made.workers[w].node for w in made.worker_of[1::2]} == {"n1"}


@given(st.lists(st.integers(1, 40), min_size=1, max_size=11), st.integers(2, 4))
@settings(max_examples=50, deadline=None)
def test_balance_keeps_grahams_guarantee_on_identical_workers(lengths, count):
    """Longest processing time first is within 4/3 - 1/(3 m) of the best (Graham 1969)."""
    jobs = [Job(f"{i}", t * MS, 0.0) for i, t in enumerate(lengths)]
    workers = [Worker(f"w{i}") for i in range(count)]
    times = durations(jobs, workers)
    _, low, high, _ = eligible_workers(jobs, workers)
    free = [holes_of(())] * count
    chosen = balance(times, low, high, free, free)
    load = np.bincount(chosen, weights=lengths, minlength=count).max()
    loads = {tuple([0] * count)}
    for t in lengths:
        loads = {
            tuple(sorted([*x[:w], x[w] + t, *x[w + 1 :]])) for x in loads for w in range(count)
        }
    best = min(max(x) for x in loads)
    assert best <= load <= best * (4 / 3 - 1 / (3 * count))


def assignment_of(jobs, workers):
    """The balanced instance, the ranges of workers, and the end that an assignment gives."""
    times = durations(jobs, workers)
    order, low, high, _ = eligible_workers(jobs, workers)
    compute = tuple(holes_of(workers[w].busy.compute) for w in order)
    background = tuple(holes_of(workers[w].busy.background) for w in order)
    at = balance(times, low, high, compute, background)
    whole = Instance(
        times.compress, times.write, times.release, at, compute, background, times.rate
    )

    def end(assigned):
        spread = replace(whole, worker=assigned)
        parts = [spread.part(np.flatnonzero(assigned == w), [w]) for w in range(len(workers))]
        return max(first_plans(part).makespan for part in parts)

    return whole, low, high, end


@given(problems(most=10))
@settings(max_examples=60, deadline=None)
def test_rebalancing_keeps_jobs_where_they_may_be_and_never_hurts(problem):
    whole, low, high, end = assignment_of(*problem[:2])
    same, _ = rebalance(whole, low, high, budget=0, target=0)
    better, _ = rebalance(whole, low, high, budget=work_of(0.02), target=0)
    assert same.tolist() == whole.worker.tolist()
    assert np.all((low <= better) & (better < high))
    assert end(better) <= end(whole.worker)


def test_rebalancing_helps_where_the_estimate_is_blind():
    """The estimate pours work into free time: it does not see one thread wait for the other."""
    rng = np.random.default_rng(0)
    workers, jobs = [], []
    for w in range(4):
        mine, busy = FAMILIES["fields"].draw(rng, 24, (0.7, 0.85))
        workers.append(Worker(f"w{w}", busy))
        jobs += [Job(f"{w}/{job.name}", job.compress, job.write) for job in mine]
    whole, low, high, end = assignment_of(jobs, workers)
    better, _ = rebalance(whole, low, high, budget=work_of(0.05), target=0)
    assert end(better) < 0.95 * end(whole.worker)
    assert check_plan(plan(jobs, workers)) == []


def test_balance_sees_busy_workers():
    workers = [Worker("busy", Busy([(0.0, 10.0)])), Worker("free")]
    made = plan([Job(f"{i}", 1.0, 1.0) for i in range(5)], workers)
    assert made.worker_of.tolist() == [1] * 5


def test_storage_shared_by_all_or_by_node():
    workers = [Worker(f"w{i}", Busy(length=1.0), node=f"n{i // 2}") for i in range(4)]
    jobs = [Job(f"{i}", 0.1, 1.0, nbytes=100, worker=f"w{i}") for i in range(4)]
    apart = plan(jobs, workers)
    node = plan(jobs, workers, storage=Storage(100.0, "node"))
    every = plan(jobs, workers, storage=Storage(100.0, "all"))
    assert (apart.makespan, node.makespan, every.makespan) == (1.1, 2.1, 4.1)
    for made in (apart, node, every):
        assert check_plan(made) == []
        assert made.gap_percent == 0.0
    slow = plan([Job("big", 0.1, 1.0, nbytes=400)], storage=Storage(100.0))
    assert slow.makespan == 4.1
    assert check_plan(slow) == []


def test_a_large_plan_is_valid_and_near_its_bound():
    rng = np.random.default_rng(0)
    jobs, busy = FAMILIES["fragmented"].draw(rng, 1500, (0.8, 0.95))
    made = plan(jobs, busy, budget=0.02)
    assert check_plan(made) == []
    assert made.gap_percent < 1.0


@pytest.mark.parametrize("jobs", [48, 96])
def test_auto_stays_near_the_bound_on_the_quoted_family(jobs):
    rng = np.random.default_rng([2, jobs])
    gaps = []
    for _ in range(16):
        made = plan(*FAMILIES["mixed"].draw(rng, jobs, (0.8, 1.0)))
        gaps.append(100 * (made.overhead - made.overhead_bound))
    assert np.mean(gaps) <= 0.3


# The validator itself: a valid plan, broken in one way at a time.


@pytest.fixture(scope="module")
def valid() -> Plan:
    busy = Busy([(2.0, 3.0)], [(1.0, 2.0)], length=8.0)
    jobs = [Job("a", 1.0, 2.0), Job("b", 1.5, 1.0, release=0.5), Job("c", 1.0, 0.5)]
    made = plan(jobs, busy, "johnson+backfill")
    assert check_plan(made) == []
    return made


def shifted(made: Plan, **starts: int) -> Plan:
    """The plan with the starts of some tasks moved by so many ns: c0 is job 0's compression."""
    arrays = {
        name: getattr(made, name).copy()
        for name in ("compress_start_ns", "compress_end_ns", "write_start_ns", "write_end_ns")
    }
    for which, by in starts.items():
        kind = "compress" if which[0] == "c" else "write"
        for end in ("start", "end"):
            arrays[f"{kind}_{end}_ns"][int(which[1:])] += by
    return replace(made, **arrays)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"w0": 10**9}, "can start at"),
        ({"c1": -(3 * 10**9)}, "before its release"),
        ({"c1": 10**9}, "before it is compressed"),
        ({"w0": -(10**9)}, "before busy interval ends"),
        ({"c2": -(10**9)}, "c starts at 0 ns, before a ends"),
        ({"w2": 10**10}, "can start at"),
    ],
)
def test_the_validator_sees_a_moved_task(valid, change, complaint):
    assert any(complaint in line for line in check_plan(shifted(valid, **change)))


def test_the_validator_sees_every_kind_of_broken_tasks(valid):
    tasks, jobs, workers = list(valid.tasks), valid.jobs, valid.workers

    def wrong(new, storage=None, jobs=jobs, workers=workers):
        return " | ".join(check_tasks(new, jobs, workers, storage))

    assert wrong(tasks) == ""
    assert "0 compressions and 1 writes" in wrong(tasks[1:])
    assert "2 compressions" in wrong([*tasks, tasks[0]])
    assert "unknown job 'z'" in wrong([*tasks, replace(tasks[0], job="z")])
    assert "unknown worker 'z'" in wrong([replace(tasks[0], worker="z"), *tasks[1:]])
    longer = replace(tasks[0], end=tasks[0].end + 1e-9)
    assert "compressed for 1000000001 ns" in wrong([longer, *tasks[1:]])
    shorter = replace(tasks[1], end=tasks[1].end - 1e-9)
    assert "written for 1999999999 ns" in wrong([tasks[0], shorter, *tasks[2:]])
    on_busy = replace(tasks[0], start=1.5, end=2.5)
    assert "busy interval" in wrong([on_busy, *tasks[1:]])
    # Two tasks of the same machine at the same time, and both halves of a job on other workers.
    same = replace(tasks[2], start=tasks[0].start + 0.5, end=tasks[0].start + 2.0)
    assert "ends at" in wrong([*tasks[:2], same, *tasks[3:]])
    two = (*workers, Worker("1"))
    assert "written on '1'" in wrong([tasks[0], replace(tasks[1], worker="1"), *tasks[2:]],
                                     workers=two)  # fmt: skip
    pinned = (replace(jobs[0], worker="1"), *jobs[1:])
    assert "instead of '1'" in wrong(tasks, jobs=pinned, workers=two)
    placed = (replace(jobs[0], node="far"), *jobs[1:])
    assert "on node '0' instead of 'far'" in wrong(tasks, jobs=placed)


def test_the_validator_sees_too_much_drawn_from_a_storage():
    jobs = [Job(f"{i}", 1.0, 1.0, nbytes=60) for i in range(2)]
    workers = [Worker("0"), Worker("1")]
    tasks = [
        Task(f"{i}", machine, f"{i}", start, start + 1.0)
        for i in range(2)
        for machine, start in (("compute", 0.0), ("background", 1.0))
    ]
    assert check_tasks(tasks, jobs, workers) == []
    assert check_tasks(tasks, jobs, workers, Storage(120.0)) == []
    assert "draw 120 bytes/s of 119" in check_tasks(tasks, jobs, workers, Storage(119.0))[0]
    late = [*tasks[:3], replace(tasks[3], start=2.0, end=3.0)]
    assert check_tasks(late, jobs, workers, Storage(119.0)) == []


def test_the_validator_sees_a_bound_that_is_too_high(valid):
    broken = replace(valid, lower_bound_ns=valid.makespan_ns + 1)
    assert any("exceeds the makespan" in line for line in check_plan(broken))
    # `makespan_ns` is cached on the instance: a copy computes its own.
    assert check_plan(replace(valid)) == []


def test_importing_the_package_is_cheap_and_pure():
    code = (
        "import sys, fzdask.scheduling as s; heavy = {'numba', 'numpy', 'dask', 'distributed', "
        "'zarr', 'xarray', 'matplotlib'} & set(sys.modules); assert not heavy, heavy; "
        "from fzdask.scheduling import Job, plan; plan([Job('a', 1, 1)]); "
        "heavy = {'dask', 'distributed', 'zarr', 'xarray', 'numcodecs', 'matplotlib'} "
        "& set(sys.modules); assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
