"""Run the calling thread only when a core has nothing else to do."""

from __future__ import annotations

import os
import threading

__all__ = ["pin", "yield_to_everyone"]


def yield_to_everyone() -> str:
    """Lower the calling thread's priority as far as the platform allows, for good.

    Returns
    -------
    str
        What was done: "SCHED_IDLE", "nice 19" or "" (nothing; threads then share evenly).
    """
    if hasattr(os, "SCHED_IDLE"):
        try:
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
        except OSError:
            pass  # not allowed here: niceness is next best
        else:
            return "SCHED_IDLE"
    # Only Linux has a niceness per thread; elsewhere this would slow the simulation down too.
    if os.uname().sysname == "Linux" if hasattr(os, "uname") else False:
        try:
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)
        except OSError:
            return ""
        return "nice 19"
    return ""


def pin(cpus: frozenset[int] | None) -> None:
    """Keep the calling thread on these cores; None leaves it where it is.

    Raises
    ------
    OSError
        There are no such cores. (Where threads cannot be pinned nothing happens.)
    """
    if cpus and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cpus)
