"""Stores seen from one thread: plain calls with keys and bytes, atomic where the store can."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zarr.abc.store import Store
from zarr.core.buffer import Buffer, default_buffer_prototype
from zarr.core.buffer.cpu import Buffer as CPUBuffer
from zarr.core.sync import sync
from zarr.storage import FsspecStore, LocalStore, MemoryStore, WrapperStore, ZipStore

from fzdask.errors import ConfigError

if TYPE_CHECKING:
    from fzdask.insitu.block import Data

__all__ = ["PARTIAL", "Keys", "RateLimitedStore", "Signature", "innermost", "open_store"]

OVERSLEPT = 1e-3
"""Seconds by which a sleep may take too long."""

READS = 5
"""Times that a file is read. On NFS one that another machine replaces while it is read becomes
stale (ESTALE); the next time the new one is found."""

PARTIAL = ".partial"
"""How the names of temporary files end, here as in Zarr's own `LocalStore`."""

Signature = tuple[int, int, int]
"""Tells one version of a file from another."""


def open_store(target: Any) -> Store:
    """The Zarr store for a path, a URL, a dictionary or a store.

    Parameters
    ----------
    target : Store, str, Path or dict
        A directory; a path that ends in ``.zip``; an fsspec URL ("s3://bucket/run.zarr"); a
        dictionary in memory; or a store, which is used as it is.

    Raises
    ------
    ConfigError
        Something else, or a store that cannot be written.
    """
    if isinstance(target, Store):
        if target.read_only:
            raise ConfigError(f"InSituWriter: {target} is read-only; open it with read_only=False")
        return target
    if isinstance(target, dict):
        return MemoryStore(target)
    if isinstance(target, str) and target.startswith(("file://", "local://")):
        # fsspec would write files in place, where a reader may find half of one.
        from fsspec.core import url_to_fs  # type: ignore[import-untyped, unused-ignore]

        return LocalStore(url_to_fs(target)[1])
    if isinstance(target, str) and "://" in target:
        store: Store = FsspecStore.from_url(target)
        return store
    if isinstance(target, str | os.PathLike):
        path = Path(target).absolute()  # wherever the simulation goes meanwhile
        if path.suffix == ".zip":
            archive: Store = sync(ZipStore.open(path, mode="a"))
            return archive
        return LocalStore(path)
    raise ConfigError(
        f"InSituWriter: {type(target).__name__} is no store; give a path, an fsspec URL, a "
        "dictionary or a zarr.abc.store.Store"
    )


def innermost(store: Store) -> Store:
    """The store that keeps the data, within all that is wrapped around it."""
    while isinstance(store, WrapperStore):
        store = store._store  # the attribute that Zarr documents; it has no other
    return store


