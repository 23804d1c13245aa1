"""InSituWriter: a simulation's fields to Zarr, compressed and stored while it computes on."""

from __future__ import annotations

import importlib
import os
import threading
import time
import warnings
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Literal, Self

from fzdask.errors import ConfigError
from fzdask.insitu.at_exit import close_at_exit
from fzdask.insitu.block import Block, Data, Snapshot
from fzdask.insitu.catalog import Catalog
from fzdask.insitu.copies import host_array, snapshot_encoders
from fzdask.insitu.engine import Engine
from fzdask.insitu.failures import InSituError
from fzdask.insitu.fields import Fields, checked_encoding
from fzdask.insitu.gate import Windows
from fzdask.insitu.late import LateBlock, LateCopies
from fzdask.insitu.opening import open_catalog
from fzdask.insitu.ownership import Ownership
from fzdask.insitu.publication import Publisher, StoredWrite
from fzdask.insitu.ranks import Ranks
from fzdask.insitu.rules import Rules, check_count, check_seconds
from fzdask.insitu.statistics import WriteRow, as_dataset
from fzdask.insitu.stores import Keys
from fzdask.scheduling.model import Task

__all__ = ["InSituWriter"]

KEEP_ROWS = 5000


class _StoreSink:
    """Hands blocks to the store."""

    def __init__(self, keys: Keys, ownership: Ownership) -> None:
        self._keys = keys
        self._ownership = ownership

    def write(self, items: Sequence[tuple[str, Data]]) -> None:
        self._ownership.check_cheaply()
        self._keys.set_many(items)


