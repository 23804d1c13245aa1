"""Every contact with the insides of distributed, through its documented hooks, in one file.

Nothing else in this package calls a method of a worker or of a scheduler.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Hashable, Iterable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any

from distributed import get_worker
from distributed.protocol.pickle import dumps
from distributed.worker_state_machine import SecedeEvent

__all__ = [
    "DUMP",
    "address_of",
    "current_worker",
    "dependencies_of",
    "dump_key",
    "executor",
    "find_scheduler_plugin",
    "find_worker_plugin",
    "guarded",
    "install_worker_plugin",
    "is_cancelled",
    "is_computing",
    "is_dump",
    "listen_to_scheduler",
    "listen_to_workers",
    "node_of",
    "processing",
    "remove_worker_plugin",
    "secede",
    "serve_page",
    "set_priorities",
    "slots_of",
    "tell_scheduler",
    "tell_worker",
    "unfinished_dumps",
    "whereabouts",
]

DUMP = "fz-dump"
"""What the keys of snapshot tasks begin with."""

WORKER_PLUGIN = "fzdask-worker"
SCHEDULER_PLUGIN = "fzdask-scheduler"

log = logging.getLogger("fzdask.cluster")


def is_dump(key: Hashable) -> bool:
    """Whether a task is one of ours that waits for a snapshot."""
    return isinstance(key, str) and key.startswith(DUMP)


def dump_key(session: str, number: int) -> str:
    """A new key for a snapshot task of a writer's session."""
    return f"{DUMP}-{session}-{number}-{uuid.uuid4().hex}"


def guarded(handler: Callable[..., None]) -> Callable[..., None]:
    """A handler of messages that never raises: an error would close the whole stream."""

    def handle(**message: Any) -> None:
        try:
            handler(**message)
        except Exception:
            log.exception("fzdask: handling a message of %s failed", sorted(message))

    return handle


# -- on a worker --------------------------------------------------------------------------------


def current_worker() -> Any:
    """The worker that runs the calling task; `ValueError` outside of tasks."""
    return get_worker()


def find_worker_plugin(worker: Any) -> Any:
    """The plugin of `install_worker_plugin`, or None."""
    return worker.plugins.get(WORKER_PLUGIN)


def secede(worker: Any, key: str) -> None:
    """The (async) task gives back its slot, and from then on is neither stolen nor counted."""
    worker.handle_stimulus(
        SecedeEvent(key=key, compute_duration=1e-4, stimulus_id=f"fz-secede-{time.time()}")
    )


def executor(worker: Any, name: str, threads: int = 1) -> Executor:
    """An executor of the worker's own, which shuts it down when it closes."""
    found: Executor | None = worker.executors.get(name)
    if found is None:
        found = ThreadPoolExecutor(threads, thread_name_prefix=name)
        worker.executors[name] = found
    return found


def address_of(worker: Any) -> str:
    """Of a worker, as the scheduler knows it."""
    return str(worker.address)


def slots_of(worker: Any) -> int:
    """Tasks that a worker runs at once."""
    return int(worker.state.nthreads)


def is_computing(worker: Any, key: Hashable) -> bool:
    """Whether a task occupies a thread of the worker, be it wanted or not."""
    task = worker.state.tasks.get(key)
    if task is None:
        return False
    state = task.previous if task.state in ("cancelled", "resumed") else task.state
    return bool(state == "executing")


def is_cancelled(worker: Any, key: Hashable) -> bool:
    """Whether nobody wants the result of a task, though it may still be running."""
    task = worker.state.tasks.get(key)
    return task is None or task.state in ("cancelled", "released", "forgotten")


def listen_to_scheduler(worker: Any, handlers: Mapping[str, Callable[..., None]]) -> None:
    """Take messages of `tell_worker`."""
    for op, handler in handlers.items():
        worker.stream_handlers[op] = guarded(handler)


