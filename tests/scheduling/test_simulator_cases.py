"""The replay against cases worked out by hand, to the nanosecond."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fzdask.scheduling.model import Busy, Job, Storage, Worker
from fzdask.scheduling.predict import Margins
from fzdask.scheduling.rivals import POLICIES, Policy
from fzdask.scheduling.simulator import Simulation, simulate

#  compute    |....    ..  |   10 s; idle from 4 to 6 and from 8 to 10
TWO_WINDOWS = Busy([(0, 4), (6, 8)], length=10)
A = Job("a", 2, 1)
B = Job("b", 2, 3)


def run(policy: str | Policy, jobs: list[Job], busy: Busy, **more: object) -> Simulation:
    settings: dict[str, object] = {"knowledge": "nominal", "trace": True, **more}
    return simulate(jobs, busy, policy=policy, **settings)  # type: ignore[arg-type]


def spans(result: Simulation, machine: str) -> list[tuple[str, float, float]]:
    return [(t.job, t.start, t.end) for t in result.tasks if t.machine == machine]


def test_nothing_to_dump_costs_nothing() -> None:
    for name in POLICIES:
        result = run(name, [], TWO_WINDOWS, iterations=3, ratio=2.0)
        assert result.durations_ns.tolist() == [10_000_000_000] * 3
        assert result.overhead == 0.0
        assert result.bound_overhead == 0.0


def test_synchronous_adds_everything_up() -> None:
    result = run("sync", [A, B], TWO_WINDOWS, iterations=2)
    assert result.overheads.tolist() == [0.8, 0.8]
    assert spans(result, "background")[:2] == [("a", 12, 13), ("b", 15, 18)]
    assert result.lost == {"thread": 0.0, "core": 0.0, "dump": pytest.approx(8.0)}


def test_synchronous_raw_writes_ratio_times_as_long() -> None:
    result = run("sync-raw", [A, B], TWO_WINDOWS, ratio=2.0)
    assert result.overhead == 0.8
    assert spans(result, "background") == [("a", 10, 12), ("b", 12, 18)]
    assert {t.job for t in result.tasks if t.machine == "compute"} == {"compute 0", "compute 1"}


def test_asynchronous_raw_uses_the_whole_iteration() -> None:
    result = run("async-raw", [A, B], TWO_WINDOWS, ratio={"": 3.0})
    assert spans(result, "background") == [("a", 0, 3), ("b", 3, 12)]
    assert result.overhead == pytest.approx(0.2)


def test_first_in_first_out_gated() -> None:
    result = run("fifo", [A, B], TWO_WINDOWS)
    assert spans(result, "compute") == [
        ("compute 0", 0, 4),
        ("a", 4, 6),
        ("compute 1", 6, 8),
        ("b", 8, 10),
    ]
    assert spans(result, "background") == [("a", 6, 7), ("b", 10, 13)]
    assert result.overhead == pytest.approx(0.3)


@pytest.mark.parametrize("name", ["johnson", "paper", "planned", "timetable"])
def test_planned_orders_put_the_long_write_first(name: str) -> None:
    result = run(name, [A, B], TWO_WINDOWS)
    assert spans(result, "background") == [("b", 6, 9), ("a", 10, 11)]
    assert result.overhead == pytest.approx(0.1)
    assert result.bound_overhead == 0.0


def test_rolling_horizon_writes_on_into_the_next_iteration() -> None:
    result = run("fzdask", [A, B], TWO_WINDOWS, iterations=3)
    assert result.durations_ns.tolist() == [10_000_000_000, 10_000_000_000, 11_000_000_000]
    assert ("a", 10, 11) in spans(result, "background")


def test_threads_share_the_core_evenly() -> None:
    # a: 0..4 at half speed, b: 4..8; the first compute work takes 8 s instead of 4.
    result = run("threads", [A, B], TWO_WINDOWS)
    assert sorted(spans(result, "compute")) == [
        ("a", 0, 4),
        ("b", 4, 8),
        ("compute 0", 0, 8),
        ("compute 1", 10, 12),
    ]
    assert result.durations_ns.tolist() == [14_000_000_000]
    assert result.lost["thread"] == pytest.approx(4.0)


def test_idle_priority_barely_slows_the_simulation() -> None:
    result = run("idle-threads", [A, B], TWO_WINDOWS)
    # 6 s of compute work stretched by 1024 / 1021, while there is something to compress
    assert 0.0 < result.lost["thread"] <= 6 * 3 / 1021 + 3e-9
    assert result.overhead < 0.35


SLICED = Policy("cut", "slices of half a second", order="johnson", skip=True, slice=0.5)


def test_slices_give_way_at_the_next_boundary() -> None:
    busy = Busy([(0, 4), (6.2, 8)], length=10)
    result = run(SLICED, [Job("a", 5.2, 0)], busy)
    # From 4 on in slices of 0.5; asked at 6.2, gives way at 6.5: the simulation is 0.3 late.
    assert [s for s in spans(result, "compute") if s[0] == "a"] == [
        ("a", 4, 6.5),
        ("a", 8.3, pytest.approx(11.0)),
    ]
    assert result.lost["thread"] == pytest.approx(0.3)
    assert result.durations_ns.tolist() == [11_000_000_000]


def test_immediate_preemption_never_delays_the_simulation() -> None:
    busy = Busy([(0, 4), (6.2, 8)], length=10)
    result = run(replace(SLICED, slice=0.0), [Job("a", 5.2, 0)], busy)
    assert result.lost["thread"] == 0.0
    # 2.2 s and 2 s in the windows, the rest after the end
    assert result.durations_ns.tolist() == [11_000_000_000]


def test_a_job_longer_than_every_window_waits_for_the_end() -> None:
    busy = Busy([(0, 4), (6, 8), (9, 10)], length=10)
    result = run("planned", [Job("a", 3, 1)], busy)
    assert spans(result, "compute")[-1] == ("a", 10, 13)
    assert result.durations_ns.tolist() == [14_000_000_000]


def test_what_is_due_may_run_past_the_end_of_the_last_window() -> None:
    result = run("planned", [Job("a", 3, 1)], TWO_WINDOWS)
    assert spans(result, "compute")[-1] == ("a", 8, 11)
    assert result.durations_ns.tolist() == [12_000_000_000]


def test_online_skip_takes_the_first_that_fits() -> None:
    jobs = [Job("long", 3, 0), Job("short", 1, 0)]
    first = Policy("first", "first in first out", skip=False)
    assert run(first, jobs, TWO_WINDOWS).overhead == pytest.approx(0.2)  # long 8-11, short 11-12
    skipped = run(replace(first, skip=True), jobs, TWO_WINDOWS)
    assert ("short", 4, 5) in spans(skipped, "compute")
    assert skipped.overhead == pytest.approx(0.1)


def test_margins_keep_a_tight_fit_out() -> None:
    jobs = [Job("a", 2, 1)]
    late = run("planned", jobs, TWO_WINDOWS, margins=Margins(0.01, 0.0, 0.0))
    assert ("a", 8, 10) in spans(late, "compute")
    early = run("planned", jobs, TWO_WINDOWS, margins=Margins(0.0, 0.0, 0.0))
    assert ("a", 4, 6) in spans(early, "compute")


#  compute     |.  ..|  6 s; a core task from 1 to 3 that the second piece of work needs
#  background  | ..  |
WITH_CORE = Busy([(0, 1), (3, 5)], [(1, 3)], length=6)


def test_an_ungated_write_delays_a_core_task_and_the_work_that_needs_it() -> None:
    result = run("async-raw", [Job("a", 0, 0.5)], WITH_CORE, ratio=5.0)
    assert spans(result, "background") == [("a", 0, 2.5), ("core 0", 2.5, 4.5)]
    assert ("compute 1", 4.5, 6.5) in spans(result, "compute")
    assert result.lost == {"thread": 0.0, "core": pytest.approx(1.5), "dump": 0.0}
    assert result.overhead == 0.25


def test_a_gated_write_leaves_room_for_the_core_task() -> None:
    result = run("fifo", [Job("a", 0, 2.5)], WITH_CORE)
    assert spans(result, "background") == [("core 0", 1, 3), ("a", 3, 5.5)]
    assert result.overhead == 0.0


def test_gates_look_into_the_next_iteration() -> None:
    # Ready at 2, the write fits neither before the end of the core task at 3 nor, from 3 on, before
    # the next one at 7; with two snapshots outstanding it is not due, and waits for that one.
    rolling = Policy("rolling", "two snapshots", skip=True, horizon=2)
    result = run(rolling, [Job("a", 1, 4.5)], WITH_CORE, iterations=2)
    assert spans(result, "background") == [
        ("core 0", 1, 3),
        ("core 0", 7, 9),
        ("a", 9, 13.5),
        ("a", 13.5, 18),
    ]
    assert result.durations_ns.tolist() == [6_000_000_000, 12_000_000_000]
    shorter = run(rolling, [Job("a", 1, 4.0)], WITH_CORE, iterations=2)
    assert spans(shorter, "background")[1] == ("a", 3, 7)


def test_release_within_the_iteration() -> None:
    result = run("planned", [Job("a", 1, 1, release=4.5)], TWO_WINDOWS)
    assert spans(result, "background") == [("a", 5.5, 6.5)]
    assert run("planned", [Job("a", 0, 1, release=4.5)], TWO_WINDOWS).tasks[1].start == 4.5


def test_timetable_waits_for_its_planned_starts() -> None:
    result = run("timetable", [Job("a", 1, 1, release=5.0)], TWO_WINDOWS)
    assert spans(result, "background") == [("a", 6, 7)]


# -- several workers ------------------------------------------------------------------------

IDLE = Busy(length=10)


def two(storage: Storage | None, release: float = 0.0, nodes: str = "xx") -> Simulation:
    workers = [Worker("p", IDLE, nodes[0]), Worker("q", IDLE, nodes[1])]
    jobs = [
        Job("a", 0, 1, nbytes=100, worker="p"),
        Job("b", 0, 1, release, nbytes=100, worker="q"),
    ]
    return simulate(
        jobs, workers, policy="async-raw", ratio=1.0, storage=storage, trace=True, warmup=0
    )


def ends(result: Simulation) -> dict[str, float]:
    return {t.job: t.end for t in result.tasks}


def test_without_shared_storage_writes_do_not_meet() -> None:
    assert ends(two(None)) == {"a": 1.0, "b": 1.0}


def test_shared_bandwidth_halves_both() -> None:
    assert ends(two(Storage(100.0))) == {"a": 2.0, "b": 2.0}


def test_enough_bandwidth_changes_nothing() -> None:
    assert ends(two(Storage(200.0))) == ends(two(None))


def test_a_second_write_slows_the_first_only_while_it_lasts() -> None:
    # a alone until 0.5; then each at half speed until a ends at 1.5; b alone until 2.
    assert ends(two(Storage(100.0), release=0.5)) == {"a": 1.5, "b": 2.0}


def test_bandwidth_per_node() -> None:
    node = Storage(100.0, "node")
    assert ends(two(node, nodes="xy")) == {"a": 1.0, "b": 1.0}
    assert ends(two(node, nodes="xx")) == {"a": 2.0, "b": 2.0}


def test_a_write_alone_takes_at_least_what_the_bandwidth_needs() -> None:
    result = simulate(
        [Job("a", 0, 1, nbytes=300)], IDLE, storage=Storage(100.0), trace=True, warmup=0
    )
    assert ends(result) == {"a": 3.0}


def test_all_wait_for_the_slowest() -> None:
    workers = [Worker("p", Busy([(0, 4)], length=5)), Worker("q", Busy([(0, 4)], length=7))]
    result = simulate([Job("a", 2, 2, worker="p")], workers, iterations=2, policy="planned")
    assert result.base_ns.tolist() == [7_000_000_000] * 2
    # p could be through at 8: compress 4-6, write 6-8, one second after q
    assert result.durations_ns.tolist() == [8_000_000_000] * 2


def test_replicas_do_the_same_without_noise() -> None:
    one = run("planned", [A, B], TWO_WINDOWS)
    many = run("planned", [A, B], TWO_WINDOWS, replicas=5)
    assert many.durations_ns.tolist() == one.durations_ns.tolist()
    assert {t.worker for t in many.tasks} == {f"0#{k}" for k in range(5)}
    assert len(many.tasks) == 5 * len(one.tasks)