class InSituWriter:
    """Writes fields of a running simulation to Zarr v3, in the simulation's idle time.

    `write` takes a snapshot and returns; its blocks are compressed while the simulation waits
    for something else, and stored by a thread of their own. The store opens in xarray at any
    moment and shows whole steps: a step becomes visible when everything of it is stored.
    What `flush` or the end of a ``with`` block has returned for is stored. A run that was killed
    continues at the first step that is not visible.

    Parameters
    ----------
    target : path, URL, dict or zarr.abc.store.Store
        A local directory, a path that ends in ``.zip`` (visible when closed, and not to be
        continued), an fsspec URL, a dictionary in memory, or any store.
    encoding : mapping of str to mapping, optional
        For each field, as in xarray's ``to_zarr``: ``compressors`` (default
        ``FZCodec(lossless=True)``), ``serializer``, ``filters``, ``chunks``, ``shards``,
        ``fill_value``. Also ``dims`` (names of the axes), ``attrs``, ``step_dim`` (the dimension
        along which it is appended, default "step": a field that is written more rarely than
        others has its own), and, where several processes write one field, ``shape`` (of the
        whole) and ``start`` (of this process's part).
    max_outstanding : int
        Snapshots that may be in memory at once; a further `write` waits.
    buffer : int or str
        Bytes of compressed blocks that may wait to be stored; compression waits while it is full.
    client : distributed.Client, optional
        Write Dask arrays from the workers of its cluster: makes a
        :class:`fzdask.cluster.ClusterWriter`, which takes the arguments that mean something there.
    mode : {"a", "w"}
        Continue what is there (if this class wrote it), or delete it.
    coords : mapping of str to array or (dims, array), optional
        Coordinates that do not change with the step.
    attrs : mapping, optional
        Attributes of the dataset, as JSON.
    windows : {"auto", "marked", "watched", "priority", "always"}
        How the simulation's idle time is known; see `fzdask.insitu.Rules`.
    rules : Rules, optional
        Every other setting of the engine.
    fsync : bool
        In a local directory: what is stored survives a loss of power.
    share_codebooks : bool
        Take Huffman codebooks from earlier blocks. The bytes then depend on history, the values
        do not.
    comm : mpi4py communicator, optional
        Its ranks write one store, each its own part. Collective: all make a writer.
    rank, size, run_id
        The same without MPI: `run_id` is a text that all processes of a run share.
    timeout : float
        Seconds to wait for other processes: to open the store, and in `flush` and `close` from
        one step that becomes visible to the next.
    cpus : mapping, optional
        Cores for the engine's threads; see `fzdask.insitu.Engine`.
    engine : Engine, optional
        One to share with others; it is not closed with the writer.

    Raises
    ------
    ConfigError
        A setting out of range, or a store that holds something else.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from fzdask import FZCodec, InSituWriter
    >>> store = {}
    >>> with InSituWriter(store, {"t": {"compressors": FZCodec(abs=1e-3)}}) as w:
    ...     for step in range(3):
    ...         with w.iteration(step):
    ...             t = np.linspace(0, step, 64, dtype="f4").reshape(8, 8)
    ...             with w.idle("wait for the device"):
    ...                 pass
    ...         w.write(step, {"t": t})
    """

    def __new__(cls, *args: Any, client: Any = None, **settings: Any) -> Any:
        """Where there is a client, the writer of its cluster."""
        if client is None:
            return super().__new__(cls)
        cluster = importlib.import_module("fzdask.cluster")  # a layer above this one
        return cluster.writer_for_client(client, *args, **settings)

    def __init__(
        self,
        target: Any,
        encoding: Mapping[str, Mapping[str, Any]] | None = None,
        *,
        max_outstanding: int = 2,
        buffer: int | str = "256MiB",
        client: None = None,
        mode: Literal["a", "w"] = "a",
        coords: Mapping[str, Any] | None = None,
        attrs: Mapping[str, Any] | None = None,
        windows: Windows = "auto",
        rules: Rules | None = None,
        fsync: bool = False,
        share_codebooks: bool = True,
        comm: Any = None,
        rank: int = 0,
        size: int = 1,
        run_id: str | None = None,
        timeout: float = 60.0,
        cpus: Mapping[str, Sequence[int]] | None = None,
        engine: Engine | None = None,
    ) -> None:
        check_count(max_outstanding, "InSituWriter: max_outstanding")
        check_seconds(timeout, "InSituWriter: timeout")
        if rules is not None and windows != "auto":
            raise ConfigError("InSituWriter: give windows= or rules=Rules(windows=...), not both")
        self._max_outstanding = max_outstanding
        settings = checked_encoding(encoding or {})
        self._timeout = timeout
        self._ranks = Ranks.of(comm, rank, size, run_id)
        self._owns_engine = engine is None
        # Before the store is touched, which mode="w" empties: it checks the rest of the settings.
        self._engine = engine or Engine(rules or Rules(windows=windows), buffer=buffer, cpus=cpus)
        try:
            self._keys, catalog = open_catalog(
                target, mode, fsync, self._ranks, attrs or {}, timeout, coords or {}
            )
        except BaseException:
            if self._owns_engine:
                self._engine.close(cancel=True)
            raise
        self._publisher = Publisher(catalog, self._keys, self._ranks)
        self._engine.horizon = max_outstanding
        self._sink = _StoreSink(self._keys, catalog.ownership)
        self._fields = Fields(settings, self._publisher, share_codebooks, self._ranks.size)
        self._number = 0
        self._submitted: list[Snapshot] = []
        self._failure: InSituError | None = None
        self._rows: OrderedDict[str, WriteRow] = OrderedDict()
        self._seconds = {"copy": 0.0, "blocked": 0.0}
        self._late = LateCopies()
        self._copied_late = 0
        self._skipped = 0
        self._pid = os.getpid()
        self._closed = False
        close_at_exit(self)

    # -- what the simulation does -----------------------------------------------------------

    def iteration(self, step: int) -> AbstractContextManager[None]:
        """One iteration: ``with w.iteration(step):`` around it. The next is planned from it."""
        return self._engine.iteration(f"iteration {step}")

    def idle(self, name: str = "idle") -> AbstractContextManager[None]:
        """A wait of the simulation: ``with w.idle("halo exchange"):``. Compression may run."""
        return self._engine.idle(name)

    def core(self, name: str, call: Any, *args: Any, **kwargs: Any) -> Any:
        """Run background work of the simulation on the I/O thread, before any further write.

        Returns a `concurrent.futures.Future`. Iterations are planned around such work.
        """
        return self._engine.core(name, call, *args, **kwargs)

    # -- writing ----------------------------------------------------------------------------

    def write(
        self,
        step: int,
        fields: Mapping[str, Any],
        *,
        coords: Mapping[str, Any] | None = None,
        copy: bool | Literal["late"] = True,
    ) -> None:
        """Hand over a snapshot; returns once it is copied.

        Waits only while `max_outstanding` snapshots are not stored.

        Parameters
        ----------
        step : int
            Larger than any before. Steps that were visible when the store was opened are
            skipped, so that a run may be repeated from a checkpoint.
        fields : mapping of str to array
            NumPy or CuPy arrays, or xarray DataArrays, whose dimensions and coordinates are
            then kept. A field keeps its shape and dtype. One that is left out reads as NaN at
            this step.
        coords : mapping of str to number or numpy.datetime64, optional
            Further coordinates of this step, such as the time.
        copy : bool or "late"
            False: the arrays will not change before the step is stored; they are not copied.
            "late": they will not change before `detach`; what is compressed by then is not
            copied.

        Raises
        ------
        InSituError
            Something failed in the background, at this write or an earlier one. `__cause__`
            says what; nothing after it becomes visible.
        ConfigError
            A step that is no later, a field that changed its shape, an unknown encoding key.
        """
        self._check_usable("write")
        if copy not in (True, False, "late"):
            raise ConfigError(f"InSituWriter.write: copy={copy!r} must be True, False or 'late'")
        step = self._fields.checked_step(step, fields)
        if self._fields.was_stored(step, fields):
            self._skipped += 1
            return
        self._fields.warn_of_misspelling(fields)
        blocked = self._wait_for_room()  # before arrays of a device are copied
        start = time.perf_counter()
        arrays = {name: host_array(name, array) for name, array in fields.items()}
        copied = time.perf_counter() - start
        for name, array in fields.items():
            self._fields.prepare(name, array, arrays[name][0])
        dims = self._fields.step_dims(step, fields)
        start = time.perf_counter()
        with self._publisher.lock:
            coordinates = {
                dim: self._publisher.catalog.check_coordinates(dim, step, coords or {})
                for dim in dims
            }
        with self._engine.holding_up("copy"):
            blocks = [
                block
                for name, (array, owned) in arrays.items()
                for block in self._blocks(step, name, array, copy if not owned else False)
            ]
        copied += time.perf_counter() - start
        stored = StoredWrite(self._number, coordinates)
        name = f"step {step}"
        snapshot = self._engine.submit(
            blocks, name=name, on_stored=lambda: self._publisher.stored(stored)
        )
        self._submitted.append(snapshot)
        self._number += 1
        self._fields.count(step, dims)
        self._note_cost(name, step, copied, blocked)

    def detach(self, step: int | None = None) -> None:
        """Call before changing arrays that were written with ``copy="late"``.

        When it returns they may change: what has not been compressed has been copied.

        Parameters
        ----------
        step : int, optional
            Arrays of writes up to this step; default: of all.
        """
        start = time.perf_counter()
        with self._engine.holding_up("copy"):
            copies = self._late.detach(step)
        seconds = time.perf_counter() - start
        self._seconds["copy"] += seconds
        self._copied_late += sum(copies.values())
        latest = f"step {max(copies, default=None)}"
        if latest in self._rows:
            row = self._rows[latest]
            self._rows[latest] = row._replace(copy=row.copy + seconds)

    def flush(self, timeout: float | None = None) -> None:
        """Barrier: every step written before is stored and visible when this returns.

        With several processes: on rank 0 visible, on others stored. In a ZIP archive: handed
        over; it is readable once closed.

        Raises
        ------
        InSituError
            Something failed in the background; `__cause__` says what.
        TimeoutError
            Not everything was stored in time. It is still being worked off.
        """
        self._check_usable("flush")
        try:
            self._engine.flush(timeout, self._submitted)
        except InSituError as error:
            self._failure = self._failure or error
        self._raise_failure()
        patience = self._timeout if timeout is None else timeout
        self._publisher.barrier(patience, patient=timeout is None)

    def close(self, *, cancel: bool = False) -> None:
        """Flush, and end the threads. With `cancel`, drop what is not stored instead.

        A write to the store that has begun is waited for: nothing of this writer runs when this
        returns, or raises.

        Raises
        ------
        InSituError
            As `flush`; everything is closed all the same.
        """
        if self._closed or os.getpid() != self._pid:  # a forked process has none of the threads
            return
        try:
            if not cancel:
                self.flush()
        finally:
            self._closed = True
            try:
                self._end_work()
            finally:
                self._publisher.end()
                self._end_store()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None:
            self.close()
            return
        try:
            self.close()  # what was written before the error is worth keeping
        except Exception as second:
            if second is not error:
                error.add_note(f"Closing the InSituWriter failed too: {second}")

    def __del__(self) -> None:
        if getattr(self, "_closed", True) or os.getpid() != self._pid:
            return
        # In a thread: this one may be the engine's, or hold any lock. What fails is printed.
        threading.Thread(target=self.close, name="fzdask-close").start()
        warnings.warn(
            f"InSituWriter of {self._keys.store} was dropped without close(); it is closed now, "
            "where nobody sees whether that fails",
            ResourceWarning,
            source=self,
            stacklevel=2,
        )

    # -- what it knows ----------------------------------------------------------------------

    @property
    def visible_steps(self) -> dict[str, list[int]]:
        """Steps visible to readers now, for each step dimension."""
        return self._publisher.visible_steps

    @property
    def rank(self) -> int:
        """This process's rank among those that write the store."""
        return self._ranks.rank

    @property
    def resumed_at(self) -> int | None:
        """The last step that was visible when the store was opened; None in a new store."""
        return max(self._fields.stored_before.values(), default=None)

    @property
    def statistics(self) -> dict[str, Any]:
        """Counts, bytes and seconds since the start.

        Among them ``ratio``, ``outstanding``, ``buffered bytes``, ``buffer peak``, ``buffer full
        seconds`` (compression waited for storage), ``blocked seconds`` (the simulation waited
        in `write` or `flush`) and ``copy seconds``.
        """
        found = self._engine.statistics
        stored = found.get("stored bytes", 0)
        return {
            **found,
            "ratio": found.get("raw bytes", 0) / stored if stored else float("nan"),
            "copy seconds": self._seconds["copy"],
            "blocks copied late": self._copied_late,
            "back-pressure seconds": self._seconds["blocked"],
            "pool bytes": self._fields.pool.nbytes,
            "steps skipped": self._skipped,
        }

    def to_xarray(self) -> Any:
        """The same per step and field, as an `xarray.Dataset`."""
        return as_dataset(tuple(self._engine.records.snapshots), self._rows, self.statistics)

    @property
    def tasks(self) -> tuple[Task, ...]:
        """What ran when, for `fzdask.scheduling.plot_gantt` and `gantt_html`."""
        return self._engine.records.tasks(str(self._ranks.rank))

    # -- inside -----------------------------------------------------------------------------

    def _wait_for_room(self) -> float:
        start = time.perf_counter()
        self._engine.wait(self._max_outstanding - 1)
        self._raise_failure()
        return time.perf_counter() - start

    def _blocks(
        self, step: int, name: str, array: Any, copy: bool | Literal["late"]
    ) -> list[Block]:
        layout, index = self._fields[name], self._fields.index(name)
        pool = self._fields.pool
        if copy == "late":
            late = [LateBlock(layout, region, array, pool) for region in layout.regions]
            self._late.add(step, late)
            encoders = [block.encode for block in late]
        else:
            encoders = snapshot_encoders(layout, array, pool, copy=copy)
        nbytes, sink = layout.block_nbytes, self._sink
        keys = layout.keys(index)
        return [
            Block(block, name, nbytes, encode, key, sink)
            for block, encode, key in zip(layout.block_names, encoders, keys, strict=True)
        ]

    def _note_failures(self) -> None:
        """Of snapshots that are outstanding no longer; their futures are done at once after."""
        left = []
        for snapshot in self._submitted:
            if not snapshot.stored:
                left.append(snapshot)
            elif isinstance(error := snapshot.future.exception(), InSituError):
                self._failure = self._failure or error
        self._submitted = left

    def _note_cost(self, name: str, step: int, copied: float, blocked: float) -> None:
        self._seconds["copy"] += copied
        self._seconds["blocked"] += blocked
        self._rows[name] = WriteRow(step, copied, blocked)
        while len(self._rows) > KEEP_ROWS:
            self._rows.popitem(last=False)

    def _raise_failure(self) -> None:
        self._note_failures()
        if self._failure is not None:
            raise self._failure
        self._publisher.check()

    def _check_usable(self, what: str) -> None:
        if self._closed:
            raise ConfigError(f"InSituWriter.{what}: the writer is closed")
        self._raise_failure()

    def _end_work(self) -> None:
        """Drop what is not stored, and wait for what is being stored."""
        if self._owns_engine:
            self._engine.close(cancel=True)
        else:
            for snapshot in self._submitted:
                self._engine.cancel(snapshot)
            self._engine.settle(self._submitted)

    def _end_store(self) -> None:
        try:
            if not self._keys.replaces:
                with self._publisher.lock:
                    catalog: Catalog = self._publisher.catalog
                    catalog.publish(tuple(d for d, axis in catalog.axes.items() if axis.steps))
            elif self._ranks.first and not self._ranks.alone and self._failure is None:
                self._ranks.clear(self._keys)
        finally:
            self._keys.close()
