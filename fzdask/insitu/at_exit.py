"""Writers that the program ends without closing are closed, and what fails then is printed."""

from __future__ import annotations

import atexit
import concurrent.futures.thread  # noqa: F401  (its own hook must be older than ours)
import sys
import threading
import weakref
from collections.abc import Callable
from typing import Any, Protocol

__all__ = ["close_at_exit"]


class _Closable(Protocol):
    def close(self) -> Any: ...


_open: weakref.WeakSet[_Closable] = weakref.WeakSet()
_hooked = False


def close_at_exit(writer: _Closable) -> None:
    """Close `writer` when the program ends, unless it is garbage by then. Closing twice is nothing.

    At that moment thread pools still take work: Zarr stores and encodes in one. `atexit` comes
    too late for that, so the hook of the standard library's own pools is used where there is one.
    Python 3.12.0 to 3.12.2 start no threads any more even then (python/cpython#113964), so what
    needs a new one fails, and is printed.
    """
    global _hooked
    if not _hooked:
        hook: Callable[..., Any] = getattr(threading, "_register_atexit", atexit.register)
        hook(_close_all)
        _hooked = True
    _open.add(writer)


def _close_all() -> None:
    for writer in list(_open):
        try:
            writer.close()
        except BaseException:  # the others are closed all the same
            sys.excepthook(*sys.exc_info())
