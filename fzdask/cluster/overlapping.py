"""`fzdask.overlap`: plain writes of Zarr arrays with compression and storing overlapped."""

from __future__ import annotations

import functools
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dask

from fzdask.cluster.split import Notes, split_stores, take_notes
from fzdask.errors import ConfigError
from fzdask.insitu.rules import parse_bytes

__all__ = ["OverlapWarning", "overlap"]


class OverlapWarning(UserWarning):
    """An array was stored in the plain way: correctly, but without overlap."""


@contextmanager
def overlap(client: Any, *, buffer: int | str = "256MiB") -> Iterator[None]:
    """``with overlap(client): ds.to_zarr(...)``: chunks are stored while others are compressed.

    The same bytes are stored as without it. A task that compresses and stores a chunk becomes
    two: one that compresses, and one that stores from a thread of the worker's own without
    holding any of its slots. With `FZSchedulerPlugin` the chunks go in Johnson's order, from
    how long they took when the arrays of these names were last written.

    What cannot be split is stored in the plain way, and an `OverlapWarning` says why when the
    context ends: arrays without FZCodec, targets that are no Zarr arrays, ``lock=``,
    ``return_stored=``, and chunks of Dask that share a chunk (or shard) of the store.

    Parameters
    ----------
    client : distributed.Client
        Whose scheduler must be able to import fzdask.
    buffer : int or str
        Bytes of compressed chunks that may wait to be stored on a worker; compression waits
        while there are more.

    Raises
    ------
    ConfigError
        `client` is not connected to a cluster, or `buffer` is no size.

    Notes
    -----
    Dask asks for the optimization of a graph when it is computed, or made into a Delayed: with
    ``compute=False`` put both that call and ``.compute()`` into the context.
    """
    limit = parse_bytes(buffer, "overlap: buffer")
    if not hasattr(client, "run_on_scheduler"):
        raise ConfigError(
            f"overlap: client={client!r} must be a distributed.Client; without Dask's "
            "distributed scheduler there is nothing to overlap with"
        )
    token = uuid.uuid4().hex
    split = functools.partial(split_stores, token=token, buffer=limit)
    with dask.config.set(
        array_optimize=split, delayed_optimize=functools.partial(split, delayed=True)
    ):
        yield
    notes = _all_notes(client, token)
    reasons = list(notes.kept)
    if not notes.split and not reasons:
        reasons.append("no graph that stores a Dask array was computed within the context")
    for reason in reasons:
        warnings.warn(
            f"fzdask.overlap: stored without overlap. {reason}", OverlapWarning, stacklevel=3
        )


def _all_notes(client: Any, token: str) -> Notes:
    """From this process and from the scheduler's, whichever has optimized."""
    here = take_notes(token)
    there = client.run_on_scheduler(take_notes, token)
    return Notes(here.split + there.split, here.kept + there.kept)
