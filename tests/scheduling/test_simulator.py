"""Invariants of the replay on random simulations, jobs, noise and policies."""

from __future__ import annotations

import itertools
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fzdask.scheduling import plan
from fzdask.scheduling.model import Busy, Job, Storage, Worker, to_ns
from fzdask.scheduling.noise import Noise
from fzdask.scheduling.program import Distances, Program
from fzdask.scheduling.recorded import Recorded
from fzdask.scheduling.rivals import POLICIES
from fzdask.scheduling.simulator import Simulation, simulate

# Whole milliseconds: exact in ns, so that what is added up in tests is exact too.
MS = 1_000_000


def in_seconds(milliseconds: int) -> float:
    return milliseconds / 1000


@st.composite
def interval_lists(draw: st.DrawFn) -> list[tuple[float, float]]:
    edges = sorted(draw(st.lists(st.integers(0, 100), max_size=8, unique=True)))
    return [(in_seconds(a), in_seconds(b)) for a, b in zip(edges[::2], edges[1::2], strict=False)]


@st.composite
def busies(draw: st.DrawFn) -> Busy:
    return Busy(draw(interval_lists()), draw(interval_lists()), in_seconds(draw(_LENGTH)))


_LENGTH = st.integers(100, 120)
_TIME = st.integers(0, 40)


@st.composite
def job_lists(draw: st.DrawFn, workers: tuple[str, ...] = ("0",)) -> list[Job]:
    return [
        Job(
            f"j{k}",
            in_seconds(draw(_TIME)),
            in_seconds(draw(_TIME)),
            in_seconds(draw(st.sampled_from([0, 0, 0, 30]))),
            field=draw(st.sampled_from([None, "rho"])),
            nbytes=draw(st.integers(0, 1000)),
            worker=draw(st.sampled_from(workers)),
        )
        for k in range(draw(st.integers(0, 8)))
    ]


noises = st.sampled_from(
    [Noise(), Noise.typical(), Noise.typical(4.0), Noise(hiccup=0.2), Noise(compute=1.0, ratio=1.0)]
)
policies = st.sampled_from(sorted(POLICIES))
few = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def ns(value: float) -> int:
    return to_ns(value)


def check_trace(result: Simulation, jobs: list[Job], iterations: int) -> None:
    """No overlap per thread, causality, and every job done once per snapshot."""
    by_thread = defaultdict(list)
    for task in result.tasks:
        if task.machine == "background" or result.policy.share == 0.0:
            by_thread[task.worker, task.machine].append(task)
    for tasks in by_thread.values():
        tasks.sort(key=lambda t: t.start)
        for a, b in itertools.pairwise(tasks):
            assert a.end <= b.start

    begins = np.concatenate([[0], np.cumsum(result.durations_ns)])
    names = {j.name: j for j in jobs}
    compressed: dict[tuple[int, str], int] = {}
    writes: dict[tuple[int, str], int] = {}
    for task, snapshot in zip(result.tasks, result.snapshots.tolist(), strict=True):
        if task.job not in names:
            continue
        key = (snapshot, task.job)
        released = begins[snapshot] + ns(names[task.job].release)
        assert ns(task.start) >= released
        latest = min(snapshot + result.policy.horizon, iterations)
        assert ns(task.end) <= begins[latest]
        if task.machine == "compute":
            compressed[key] = max(compressed.get(key, 0), ns(task.end))
        else:
            assert key not in writes
            writes[key] = ns(task.start)
    for key, start in writes.items():
        assert start >= compressed.get(key, 0)
    for job in jobs:
        for snapshot in range(iterations):
            key = (snapshot, job.name)
            assert (job.write > 0.0) == (key in writes)
            assert (job.compress > 0.0 and not result.policy.raw) == (key in compressed)


