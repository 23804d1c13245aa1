"""ClusterWriter: steps of Dask arrays to Zarr, compressed and stored where their chunks are."""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections import deque
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal, NamedTuple, Self

from distributed.client import futures_of

from fzdask.cluster import hooks
from fzdask.cluster.cluster_fields import ClusterFields, dask_array
from fzdask.cluster.coordination import balanced_parts
from fzdask.cluster.ending import check_running, end_session
from fzdask.cluster.grid import Chunk, chunks_of
from fzdask.cluster.parts import RunSpec, make_blocks
from fzdask.cluster.snapshots import RETRIES, press, submit_snapshot
from fzdask.cluster.step_rows import StepRows
from fzdask.cluster.targets import reachable
from fzdask.errors import ConfigError
from fzdask.insitu.at_exit import close_at_exit
from fzdask.insitu.failures import InSituError
from fzdask.insitu.fields import checked_encoding
from fzdask.insitu.opening import open_catalog
from fzdask.insitu.publication import Publisher, StoredWrite
from fzdask.insitu.ranks import Ranks
from fzdask.insitu.rules import check_count

__all__ = ["ClusterWriter"]


class _Pending(NamedTuple):
    """A step that is not visible yet."""

    number: int
    step: int
    futures: list[Any]
    stored: StoredWrite
    parts: list[list[str]]
    began: float


