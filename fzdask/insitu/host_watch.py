"""Is the simulation's thread computing? Told from the processor time that it uses."""

from __future__ import annotations

import sys
import threading
import time

__all__ = ["BUSY_SHARE", "LOOK", "POLL", "HostWatch"]

BUSY_SHARE = 0.2
"""A thread that uses more than this share of the time between two looks is computing. A host
that shares its core with the compression still gets about half, one that waits gets nothing."""

LOOK = 0.5e-3
"""Seconds between two looks at least: shorter ones say little about a share."""

POLL = 2e-3
"""Seconds after which to look again while it computes. Each look costs some tens of microseconds
of Python, so this is about one percent of a core."""


class HostWatch:
    """Watches the thread that makes it.

    A thread that waits by spinning (some GPU runtimes and MPI libraries do) looks busy, and one
    whose work is done by other threads looks idle: mark windows there instead.

    Attributes
    ----------
    available : bool
        Whether this platform tells the processor time of another thread.
    """

    def __init__(self) -> None:
        # Asked for by the thread itself: the identity of one that has ended must not be used.
        self._clock: int | None = None
        if sys.platform != "win32":
            get = getattr(time, "pthread_getcpuclockid", None)
            if get is not None:
                self._clock = get(threading.get_ident())
        self.available = self._clock is not None
        self._used = self._read()
        self._seen = time.perf_counter()
        self._idle = False

    def is_idle(self) -> bool:
        """Whether it computed at most `BUSY_SHARE` of the time since the last look."""
        now = time.perf_counter()
        if now - self._seen >= LOOK:
            used = self._read()
            self._idle = used - self._used <= BUSY_SHARE * (now - self._seen)
            self._used, self._seen = used, now
        return self._idle

    def _read(self) -> float:
        if self._clock is None or sys.platform == "win32":
            return 0.0
        try:
            return time.clock_gettime(self._clock)
        except OSError:  # the thread has ended
            return self._used
