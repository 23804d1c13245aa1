"""The error that a background thread's failure becomes for whoever writes or flushes next."""

from __future__ import annotations

from fzdask.errors import FZError

__all__ = ["CancelledDumpError", "InSituError"]


class InSituError(FZError):
    """Compressing or storing a snapshot failed in the background; `__cause__` says how.

    Nothing that was reported as stored is lost. The snapshot that failed, and every later one,
    does not become visible in the store.
    """


class CancelledDumpError(InSituError):
    """A snapshot was dropped before it was stored, because it or its engine was cancelled."""