@few
@given(
    job_lists(),
    busies(),
    policies,
    noises,
    st.integers(1, 4),
    st.integers(0, 9),
    st.sampled_from(["learned", "nominal", "exact"]),
)
def test_invariants(
    jobs: list[Job],
    busy: Busy,
    policy: str,
    noise: Noise,
    iterations: int,
    seed: int,
    knowledge: str,
) -> None:
    result = simulate(
        jobs,
        busy,
        policy=policy,
        iterations=iterations,
        noise=noise,
        seed=seed,
        ratio=3.0,
        knowledge=knowledge,  # type: ignore[arg-type]
        warmup=1,
        trace=True,
    )
    check_trace(result, jobs, iterations)
    assert (result.durations_ns >= result.base_ns).all()
    assert int(result.durations_ns.sum()) >= result.bound_ns >= int(result.base_ns.sum())
    assert result.overhead >= result.bound_overhead >= 0.0


@few
@given(job_lists(("p", "q", "r")), st.lists(busies(), min_size=3, max_size=3), policies, noises)
@pytest.mark.parametrize("shared", ["all", "node"])
def test_invariants_with_shared_storage(
    shared: str, jobs: list[Job], busy: list[Busy], policy: str, noise: Noise
) -> None:
    workers = [Worker(n, b, node) for n, b, node in zip("pqr", busy, "xyx", strict=True)]
    settings_ = {"policy": policy, "noise": noise, "ratio": 3.0, "iterations": 2, "replicas": 2}
    result = simulate(
        jobs,
        workers,
        storage=Storage(5000.0, shared),  # type: ignore[arg-type]
        trace=True,
        **settings_,  # type: ignore[arg-type]
    )
    for k in range(2):
        mine = [w.name + f"#{k}" for w in workers]
        kept = [i for i, t in enumerate(result.tasks) if t.worker in mine]
        one = Simulation(
            result.policy,
            result.durations_ns,
            result.base_ns,
            result.bound_ns,
            result.lost,
            result.gated,
            tasks=tuple(result.tasks[i] for i in kept),
            snapshots=result.snapshots[kept],
        )
        # A job without a length of its own gets one from its bytes: left to the cases by hand.
        check_trace(one, [j for j in jobs if j.write > 0.0 or j.nbytes == 0], 2)
    assert result.overhead >= result.bound_overhead >= 0.0


@few
@given(job_lists(), busies(), policies)
def test_conservation_of_work_without_noise(jobs: list[Job], busy: Busy, policy: str) -> None:
    result = simulate(
        jobs, busy, policy=policy, iterations=2, ratio=1.0, knowledge="nominal", trace=True
    )
    done: dict[tuple[str, str], int] = defaultdict(int)
    for t in result.tasks:
        done[t.job, t.machine] += ns(t.end) - ns(t.start)
    sharing = result.policy.share > 0.0
    for job in jobs:
        assert done[job.name, "background"] == 2 * ns(job.write)
        if not (sharing or result.policy.raw):
            assert done[job.name, "compute"] == 2 * ns(job.compress)
    for k, (a, b) in enumerate(busy.background):
        assert done[f"core {k}", "background"] == 2 * (ns(b) - ns(a))
    if not sharing:
        for k, (a, b) in enumerate(busy.compute):
            assert done[f"compute {k}", "compute"] == 2 * (ns(b) - ns(a))
    # What the iterations lost is all accounted for, to the nanosecond.
    lost = sum(result.lost.values()) * 2e9
    assert lost == pytest.approx(int(result.durations_ns.sum() - result.base_ns.sum()), abs=1.0)
    assert result.base_ns.tolist() == [ns(busy.iteration)] * 2


