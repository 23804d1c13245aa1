"""Bad input is refused by name, and the documented rules hold for what is merely odd."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fzdask.errors import ConfigError
from fzdask.scheduling import Busy, Job, Storage, Task, Worker, plan
from fzdask.scheduling.instance import holes_of
from fzdask.scheduling.kernels.free_list import FOREVER
from fzdask.scheduling.model import MAX_SECONDS, from_ns, to_ns


@pytest.mark.parametrize("what", ["compress", "write", "release"])
@pytest.mark.parametrize("value", [-1e-9, math.nan, math.inf, -math.inf, 2 * MAX_SECONDS, "3"])
def test_a_bad_time_of_a_job_names_job_parameter_and_value(what, value):
    times = {"compress": 1.0, "write": 1.0, what: value}
    with pytest.raises(ConfigError, match=f"'rho/3'.*{what}="):
        Job("rho/3", **times)


def test_bad_name_and_size_of_a_job():
    with pytest.raises(ConfigError, match="name"):
        Job("", 1.0, 1.0)
    with pytest.raises(ConfigError, match="nbytes=-1"):
        Job("a", 1.0, 1.0, nbytes=-1)


@pytest.mark.parametrize(
    ("intervals", "rule"),
    [
        ([(0.0, 2.0), (1.0, 3.0)], "sorted and disjoint"),
        ([(2.0, 3.0), (0.0, 1.0)], "sorted and disjoint"),
        ([(1.0, 0.5)], "start <= end"),
        ([(-1.0, 0.5)], "0 <= start"),
        ([(math.nan, 1.0)], "0 <= start"),
        ([(0.0, math.nan)], "0 <= start"),
        ([(0.0, math.inf)], "0 <= start"),
        ([(0.0, 1.0, 2.0)], "pair"),
        ([1.0], "pair"),
    ],
)
@pytest.mark.parametrize("machine", ["compute", "background"])
def test_bad_busy_intervals_name_machine_and_rule(machine, intervals, rule):
    with pytest.raises(ConfigError, match=f"(?s){machine} interval.*{rule}"):
        Busy(**{machine: intervals})


def test_touching_and_empty_busy_intervals_are_allowed():
    busy = Busy([(0.0, 1.0), (1.0, 2.0), (2.5, 2.5)], np.array([[0.25, 0.5]]))
    assert busy.compute == ((0.0, 1.0), (1.0, 2.0))
    assert busy.background == ((0.25, 0.5),)
    assert busy.iteration == 2.0
    holes = holes_of(busy.compute)
    assert holes.starts.tolist() == [2_000_000_000]
    assert holes.ends.tolist() == [FOREVER]


def test_an_iteration_is_not_shorter_than_its_own_work():
    assert Busy([(0.0, 1.0)], length=1.5).iteration == 1.5
    with pytest.raises(ConfigError, match=r"length=0\.5"):
        Busy([(0.0, 1.0)], length=0.5)


def test_bad_workers_and_storage():
    with pytest.raises(ConfigError, match="name"):
        Worker("")
    with pytest.raises(ConfigError, match="must be a Busy"):
        Worker("a", [(0.0, 1.0)])
    for bandwidth in (0.0, 0.5, -1.0, math.nan, math.inf, 1e19):
        with pytest.raises(ConfigError, match="bandwidth"):
            Storage(bandwidth)
    with pytest.raises(ConfigError, match="'all' or 'node'"):
        Storage(1.0, "rack")


def test_plan_refuses_what_it_cannot_mean():
    jobs = [Job("a", 1.0, 1.0)]
    with pytest.raises(ConfigError, match="did you mean 'johnson'"):
        plan(jobs, method="jonson")
    for budget in (-1.0, math.nan, math.inf):
        with pytest.raises(ConfigError, match="budget"):
            plan(jobs, budget=budget)
    with pytest.raises(ConfigError, match="2 jobs are called 'a'"):
        plan([*jobs, Job("b", 1.0, 1.0), Job("a", 2.0, 2.0)])
    with pytest.raises(ConfigError, match="two workers have the same name"):
        plan(jobs, [Worker("w"), Worker("w")])
    with pytest.raises(ConfigError, match="at least one Worker"):
        plan(jobs, [])
    with pytest.raises(ConfigError, match="at least one Worker"):
        plan(jobs, [(0.0, 1.0)])
    with pytest.raises(ConfigError, match="wants node 'x'"):
        plan([Job("a", 1.0, 1.0, node="x")], [Worker("w", node="n")])
    with pytest.raises(ConfigError, match="wants worker 'x'"):
        plan([Job("a", 1.0, 1.0, worker="x")], [Worker("w")])
    with pytest.raises(ConfigError, match="wants worker 'w' on node 'm'"):
        plan(
            [Job("a", 1.0, 1.0, worker="w", node="m")],
            [Worker("w", node="n"), Worker("v", node="m")],
        )
    with pytest.raises(ConfigError, match="64 bits"):
        plan([Job(f"{i}", 9e7, 9e7) for i in range(100)])
    with pytest.raises(ConfigError, match="1e\\+08 seconds at the storage's 2 bytes"):
        plan([Job("big", 1.0, 1.0, nbytes=10**30)], storage=Storage(2.0))
    with pytest.raises(ConfigError, match="'a' is not a Job"):
        plan(["a"])
    for method, most in (("exact", 8), ("two-list", 300), ("one-list+backfill", 2000)):
        with pytest.raises(ConfigError, match=f"at most {most}"):
            plan([Job(f"{i}", 1.0, 1.0) for i in range(most + 1)], method=method)


def test_the_order_of_a_thread_needs_a_worker_that_exists():
    made = plan([Job("a", 1.0, 1.0)], [Worker("v"), Worker("w")])
    assert made.order("compute", "v") + made.order("compute", "w") == ["a"]
    with pytest.raises(ConfigError, match="worker=None must be one of 'v', 'w'"):
        made.order("compute")
    with pytest.raises(ConfigError, match="worker='x'"):
        made.order("compute", "x")
    with pytest.raises(ConfigError, match="machine='gpu'"):
        made.order("gpu", "v")


def test_a_job_longer_than_every_hole_goes_after_the_last_busy_interval_and_is_named():
    busy = Busy([(0.1, 0.4), (0.5, 0.9)], [(0.0, 0.7)])
    jobs = [Job("fits", 0.05, 0.1), Job("long", 0.2, 0.1), Job("long write", 0.01, 0.3)]
    made = plan(jobs, busy)
    assert made.too_long == ("long", "long write")
    start = {(t.job, t.machine): t.start for t in made.tasks}
    assert start["long", "compute"] >= 0.9
    assert start["fits", "compute"] + 0.05 <= 0.1
    assert plan(jobs[:1], busy).too_long == ()
    assert plan(jobs).too_long == ()


def test_tasks_of_zero_length_start_when_ready_and_occupy_nothing():
    busy = Busy([(0.0, 1.0)], [(0.0, 1.0)])
    made = plan([Job("raw", 0.0, 0.0, release=0.25), Job("b", 0.5, 0.5)], busy)
    assert [(t.start, t.end) for t in made.tasks if t.job == "raw"] == [(0.25, 0.25)] * 2
    assert made.makespan == 2.0
    assert plan([Job("less than half a nanosecond", 1e-10, 1e-10)]).makespan == 0.0


def test_nothing_to_place_gives_an_empty_plan():
    made = plan([], Busy([(0.0, 1.0)]))
    assert made.tasks == ()
    assert (made.makespan, made.lower_bound, made.gap_percent, made.overhead) == (0, 0, 0, 0)
    assert made.idle == {"compute": 0.0, "background": 1.0}


def test_nanoseconds_are_the_nearest_and_survive_a_round_trip():
    assert to_ns(0.1 + 0.2) == 300_000_000
    assert from_ns(300_000_000) == 0.3
    for ns in (0, 1, 7, 123_456_789, 10**12 + 1, 2**52 + 1):
        assert to_ns(from_ns(ns)) == ns


def test_the_length_of_a_task_is_its_duration():
    assert Task("a", "compute", "0", 1.0, 1.5).duration == 0.5