class Keys:
    """Set, get, list and delete keys of a Zarr store, from any one thread at a time.

    In a local directory a value is written to a temporary file that then takes its name, so a
    reader sees the old value or the new one, never a part. Object stores replace objects alike.

    Parameters
    ----------
    store : Store
        Where.
    fsync : bool
        Only for local directories: `set` returns when file and directory entry are on the
        medium, so that they survive a loss of power and not only the end of the process.

    Raises
    ------
    ConfigError
        fsync for a store that is no local directory.
    """

    def __init__(self, store: Store, *, fsync: bool = False) -> None:
        self.store = store
        self._fsync = fsync
        self._root = store.root if type(store) is LocalStore else None
        if fsync and self._root is None:
            raise ConfigError(
                f"InSituWriter: fsync=True needs a local directory, and {store} is none"
            )
        self._set_now = _synchronous(store, "set")
        self._get_now = _synchronous(store, "get")
        self._durable = None if self._root is None else _existing(self._root)

    @property
    def replaces(self) -> bool:
        """Whether a key may be set again (not in a ZIP archive, which would hold both)."""
        return not isinstance(self.store, ZipStore)

    def set_many(self, items: Sequence[tuple[str, Data]]) -> None:
        """Store all; return when all are stored. Several at once where that saves time."""
        if self._root is not None:
            for key, data in items:
                self._write_file(self._root / key, data)
            return
        buffers = [(key, _buffer(data)) for key, data in items]
        if self._set_now is not None:
            for key, value in buffers:
                self._set_now(key, value)
            return

        async def put() -> None:
            puts = (self.store.set(key, value) for key, value in buffers)
            # All are waited for, also when one fails: none may end later, when it is another's.
            for error in await asyncio.gather(*puts, return_exceptions=True):
                if error is not None:
                    raise error

        sync(put())

    def set(self, key: str, data: Data) -> None:
        """Store one."""
        self.set_many([(key, data)])

    def get(self, key: str) -> bytes | None:
        """The value of a key, or None."""
        if self._root is not None:
            return _read_file(self._root / key)
        if self._get_now is not None:
            found = self._get_now(key, prototype=default_buffer_prototype())
        else:
            found = sync(self.store.get(key, default_buffer_prototype()))
        return None if found is None else found.to_bytes()

    def delete(self, keys: Sequence[str]) -> None:
        """Remove keys that exist."""

        async def remove() -> None:
            for key in keys:
                await self.store.delete(key)

        sync(remove())

    def list(self, prefix: str = "") -> list[str]:
        """Every key with this prefix (a path, or the whole store)."""

        async def collect(keys: AsyncIterator[str]) -> list[str]:
            return [key async for key in keys]

        return sync(collect(self.store.list_prefix(prefix)))

    def is_empty(self) -> bool:
        """Whether the store holds nothing."""
        return bool(sync(self.store.is_empty("")))

    def signature(self, key: str) -> Signature | None:
        """What changes when a key is set, where finding out costs next to nothing; else None.

        Raises
        ------
        FileNotFoundError
            There is no such key.
        """
        if self._root is None:
            return None
        found = os.stat(self._root / key)
        return found.st_ino, found.st_mtime_ns, found.st_size

    def close(self) -> None:
        """End a store that has to be ended: a ZIP archive has its table of contents last."""
        if isinstance(self.store, ZipStore):
            self.store.close()

    def _write_file(self, path: Path, data: Data) -> None:
        # A suffix of its own: two processes that write one key by mistake do not mix.
        partial = path.with_name(f"{path.name}.{uuid.uuid4().hex}{PARTIAL}")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        try:
            handle = os.open(partial, flags, 0o666)
        except FileNotFoundError:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(partial, flags, 0o666)
        try:
            try:
                view = memoryview(data).cast("B")
                while len(view):  # a large write may end early
                    view = view[os.write(handle, view) :]
                if self._fsync:
                    os.fsync(handle)
            finally:
                os.close(handle)
            os.replace(partial, path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        if self._fsync:
            self._sync_directories(path.parent)

    def _sync_directories(self, folder: Path) -> None:
        """Make the entry durable, and those of folders that may be new."""
        if not hasattr(os, "O_DIRECTORY"):
            return
        assert self._root is not None
        last = self._durable or self._root
        while True:
            handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
            if folder in (last, folder.parent):
                break
            folder = folder.parent
        self._durable = None  # from now on the root itself is durable


class RateLimitedStore(WrapperStore[Store]):
    """A store whose writes take as long as at a given bandwidth and latency: for tests and demos.

    It can be pickled if the store within can; each process then has the bandwidth for itself.

    Parameters
    ----------
    store : Store
        What is limited; also a path or dictionary, as for `open_store`.
    bandwidth : float
        Bytes per second of all writes together, one after the other.
    latency : float
        Seconds for each write besides.

    Raises
    ------
    ConfigError
        A bandwidth that is not positive, or a negative latency.
    """

    def __init__(self, store: Any, bandwidth: float, latency: float = 0.0) -> None:
        if not bandwidth > 0.0 or not latency >= 0.0:
            raise ConfigError(
                f"RateLimitedStore: bandwidth={bandwidth!r} must be positive (bytes per second), "
                f"latency={latency!r} not negative (seconds)"
            )
        super().__init__(store if isinstance(store, Store) else open_store(store))
        self.bandwidth = bandwidth
        self.latency = latency
        self._free = 0.0
        self._lock = threading.Lock()
        self._keys = Keys(self._store)

    def _with_store(self, store: Store) -> RateLimitedStore:
        return type(self)(store, self.bandwidth, self.latency)

    def __reduce__(self) -> Any:
        return type(self), (self._store, self.bandwidth, self.latency)

    def set_sync(self, key: str, value: Buffer) -> None:
        """Store a value; return when it is stored and its time has passed."""
        end = self._book(len(value))
        self._keys.set(key, value.as_numpy_array())
        time.sleep(max(0.0, end - time.perf_counter()))

    async def set(self, key: str, value: Buffer) -> None:
        end = self._book(len(value))
        await self._store.set(key, value)
        await asyncio.sleep(max(0.0, end - time.perf_counter()))

    def _book(self, nbytes: int) -> float:
        """When a write of so many bytes that begins now ends."""
        with self._lock:
            now = time.perf_counter()
            # What the sleep before took too long is no bandwidth lost.
            begin = self._free if now - self._free < OVERSLEPT else now
            self._free = begin + self.latency + nbytes / self.bandwidth
            return self._free


def _read_file(path: Path) -> bytes | None:
    """Content of a file that another process may replace meanwhile; None if there is none."""
    left = READS
    while True:
        try:
            return path.read_bytes()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None
        except OSError as error:
            left -= 1
            if error.errno != errno.ESTALE or not left:
                raise


def _synchronous(store: Store, name: str) -> Any:
    """A method's synchronous face; None where a subclass has changed the asynchronous one alone.

    Newer releases of Zarr give wrappers both, and a store that, say, encrypts in its own ``set``
    would be passed by.
    """
    for kind in type(store).__mro__:
        if f"{name}_sync" in vars(kind):
            return getattr(store, f"{name}_sync")
        if name in vars(kind):
            return None
    return None


def _existing(folder: Path) -> Path:
    """The closest folder above that exists: below it all entries are new."""
    folder = folder.absolute()
    return next((each for each in folder.parents if each.exists()), folder)


def _buffer(data: Data) -> Buffer:
    # Asking Zarr for the kind of buffer takes longer than storing one in memory.
    return CPUBuffer.from_bytes(data)