@few
@given(job_lists(), busies())
def test_a_timetable_without_noise_is_the_plan(jobs: list[Job], busy: Busy) -> None:
    result = simulate(jobs, busy, policy="timetable", knowledge="nominal", trace=True, budget=0.01)
    planned = plan(jobs, busy, budget=0.01, stop_when_hidden=True)
    names = {j.name for j in jobs}
    executed = {(t.job, t.machine): (ns(t.start), ns(t.end)) for t in result.tasks}
    for t in planned.tasks:
        if t.end > t.start:
            assert executed[t.job, t.machine] == (ns(t.start), ns(t.end))
    end = max((ns(t.end) for t in planned.tasks), default=0)
    assert int(result.durations_ns[0]) == max(ns(busy.iteration), end)
    # and the simulation's own tasks are where its busy intervals are
    own = [t for t in result.tasks if t.job not in names]
    compute = {(t.start, t.end) for t in own if t.machine == "compute"}
    starts = {a for a, _ in busy.compute}
    assert starts <= {a for a, _ in compute}
    assert [(t.start, t.end) for t in own if t.machine == "background"] == list(busy.background)
    assert result.lost["thread"] == result.lost["core"] == 0.0


@few
@given(job_lists(), busies(), st.integers(0, 9))
def test_a_timetable_starts_nothing_early(jobs: list[Job], busy: Busy, seed: int) -> None:
    noise = Noise.typical(6.0)
    result = simulate(
        *(jobs, busy),
        policy="timetable",
        knowledge="nominal",
        noise=noise,
        seed=seed,
        iterations=2,
        trace=True,
        budget=0.01,
    )
    planned = plan(jobs, busy, budget=0.01, stop_when_hidden=True)
    starts = {(t.job, t.machine): ns(t.start) for t in planned.tasks}
    begins = [0, int(result.durations_ns[0])]
    for task, snapshot in zip(result.tasks, result.snapshots.tolist(), strict=True):
        planned_start = starts.get((task.job, task.machine), 0)
        assert ns(task.start) >= begins[snapshot] + planned_start


@few
@given(busies(), policies, noises, st.integers(0, 5))
def test_nothing_to_dump_costs_nothing(busy: Busy, policy: str, noise: Noise, seed: int) -> None:
    result = simulate([], busy, policy=policy, noise=noise, seed=seed, ratio=2.0, iterations=3)
    assert result.durations_ns.tolist() == result.base_ns.tolist()
    assert result.overhead == result.bound_overhead == 0.0


@few
@given(job_lists(), busies())
def test_plain_orders_agree_with_a_list_schedule(jobs: list[Job], busy: Busy) -> None:
    """Johnson without backfilling, undisturbed: compressions are executed in his order."""
    result = simulate(jobs, busy, policy="johnson", knowledge="nominal", trace=True)
    released = [j for j in jobs if j.release == 0.0 and j.compress > 0.0]
    if len(released) < len(jobs):
        return
    names = {j.name: j for j in jobs}
    tasks = sorted(result.tasks, key=lambda t: t.start)
    ran = [names[t.job] for t in tasks if t.machine == "compute" and t.job in names]
    early = [j for j in ran if j.compress <= j.write]
    late = [j for j in ran if j.compress > j.write]
    assert ran == early + late
    assert [j.compress for j in early] == sorted(j.compress for j in early)
    assert [-j.write for j in late] == sorted(-j.write for j in late)


def test_same_seed_same_result_and_noise_does_not_depend_on_the_policy() -> None:
    rng = np.random.default_rng(0)
    jobs = [Job(f"j{k}", float(a), float(b)) for k, (a, b) in enumerate(rng.random((12, 2)) * 0.02)]
    busy = Busy([(0.0, 0.05), (0.1, 0.2), (0.3, 0.4)], [(0.1, 0.15), (0.2, 0.25)], length=0.5)
    base = []
    for name in POLICIES:
        runs = [
            simulate(
                *(jobs, busy),
                policy=name,
                noise=Noise.typical(2),
                seed=7,
                iterations=6,
                ratio=4.0,
                budget=0.002,
            )
            for _ in range(2)
        ]
        assert runs[0].durations_ns.tolist() == runs[1].durations_ns.tolist()
        base.append(runs[0].base_ns.tolist())
    assert all(b == base[0] for b in base)
    other = simulate(jobs, busy, noise=Noise.typical(2), seed=8, iterations=6)
    assert other.base_ns.tolist() != base[0]


