"""The planner thread: learns from what happened, and plans the next snapshot of each kind.

A plan is made ahead, when a snapshot of the same blocks has been stored, and in a moment in
which the simulation is idle: a snapshot finds its order waiting when it is submitted.
"""

from __future__ import annotations

import time
import traceback
import warnings
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fzdask.insitu.block import BlockTask, Snapshot
from fzdask.insitu.iteration import Expectation
from fzdask.insitu.state import State
from fzdask.scheduling.model import Busy, Job
from fzdask.scheduling.ordering import order_jobs
from fzdask.scheduling.predict import Forecast, Predictor
from fzdask.scheduling.recorded import Recorded

__all__ = ["BlockOrder", "PlanningThread"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

KINDS = 8
"""Kinds of snapshots (the blocks of all fields, of the fields of every tenth step, ...) whose
plans are remembered."""

KEEP_ERRORS = 256
"""Errors of predictions per quantity that margins are chosen from; sorting more is felt."""

ITERATIONS = 8
"""Iterations that a plan looks ahead at most."""

STALE = 0.05
"""A plan is made anew when durations or busy time have changed by this share."""

WITHOUT_PAUSE = 8
"""Blocks that are learnt from, or predicted, without a pause: some 0.2 ms of Python."""

PAUSE = 50e-6
"""Seconds: enough for a thread that waits to wake up and take the lock."""

LONGEST_WAIT = 1.0
"""Seconds after which the planner no longer waits for the simulation to be idle."""


@dataclass(frozen=True, slots=True)
class BlockOrder:
    """The plan for one kind of snapshot: ranks by position, and what the gates go by."""

    compress_rank: Ints
    write_rank: Ints
    compress: Floats
    write: Floats
    nbytes: Floats
    busy: Busy

    def apply(self, snapshot: Snapshot) -> None:
        """Give the blocks of a snapshot their ranks and expectations. Hold the lock.

        An order that was handed over from outside (`Snapshot.set_order`) stays as it is.
        """
        for task, a, b, compress, write, nbytes in zip(
            snapshot.tasks,
            self.compress_rank.tolist(),
            self.write_rank.tolist(),
            self.compress.tolist(),
            self.write.tolist(),
            self.nbytes.tolist(),
            strict=True,
        ):
            if not snapshot.ordered:
                task.compress_rank, task.write_rank = a, b
            task.expected_compress, task.expected_write = compress, write
            task.expected_nbytes = int(nbytes)


class PlanningThread:
    """Feeds a `Predictor`, and keeps a `BlockOrder` for every kind of snapshot."""

    def __init__(self, state: State) -> None:
        self._state = state
        self.predictor = Predictor(keep=KEEP_ERRORS)
        self.forecast: Forecast | None = None
        self._orders: OrderedDict[tuple[str, ...], BlockOrder] = OrderedDict()

    def order_for(self, snapshot: Snapshot) -> BlockOrder | None:
        """The plan for snapshots of these blocks, if there is one. Hold the lock."""
        return self._orders.get(_kind(snapshot))

    def warm_up(self) -> None:
        """Load or compile what planning needs, before the simulation's time counts."""
        if self._state.rules.order not in ("fifo", "johnson"):
            jobs = [Job(f"{i}", 2.0 + i, 3.0 + i % 2) for i in range(4)]
            order_jobs(self._state.rules.order, jobs, Busy([(0.0, 1.0), (2.0, 4.0)]), 1e-3)

    def run(self) -> None:
        """Until the engine stops."""
        while self._wait():
            try:
                self._work()
            except Exception:
                # Plans are an optimisation: without them blocks go in the order given.
                self._state.counts["planner errors"] += 1
                warnings.warn(
                    f"fzdask: planning failed, blocks go in the order given. "
                    f"{traceback.format_exc()}",
                    UserWarning,
                    stacklevel=2,
                )

    def _wait(self) -> bool:
        """Wait for something to learn, then for the simulation to be idle; False: stop."""
        state = self._state
        with state.lock:
            while not (state.finished or state.iterations or state.unplanned):
                if state.stopping or state.broken:
                    return False
                state.plan_turn.wait()
            until = time.perf_counter() + LONGEST_WAIT
            while not (state.stopping or state.broken or state.unplanned or state.pressed):
                now = time.perf_counter()
                if now >= until or state.gate.allows(now):
                    break
                patience = state.gate.patience(now)
                left = until - now
                state.plan_turn.wait(left if patience is None else min(left, patience))
            return not (state.stopping or state.broken)

    def _work(self) -> None:
        state = self._state
        began = time.perf_counter()
        with state.lock:
            iterations = [state.iterations.popleft() for _ in range(len(state.iterations))]
            finished = [state.finished.popleft() for _ in range(len(state.finished))]
            unplanned = [state.unplanned.popleft() for _ in range(len(state.unplanned))]
        for recorded in iterations:
            self.predictor.record_iteration(recorded)
        for snapshot in finished:
            self._learn(snapshot)
        if iterations:
            self._look_ahead(iterations[-1])
        for snapshot in (*finished[-1:], *unplanned):
            self._plan(snapshot)
        for snapshot in unplanned:
            with state.lock:
                order = self._orders.get(_kind(snapshot))
                if order is not None and not snapshot.dropped:
                    order.apply(snapshot)
                    state.sorted = False
        state.records.add("plan", "plan", None, began, time.perf_counter())
        state.seconds["planning"] += time.perf_counter() - began

    def _learn(self, snapshot: Snapshot) -> None:
        for task in _politely(snapshot.tasks):
            self.predictor.record_block(
                task.block.name,
                field=task.block.field,
                raw_nbytes=task.block.raw_nbytes,
                compress=max(task.compress_seconds, 0.0),
                nbytes=task.nbytes,
                write=task.write_seconds,
            )

    def _look_ahead(self, latest: Recorded) -> None:
        forecast = self.predictor.forecast()
        self.forecast = forecast
        state = self._state
        with state.lock:
            state.recorder.expected = Expectation.of(forecast)
            state.counts[
                "iterations forecast" if forecast.gated else "iterations not forecast"
            ] += 1

    def _plan(self, snapshot: Snapshot) -> None:
        state, rules = self._state, self._state.rules
        found = [
            self.predictor.predict_block(t.block.name, t.block.raw_nbytes, t.block.field)
            for t in _politely(snapshot.tasks)
        ]
        if not found or any(f is None for f in found):
            return
        compress = np.array([f.compress for f in found if f is not None])
        write = np.array([f.write for f in found if f is not None])
        nbytes = np.array([f.nbytes for f in found if f is not None])
        busy = self._busy_ahead()
        loads = _loads(busy, compress.sum(), write.sum())
        margins = self.predictor.margins().pressed(*loads)
        old = self._orders.get(_kind(snapshot))
        if old is None or _changed(old, compress, write, busy):
            jobs = [
                Job(t.block.name, a, b, field=t.block.field)
                for t, a, b in zip(snapshot.tasks, compress.tolist(), write.tolist(), strict=True)
            ]
            method = rules.order
            # Without an iteration to hide in there is nothing to search for.
            if method == "auto" and (max(loads) < rules.search_from or not busy.iteration):
                method = "johnson"
            first, second, _, _ = order_jobs(method, jobs, busy, rules.budget)
            order = BlockOrder(_ranks(first), _ranks(second), compress, write, nbytes, busy)
            state.counts[f"plans by {method}"] += 1
        else:
            order = BlockOrder(old.compress_rank, old.write_rank, compress, write, nbytes, old.busy)
            state.counts["plans kept"] += 1
        with state.lock:
            state.margins = margins
            self._orders[_kind(snapshot)] = order
            self._orders.move_to_end(_kind(snapshot))
            while len(self._orders) > KINDS:
                self._orders.popitem(last=False)

    def _busy_ahead(self) -> Busy:
        """Busy intervals from one snapshot to the next, as far as is worth looking ahead."""
        if self.forecast is None:
            return Busy()
        one = self.forecast.busy
        length = one.iteration
        if length <= 0.0:
            return Busy()
        times = min(max(1, round(self._state.interval / length)), ITERATIONS)
        return Busy(
            _repeated(one.compute, length, times),
            _repeated(one.background, length, times),
            times * length,
        )


def _politely(tasks: Sequence[BlockTask]) -> Iterator[BlockTask]:
    """The tasks one by one, with pauses that let other threads have Python's global lock.

    Who computes without a pause keeps it for milliseconds from the compression thread, and from
    the simulation.
    """
    for k, task in enumerate(tasks, 1):
        yield task
        if k % WITHOUT_PAUSE == 0:
            time.sleep(PAUSE)


def _repeated(
    intervals: Sequence[tuple[float, float]], length: float, times: int
) -> list[tuple[float, float]]:
    """The intervals of one iteration, so many times; disjoint also after rounding."""
    found: list[tuple[float, float]] = []
    last = 0.0
    for k in range(times):
        for a, b in intervals:
            start = max(last, a + k * length)
            last = min(max(start, b + k * length), times * length)
            found.append((min(start, last), last))
    return found


def _kind(snapshot: Snapshot) -> tuple[str, ...]:
    return tuple(task.block.name for task in snapshot.tasks)


def _ranks(order: Ints) -> Ints:
    ranks = np.empty_like(order)
    ranks[order] = np.arange(order.size)
    return ranks


def _loads(busy: Busy, compress: float, write: float) -> tuple[float, float]:
    loads = []
    for taken, work in ((busy.compute, compress), (busy.background, write)):
        idle = busy.iteration - sum(b - a for a, b in taken)
        loads.append(work / idle if idle > 0.0 else np.inf if work > 0.0 else 0.0)
    return float(loads[0]), float(loads[1])


def _changed(old: BlockOrder, compress: Floats, write: Floats, busy: Busy) -> bool:
    for before, after in ((old.compress, compress), (old.write, write)):
        if np.abs(after - before).sum() > STALE * before.sum():
            return True
    if [len(s) for s in (old.busy.compute, old.busy.background)] != [
        len(s) for s in (busy.compute, busy.background)
    ]:
        return True
    moved = _distance(old.busy.compute, busy.compute)
    moved += _distance(old.busy.background, busy.background)
    return moved > STALE * max(old.busy.iteration, 1e-9)


def _distance(before: Sequence[tuple[float, float]], after: Sequence[tuple[float, float]]) -> float:
    return sum(abs((b - a) - (d - c)) for (a, b), (c, d) in zip(before, after, strict=True))
