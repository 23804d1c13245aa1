"""What runs in every worker process: one engine, its windows, and the snapshots it works on."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from distributed import WorkerPlugin

from fzdask.cluster import hooks
from fzdask.cluster.books import KnownBooks
from fzdask.cluster.profiles import Order, SnapshotProfile
from fzdask.cluster.windows import WindowTracker
from fzdask.insitu.block import Block, Snapshot
from fzdask.insitu.engine import Engine
from fzdask.insitu.failures import CancelledDumpError
from fzdask.insitu.rules import Rules

__all__ = ["FZWorkerPlugin", "Outstanding"]

MOST_SHOWN = 500
"""Intervals per snapshot that are sent for the dashboard."""

KINDS = 16
"""Kinds of snapshots whose orders are remembered."""


log = logging.getLogger("fzdask.cluster")


class Outstanding(NamedTuple):
    """A snapshot that this worker works on."""

    key: str
    session: str
    number: int
    snapshot: Snapshot


class FZWorkerPlugin(WorkerPlugin):  # type: ignore[misc]
    """Makes an engine when a worker starts, and ends it when the worker closes.

    Installed by `FZSchedulerPlugin`, with which it exchanges profiles, orders and codebooks.

    Parameters
    ----------
    rules : Rules
        Of the engine; ``windows="marked"`` follows the tasks of the worker.
    buffer : int or str
        Bytes of encoded blocks that may wait to be stored.
    share_codebooks : bool
        Whether codebooks go from worker to worker.
    """

    name = hooks.WORKER_PLUGIN

    def __init__(self, rules: Rules, buffer: int | str, share_codebooks: bool) -> None:
        self._rules = rules
        self._buffer = buffer
        self._books = KnownBooks() if share_codebooks else None

    # -- life -------------------------------------------------------------------------------

    async def setup(self, worker: Any) -> None:
        """Start the engine. What it has to load or compile is loaded in another thread."""
        self._worker = worker
        self._ready = asyncio.Event()
        self._shown = 0.0
        self._lock = threading.Lock()
        self._outstanding: list[Outstanding] = []
        self._wanted: dict[str, int] = {}
        self._orders: OrderedDict[frozenset[str], Order] = OrderedDict()
        self._preparing = ThreadPoolExecutor(1, thread_name_prefix="fzdask-prepare")
        self._pressing = ThreadPoolExecutor(1, thread_name_prefix="fzdask-press")
        self._ending: list[tuple[Engine, threading.Thread]] = []
        self._sessions: weakref.WeakKeyDictionary[Snapshot, str] = weakref.WeakKeyDictionary()
        self._dropped: set[str] = set()
        self.replaced = 0
        loop = asyncio.get_running_loop()
        self.engine = await loop.run_in_executor(self._preparing, self._make_engine)
        self.tracker = WindowTracker(self.engine, hooks.slots_of(worker))
        hooks.listen_to_scheduler(
            worker,
            {"fz-order": self._on_order, "fz-books": self._on_books, "fz-press": self._on_press},
        )
        self._ready.set()
        hooks.tell_scheduler(worker, "fz-ready")  # which then tells what there is to know

    def _make_engine(self) -> Engine:
        return Engine(self._rules, buffer=self._buffer)

    def _replace_broken(self) -> None:
        """A new engine for one whose thread has died: what it had is tried again, or reported."""
        old = self.engine
        if old.broken is None:
            return
        log.error("fzdask: a thread of the engine died; a new one replaces it", exc_info=old.broken)
        self.engine = self._make_engine()
        self.tracker.move_to(self.engine)
        self.replaced += 1
        # Another of its threads may be in the middle of a write.
        ending = threading.Thread(target=old.close, kwargs={"cancel": True}, name="fzdask-end")
        ending.start()
        self._ending = [(e, t) for e, t in (*self._ending, (old, ending)) if t.is_alive()]

    async def teardown(self, worker: Any) -> None:
        """Drop what is not stored, and end every thread. Tasks of dropped snapshots run again."""
        if not self._ready.is_set():  # setup has failed
            self._preparing.shutdown(wait=False)
            self._pressing.shutdown(wait=False)
            return

        def close() -> None:
            self.tracker.close()
            self.engine.close(cancel=True)
            for _, ending in self._ending:
                ending.join()
            self._pressing.shutdown(wait=True)

        # Not in the event loop: a write in progress ends by itself, and that may take a while.
        try:
            await asyncio.get_running_loop().run_in_executor(self._preparing, close)
        except RuntimeError:  # the interpreter is ending, and starts nothing any more
            close()
        self._preparing.shutdown(wait=True)

    def transition(self, key: Hashable, start: str, finish: str, **kwargs: Any) -> None:
        """Every change of a task's state on this worker."""
        if not self._ready.is_set():
            return
        if hooks.is_dump(key):
            if hooks.is_cancelled(self._worker, key):
                self._cancel(key)
        elif hooks.is_computing(self._worker, key):
            self.tracker.started(key)
        else:
            self.tracker.ended(key)

    # -- snapshots --------------------------------------------------------------------------

    async def store(
        self, key: str, session: str, number: int, name: str, make: Callable[[], Sequence[Block]]
    ) -> SnapshotProfile:
        """Hand a snapshot to the engine; returns when it is stored.

        Parameters
        ----------
        key : str
            Of the task that waits here.
        session, number
            Whose snapshot, and the how many-th: for `press`.
        name : str
            For messages and pictures.
        make : callable
            Gives the blocks; called in a thread, since the first time it may compile.

        Raises
        ------
        InSituError
            It failed, or was cancelled (`CancelledDumpError`). If a thread of the engine has died
            the next snapshot finds a new engine.
        """
        await self._ready.wait()
        blocks = await asyncio.get_running_loop().run_in_executor(self._preparing, self._made, make)
        if hooks.is_cancelled(self._worker, key) or self.has_dropped(session):
            raise CancelledDumpError(f"Snapshot {name!r} was cancelled before it began")
        engine = self.engine  # of this snapshot: it may be replaced
        snapshot = self._submit(key, session, number, name, blocks)
        try:
            await asyncio.wrap_future(snapshot.future)
        except asyncio.CancelledError:  # the worker is closing
            engine.cancel(snapshot)
            raise
        finally:
            with self._lock:
                self._outstanding = [o for o in self._outstanding if o.snapshot is not snapshot]
        profile = SnapshotProfile.of(snapshot, engine)
        hooks.tell_scheduler(
            self._worker, "fz-profile", profile=profile.packed(), intervals=self._intervals()
        )
        if self._books is not None:
            news = self._books.news()
            if news is not None:
                hooks.tell_scheduler(self._worker, "fz-books", books=news)
        return profile

    def _made(self, make: Callable[[], Sequence[Block]]) -> Sequence[Block]:
        self._replace_broken()
        return make()

    def _intervals(self) -> list[list[Any]]:
        """What ran since the last call, for the dashboard; in seconds of the wall clock."""
        offset = time.time() - time.perf_counter()
        found: list[list[Any]] = []
        for interval in reversed(tuple(self.engine.records.intervals)):
            if interval.end <= self._shown or len(found) >= MOST_SHOWN:
                break
            if interval.kind in ("compress", "write"):
                machine = "compute" if interval.kind == "compress" else "background"
                start, end = interval.start + offset, interval.end + offset
                found.append([interval.name, machine, interval.field, start, end])
        self._shown = time.perf_counter()
        return found

    def _submit(
        self, key: str, session: str, number: int, name: str, blocks: Sequence[Block]
    ) -> Snapshot:
        names = [b.name for b in blocks]
        order = self._orders.get(frozenset(names))
        positions = None if order is None else order.positions(names)
        with self._lock:
            snapshot = self.engine.submit(blocks, name=name, order=positions)
            self._outstanding.append(Outstanding(key, session, number, snapshot))
            self._sessions[snapshot] = session
            late = number <= self._wanted.get(session, -1)
        self.tracker.snapshot(name)
        if late:  # somebody waits for it since before it was admitted
            self._pressing.submit(self._press)
        return snapshot

    @property
    def outstanding(self) -> tuple[Outstanding, ...]:
        """Snapshots that are not stored, oldest first."""
        with self._lock:
            return tuple(self._outstanding)

    def press(self, session: str, number: int) -> None:
        """Somebody waits for the snapshots of a session up to this number; returns at once.

        Those that have not been admitted yet count too: a barrier must not overtake them.
        """
        with self._lock:
            self._wanted[session] = max(number, self._wanted.get(session, -1))
        self._pressing.submit(self._press)

    def _press(self) -> None:
        """Wait for them in a thread: while anybody waits, the engine needs no windows."""
        with self._lock:
            last = -1
            for at, each in enumerate(self._outstanding):
                if each.number <= self._wanted.get(each.session, -1):
                    last = at
            newer = len(self._outstanding) - 1 - last
        if last >= 0:
            self.engine.wait(newer)

    def _cancel(self, key: Hashable) -> None:
        for each in self.outstanding:
            if each.key == key:
                self.engine.cancel(each.snapshot)

    def drop(self, session: str) -> list[str]:
        """Drop what is not stored of a session, for good; what of it is just being stored."""
        self._dropped.add(session)
        for each in self.outstanding:
            if each.session == session:
                self.engine.cancel(each.snapshot)
        if not self._ready.is_set():
            return []
        found = [engine.in_hand for engine in (self.engine, *(e for e, _ in self._ending))]
        return [
            f"{each.snapshot.name}: {each.doing}"
            for each in found
            if each is not None and self._sessions.get(each.snapshot) == session
        ]

    def has_dropped(self, session: str) -> bool:
        """Whether a session was ended by `drop`."""
        return session in self._dropped

    # -- messages of the scheduler ----------------------------------------------------------

    def _on_order(self, *, order: dict[str, Any], **_: Any) -> None:
        unpacked = Order.unpacked(order)
        kind = frozenset(unpacked.compress)
        self._orders[kind] = unpacked
        self._orders.move_to_end(kind)
        while len(self._orders) > KINDS:
            self._orders.popitem(last=False)

    def _on_press(self, *, session: str, number: int, **_: Any) -> None:
        self.press(session, number)

    def _on_books(self, *, books: bytes, **_: Any) -> None:
        if self._books is not None:
            self._books.take(books)