def test_a_change_of_pattern_stops_the_gating_until_it_settles() -> None:
    jobs = [Job(f"j{k}", 0.3, 0.1) for k in range(4)]
    before = Busy([(0, 1), (2, 3)], length=4)
    after = Busy([(0, 0.5), (1, 1.5), (2, 2.5)], length=4)
    result = simulate(jobs, before, policy="paper", iterations=7, changes={3: after})
    assert result.gated[:, 0].tolist() == [True, True, True, False, False, True, True]
    assert result.overhead < 0.2
    (errors,) = result.errors
    assert errors.of("idle")
    assert "compress" in str(errors)


def test_learned_forecasts_come_close_to_the_oracle() -> None:
    rng = np.random.default_rng(3)
    jobs = [
        Job(f"j{k}", float(a), float(b))
        for k, (a, b) in enumerate(rng.lognormal(-3.5, 0.4, (20, 2)))
    ]
    busy = Busy([(0, 0.2), (0.4, 0.6), (0.9, 1.1)], [(0.2, 0.3), (0.6, 0.8)], length=1.5)
    overhead = {
        knowledge: simulate(
            jobs,
            busy,
            policy="paper",
            noise=Noise.typical(),
            iterations=20,
            knowledge=knowledge,  # type: ignore[arg-type]
        ).overhead
        for knowledge in ("learned", "exact")
    }
    assert overhead["learned"] <= overhead["exact"] + 0.05


# -- programs -------------------------------------------------------------------------------


@given(busies())
def test_a_program_takes_the_time_of_its_intervals(busy: Busy) -> None:
    p = Program.from_busy(busy)
    assert int(p.duration.sum()) == ns(busy.iteration)
    recorded = p.recorded(p.duration, p.core)
    assert recorded.busy == busy
    assert Program.from_busy(recorded.busy).code.tolist() == p.code.tolist()
    assert Recorded.from_busy(busy) == recorded


@given(busies(), busies())
def test_a_program_timed_by_its_own_intervals_is_itself(busy: Busy, other: Busy) -> None:
    p = Program.from_busy(busy)
    same = p.timed_by(busy)
    assert same is not None
    assert same.duration.tolist() == p.duration.tolist()
    assert same.core.tolist() == p.core.tolist()
    timed = p.timed_by(other)
    counts = [(len(b.compute), len(b.background)) for b in (busy, other)]
    assert (timed is not None) == (counts[0] == counts[1])
    if timed is not None:
        assert timed.code.tolist() == p.code.tolist()
        assert (timed.duration >= 0).all()
        assert int(timed.duration.sum()) <= ns(other.iteration)


def test_a_launch_expected_across_an_edge_stays_at_the_edge() -> None:
    p = Program.from_busy(Busy([(0, 4), (6, 8)], [(4, 5), (7, 7.5)], 10))
    timed = p.timed_by(Busy([(0, 5), (6, 9)], [(4.5, 5.5), (7, 8)], 11))
    assert timed is not None
    #                             run, launch, wait, need, run, launch, run, wait, need, end
    assert (timed.duration // 10**9).tolist() == [5, 0, 1, 0, 1, 0, 2, 2, 0, 0]


@given(busies(), st.floats(0.0, 0.9))
def test_expected_distances_shrink(busy: Busy, margin: float) -> None:
    p = Program.from_busy(busy)
    full, less = Distances.of(p), Distances.of(p, margin)
    assert int(full.end[0]) == ns(busy.iteration)
    assert (less.end <= full.end).all()
    assert (less.window <= full.window).all()
    assert (less.core <= full.core).all()
    if busy.background:
        assert full.first == ns(busy.background[0][0])
