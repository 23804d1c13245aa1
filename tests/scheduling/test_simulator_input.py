"""Noise, policies, bad input and the timers of the simulator."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fzdask.errors import ConfigError
from fzdask.scheduling.kernels.timers import first_timer, get_timer, set_timer, tree_size
from fzdask.scheduling.model import Busy, Job, Worker
from fzdask.scheduling.noise import Noise, NoiseSource
from fzdask.scheduling.rivals import Policy, find_policy
from fzdask.scheduling.simulator import simulate

# -- noise ----------------------------------------------------------------------------------


def test_noise_factors_have_mean_one_and_persist() -> None:
    source = NoiseSource(Noise(ratio=0.3, persistence=0.8, compute=0.2), seed=1)
    draws = []
    for _ in range(40):
        sizes, compute = source.size((2000,)), source.compute((2000,))
        assert sizes is not None
        assert compute is not None
        assert abs(compute.mean() - 1.0) < 0.02
        draws.append(np.log(sizes))
        source.next_iteration()
    logs = np.array(draws)
    assert abs(np.exp(logs).mean() - 1.0) < 0.02
    assert abs(logs.std() - 0.3) < 0.01
    assert abs(np.corrcoef(logs[:-1].ravel(), logs[1:].ravel())[0, 1] - 0.8) < 0.02


def test_switching_one_noise_on_leaves_the_others() -> None:
    one = NoiseSource(Noise(compute=0.1), seed=3).compute((5,))
    both = NoiseSource(Noise(compute=0.1, compress=0.2), seed=3).compute((5,))
    assert one is not None
    assert both is not None
    assert one.tolist() == both.tolist()
    assert NoiseSource(Noise(), 0).compute((5,)) is None


@pytest.mark.parametrize(
    "bad",
    [
        {"compute": -0.1},
        {"ratio": math.nan},
        {"bandwidth": math.inf},
        {"persistence": 1.0},
        {"hiccup": 1.5},
        {"hiccup_factor": 0.5},
    ],
)
def test_bad_noise_is_refused(bad: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(bad))):
        Noise(**bad)


# -- timers ---------------------------------------------------------------------------------


@pytest.mark.parametrize("leaves", [1, 2, 8, 9, 64, 65, 700])
def test_the_tournament_tree_finds_the_first_of_the_earliest(leaves: int) -> None:
    rng = np.random.default_rng(leaves)
    values = np.full(leaves, 1000)
    tree = np.full(tree_size(leaves), 1000)
    for _ in range(300):
        leaf, value = int(rng.integers(leaves)), int(rng.integers(40))
        values[leaf] = value
        set_timer(tree, leaf, value)
        assert tree[0] == values.min()
        assert first_timer(tree) == int(values.argmin())
        assert get_timer(tree, leaf) == value


# -- bad input ------------------------------------------------------------------------------

ONE = Busy([(0, 1)], length=2)


@pytest.mark.parametrize(
    ("match", "more"),
    [
        ("'nonsense' is unknown", {"policy": "nonsense"}),
        ("iterations", {"iterations": 0}),
        ("warmup", {"warmup": -1}),
        ("replicas", {"replicas": 0}),
        ("seed", {"seed": -1}),
        ("knowledge", {"knowledge": "psychic"}),
        ("ratio", {"policy": "sync-raw"}),
        ("field 'rho'", {"policy": "sync-raw", "ratio": {"u": 2.0}}),
        ("positive", {"policy": "async-raw", "ratio": 0.0}),
        ("changes name", {"changes": {0: Worker("other", ONE)}}),
    ],
)
def test_bad_input_is_refused(match: str, more: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=match):
        simulate([Job("a", 1, 1, field="rho")], ONE, **more)  # type: ignore[arg-type]


def test_bad_jobs_and_workers_are_refused() -> None:
    job = Job("a", 1, 1)
    with pytest.raises(ConfigError, match="two jobs"):
        simulate([job, job], ONE)
    with pytest.raises(ConfigError, match="names no worker"):
        simulate([job], [Worker("p", ONE), Worker("q", ONE)])
    with pytest.raises(ConfigError, match="unknown worker"):
        simulate([Job("a", 1, 1, worker="z")], [Worker("p", ONE)])
    with pytest.raises(ConfigError, match="unique"):
        simulate([], [Worker("p", ONE), Worker("p", ONE)])
    with pytest.raises(ConfigError, match="empty"):
        simulate([], [])
    with pytest.raises(ConfigError, match="no time"):
        simulate([job], Busy())


def test_times_too_long_for_64_bits_are_refused() -> None:
    year = 3.15e7
    jobs = [Job(f"j{k}", year, year) for k in range(3)]
    busy = Busy([(0, year)], length=year)
    result = simulate(jobs, busy, policy="planned", iterations=2, warmup=0)
    assert result.overhead >= result.bound_overhead > 0.0
    with pytest.raises(ConfigError, match="64 bits"):
        simulate(jobs, busy, policy="threads", warmup=0)
    with pytest.raises(ConfigError, match="64 bits"):
        simulate(jobs, busy, policy="planned", iterations=20, warmup=0)


@pytest.mark.parametrize(
    "bad",
    [
        {"horizon": 0},
        {"share": 1.0},
        {"slice": -1.0},
        {"slice": math.nan},
        {"share": 0.5, "slice": 0.1},
        {"timetable": True},
    ],
)
def test_bad_policies_are_refused(bad: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(bad))):
        Policy("mine", "mine", **bad)  # type: ignore[arg-type]


def test_policies_by_name() -> None:
    assert find_policy("fzdask").horizon == 2
    mine = Policy("mine", "mine")
    assert find_policy(mine) is mine


def test_a_simulation_tells_what_it_cost() -> None:
    text = str(simulate([Job("a", 2, 1)], Busy([(0, 1)], length=2), policy="planned"))
    assert "overhead 100.00 %" in text
    assert "dump" in text
