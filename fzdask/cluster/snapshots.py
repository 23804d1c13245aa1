"""One Dask task per snapshot per worker: it hands blocks to the engine and waits until stored."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from distributed import Reschedule

from fzdask.cluster import hooks
from fzdask.cluster.profiles import SnapshotProfile
from fzdask.errors import ConfigError
from fzdask.insitu.block import Block
from fzdask.insitu.failures import CancelledDumpError

__all__ = ["RETRIES", "dump_snapshot", "press", "submit_snapshot"]

RETRIES = 3
"""Times that a snapshot is tried again on an error, as the death of its worker is one."""

LOOKS = 20
"""For the engine of a worker that has none, within a second."""

PRIORITY = 15
"""Above ordinary tasks: it takes a slot for about a millisecond, and then lets go of it."""


def submit_snapshot(
    client: Any,
    name: str,
    make_blocks: Callable[..., Sequence[Block]],
    parts: Mapping[str, Sequence[Any]],
    *,
    session: str = "",
    number: int = 0,
    retries: int = RETRIES,
    priority: int = PRIORITY,
) -> list[Any]:
    """Submit one snapshot: one task on each worker, done when its blocks are stored.

    What a future is done for is stored. A task holds no slot of its worker while it waits, so
    it delays no other and is not stolen; it runs again (on another worker if need be) when its
    worker dies; cancelling its future drops what is not stored.

    Parameters
    ----------
    client : distributed.Client
        Of a cluster with `FZSchedulerPlugin`.
    name : str
        For messages and pictures.
    make_blocks : callable
        Called on the worker as ``make_blocks(*arguments)``; returns blocks, which name the same
        keys whenever and wherever it is called with these arguments: a snapshot may be stored
        twice. It must be importable there.
    parts : mapping of worker address to arguments
        What `make_blocks` is called with on that worker; futures stand for their results. An
        address is where the data should be: if the worker is gone another one does it.
    session, number
        Of the snapshot among those of its writer: see `press`.
    retries, priority
        As of `Client.submit`.

    Returns
    -------
    list of Future
        Each of a `SnapshotProfile`, in the order of `parts`.
    """
    if not callable(make_blocks):
        raise ConfigError(
            f"submit_snapshot: make_blocks={make_blocks!r} must be a function that returns blocks"
        )
    futures = []
    for address, arguments in parts.items():
        key = hooks.dump_key(session or "snapshot", number)
        futures.append(
            client.submit(
                dump_snapshot,
                key,
                session,
                number,
                name,
                make_blocks,
                list(arguments),
                key=key,
                workers=[address],
                allow_other_workers=True,
                retries=retries,
                priority=priority,
                pure=False,
            )
        )
    return futures


async def dump_snapshot(
    key: str,
    session: str,
    number: int,
    name: str,
    make_blocks: Callable[..., Sequence[Block]],
    arguments: Sequence[Any],
) -> SnapshotProfile:
    """The task: secede, hand over, wait. Runs in the worker's event loop."""
    worker = hooks.current_worker()
    hooks.secede(worker, key)
    plugin = hooks.find_worker_plugin(worker)
    for _ in range(LOOKS):  # it is being installed
        if plugin is not None:
            break
        await asyncio.sleep(1.0 / LOOKS)
        plugin = hooks.find_worker_plugin(worker)
    if plugin is None:
        raise ConfigError(
            f"submit_snapshot: worker {hooks.address_of(worker)} has no engine; register the "
            "plugin first: client.register_plugin(fzdask.scheduling.FZSchedulerPlugin())"
        )
    made = functools.partial(make_blocks, *arguments)
    while True:
        try:
            profile: SnapshotProfile = await plugin.store(key, session, number, name, made)
            return profile
        except CancelledDumpError:
            now = hooks.find_worker_plugin(worker)
            if now is None:  # the worker is closing: another one is to do it
                raise Reschedule from None
            # Else nobody wants it, or it was cancelled and is wanted again, or the engine was
            # replaced by another.
            if now is plugin and (hooks.is_cancelled(worker, key) or plugin.has_dropped(session)):
                raise
            plugin = now


def press(client: Any, session: str, number: int) -> None:
    """Somebody waits for the snapshots of a session up to `number`: no waiting for windows.

    Returns at once and takes no task, so that it neither holds a slot nor overtakes admission:
    snapshots up to that number which have not arrived at their worker are pressed when they do.
    """
    client.run_on_scheduler(_press_all, session, number)


def _press_all(session: str, number: int, dask_scheduler: Any = None) -> None:
    plugin = hooks.find_scheduler_plugin(dask_scheduler)
    if plugin is not None:
        plugin.press(session, number)
