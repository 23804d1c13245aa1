"""What the engine's threads share: queues, buffer, gate, and one lock over all of it."""

from __future__ import annotations

import bisect
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Collection
from concurrent.futures import Future
from typing import Any, NamedTuple

from fzdask.insitu.block import BlockTask, Snapshot
from fzdask.insitu.failures import InSituError
from fzdask.insitu.gate import Gate
from fzdask.insitu.iteration import IterationRecorder
from fzdask.insitu.records import Records, SnapshotRow
from fzdask.insitu.rules import Rules
from fzdask.scheduling.predict import Margins
from fzdask.scheduling.recorded import Recorded

__all__ = ["CoreTask", "InHand", "State"]


class CoreTask(NamedTuple):
    """Work of the simulation itself for the I/O thread."""

    label: str
    call: Callable[[], Any]
    future: Future[Any]


class InHand(NamedTuple):
    """What the I/O thread is doing: storing blocks of a snapshot, or making it visible."""

    snapshot: Snapshot
    doing: str


class State:
    """Everything that two threads touch. Hold `lock` for all but the gate's racy reads.

    One lock, and one condition over it for each that waits, so that nobody is woken in vain.
    """

    def __init__(self, rules: Rules, gate: Gate, buffer_nbytes: int, records: Records) -> None:
        self.rules = rules
        self.gate = gate
        self.buffer_nbytes = buffer_nbytes
        self.records = records
        self.recorder = IterationRecorder()
        self.lock = threading.Lock()
        self.compress_turn = threading.Condition(self.lock)
        self.io_turn = threading.Condition(self.lock)
        self.plan_turn = threading.Condition(self.lock)
        self.progress = threading.Condition(self.lock)
        self.waiting: list[BlockTask] = []  # to be encoded; next one last
        self.ready: list[BlockTask] = []  # to be stored; next one last
        self.sorted = True
        self.snapshots: deque[Snapshot] = deque()  # outstanding, oldest first
        self.finished: deque[Snapshot] = deque()  # for the planner to learn from
        self.iterations: deque[Recorded] = deque(maxlen=16)  # the same
        self.unplanned: deque[Snapshot] = deque(maxlen=4)  # of a kind not seen before
        self.interval = 0.0  # mean seconds between snapshots; 0: not known yet
        self.cores: deque[CoreTask] = deque()
        self.margins = Margins(0.1, 0.1, 0.1)
        self.buffered = 0
        self.pressed = 0  # threads of the simulation that wait for snapshots
        self.stopping = False
        self.broken: BaseException | None = None
        self.counts: Counter[str] = Counter()
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.deadline = float("inf")  # of the oldest snapshot
        self.in_hand: InHand | None = None

    # -- asked by the threads ---------------------------------------------------------------

    def hurried(self, task: BlockTask, now: float) -> bool:
        """Whether the gates do not count for this block: somebody waits for it, or it is late."""
        return self.pressed > 0 or now >= task.snapshot.deadline

    def sort(self) -> None:
        """Next ones last: older snapshots first, then as planned."""
        if not self.sorted:
            self.waiting.sort(key=lambda t: (t.snapshot.number, t.compress_rank), reverse=True)
            self.ready.sort(key=_stored_last)
            self.sorted = True

    def has_room(self, task: BlockTask) -> bool:
        """Whether the buffer takes what this block is expected to become."""
        return not self.buffered or self.buffered + task.expected_nbytes <= self.buffer_nbytes

    def holds(self, snapshots: Collection[Snapshot]) -> bool:
        """Whether the I/O thread is busy with one of these."""
        return self.in_hand is not None and self.in_hand.snapshot in snapshots

    # -- told by the threads ----------------------------------------------------------------

    def encoded(self, task: BlockTask) -> None:
        """A block was encoded: it now waits to be stored."""
        if task.snapshot.dropped:
            task.data = None
            return
        self.buffered += task.nbytes
        self.counts["buffer peak"] = max(self.counts["buffer peak"], self.buffered)
        if self.sorted:  # and so it stays: sorting all that waits after every block is felt
            bisect.insort(self.ready, task, key=_stored_last)
        else:
            self.ready.append(task)
        self.io_turn.notify()

    def let_go(self) -> None:
        """The I/O thread has nothing in hand."""
        done, self.in_hand = self.in_hand, None
        if done is not None and done.snapshot.dropped:  # else nobody waits for this
            self.progress.notify_all()

    def stored(self, tasks: list[BlockTask]) -> None:
        """Blocks that were taken from `ready` were stored, or could not be."""
        for task in tasks:
            task.data = None
            self.buffered -= task.nbytes
            task.snapshot.left -= 1
        self.compress_turn.notify()

    def retire(self, snapshot: Snapshot, error: BaseException | None) -> None:
        """A snapshot is stored, or failed (`error`): it is outstanding no longer.

        Its future is left to the caller, who completes it without the lock.
        """
        snapshot.stored = time.perf_counter()
        snapshot.on_stored = None  # those who learn from snapshots shall not keep its writer
        self.snapshots.remove(snapshot)
        if error is not None:
            snapshot.dropped = True
            self.waiting = [t for t in self.waiting if t.snapshot is not snapshot]
            for task in self.ready:
                if task.snapshot is snapshot:
                    self.buffered -= task.nbytes
            self.ready = [t for t in self.ready if t.snapshot is not snapshot]
            self.counts["snapshots failed"] += 1
        else:
            self._note(snapshot)
            self.finished.append(snapshot)
            self.plan_turn.notify()
        self.deadline = self.snapshots[0].deadline if self.snapshots else float("inf")
        self.compress_turn.notify()
        self.io_turn.notify()
        self.progress.notify_all()

    def break_down(self, error: BaseException) -> list[Snapshot]:
        """A thread of the engine has died: nothing outstanding will ever be stored.

        Returns the snapshots whose futures the caller is to fail.
        """
        self.broken = error
        lost = list(self.snapshots)
        for snapshot in lost:
            self.retire(snapshot, error)
        cores, self.cores = list(self.cores), deque()
        for core in cores:
            core.future.set_exception(_died(error))
        for condition in (self.compress_turn, self.io_turn, self.plan_turn):
            condition.notify_all()
        return lost

    def _note(self, snapshot: Snapshot) -> None:
        fields: dict[str, tuple[int, int, float, float]] = {}
        for task in snapshot.tasks:
            raw, nbytes, compress, write = fields.get(task.block.field, (0, 0, 0.0, 0.0))
            fields[task.block.field] = (
                raw + task.block.raw_nbytes,
                nbytes + task.nbytes,
                compress + task.compress_seconds,
                write + task.write_seconds,
            )
        raw, nbytes, compress, write = (
            sum(column) for column in zip((0, 0, 0.0, 0.0), *fields.values(), strict=True)
        )
        self.records.snapshots.append(
            SnapshotRow(
                snapshot.name,
                len(snapshot.tasks),
                int(raw),
                int(nbytes),
                compress,
                write,
                snapshot.stored - snapshot.submitted,
                fields,
            )
        )
        self.counts["snapshots stored"] += 1
        self.counts["blocks stored"] += len(snapshot.tasks)
        self.counts["raw bytes"] += int(raw)
        self.counts["stored bytes"] += int(nbytes)
        self.seconds["compress"] += compress
        self.seconds["write"] += write


def _stored_last(task: BlockTask) -> tuple[int, int]:
    """Ascending where tasks are to be stored later and later from the end of a list."""
    return -task.snapshot.number, -task.write_rank


def _died(error: BaseException) -> InSituError:
    failure = InSituError(
        "Engine: a background thread has died, so nothing more is compressed or stored; close "
        "the engine and make a new one"
    )
    failure.__cause__ = error
    return failure
