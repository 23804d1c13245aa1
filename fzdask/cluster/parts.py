"""What a worker makes of its parts of a snapshot: blocks that write into the shared store."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fzdask.insitu.block import Block, Data
from fzdask.insitu.copies import host_array, snapshot_encoders
from fzdask.insitu.layout import FieldLayout, field_layout
from fzdask.insitu.ownership import Ownership
from fzdask.insitu.pool import BlockPool
from fzdask.insitu.stores import Keys, open_store

__all__ = ["FieldSpec", "RunSpec", "make_blocks"]

RUNS = 8
"""Runs whose stores and layouts a process keeps at once."""


@dataclass(frozen=True)
class FieldSpec:
    """What a worker has to know of a field: encoding of the whole, names of its axes."""

    encoding: Mapping[str, Any]
    dims: tuple[str, ...]


@dataclass(frozen=True)
class RunSpec:
    """What a worker has to know of a run; the session is the run's id in the store."""

    session: str
    target: Any
    fsync: bool
    share: bool


class _Run:
    """A store opened in this process, and the layouts of the parts that were written from it."""

    def __init__(self, spec: RunSpec) -> None:
        self._spec = spec
        self.keys = Keys(open_store(spec.target), fsync=spec.fsync)
        self._ownership = Ownership(self.keys, spec.session)
        self.pool = BlockPool()
        self._layouts: dict[tuple[str, tuple[int, ...], tuple[int, ...]], FieldLayout] = {}

    def write(self, items: Sequence[tuple[str, Data]]) -> None:
        """The sink of all blocks."""
        self._ownership.check_cheaply()
        self.keys.set_many(items)

    def layout(
        self, name: str, field: FieldSpec, start: tuple[int, ...], array: Any
    ) -> FieldLayout:
        """Of the part of a field that begins at `start`, as large as `array`."""
        part = (name, start, tuple(array.shape))  # chunks may be others in another step
        found = self._layouts.get(part)
        if found is None:
            encoding = {**field.encoding, "start": start}
            found = field_layout(name, array, encoding, field.dims, self._spec.share)
            self._layouts[part] = found
        found.check(array)
        return found


_runs: OrderedDict[str, _Run] = OrderedDict()
_lock = threading.Lock()


def make_blocks(
    spec: RunSpec,
    fields: Mapping[str, FieldSpec],
    indices: Mapping[str, int],
    parts: Sequence[tuple[str, tuple[int, ...], Any]],
) -> list[Block]:
    """Blocks of a snapshot, over the arrays themselves: results of tasks do not change.

    Parameters
    ----------
    spec, fields
        Of the run.
    indices : mapping of field to int
        Position along its step dimension.
    parts : sequence of (field, start, array)
        Arrays, and where they begin in the whole field.
    """
    with _lock:
        run = _runs.get(spec.session) or _runs.setdefault(spec.session, _Run(spec))
        _runs.move_to_end(spec.session)
        while len(_runs) > RUNS:
            _runs.popitem(last=False)
    blocks = []
    for name, start, given in parts:
        array, _ = host_array(name, given)
        layout = run.layout(name, fields[name], start, array)
        encoders = snapshot_encoders(layout, array, run.pool, copy=False)
        keys = layout.keys(indices[name])
        blocks += [
            Block(block, name, layout.block_nbytes, encode, key, run)
            for block, encode, key in zip(layout.block_names, encoders, keys, strict=True)
        ]
    return blocks
