"""The I/O thread: the simulation's core tasks first, then encoded blocks in their order."""

from __future__ import annotations

import time

from fzdask.insitu.block import BlockTask
from fzdask.insitu.completion import complete_stored, fail
from fzdask.insitu.state import CoreTask, InHand, State

__all__ = ["WritingThread"]

now = time.perf_counter

SMALL = 256 << 10
"""Bytes up to which blocks are handed to the sink together, and of all of them together: a store
with a latency pays it once. A few milliseconds of writing, so that core tasks hardly wait."""

MOST = 32
"""Blocks handed over together at most."""

LATE = 1e-3
"""Seconds after which a core task that has not come is no longer waited for."""


class WritingThread:
    """Runs core tasks, stores blocks, completes snapshots."""

    def __init__(self, state: State) -> None:
        self._state = state

    def run(self) -> None:
        """Until the engine stops."""
        try:
            self._work()
        finally:
            with self._state.lock:
                self._state.let_go()

    def _work(self) -> None:
        while True:
            with self._state.lock:
                self._state.let_go()
                work = self._take()
                if isinstance(work, list) and work:
                    names = ", ".join(repr(t.block.name) for t in work)
                    self._state.in_hand = InHand(work[0].snapshot, f"storing {names}")
            if work is None:
                return
            if isinstance(work, CoreTask):
                self._run_core(work)
            else:
                if work:
                    self._store(work)
                complete_stored(self._state)

    def _take(self) -> CoreTask | list[BlockTask] | None:
        """Wait for work; None when the engine stops. The lock is held."""
        state = self._state
        while True:
            if state.cores:
                return state.cores.popleft()
            if state.stopping or state.broken:
                return None
            if state.snapshots and not state.snapshots[0].left:
                return []
            timeout = None
            if state.ready:
                state.sort()
                room = self._room(now())
                found = self._fitting(room)
                if found is not None:
                    return self._with_small_ones(state.ready.pop(found), room)
                timeout = max(room or 0.0, 0.0) + LATE
            state.io_turn.wait(timeout)

    def _room(self, moment: float) -> float | None:
        """Seconds until the next core task is expected; None: no need to look at it."""
        state = self._state
        if not state.rules.gate_writes or state.hurried(state.ready[-1], moment):
            return None
        start = state.recorder.next_core()
        if start is None or moment > start + LATE:
            return None
        return start - moment

    def _fitting(self, room: float | None) -> int | None:
        """Position of the first block, in the planned order, that fits."""
        state = self._state
        last = len(state.ready) - 1
        if room is None:
            return last
        for position in range(last, -1, -1):
            expected = state.ready[position].expected_write
            if expected is None or expected * (1.0 + state.margins.write) <= room:
                state.counts["writes skipped ahead"] += position < last
                return position
            if not state.rules.skip:
                return None
        return None

    def _with_small_ones(self, first: BlockTask, room: float | None) -> list[BlockTask]:
        """The block and those after it that may go to the store together with it."""
        state = self._state
        tasks, nbytes = [first], first.nbytes
        seconds = first.expected_write or 0.0
        while state.ready and len(tasks) < MOST:
            task = state.ready[-1]
            nbytes += task.nbytes
            seconds += task.expected_write or 0.0
            # Of one snapshot: what fails in one call fails together.
            alike = task.snapshot is first.snapshot and task.block.sink is first.block.sink
            if nbytes > SMALL or not alike:
                break
            if room is not None and seconds * (1.0 + state.margins.write) > room:
                break
            tasks.append(state.ready.pop())
        return tasks

    def _run_core(self, core: CoreTask) -> None:
        start = now()
        result, failure = None, None
        try:
            result = core.call()
        except BaseException as error:
            failure = error
        end = now()
        # Recorded first: whoever waits for the future may end the iteration.
        with self._state.lock:
            self._state.recorder.core(core.label, start, end)
        self._state.records.add("core", core.label, None, start, end)
        if failure is not None:
            core.future.set_exception(failure)
        else:
            core.future.set_result(result)

    def _store(self, tasks: list[BlockTask]) -> None:
        state, start = self._state, now()
        try:
            tasks[0].block.sink.write([(t.block.key, t.data) for t in tasks])
        except BaseException as error:
            assert state.in_hand is not None
            fail(state, tasks[0].snapshot, error, state.in_hand.doing)
            with state.lock:
                state.stored(tasks)
            return
        seconds = now() - start
        total = sum(t.nbytes for t in tasks) or 1
        begin = start
        for task in tasks:
            task.write_seconds = seconds * (task.nbytes / total)
            end = begin + task.write_seconds
            state.records.add("write", task.block.name, task.block.field, begin, end)
            begin = end
        with state.lock:
            state.stored(tasks)