def tell_scheduler(worker: Any, op: str, **message: Any) -> None:
    """Send a message to `listen_to_workers`, from any thread; lost if the worker is closing."""

    def send() -> None:
        try:
            worker.batched_stream.send({"op": op, **message})
        except Exception as error:  # the connection has ended: nobody is there to be told
            log.debug("fzdask: %s could not be sent: %r", op, error)

    worker.loop.add_callback(send)


# -- on the scheduler ---------------------------------------------------------------------------


async def install_worker_plugin(scheduler: Any, plugin: Any) -> None:
    """On all workers, present and future. One of the same name is torn down before."""
    try:
        await scheduler.register_worker_plugin(
            comm=None, plugin=dumps(plugin), name=WORKER_PLUGIN, idempotent=False
        )
    except OSError as error:
        # A worker died meanwhile. The others are told all the same, and whoever takes its place
        # gets the plugin as it starts.
        log.warning("fzdask: a worker died while engines were installed: %r", error)


async def remove_worker_plugin(scheduler: Any) -> None:
    """The inverse."""
    if WORKER_PLUGIN in scheduler.worker_plugins:
        await scheduler.unregister_worker_plugin(comm=None, name=WORKER_PLUGIN)


def find_scheduler_plugin(scheduler: Any) -> Any:
    """The `FZSchedulerPlugin`, or None."""
    return scheduler.plugins.get(SCHEDULER_PLUGIN)


def listen_to_workers(scheduler: Any, handlers: Mapping[str, Callable[..., None]]) -> None:
    """Take messages of `tell_scheduler`; a handler also gets ``worker``, the address."""
    for op, handler in handlers.items():
        scheduler.stream_handlers[op] = guarded(handler)


def tell_worker(scheduler: Any, address: str, op: str, **message: Any) -> None:
    """Send a message to `listen_to_scheduler`.

    Only to a worker that is known to listen: one of which it knows nothing ends a worker.
    """
    scheduler.worker_send(address, {"op": op, **message})


def node_of(scheduler: Any, address: str) -> str:
    """The host of a worker."""
    return str(scheduler.workers[address].host)


def processing(worker_state: Any) -> Iterable[Hashable]:
    """Keys that the scheduler has given to a worker."""
    return [task.key for task in worker_state.processing]


def dependencies_of(scheduler: Any, key: Hashable) -> Iterable[Hashable]:
    """Keys of the tasks that a task needs."""
    task = scheduler.tasks.get(key)
    return [] if task is None else [each.key for each in task.dependencies]


def serve_page(scheduler: Any, path: str, handler: type, **arguments: Any) -> None:
    """Add a page to the scheduler's web server, if it has one."""
    application = getattr(scheduler, "http_application", None)
    if application is not None:
        application.add_handlers(".*", [(path, handler, arguments)])


def unfinished_dumps(scheduler: Any, session: str) -> list[str]:
    """Keys of the snapshot tasks of a session that are in work or wait for it."""
    return [
        key
        for key, task in scheduler.tasks.items()
        if is_dump(key)
        and key.startswith(f"{DUMP}-{session}-")
        and task.state not in ("memory", "erred", "released", "forgotten")
    ]


def set_priorities(scheduler: Any, ranks: Mapping[Hashable, int]) -> None:
    """Run tasks in this order, within the priority that the user and the submission gave them."""
    for key, rank in ranks.items():
        task = scheduler.tasks.get(key)
        if task is not None and task.priority is not None:
            task.priority = (*task.priority[:-1], rank)


def whereabouts(
    scheduler: Any, keys: Iterable[Hashable]
) -> tuple[dict[Hashable, str], dict[str, str]]:
    """The worker that has or computes each task's result, as far as known; the host of each."""
    places: dict[Hashable, str] = {}
    for key in keys:
        task = scheduler.tasks.get(key)
        if task is None:
            continue
        if task.who_has:
            places[key] = str(next(iter(task.who_has)).address)
        elif task.processing_on is not None:
            places[key] = str(task.processing_on.address)
    return places, {address: node_of(scheduler, address) for address in scheduler.workers}
