"""Where the workers of a cluster can write to."""

from __future__ import annotations

import os
import pickle
from typing import Any

from zarr.storage import FsspecStore, MemoryStore, ZipStore

from fzdask.errors import ConfigError
from fzdask.insitu.stores import innermost, open_store

__all__ = ["reachable"]


def reachable(target: Any) -> Any:
    """The target as workers can open it: a path becomes absolute.

    Raises
    ------
    ConfigError
        It lives in this process only, or cannot be sent to another.
    """
    if isinstance(target, str | os.PathLike) and "://" not in str(target):
        target = os.path.abspath(target)
    store = MemoryStore(target) if isinstance(target, dict) else open_store(target)
    within = innermost(store)
    if isinstance(within, MemoryStore | ZipStore) or _is_memory(within):
        store.close()
        raise ConfigError(
            f"ClusterWriter: workers cannot write to a {type(within).__name__}: each would have a "
            "copy of its own; give a directory or a URL that all of them see"
        )
    try:
        pickle.dumps(target)
    except Exception as error:
        raise ConfigError(
            f"ClusterWriter: {target!r} cannot be pickled, so no worker can have it ({error}); "
            "give a directory or a URL, or define the store's __reduce__"
        ) from error
    return target


def _is_memory(store: Any) -> bool:
    """Whether it is fsspec's file system in the memory of a process (``memory://``)."""
    if not isinstance(store, FsspecStore):
        return False
    protocol = getattr(getattr(store.fs, "sync_fs", store.fs), "protocol", ())
    return "memory" in ((protocol,) if isinstance(protocol, str) else protocol)
