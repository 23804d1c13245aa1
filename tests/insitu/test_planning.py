"""The planner thread: orders are learnt, made ahead, and never a reason to lose anything."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from engine_cases import PATIENCE, Sink, Source, wait_until

from fzdask.errors import ConfigError
from fzdask.insitu import Engine, Rules, planning, writing
from fzdask.insitu.block import Block, Slices


class Slow(Sink):
    """Takes a given time of a clock; one for each block, so that none are stored together."""

    def __init__(self, seconds: float, stored: list[str], clock: list[float]) -> None:
        super().__init__()
        self.seconds, self.names, self.clock = seconds, stored, clock

    def write(self, items: Any) -> None:
        self.clock[0] += self.seconds
        self.names += [key for key, _ in items]


@pytest.fixture
def learnt(
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Callable[[str], tuple[Engine, list[str], Any]]]:
    """An engine that has seen one snapshot of three blocks, whose writes take 5, 40 and 15 ms."""
    engines: list[Engine] = []
    clock = [time.perf_counter()]  # of the writes: a busy machine would make them longer
    monkeypatch.setattr(writing, "now", lambda: clock[0])

    def make(order: str) -> tuple[Engine, list[str], Any]:
        used = [0.0]  # an imitated processor: each block takes a second of it
        encoded: list[str] = []
        stored: list[str] = []
        sinks = [Slow(seconds, stored, clock) for seconds in (0.005, 0.04, 0.015)]

        def blocks() -> list[Block]:
            def block(i: int) -> Block:
                def encode() -> Slices:
                    yield
                    used[0] += 1.0
                    encoded.append(f"b{i}")
                    return b"x" * 10

                return Block(f"b{i}", "f", 100, encode, f"b{i}", sinks[i])

            return [block(i) for i in range(3)]

        e = Engine(
            Rules(windows="marked", order=order, search_from=0.0), processor_time=lambda: used[0]
        )
        engines.append(e)
        snapshot = e.submit(blocks())
        with e.idle():
            snapshot.future.result(PATIENCE)
            wait_until(lambda: e._plans.order_for(snapshot) is not None)
        assert [p.compress for p in e.profiles(snapshot)] == [1.0, 1.0, 1.0]
        encoded.clear()
        return e, encoded, blocks

    yield make
    for e in engines:
        e.close(cancel=True)


@pytest.mark.parametrize("order", ["johnson", "johnson+backfill", "auto"])
def test_the_next_snapshot_of_the_same_blocks_finds_its_order_waiting(
    learnt: Any, order: str
) -> None:
    """Compressions are longer than writes: Johnson puts the longest write first."""
    e, encoded, blocks = learnt(order)
    snapshot = e.submit(blocks())
    ranks = [task.compress_rank for task in snapshot.tasks]
    assert all(task.expected_compress == 1.0 for task in snapshot.tasks)
    assert all(task.expected_write > 0.004 for task in snapshot.tasks)
    if order != "auto":  # which has reasons of its own
        assert ranks == [2, 0, 1]
    e.flush(PATIENCE)
    assert encoded == sorted(encoded, key=lambda name: ranks[int(name[1])])


def test_other_blocks_are_planned_from_rates(learnt: Any) -> None:
    e, _, _ = learnt("johnson")
    source = Source()
    snapshot = e.submit([source.block(f"new{i}", nbytes=25 * (i + 1)) for i in range(2)])
    wait_until(lambda: snapshot.tasks[1].expected_compress is not None)
    # A hundred bytes took a second, of the same field or not.
    assert snapshot.tasks[0].expected_compress == pytest.approx(1.0)
    assert snapshot.tasks[1].expected_compress == pytest.approx(2.0)
    e.flush(PATIENCE)


def test_an_order_from_outside_outlasts_the_first_plan_of_new_blocks(learnt: Any) -> None:
    """Blocks of a new kind are planned after they were submitted: expectations come, ranks stay."""
    e, _, _ = learnt("johnson")
    for how in ("submit", "set_order"):
        source = Source()
        # Johnson would put the small ones first.
        blocks = [source.block(f"{how}{i}", nbytes=25 * (i + 1)) for i in range(3)]
        order = ([2, 0, 1], [1, 2, 0])
        snapshot = e.submit(blocks, order=order if how == "submit" else None)
        if how == "set_order":
            e.set_order(snapshot, *order)
        with e._state.lock:  # as if it had been planned before the order came, too
            e._state.unplanned.append(snapshot)
            e._state.plan_turn.notify()
        wait_until(lambda tasks=snapshot.tasks: tasks[2].expected_compress is not None)
        wait_until(lambda: not e._state.unplanned)
        assert [task.compress_rank for task in snapshot.tasks] == [1, 2, 0]
        assert [task.write_rank for task in snapshot.tasks] == [2, 0, 1]
        e.flush(PATIENCE)
        assert source.encoded == [f"{how}{i}" for i in order[0]]
    source = Source()
    with pytest.raises(ConfigError, match="every position from 0 to 1 once"):
        e.submit(source.blocks(2), order=([0, 0], [0, 1]))


def test_iterations_are_forecast_once_they_were_seen() -> None:
    with Engine(Rules(windows="marked", order="johnson")) as e:
        assert e.forecast is None
        for step in range(3):
            with e.iteration(f"{step}"):
                with e.idle("solve"):
                    time.sleep(0.002)
                with e.idle("exchange"):
                    time.sleep(0.002)
            with e.idle("between"):
                wait_until(lambda seen=step: e._plans.predictor.iterations == seen + 1)
        forecast = e.forecast
        assert forecast is not None
        if forecast.gated:  # a busy machine may have disturbed the pattern
            assert [span.label for span in forecast.compute] == [
                "before solve", "before exchange", "rest of the iteration",
            ]  # fmt: skip


def test_a_planner_that_fails_loses_no_snapshot(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> Any:
        raise RuntimeError("a defect of the planner")

    monkeypatch.setattr(planning, "order_jobs", fail)
    source = Source()
    with (  # noqa: PT031
        pytest.warns(UserWarning, match="a defect of the planner"),
        Engine(Rules(windows="marked", order="fifo")) as e,
    ):
        e.submit(source.blocks(3))
        e.flush(PATIENCE)
        wait_until(lambda: e.statistics.get("planner errors") == 1)
        e.submit(source.blocks(3))
        e.flush(PATIENCE)
    assert source.encoded == ["b0", "b1", "b2"] * 2


def test_an_iteration_that_fails_teaches_nothing() -> None:
    with Engine(Rules(windows="marked", order="fifo")) as e:
        with pytest.raises(KeyError), e.iteration("bad"):
            raise KeyError
        with e.iteration("good"):
            pass
        wait_until(lambda: e._plans.predictor.iterations == 1)
        with (
            pytest.raises(ValueError, match="cannot be nested"),
            e.iteration("outer"),
            e.iteration("inner"),
        ):
            pass
