"""The end of a writer's session: nothing of it runs on any worker any more."""

from __future__ import annotations

import time
from typing import Any

from fzdask.cluster import hooks
from fzdask.insitu.failures import InSituError

__all__ = ["check_running", "end_session"]

POLL = 0.02
"""Seconds between looks at the workers."""


def end_session(client: Any, session: str, timeout: float) -> None:
    """Drop what the workers have not stored of a session, and wait for what they are storing.

    Its tasks are cancelled already. Takes no task and no slot. A worker that has left the cluster
    is not waited for: what it may still be doing cannot be known.

    Raises
    ------
    InSituError
        The client is closed.
    TimeoutError
        Workers are still storing something, or do not answer; the message names both.
    """
    check_running(client)
    end = time.monotonic() + timeout
    while True:
        left = _left(client, session, max(POLL, end - time.monotonic()))
        if not left:
            return
        if time.monotonic() >= end:
            raise TimeoutError(
                f"ClusterWriter: {timeout:g} s after the rest was dropped, this is still running: "
                f"{'; '.join(left)}. It may still be stored; write nothing else to the same place "
                "before it has ended, or close those workers"
            )
        time.sleep(POLL)


def check_running(client: Any) -> None:
    """Refuse to ask workers through a client that is closed; `InSituError`."""
    if client.status != "running":
        raise InSituError(
            f"ClusterWriter: its client is {client.status}, so nobody can tell what workers have "
            "stored or are storing; close the writer before its client"
        )


def _left(client: Any, session: str, timeout: float) -> list[str]:
    """What still runs; or that this cannot be known, after `timeout` seconds."""
    try:
        tasks = client.sync(client.run_on_scheduler, _unfinished, session, callback_timeout=timeout)
        found = client.sync(client.run, _drop, session, on_error="return", callback_timeout=timeout)
    except TimeoutError:
        return ["a worker, or the scheduler, does not answer"]
    left = [f"task {key}" for key in tasks]
    for address, names in found.items():
        if isinstance(names, Exception):
            left.append(f"{address} does not answer ({names!r})")
        else:
            left += [f"{address} {name}" for name in names]
    return left


def _unfinished(session: str, dask_scheduler: Any = None) -> list[str]:
    return hooks.unfinished_dumps(dask_scheduler, session)


def _drop(session: str, dask_worker: Any = None) -> list[str]:
    plugin = hooks.find_worker_plugin(dask_worker)
    return [] if plugin is None else plugin.drop(session)
