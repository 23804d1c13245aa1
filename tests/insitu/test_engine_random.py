"""Random simulations, rules and blocks: everything is stored once, in order, within the buffer."""

from __future__ import annotations

import contextlib
import random
import time

import pytest
from engine_cases import PATIENCE, Source

from fzdask.insitu import CancelledDumpError, Engine, Rules


def simulate(seed: int) -> None:
    rng = random.Random(seed)
    rules = Rules(
        windows=rng.choice(["marked", "auto", "always"]),
        order=rng.choice(["fifo", "johnson"]),
        slices=rng.random() < 0.7,
        skip=rng.random() < 0.7,
        gate_writes=rng.random() < 0.7,
        deadline=rng.choice([None, 0.05, 5.0]),
    )
    limit = rng.choice([10, 50, 1000, 10**6])
    source, announced, snapshots, cancelled = Source(), [], [], set()
    with Engine(rules, buffer=limit) as e:
        for step in range(rng.randrange(1, 8)):
            with e.iteration(str(step)):
                for _ in range(rng.randrange(3)):
                    if rng.random() < 0.5:
                        e.core("core", time.sleep, 0.002 * rng.random())
                    with e.idle(rng.choice("ab")):
                        time.sleep(0.003 * rng.random())
            assert e.wait(rng.choice([0, 1, 2]), PATIENCE)
            blocks = source.blocks(
                rng.randrange(6), f"{step}.", slices=rng.randrange(5),
                nbytes=rng.choice([10, 20, 200]), seconds=rng.choice([0.0, 0.0005]),
            )  # fmt: skip
            snapshot = e.submit(
                blocks, name=str(step), on_stored=lambda step=step: announced.append(step)
            )
            snapshots.append(snapshot)
            order = rng.sample(range(len(blocks)), len(blocks))
            e.set_order(snapshot, order, order[::-1])
            if rng.random() < 0.1 and e.cancel(snapshot):
                cancelled.add(step)
            if rng.random() < 0.2:
                with contextlib.suppress(CancelledDumpError):
                    e.flush(PATIENCE)
        with contextlib.suppress(CancelledDumpError):
            e.flush(PATIENCE)
        found = e.statistics
    assert found["outstanding"] == found["buffered bytes"] == 0
    assert found.get("buffer peak", 0) <= limit + 200
    assert announced == sorted(announced)
    assert set(range(len(snapshots))) - cancelled <= set(announced)
    assert len(source.sink.keys) == len(set(source.sink.keys))
    for step, snapshot in enumerate(snapshots):
        if step not in cancelled:
            snapshot.future.result(0)
            names = {task.block.name for task in snapshot.tasks}
            assert names <= set(source.sink.keys)


@pytest.mark.parametrize("seed", range(40))
def test_everything_is_stored_once_and_in_order(seed: int) -> None:
    simulate(seed)


@pytest.mark.slow
def test_everything_is_stored_once_and_in_order_two_thousand_times() -> None:
    for seed in range(1000, 3000):
        simulate(seed)
