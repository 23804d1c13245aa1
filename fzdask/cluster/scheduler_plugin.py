"""FZSchedulerPlugin: engines on all workers, and one order across them."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict, deque
from collections.abc import Hashable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

from distributed import SchedulerPlugin

from fzdask.cluster import hooks
from fzdask.cluster.bandwidth import Write
from fzdask.cluster.books import Library
from fzdask.cluster.coordination import Coordinator
from fzdask.cluster.page import History, PageHandler
from fzdask.cluster.profiles import SnapshotProfile
from fzdask.cluster.task_order import TaskOrder
from fzdask.cluster.worker_plugin import FZWorkerPlugin
from fzdask.errors import ConfigError
from fzdask.insitu.rules import Rules, parse_bytes
from fzdask.scheduling.model import Storage

__all__ = ["FZSchedulerPlugin"]

KEEP_ROWS = 5000

SESSIONS = 64
"""Writers of which it is remembered what somebody waits for."""

log = logging.getLogger("fzdask.cluster")


class FZSchedulerPlugin(SchedulerPlugin):  # type: ignore[misc]
    """Installs an engine in every worker process, and orders their compressions and writes.

    ``client.register_plugin(FZSchedulerPlugin())``, once per cluster; a second one is ignored.
    Workers that join later get an engine too. The engines work without a word from the
    scheduler; what it tells them (orders, codebooks) makes them better, and an error in it
    costs only that.

    Parameters
    ----------
    rules : Rules, optional
        Of the engines. ``windows="marked"``, the default here, follows the tasks of a worker:
        compression runs while fewer of them compute than it has threads, and inside
        `fzdask.cluster.idle`.
    buffer : int or str
        Bytes of encoded blocks that may wait to be stored, per worker.
    storage_bandwidth : int or str, optional
        Bytes per second ("2GB") that the writes of all workers share; orders are planned for all
        together. Default: estimated from the writes.
    storage_shared : {"all", "node"}
        Whether all workers share that bandwidth or those of each node.
    share_codebooks : bool
        Hand Huffman codebooks from worker to worker.

    Raises
    ------
    ConfigError
        A setting out of range.
    """

    name = hooks.SCHEDULER_PLUGIN
    idempotent = True

    def __init__(
        self,
        rules: Rules | None = None,
        *,
        buffer: int | str = "256MiB",
        storage_bandwidth: int | str | None = None,
        storage_shared: Literal["all", "node"] = "all",
        share_codebooks: bool = True,
    ) -> None:
        rules = rules or Rules(windows="marked")
        if rules.windows in ("auto", "watched"):
            raise ConfigError(
                f"FZSchedulerPlugin: rules.windows={rules.windows!r} watches the thread of a "
                "simulation, of which a worker has none; use 'marked' (the tasks of the worker "
                "are followed), 'priority' or 'always'"
            )
        parse_bytes(buffer, "FZSchedulerPlugin: buffer")
        if storage_shared not in ("all", "node"):
            raise ConfigError(
                f"FZSchedulerPlugin: storage_shared={storage_shared!r} must be 'all' or 'node'"
            )
        self._shared = storage_shared
        self._storage = None
        if storage_bandwidth is not None:
            who = "FZSchedulerPlugin: storage_bandwidth"
            self._storage = Storage(float(parse_bytes(storage_bandwidth, who)), storage_shared)
        self._rules = rules
        self._buffer = buffer
        self._share = share_codebooks

    @property
    def settings(self) -> tuple[Rules, int | str]:
        """Rules and buffer of the engines."""
        return self._rules, self._buffer

    # -- life -------------------------------------------------------------------------------

    async def start(self, scheduler: Any) -> None:
        """Listen to the workers, and install their plugin."""
        self._scheduler = scheduler
        self._coordinator = Coordinator(self._storage, self._shared)
        self._task_order = TaskOrder()
        self._library = Library()
        self._planning = ThreadPoolExecutor(1, thread_name_prefix="fzdask-coordinate")
        self._plan_again = False
        self._ready: set[str] = set()
        self._wanted: OrderedDict[str, int] = OrderedDict()
        self._planning_tasks: set[asyncio.Task[None]] = set()
        self.rows: deque[dict[str, Any]] = deque(maxlen=KEEP_ROWS)
        self.counts = {"plans": 0, "orders sent": 0, "graphs ordered": 0, "snapshots": 0}
        hooks.listen_to_workers(
            scheduler,
            {
                "fz-ready": self._on_ready,
                "fz-profile": self._on_profile,
                "fz-books": self._on_books,
                "fz-times": self._on_times,
            },
        )
        self.history = History()
        hooks.serve_page(scheduler, "/fzdask", PageHandler, plugin=self)
        await hooks.install_worker_plugin(
            scheduler, FZWorkerPlugin(self._rules, self._buffer, self._share)
        )

    async def close(self) -> None:
        """The scheduler closes."""
        for task in self._planning_tasks:
            task.cancel()
        self._planning.shutdown(wait=False, cancel_futures=True)

    async def remove(self) -> None:
        """Take the engines off the workers again."""
        await hooks.remove_worker_plugin(self._scheduler)

    # -- hooks ------------------------------------------------------------------------------

    def update_graph(
        self,
        scheduler: Any,
        *,
        tasks: list[Hashable],
        **kwargs: Any,
    ) -> None:
        """Order the compress and write tasks of `fzdask.overlap` before any is sent."""
        ranks = self._task_order.ranks(tasks, lambda key: hooks.dependencies_of(scheduler, key))
        if ranks:
            hooks.set_priorities(scheduler, ranks)
            self.counts["graphs ordered"] += 1

    def remove_worker(self, scheduler: Any, worker: str, **kwargs: Any) -> None:
        """What is known of a worker goes with it; its snapshots are tried again elsewhere."""
        self._ready.discard(worker)
        self._coordinator.forget(worker)

    def valid_workers_downscaling(self, scheduler: Any, workers: list[Any]) -> list[Any]:
        """Workers with snapshots in work are not taken away by adaptive scaling."""
        return [w for w in workers if not any(map(hooks.is_dump, hooks.processing(w)))]

    @property
    def figures(self) -> dict[str, Any]:
        """What the dashboard's page shows beside the chart."""
        rows = list(self.rows)
        raw, stored = sum(r["raw_nbytes"] for r in rows), sum(r["stored_nbytes"] for r in rows)
        found: dict[str, Any] = {**self.counts, "workers": len(self._coordinator.profiles)}
        if stored:
            found["ratio"] = f"{raw / stored:.2f}"
        storage = self._coordinator.storage
        if storage is not None:
            found["storage bandwidth"] = f"{storage.bandwidth / 1e6:.4g} MB/s"
        plan = self._coordinator.last
        if plan is not None:
            found["planned overhead"] = f"{plan.overhead:.1%}"
            found["unavoidable overhead"] = f"{plan.overhead_bound:.1%}"
        return found

    # -- messages ---------------------------------------------------------------------------

    def _on_ready(self, *, worker: str, **_: Any) -> None:
        """A worker listens from now on: it is told what the others know already."""
        if worker not in self._scheduler.workers:
            return
        self._ready.add(worker)
        books = self._library.everything
        if books is not None:
            hooks.tell_worker(self._scheduler, worker, "fz-books", books=books)
        for session, number in self._wanted.items():
            hooks.tell_worker(self._scheduler, worker, "fz-press", session=session, number=number)

    def _on_profile(
        self, *, worker: str, profile: dict[str, Any], intervals: list[Any], **_: Any
    ) -> None:
        if worker not in self._scheduler.workers:
            return
        self.history.add(worker, intervals)
        unpacked = SnapshotProfile.unpacked(profile)
        self.counts["snapshots"] += 1
        self.rows.append(
            {
                "snapshot": unpacked.name,
                "worker": worker,
                "blocks": len(unpacked.blocks),
                "raw_nbytes": unpacked.raw_nbytes,
                "stored_nbytes": unpacked.nbytes,
                "compress": sum(b.compress for b in unpacked.blocks),
                "write": sum(b.write for b in unpacked.blocks),
                "latency": unpacked.latency,
            }
        )
        node = hooks.node_of(self._scheduler, worker)
        sizes = {b.name: b.nbytes for b in unpacked.blocks}
        self._coordinator.observe(
            worker,
            node,
            [
                Write(start, end, sizes[name])
                for name, machine, _, start, end in intervals
                if machine == "background" and name in sizes
            ],
        )
        self._plan_again |= self._coordinator.record(worker, node, unpacked)
        if self._plan_again and not self._planning_tasks:
            task = asyncio.get_running_loop().create_task(self._plan_while_asked())
            self._planning_tasks.add(task)
            task.add_done_callback(self._planning_tasks.discard)

    async def _plan_while_asked(self) -> None:
        while self._plan_again:
            self._plan_again = False
            await self._plan()

    async def _plan(self) -> None:
        """In a thread: the event loop of the scheduler must not wait for it."""
        try:
            loop = asyncio.get_running_loop()
            orders = await loop.run_in_executor(self._planning, self._coordinator.orders)
        except Exception:
            # Without an order of ours the engines plan for themselves.
            log.exception("fzdask: planning across workers failed")
            return
        self.counts["plans"] += bool(orders)
        for worker, order in orders.items():
            if worker in self._ready:
                hooks.tell_worker(self._scheduler, worker, "fz-order", order=order.packed())
                self.counts["orders sent"] += 1

    def _on_books(self, *, worker: str, books: bytes, **_: Any) -> None:
        first = self._library.add(books)
        if first is None:
            return
        for other in self._ready - {worker}:
            hooks.tell_worker(self._scheduler, other, "fz-books", books=first)

    def _on_times(
        self, *, label: str, index: list[int], compress: float, write: float, **_: Any
    ) -> None:
        self._task_order.learn(label, index, compress, write)

    def press(self, session: str, number: int) -> None:
        """Tell all workers, also those to come, that somebody waits for a session's snapshots."""
        self._wanted[session] = max(number, self._wanted.get(session, -1))
        self._wanted.move_to_end(session)
        while len(self._wanted) > SESSIONS:
            self._wanted.popitem(last=False)
        for worker in self._ready:
            hooks.tell_worker(self._scheduler, worker, "fz-press", session=session, number=number)
