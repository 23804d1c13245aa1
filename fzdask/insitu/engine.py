"""The engine: one compression thread, one I/O thread, one planner, behind a simulation's thread.

It knows nothing of Zarr or Dask: it is handed blocks (an encoder and a sink each), works them
off in the idle time of the thread that it was made in, and completes a future when the last
block of a snapshot is stored.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar

from fzdask.errors import ConfigError
from fzdask.insitu.block import Block, Snapshot
from fzdask.insitu.completion import drop, fail_all
from fzdask.insitu.compression import CompressionThread
from fzdask.insitu.failures import InSituError
from fzdask.insitu.gate import Gate
from fzdask.insitu.planning import PlanningThread
from fzdask.insitu.priority import pin, yield_to_everyone
from fzdask.insitu.records import Records
from fzdask.insitu.rules import Rules, parse_bytes
from fzdask.insitu.state import CoreTask, InHand, State
from fzdask.insitu.writing import WritingThread
from fzdask.scheduling.predict import Forecast

__all__ = ["BlockProfile", "Engine"]

T = TypeVar("T")

FIRST_DEADLINE = 30.0
"""Seconds that a snapshot may wait for a window while the time between snapshots is unknown."""

LEAST_DEADLINE = 0.5
"""Seconds that a snapshot may wait for a window however often there are snapshots: what is
late for the next one is waited for in `wait`."""

INTERVALS = 2.0
"""Mean times between snapshots that one may take, for each that may be outstanding."""


class BlockProfile(NamedTuple):
    """What one block took: seconds of processor time to encode, seconds to store, bytes."""

    name: str
    field: str
    raw_nbytes: int
    nbytes: int
    compress: float
    write: float


class Engine:
    """Compresses and stores snapshots in the idle time of the thread that makes it.

    A snapshot's future is done when all its blocks are stored, in the order of submission, or
    holds the error. Blocks never starve: a snapshot past its deadline, or one that somebody
    waits for, is worked off without regard to windows.

    Parameters
    ----------
    rules : Rules, optional
        How.
    buffer : int or str
        Bytes of encoded blocks that may wait to be stored; encoding stops while it is full.
        Exceeded by what a block turns out larger than expected, and by one block that is
        larger than the buffer.
    cpus : mapping of str to iterable of int, optional
        Cores for the threads "compress", "io" and "plan"; default: those of the caller.
    keep_records : int
        Intervals that are kept for pictures.
    processor_time : callable
        Seconds of processor time used by the calling thread: how long a block takes to encode is
        learnt from it. Only imitated cores need another.

    Raises
    ------
    ConfigError
        A setting out of range.
    """

    def __init__(
        self,
        rules: Rules | None = None,
        *,
        buffer: int | str = "256MiB",
        cpus: Mapping[str, Sequence[int]] | None = None,
        keep_records: int = 20_000,
        processor_time: Callable[[], float] = time.thread_time,
    ) -> None:
        self.rules = rules or Rules()
        self.records = Records(keep_records)
        gate = Gate(self.rules.windows)
        self._state = State(self.rules, gate, parse_bytes(buffer, "Engine: buffer"), self.records)
        self._plans = PlanningThread(self._state)
        self._plans.warm_up()
        self._pid = os.getpid()
        self._closed = False
        self._submitted: float | None = None
        self._iteration: str | None = None
        self._edge = 0.0  # where the simulation's own work last began
        self._depth = 0
        self.horizon = 2
        self.priority = ""
        cores = {name: frozenset(given) for name, given in (cpus or {}).items()}
        unknown = set(cores) - {"compress", "io", "plan"}
        if unknown:
            raise ConfigError(
                f"Engine: cpus names {sorted(unknown)}; the threads are 'compress', 'io' and 'plan'"
            )
        loops = {
            "compress": CompressionThread(self._state, processor_time).run,
            "io": WritingThread(self._state).run,
            "plan": self._plans.run,
        }
        self._threads = [
            threading.Thread(
                target=self._guarded,
                args=(name, loop, cores.get(name)),
                name=f"fzdask-{name}",
                daemon=True,
            )
            for name, loop in loops.items()
        ]
        for thread in self._threads:
            thread.start()

    def _guarded(self, name: str, loop: Callable[[], None], cpus: frozenset[int] | None) -> None:
        """Run a thread's loop; an error in it fails everything rather than hang everybody."""
        try:
            pin(cpus)
            if name == "compress" and self._state.gate.lowers_priority:
                self.priority = yield_to_everyone()
            loop()
        except BaseException as error:
            fail_all(self._state, error)

    # -- what the simulation does -----------------------------------------------------------

    @contextmanager
    def iteration(self, name: str = "") -> Iterator[None]:
        """One iteration of the simulation: what is learnt from one serves to plan the next."""
        state = self._state
        if self._iteration is not None:
            raise ConfigError(
                f"Engine: iteration {name!r} begins within iteration {self._iteration!r}; they "
                "cannot be nested"
            )
        begin = time.perf_counter()
        self._iteration, self._edge = name, begin
        with state.lock:
            state.recorder.begin(begin)
        try:
            yield
        except BaseException:
            with state.lock:
                state.recorder.began = None  # half an iteration teaches nothing
            raise
        else:
            end = time.perf_counter()
            self.records.add("compute", name, None, self._edge, end)
            with state.lock:
                recorded = state.recorder.end(end)
                if recorded is not None:
                    state.iterations.append(recorded)
                    state.plan_turn.notify()
        finally:
            self._iteration = None

    @contextmanager
    def idle(self, name: str = "idle") -> Iterator[None]:
        """The simulation's thread waits here (for a GPU, for a message): compression may run."""
        state = self._state
        start = time.perf_counter()
        with state.lock:
            if state.gate.open(start, state.recorder.open_window(name, start)):
                state.compress_turn.notify()
                if state.finished or state.iterations:
                    state.plan_turn.notify()
                if self._iteration is not None:
                    self.records.add("compute", self._iteration, None, self._edge, start)
        try:
            yield
        finally:
            end = time.perf_counter()
            with state.lock:
                if state.gate.close():
                    state.recorder.close_window(end)
                    self.records.add("window", name, None, start, end)
                    self._edge = end

    @contextmanager
    def holding_up(self, name: str) -> Iterator[None]:
        """The simulation's thread works for the dump here: no part of the iteration learnt."""
        start = time.perf_counter()
        try:
            yield
        finally:
            end = time.perf_counter()
            with self._state.lock:
                self._state.recorder.exclude(end - start)
            self.records.add("blocked", name, None, start, end)

    def core(self, name: str, call: Callable[..., T], *args: Any, **kwargs: Any) -> Future[T]:
        """Run work of the simulation on the I/O thread, before any write that has not begun.

        Returns a future with its result or its exception.
        """
        future: Future[T] = Future()
        future.set_running_or_notify_cancel()
        state = self._state
        with state.lock:
            self._check_usable("core")
            state.cores.append(CoreTask(name, lambda: call(*args, **kwargs), future))
            state.io_turn.notify()
        return future

    # -- snapshots --------------------------------------------------------------------------

    def submit(
        self,
        blocks: Sequence[Block],
        *,
        name: str = "",
        on_stored: Callable[[], None] | None = None,
        order: tuple[Sequence[int], Sequence[int]] | None = None,
    ) -> Snapshot:
        """Hand over the blocks of a snapshot; returns at once.

        Parameters
        ----------
        blocks : sequence of Block
            With different names. An empty snapshot is stored at once, after those before it.
        name : str
            For messages and pictures.
        on_stored : callable, optional
            Called in the I/O thread when all blocks of this snapshot and of those before it are
            stored, and before its future is done: to make it visible.
        order : pair of sequences of int, optional
            As for `set_order`, in force from the first block on.

        Raises
        ------
        InSituError
            A thread of the engine has died.
        ConfigError
            The engine is closed, two blocks have one name, or an order is no permutation.
        """
        now = time.perf_counter()
        snapshot = Snapshot(name, blocks, on_stored, now)
        if order is not None:
            snapshot.set_order(*order)
        state = self._state
        with state.lock:
            self._check_usable("submit")
            self._note_interval(now)
            planned = self._plans.order_for(snapshot)
            if planned is not None:
                planned.apply(snapshot)
            elif blocks:
                state.unplanned.append(snapshot)
                state.plan_turn.notify()
            snapshot.deadline = now + self._deadline()
            if not state.snapshots:
                state.deadline = snapshot.deadline
            # In this order: one that an interrupt cuts short here leaves nothing to be waited for.
            state.waiting.extend(snapshot.tasks)
            state.sorted = False
            state.snapshots.append(snapshot)
            state.counts["snapshots submitted"] += 1
            state.counts["outstanding peak"] = max(
                state.counts["outstanding peak"], len(state.snapshots)
            )
            state.compress_turn.notify()
            if not blocks:
                state.io_turn.notify()
        return snapshot

    def set_order(self, snapshot: Snapshot, compress: Sequence[int], write: Sequence[int]) -> None:
        """Work the blocks of a snapshot off in these orders (positions as submitted).

        For planners outside the engine, whose own plans then leave the order alone. Counts for
        blocks that have not begun.

        Raises
        ------
        ConfigError
            Not permutations of the positions.
        """
        with self._state.lock:
            snapshot.set_order(compress, write)
            self._state.sorted = False

    def cancel(self, snapshot: Snapshot) -> bool:
        """Drop what has not been stored of a snapshot; its future raises `CancelledDumpError`.

        False if it is complete already. What is in progress ends by itself: see `settle`.
        """
        return drop(self._state, snapshot)

    def settle(self, snapshots: Collection[Snapshot], timeout: float | None = None) -> bool:
        """Wait until nothing of these snapshots, which are cancelled or done, is being stored.

        False on a time-out; `in_hand` then says what is.
        """
        state = self._state
        with state.lock:
            return state.progress.wait_for(lambda: not state.holds(snapshots), timeout)

    @property
    def in_hand(self) -> InHand | None:
        """What the I/O thread is storing or making visible now."""
        return self._state.in_hand

    @property
    def broken(self) -> BaseException | None:
        """The error that ended a thread of the engine; it then takes no more snapshots."""
        return self._state.broken

    @property
    def outstanding(self) -> int:
        """Snapshots submitted and not yet stored."""
        return len(self._state.snapshots)

    def wait(self, at_most: int = 0, timeout: float | None = None) -> bool:
        """Block until at most so many snapshots are outstanding; False on a time-out.

        While anybody waits here, blocks are worked off without regard to windows.

        Raises
        ------
        ConfigError
            Called in a thread of the engine, which would wait for itself.
        """
        state = self._state
        return self._blocked("wait", lambda: len(state.snapshots) <= at_most, timeout)

    def flush(
        self, timeout: float | None = None, snapshots: Sequence[Snapshot] | None = None
    ) -> None:
        """Barrier: every snapshot submitted before is stored when this returns.

        Snapshots that other threads submit meanwhile are not waited for.

        With `snapshots`, only these: of one of several that share the engine.

        Raises
        ------
        InSituError
            One of them failed; `__cause__` says how.
        TimeoutError
            Not all were stored in time. They are still being worked off.
        ConfigError
            Called in a thread of the engine.
        """
        with self._state.lock:
            awaited = list(self._state.snapshots if snapshots is None else snapshots)
        done = self._blocked("flush", lambda: all(s.stored for s in awaited), timeout)
        if not done:
            left = sum(not s.stored for s in awaited)
            raise TimeoutError(
                f"Engine.flush: {left} of {len(awaited)} snapshots are not stored after "
                f"{timeout:g} s"
            )
        for snapshot in awaited:
            error = snapshot.future.exception()  # set at once after `stored`
            if error is not None:
                raise error

    def _blocked(self, what: str, done: Callable[[], bool], timeout: float | None) -> bool:
        if threading.current_thread() in self._threads:
            raise ConfigError(
                f"Engine.{what} was called in the engine's own thread "
                f"{threading.current_thread().name!r} (from a core task, an encoder, a sink or "
                "on_stored), where it would wait for itself; call it in the simulation's thread"
            )
        self._check_process(what)
        state = self._state
        start = time.perf_counter()
        with state.lock:
            if done():
                return True
            state.pressed += 1
            for turn in (state.compress_turn, state.io_turn, state.plan_turn):
                turn.notify()
            try:
                reached = state.progress.wait_for(done, timeout)
            finally:
                state.pressed -= 1
                end = time.perf_counter()
                state.recorder.exclude(end - start)
        self.records.add("blocked", what, None, start, end)
        state.seconds["blocked"] += end - start
        return reached

    def close(self, *, cancel: bool = False, timeout: float | None = None) -> None:
        """Store what is outstanding (or drop it) and end the threads. Safe to call again.

        Raises
        ------
        InSituError
            A snapshot failed; the threads have ended all the same.
        TimeoutError
            Not all was stored in time: the rest is dropped.
        """
        if self._closed or os.getpid() != self._pid:
            return
        try:
            if not cancel:
                self.flush(timeout)
        finally:
            self._closed = True
            state = self._state
            for snapshot in list(state.snapshots):
                drop(state, snapshot)
            with state.lock:
                state.stopping = True
                for turn in (state.compress_turn, state.io_turn, state.plan_turn):
                    turn.notify_all()
            for thread in self._threads:
                if thread is not threading.current_thread():
                    thread.join()

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self.close(cancel=error is not None)

    # -- what it knows ----------------------------------------------------------------------

    @property
    def forecast(self) -> Forecast | None:
        """What is expected of the coming iteration; None before the first was learnt."""
        return self._plans.forecast

    def profiles(self, snapshot: Snapshot) -> list[BlockProfile]:
        """What each block of a stored snapshot took: for planners outside the engine."""
        return [
            BlockProfile(
                t.block.name,
                t.block.field,
                t.block.raw_nbytes,
                t.nbytes,
                t.compress_seconds,
                t.write_seconds,
            )
            for t in snapshot.tasks
        ]

    @property
    def statistics(self) -> dict[str, Any]:
        """Counts and seconds since the start, as plain numbers."""
        state = self._state
        with state.lock:
            seconds = {f"{key} seconds": float(value) for key, value in state.seconds.items()}
            now = {"outstanding": len(state.snapshots), "buffered bytes": state.buffered}
            return {**state.counts, **seconds, **now, "idle priority": self.priority}

    def _note_interval(self, now: float) -> None:
        if self._submitted is not None:
            passed = now - self._submitted
            mean = self._state.interval
            self._state.interval = passed if not mean else mean + 0.3 * (passed - mean)
        self._submitted = now

    def _deadline(self) -> float:
        if self.rules.deadline is not None:
            return self.rules.deadline
        interval = self._state.interval
        if not interval:
            return FIRST_DEADLINE
        return max(LEAST_DEADLINE, INTERVALS * self.horizon * interval)

    def _check_process(self, what: str) -> None:
        if os.getpid() != self._pid:
            raise ConfigError(
                f"Engine.{what}: this process was forked from the one that made the engine, and "
                "has none of its threads; make an engine in the process that uses it"
            )

    def _check_usable(self, what: str) -> None:
        self._check_process(what)
        if self._state.broken is not None:
            raise InSituError(
                f"Engine.{what}: a background thread died ({self._state.broken!r}); close the "
                "engine and make a new one"
            ) from self._state.broken
        if self._closed:
            raise ConfigError(f"Engine.{what}: the engine is closed")
