"""The compression thread: encodes blocks in idle windows, in slices with a gate between them."""

from __future__ import annotations

import time
from collections.abc import Callable

from fzdask.insitu.block import BlockTask
from fzdask.insitu.completion import fail
from fzdask.insitu.slice_times import SliceTimes
from fzdask.insitu.state import State

__all__ = ["CompressionThread"]

now = time.perf_counter


class CompressionThread:
    """Picks the next block, runs its encoder slice by slice, hands the bytes to the I/O thread."""

    def __init__(self, state: State, processor_time: Callable[[], float]) -> None:
        self._state = state
        self._processor_time = processor_time
        self._times = SliceTimes()

    def run(self) -> None:
        """Until the engine stops."""
        while True:
            with self._state.lock:
                task = self._take()
            if task is None:
                return
            self._encode(task)

    # -- which block, and when --------------------------------------------------------------

    def _take(self) -> BlockTask | None:
        """Wait for a block that may begin; None when the engine stops. The lock is held."""
        state = self._state
        while not (state.stopping or state.broken):
            state.sort()
            moment = now()
            timeout: float | None = None
            if state.waiting:
                head = state.waiting[-1]
                if not state.has_room(head):
                    began = moment
                    state.compress_turn.wait()
                    if state.gate.is_open:
                        state.seconds["buffer full"] += now() - began
                    continue
                found = self._choose(moment)
                if found is not None:
                    return state.waiting.pop(found)
                timeout = self._until(head, moment)
            state.compress_turn.wait(timeout)
        return None

    def _choose(self, moment: float) -> int | None:
        """Position in the queue of the first block that may begin now."""
        state = self._state
        last = len(state.waiting) - 1
        for position in range(last, -1, -1):
            task = state.waiting[position]
            if state.hurried(task, moment):
                if not state.gate.allows(moment):
                    state.counts["blocks begun out of windows"] += 1
                return position
            if state.gate.allows(moment, self._need(task)) and state.has_room(task):
                state.counts["blocks skipped ahead"] += position < last
                return position
            if state.rules.slices or not state.rules.skip or task.expected_compress is None:
                return None
        return None

    def _need(self, task: BlockTask) -> float:
        """Seconds that have to be left of a window for this block to begin."""
        state = self._state
        if state.rules.slices:
            return self._times.expected(task.block.field, 0)
        expected = task.expected_compress
        return 0.0 if expected is None else expected * (1.0 + state.margins.compress)

    def _until(self, task: BlockTask, moment: float) -> float | None:
        """Longest time to sleep until this block may be asked about again."""
        patience = self._state.gate.patience(moment)
        deadline = task.snapshot.deadline - moment
        if deadline == float("inf"):
            return patience
        return max(0.0, deadline) if patience is None else max(0.0, min(patience, deadline))

    # -- encoding ---------------------------------------------------------------------------

    def _encode(self, task: BlockTask) -> None:
        state, field = self._state, task.block.field
        began = now()  # of the piece in progress: records show where it paused
        try:
            slices = task.block.encode()
            index = 0
            start, used = began, self._processor_time()
            while True:
                try:
                    next(slices)
                    data = None
                except StopIteration as last:
                    data = last.value
                end, spent = now(), self._processor_time()
                task.compress_seconds += spent - used
                task.slices += 1
                self._times.update(field, index, end - start)
                start, used = end, spent  # what is done between slices counts for the next
                if data is not None:
                    break
                index += 1
                if state.rules.slices and not self._may_go_on(task, index, end):
                    state.records.add("compress", task.block.name, field, began, end)
                    if not self._pause(task, index):
                        slices.close()
                        return
                    began = start = now()
                    used = self._processor_time()
            task.data = data
            task.nbytes = memoryview(data).nbytes
        except BaseException as error:
            state.records.add("compress", task.block.name, field, began, now())
            fail(state, task.snapshot, error, f"compressing block {task.block.name!r}")
            return
        state.records.add("compress", task.block.name, field, began, now())
        with state.lock:
            state.seconds["compression thread"] = self._processor_time()
            if not (state.hurried(task, began) or state.gate.allows(now())):
                state.counts["blocks past their window"] += 1
            state.encoded(task)

    def _may_go_on(self, task: BlockTask, index: int, moment: float) -> bool:
        """Without the lock: a reading that is out of date costs one slice."""
        state = self._state
        if task.snapshot.dropped or state.broken:
            return False
        need = self._times.expected(task.block.field, index)
        return state.hurried(task, moment) or state.gate.allows(moment, need)

    def _pause(self, task: BlockTask, index: int) -> bool:
        """Wait until the block may go on; False if it never will."""
        state = self._state
        with state.lock:
            state.counts["pauses within blocks"] += 1
            while not (task.snapshot.dropped or state.broken):
                moment = now()
                if self._may_go_on(task, index, moment):
                    return True
                state.compress_turn.wait(self._until(task, moment))
        return False
