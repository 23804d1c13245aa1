"""What the code of tasks may say about itself: where it waits, and where iterations begin."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

__all__ = ["idle", "iteration"]


def idle(name: str = "idle") -> AbstractContextManager[None]:
    """``with idle("halo exchange"):`` inside a task, around a wait that needs no core here.

    Compression may run on the worker meanwhile. Does nothing outside of a worker, or on one
    without `FZSchedulerPlugin`, so the same code runs anywhere.
    """
    tracker = _tracker()
    return nullcontext() if tracker is None else tracker.idle(name)


def iteration(name: str = "") -> AbstractContextManager[None]:
    """``with iteration(step):`` inside the one task that is a whole step of a simulation.

    What is learnt of one iteration serves to plan the next. Without it the time from one
    snapshot to the next is taken for an iteration. Does nothing outside of a worker.
    """
    tracker = _tracker()
    return nullcontext() if tracker is None else tracker.iteration(str(name))


def _tracker() -> Any:
    try:
        from fzdask.cluster.hooks import current_worker, find_worker_plugin

        plugin = find_worker_plugin(current_worker())
    except (ImportError, ValueError):  # no Dask, or no worker
        return None
    return None if plugin is None else plugin.tracker