class _NotSubmitted:
    """In place of the futures of a step that was submitted in part."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def result(self) -> Any:
        raise InSituError("its parts were not all submitted") from self._error


class ClusterWriter:
    """Writes Dask arrays, step by step, to Zarr v3: the `InSituWriter` of a Dask cluster.

    `write` submits one task to each worker that has chunks of the step, and returns. The tasks
    hand the chunks to the engines of their workers and are done when everything is stored; then
    the step becomes visible, and not before. The store opens in xarray at any moment and shows
    whole steps. What `flush` or the end of a ``with`` block has returned for is stored. Workers
    may die meanwhile: what they had not stored is stored by others.

    Parameters
    ----------
    client : distributed.Client
        Of a cluster; `FZSchedulerPlugin` is registered with it unless it has one.
    target : path, URL or zarr.abc.store.Store
        That all workers and this process see: a shared directory, an fsspec URL, or a store
        that can be pickled.
    encoding : mapping of str to mapping, optional
        As of `InSituWriter`. Blocks (``chunks``, or ``shards``) must divide the chunks of the
        Dask arrays; by default they do.
    max_outstanding : int
        Steps that may be in work at once; a further `write` waits.
    mode, coords, attrs, fsync, share_codebooks
        As of `InSituWriter`.
    balance : bool
        Let other workers of the same node compress and store some of a worker's chunks where
        that ends a step earlier.
    retries : int
        Times that a worker's part of a step is tried again.

    Raises
    ------
    ConfigError
        A setting out of range, a target that workers cannot see, or a store that holds
        something else.
    """

    def __init__(
        self,
        client: Any,
        target: Any,
        encoding: Mapping[str, Mapping[str, Any]] | None = None,
        *,
        max_outstanding: int = 2,
        mode: Literal["a", "w"] = "a",
        coords: Mapping[str, Any] | None = None,
        attrs: Mapping[str, Any] | None = None,
        fsync: bool = False,
        share_codebooks: bool = True,
        balance: bool = True,
        retries: int = RETRIES,
    ) -> None:
        check_count(max_outstanding, "ClusterWriter: max_outstanding")
        target = reachable(target)
        settings = checked_encoding(encoding or {})
        self._client = client
        _install(client)
        self._max_outstanding = max_outstanding
        self._balance = balance
        self._retries = retries
        ranks = Ranks(run_id=uuid.uuid4().hex)
        self._keys, catalog = open_catalog(
            target, mode, fsync, ranks, attrs or {}, 60.0, coords or {}
        )
        self._publisher = Publisher(catalog, self._keys, ranks)
        self._fields = ClusterFields(client, settings, self._publisher, share_codebooks)
        self._spec = RunSpec(ranks.run_id, target, fsync, share_codebooks)
        self._homes: dict[str, str] = {}
        self._rows = StepRows()
        self._number = 0
        self._skipped = 0
        self._pending: deque[_Pending] = deque()
        self._changed = threading.Condition()
        self._failure: InSituError | None = None
        self._closed = False
        self._pid = os.getpid()
        self._thread = threading.Thread(
            target=self._publish_steps, name="fzdask-publish", daemon=True
        )
        self._thread.start()
        close_at_exit(self)

    # -- what the client does ---------------------------------------------------------------

    def iteration(self, step: int) -> AbstractContextManager[None]:
        """For programs written for `InSituWriter`: does nothing, since workers are watched."""
        return nullcontext()

    def idle(self, name: str = "idle") -> AbstractContextManager[None]:
        """The same; within tasks there is `fzdask.cluster.idle`."""
        return nullcontext()

    def write(
        self, step: int, fields: Mapping[str, Any], *, coords: Mapping[str, Any] | None = None
    ) -> None:
        """Submit a step; returns at once unless `max_outstanding` steps are in work.

        Arrays that are not computed yet are (`Client.persist`); they may be used on, and are
        kept in the workers' memory until the step is stored.

        Parameters
        ----------
        step : int
            Larger than any before. Steps that were visible when the store was opened are
            skipped.
        fields : mapping of str to dask.array.Array or xarray.DataArray
            A field keeps its shape and dtype; its chunks may move, as long as they consist of
            whole blocks. One that is left out reads as NaN at this step.
        coords : mapping of str to number or numpy.datetime64, optional
            Further coordinates of this step.

        Raises
        ------
        InSituError
            An earlier step failed; `__cause__` says how. Nothing after it becomes visible.
        ConfigError
            A step that is no later, a field that changed, chunks that cut through blocks.
        """
        self._check_usable("write")
        step = self._fields.checked_step(step, fields)
        if self._fields.was_stored(step, fields):
            self._skipped += 1
            return
        self._fields.warn_of_misspelling(fields)
        arrays = {name: dask_array(name, given) for name, given in fields.items()}
        for name, given in fields.items():
            self._fields.prepare(name, given, arrays[name])
        dims = self._fields.step_dims(step, fields)
        with self._publisher.lock:
            catalog = self._publisher.catalog
            stored = StoredWrite(
                self._number,
                {dim: catalog.check_coordinates(dim, step, coords or {}) for dim in dims},
            )
        blocked = self._wait_for_room()
        start = time.perf_counter()
        chunks, futures = self._persisted(arrays)
        parts: dict[str, list[Chunk]] = {}
        for chunk, home in zip(chunks, self._places(chunks), strict=True):
            parts.setdefault(home, []).append(chunk)
        indices = {name: self._fields.index(name) for name in arrays}
        specs = {name: self._fields.specs[name] for name in arrays}
        name = f"step {step}"
        arguments = {
            home: [self._spec, specs, indices, [(c.field, c.start, futures[c.key]) for c in mine]]
            for home, mine in parts.items()
        }
        submitted: list[Any] = []
        try:
            submitted = submit_snapshot(
                self._client,
                name,
                make_blocks,
                arguments,
                session=self._spec.session,
                number=self._number,
                retries=self._retries,
            )
        except BaseException as error:
            # Workers may have got their parts: the step must not be begun a second time. Those
            # before it are stored all the same.
            submitted = [_NotSubmitted(error)]
            raise
        finally:
            self._fields.count(step, dims)
            known = [[c.part for c in mine] for mine in parts.values()]
            with self._changed:
                self._pending.append(
                    _Pending(self._number, step, submitted, stored, known, time.perf_counter())
                )
                self._number += 1
                self._changed.notify_all()
        self._rows.submitted(name, step, time.perf_counter() - start, blocked)

    def flush(self, timeout: float | None = None) -> None:
        """Barrier: every step written before is stored and visible when this returns.

        Takes no task and no slot of any worker.

        Raises
        ------
        InSituError
            A step failed; `__cause__` says how.
        TimeoutError
            Not everything was stored in time. It is still being worked on.
        """
        self._check_usable("flush")
        self._await(0, timeout)
        self._raise_failure()

    def close(self, *, cancel: bool = False, timeout: float = 60.0) -> None:
        """Flush, and end. With `cancel`, drop what is not stored instead.

        When this returns nothing of this writer runs on any worker of the cluster. The store
        shows the steps that were complete; what is stored of others no reader sees, and the next
        writer deletes it. After an error in `flush` the same holds.

        Parameters
        ----------
        cancel : bool
            Do not flush.
        timeout : float
            Seconds to wait, where something is dropped, for what workers have begun to store.

        Raises
        ------
        InSituError
            As `flush`; everything is closed all the same.
        TimeoutError
            Workers are still storing what was dropped; the message says who and what. Everything
            else is closed all the same.
        """
        if self._closed or os.getpid() != self._pid:  # a forked process has no thread of it
            return
        try:
            if not cancel:
                self.flush()
        except BaseException as error:
            try:
                self._end(timeout)
            except Exception as second:
                error.add_note(f"Ending it failed too: {second}")
            raise
        self._end(timeout)

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
                error.add_note(f"Closing the ClusterWriter failed too: {second}")

    # -- what it knows ----------------------------------------------------------------------

    @property
    def visible_steps(self) -> dict[str, list[int]]:
        """Steps visible to readers now, for each step dimension."""
        return self._publisher.visible_steps

    @property
    def resumed_at(self) -> int | None:
        """The last step that was visible when the store was opened; None in a new store."""
        return max(self._fields.stored_before.values(), default=None)

    @property
    def statistics(self) -> dict[str, Any]:
        """Counts, bytes and seconds since the start; those of workers are summed."""
        own = {"outstanding": len(self._pending), "steps skipped": self._skipped}
        return {**self._rows.figures, **own}

    def to_xarray(self) -> Any:
        """The same per step and field, as an `xarray.Dataset` ("copy" is the submission)."""
        return self._rows.as_dataset(self.statistics)

    # -- inside -----------------------------------------------------------------------------

    def _end(self, timeout: float) -> None:
        """Drop what is not stored, wait for what workers have begun, and end the thread."""
        with self._changed:
            self._closed = True
            dropped = [f for p in self._pending for f in p.futures]
            self._changed.notify_all()
        try:
            if dropped and self._client.status == "running":  # else they are cancelled
                self._client.cancel(dropped)
            self._thread.join()
            if dropped or self._failure is not None:
                end_session(self._client, self._spec.session, timeout)
        finally:
            self._publisher.end()
            self._keys.close()

    def _persisted(self, arrays: Mapping[str, Any]) -> tuple[list[Chunk], dict[Any, Any]]:
        """Chunks of all fields, and the futures that stand for them."""
        done = self._client.persist(list(arrays.values()))
        futures = {f.key: f for f in futures_of(done)}
        chunks = [
            c for name, array in zip(arrays, done, strict=True) for c in chunks_of(name, array)
        ]
        return chunks, futures

    def _places(self, chunks: list[Chunk]) -> list[str]:
        """The worker for every chunk: where it is, will be, or was last time."""
        found, nodes = self._client.run_on_scheduler(_whereabouts, [c.key for c in chunks])
        if not nodes:
            return [""] * len(chunks)
        spare = sorted(nodes)
        homes = {}
        for i, chunk in enumerate(chunks):
            last = self._homes.get(chunk.part)
            guess = last if last in nodes else spare[i * len(spare) // len(chunks)]
            homes[chunk.part] = found.get(chunk.key, guess)
        self._homes = dict(homes)
        if self._balance:
            homes = balanced_parts(homes, self._rows.seconds, nodes)
        return [homes[c.part] for c in chunks]

    def _wait_for_room(self) -> float:
        start = time.perf_counter()
        self._await(self._max_outstanding - 1, None)
        self._raise_failure()
        return time.perf_counter() - start

    def _await(self, at_most: int, timeout: float | None) -> None:
        with self._changed:
            late = list(self._pending)[: max(0, len(self._pending) - at_most)]
        if not late:
            return
        check_running(self._client)
        press(self._client, self._spec.session, late[-1].number)
        with self._changed:
            done = self._changed.wait_for(
                lambda: not self._pending or self._pending[0].number > late[-1].number, timeout
            )
        if not done:
            raise TimeoutError(
                f"ClusterWriter: step {late[-1].step} and those before it are not stored after "
                f"{timeout:g} s"
            )

    def _publish_steps(self) -> None:
        """Thread: make steps visible, in order, when all of their tasks are done."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._pending or self._closed)
                if not self._pending:
                    return
                pending = self._pending[0]
            try:
                profiles = [future.result() for future in pending.futures]
                self._publisher.stored(pending.stored)
                self._rows.stored(
                    f"step {pending.step}",
                    pending.parts,
                    profiles,
                    time.perf_counter() - pending.began,
                )
            except BaseException as error:
                self._fail(pending, error)
                continue
            with self._changed:
                self._pending.popleft()
                self._changed.notify_all()

    def _fail(self, pending: _Pending, error: BaseException) -> None:
        """Nothing after a step that failed becomes visible, so nothing after it is stored."""
        failure = InSituError(f"ClusterWriter: step {pending.step} failed: {error!r}")
        failure.__cause__ = error
        with self._changed:
            self._failure = self._failure or failure
            rest = [f for p in self._pending for f in p.futures]
            self._pending.clear()
            self._changed.notify_all()
        try:
            self._client.cancel(rest)
        except Exception as second:  # the client is closed, and with it the tasks
            failure.add_note(f"Cancelling the steps after it failed too: {second!r}")

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _check_usable(self, what: str) -> None:
        if self._closed:
            raise ConfigError(f"ClusterWriter.{what}: the writer is closed")
        self._raise_failure()


def _install(client: Any) -> None:
    from fzdask.cluster.scheduler_plugin import FZSchedulerPlugin

    if not client.run_on_scheduler(_has_plugin):
        client.register_plugin(FZSchedulerPlugin())


def _has_plugin(dask_scheduler: Any = None) -> bool:
    return hooks.find_scheduler_plugin(dask_scheduler) is not None


def _whereabouts(keys: list[Any], dask_scheduler: Any = None) -> Any:
    return hooks.whereabouts(dask_scheduler, keys)
