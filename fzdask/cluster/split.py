"""Rewriting graphs of `dask.array.store`: every store task becomes a compress and a write task.

Dask calls `split_stores` in place of its own optimization of arrays (``array_optimize`` of
`dask.config`), in the process of the scheduler or of the client, depending on its version.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import zarr
from dask._task_spec import Alias, DataNode, Task, TaskRef
from dask.array import core
from dask.array.optimization import optimize as optimize_array
from dask.core import flatten
from dask.delayed import optimize as optimize_delayed
from dask.highlevelgraph import HighLevelGraph, MaterializedLayer

from fzdask.cluster.store_tasks import compress_chunk, fused_index, write_chunk
from fzdask.cluster.task_order import compress_name
from fzdask.codecs.zarr_array_codec import FZArrayCodec
from fzdask.codecs.zarr_codec import FZCodec

__all__ = ["Notes", "split_stores", "take_notes"]

_STORE_FUNCTIONS = {getattr(core, n, None) for n in ("load_store_chunk", "store_chunk")} - {None}

KEEP = 64
"""Contexts whose notes are kept where nobody comes for them."""


class Notes(NamedTuple):
    """What became of the graphs of one `overlap` context."""

    split: int
    """Tasks that were split."""
    kept: tuple[str, ...]
    """For every array that was stored the plain way: its name, and why."""


_notes: dict[str, Notes] = {}
_lock = threading.Lock()


def take_notes(token: str) -> Notes:
    """The notes of a context in this process; they are then forgotten."""
    with _lock:
        return _notes.pop(token, Notes(0, ()))


def _note(token: str, split: int, kept: Sequence[str]) -> None:
    with _lock:
        old = _notes.get(token, Notes(0, ()))
        _notes[token] = Notes(old.split + split, old.kept + tuple(kept))
        while len(_notes) > KEEP:
            del _notes[next(iter(_notes))]


class _StoreTask(NamedTuple):
    """One task of `dask.array.store`."""

    source: Any
    target: Any
    index: Any
    region: Any
    lock: Any
    return_stored: Any


class _NotSplitError(Exception):
    """A layer that is stored the plain way; the message says why."""


def split_stores(
    dsk: Any, keys: Any, *, token: str, buffer: int, delayed: bool = False, **kwargs: Any
) -> Any:
    """Dask's optimization of arrays, with stores split.

    Parameters
    ----------
    dsk, keys
        As `dask.array.optimization.optimize` takes them.
    token : str
        Under which `take_notes` finds what was done.
    buffer : int
        Bytes that may wait to be stored on a worker.
    delayed : bool
        In place of the optimization of Delayed objects, which ``compute=False`` gave once.
    """
    optimize = optimize_delayed if delayed else optimize_array
    if not isinstance(dsk, HighLevelGraph):
        return optimize(dsk, keys, **kwargs)
    layers = dict(dsk.layers)
    needed = {name: set(names) for name, names in dsk.dependencies.items()}
    compress_keys: list[Any] = []
    kept: list[str] = []
    for name, layer in list(layers.items()):
        if not str(name).startswith("store-map"):
            continue
        try:
            compress, write = _split_layer(layer, buffer)
        except _NotSplitError as reason:
            kept.append(str(reason))
            continue
        new = f"fz-compress-{name}"
        layers[new], needed[new] = MaterializedLayer(compress), needed[name]
        layers[name], needed[name] = MaterializedLayer(write), {new}
        compress_keys += compress
    _note(token, len(compress_keys), kept)
    if not compress_keys:
        return optimize(dsk, keys, **kwargs)
    wanted = [*flatten(keys if isinstance(keys, list | set) else [keys]), *compress_keys]
    # As outputs of the graph compress tasks are not fused with their write tasks.
    return optimize(HighLevelGraph(layers, needed), wanted, **kwargs)


def _split_layer(layer: Mapping[Any, Any], buffer: int) -> tuple[dict[Any, Any], dict[Any, Any]]:
    """Compress and write tasks for a layer of store tasks.

    Raises
    ------
    _NotSplitError
        They are not of the known shape, or splitting would not be safe.
    """
    compress: dict[Any, Any] = {}
    write: dict[Any, Any] = {}
    for key, task in dict(layer).items():
        found = _store_task(key, task)
        label = _check_target(found)
        _check_aligned(label, found)
        name = compress_name(label, str(key[0]))
        compress_key = (name, *key[1:])
        target = DataNode(None, found.target)
        compress[compress_key] = Task(
            compress_key,
            compress_chunk,
            found.source,
            target,
            DataNode(None, found.index),
            DataNode(None, found.region),
        )
        write[key] = Task(
            key,
            write_chunk,
            TaskRef(compress_key),
            target,
            label,
            DataNode(None, tuple(key[1:])),
            buffer,
        )
    return compress, write


def _store_task(key: Any, task: Any) -> _StoreTask:
    """Take a task of `dask.array.store` apart."""
    if isinstance(task, tuple):  # before 2025.4 graphs hold plain tuples
        function, source, target, index, lock, return_stored, *_ = task
        if function in _STORE_FUNCTIONS:
            return _StoreTask(TaskRef(source), target, index, None, lock, return_stored)
    elif isinstance(task, Task) and task.func in _STORE_FUNCTIONS and len(task.args) >= 3:
        source, target, index = task.args[:3]
        given = {name: _plain(value) for name, value in task.kwargs.items()}
        return _StoreTask(
            source,
            _plain(target),
            _plain(index),
            given.get("region"),
            given.get("lock"),
            given.get("return_stored"),
        )
    raise _NotSplitError(
        f"{key[0]!r}: this version of Dask builds its store tasks in another way ({task!r:.80})"
    )


def _plain(node: Any) -> Any:
    return node.value if isinstance(node, DataNode) else node


def _check_target(task: _StoreTask) -> str:
    """The name of the Zarr array; refuses what is none or needs more than its chunks stored."""
    target = task.target
    if isinstance(target, TaskRef | Alias):
        raise _NotSplitError(
            "a target is made by a task of the graph (a Delayed), not a Zarr array"
        )
    if not isinstance(target, zarr.Array):
        raise _NotSplitError(f"the target is a {type(target).__name__}, not a Zarr array")
    label = f"{target.store_path}"
    if task.return_stored:
        raise _NotSplitError(f"{label}: return_stored=True asks for the target as the result")
    if task.lock:
        raise _NotSplitError(f"{label}: lock= asks that storing exclude other tasks")
    if not any(isinstance(c, FZCodec | FZArrayCodec) for c in _codecs(target)):
        raise _NotSplitError(f"{label}: it is not compressed with FZCodec")
    return label


def _codecs(array: Any) -> Iterator[Any]:
    """Every codec of an array, those inside shards too."""
    metadata = array.metadata
    if metadata.zarr_format == 2:
        yield metadata.compressor
        yield from metadata.filters or ()
        return
    pending = list(metadata.codecs)
    while pending:
        codec = pending.pop()
        yield codec
        pending += getattr(codec, "codecs", ())


def _check_aligned(label: str, task: _StoreTask) -> None:
    """Refuse chunks of Dask that share a chunk (or shard) of the store with another one."""
    array, selection = task.target, fused_index(task.region, task.index)
    if not isinstance(selection, tuple):
        selection = (selection,)
    grid = array.shards or array.chunks
    if len(selection) != array.ndim:
        raise _NotSplitError(f"{label}: the region {selection} does not name every axis")
    for axis, (part, size, chunk) in enumerate(zip(selection, array.shape, grid, strict=True)):
        if isinstance(part, int):
            whole = chunk == 1
        elif isinstance(part, slice) and part.step in (None, 1):
            start, stop, _ = part.indices(size)
            whole = start % chunk == 0 and (stop % chunk == 0 or stop == size)
        else:
            whole = False
        if not whole:
            raise _NotSplitError(
                f"{label}: {part} of axis {axis} is not made of whole chunks of {chunk}; two "
                "tasks might change one chunk (rechunk to multiples of the store's chunks)"
            )
