"""What a reader sees: array metadata and step coordinates, moved on one step at a time.

The root's ``zarr.json`` holds the metadata of all arrays (Zarr's consolidated metadata) and is
replaced as the last of a step's keys. That one replacement makes the step visible, for all
fields at once, so a store opens at any moment and shows whole steps only.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.storage import MemoryStore

from fzdask.errors import ConfigError
from fzdask.insitu.layout import Document, FieldLayout, plain_document
from fzdask.insitu.ownership import MARK, Ownership
from fzdask.insitu.stores import PARTIAL, Keys

__all__ = ["Catalog", "Rendered", "StepAxis"]

VERSION = 1
COORDINATE_CHUNK = 1024  # steps; the chunk in progress, 8 KiB, is written again with every step


class Rendered(NamedTuple):
    """Keys with values, and the root's ``zarr.json``, which makes them visible.

    The arrays' own metadata come after it: a reader that looks at them alone sees steps late
    rather than early, and an array without them never became visible.
    """

    before: list[tuple[str, bytes]]
    root: bytes
    after: list[tuple[str, bytes]]


@dataclass
class StepAxis:
    """A dimension along which steps are appended: the values of its coordinates so far."""

    name: str
    values: dict[str, list[Any]] = field(default_factory=dict)
    dtypes: dict[str, np.dtype[Any]] = field(default_factory=dict)

    @property
    def steps(self) -> list[Any]:
        """Steps stored, ascending."""
        return self.values.setdefault(self.name, [])


class Catalog:
    """Metadata of the store. Used by one thread at a time.

    Parameters
    ----------
    keys : Keys
        The store.
    attrs : mapping
        Attributes of the root group.
    run_id : str
        Tells the runs of several processes apart.
    """

    def __init__(self, keys: Keys, attrs: Mapping[str, Any], run_id: str) -> None:
        self._keys = keys
        self._attrs = dict(attrs)
        self._run_id = run_id
        self.ownership = Ownership(keys, run_id)
        self.documents: dict[str, Document] = {}
        self._rendered: dict[str, bytes] = {}
        self.axes: dict[str, StepAxis] = {}
        self.step_dims: dict[str, str] = {}

    # -- adding -----------------------------------------------------------------------------

    def add_field(self, layout: FieldLayout) -> None:
        """A field's array, with as many (empty) steps as its dimension has.

        Raises
        ------
        ConfigError
            The store has an array of that name that is not like this one.
        """
        old = self.documents.get(layout.name)
        if old is not None:
            _check_same(layout.name, old, layout.document)
            return
        axis = self.axes.setdefault(layout.step_dim, StepAxis(layout.step_dim))
        document = copy.deepcopy(layout.document)
        document["shape"][0] = len(axis.steps)
        self.documents[layout.name] = document
        self.step_dims[layout.name] = layout.step_dim

    def add_coordinate(
        self, name: str, values: NDArray[Any], dims: Sequence[str], attrs: Mapping[str, Any]
    ) -> None:
        """A coordinate that does not change with the step; stored at once."""
        document, keys = plain_document(name, values, dims, attrs)
        old = self.documents.get(name)
        if old is not None:
            _check_same(name, old, document)
            return
        self.documents[name] = document
        self._keys.set_many(list(keys.items()))

    def check_coordinates(self, dim: str, step: int, given: Mapping[str, Any]) -> dict[str, Any]:
        """The coordinates of a step in the dtypes in which they are stored.

        Numbers of Python are stored as float64, NumPy's scalars as what they are.

        Raises
        ------
        ConfigError
            Others than with earlier steps, of another dtype, or none of one value.
        """
        if not isinstance(given, Mapping):
            raise ConfigError(
                f"InSituWriter: coords={given!r} of step {step} must be a mapping, such as "
                "{'time': 0.5}"
            )
        axis = self.axes.setdefault(dim, StepAxis(dim))
        values: dict[str, Any] = {dim: np.int64(step)}
        for name, value in given.items():
            array = np.asarray(value)
            if isinstance(value, int | float) and not isinstance(value, np.generic):
                array = np.asarray(value, np.float64)
            if array.ndim or array.dtype.kind not in "biufcmM":
                raise ConfigError(
                    f"InSituWriter: coordinate {name!r} of step {step} is {value!r}; it must be "
                    "one number or one numpy.datetime64"
                )
            values[name] = array[()]
        now = {name: value.dtype for name, value in values.items()}
        if axis.dtypes and axis.dtypes != now:
            raise ConfigError(
                f"InSituWriter: step {step} has the coordinates {now}, earlier steps have "
                f"{axis.dtypes}; give the same ones, of the same types, with every step"
            )
        axis.dtypes = now
        return values

    # -- moving on --------------------------------------------------------------------------

    def append(self, dim: str, coordinates: Mapping[str, Any]) -> None:
        """One more step of a dimension: its arrays grow, nothing is stored yet.

        Parameters
        ----------
        dim : str
            The dimension.
        coordinates : mapping
            What `check_coordinates` gave for this step.
        """
        axis = self.axes.setdefault(dim, StepAxis(dim))
        before = len(axis.steps)
        for name, value in coordinates.items():
            axis.values.setdefault(name, []).append(value)
        for name, field_dim in self.step_dims.items():
            if field_dim == dim:
                self.documents[name]["shape"][0] = before + 1

    def rendered(self, dims: Sequence[str] = ()) -> Rendered:
        """What has to be stored for these dimensions' steps to become visible."""
        before: list[tuple[str, bytes]] = []
        for dim in dims:
            before += self._coordinate_keys(self.axes[dim])
        after = []
        for name, document in self.documents.items():
            value = _encoded(document)
            if self._rendered.get(name) != value:
                after.append((f"{name}/zarr.json", value))
                self._rendered[name] = value
        return Rendered(before, _encoded(self.root), after)

    def publish(self, dims: Sequence[str] = ()) -> None:
        """Store what `rendered` gives."""
        self.store(self.rendered(dims))

    def store(self, rendered: Rendered, *, first: bool = False) -> None:
        """Store what makes steps visible, in its order.

        Parameters
        ----------
        first : bool
            The store becomes this run's.

        Raises
        ------
        InSituError
            It is another's by now.
        """
        if not first and self._keys.replaces:
            self.ownership.check()
        if rendered.before:
            self._keys.set_many(rendered.before)
        self._keys.set("zarr.json", rendered.root)
        self.ownership.take(rendered.root)
        if rendered.after:
            self._keys.set_many(rendered.after)

    @property
    def root(self) -> Document:
        """Content of the root's ``zarr.json``."""
        own = {"version": VERSION, "step_dims": self.step_dims, "run_id": self._run_id}
        named = sorted(
            name for axis in self.axes.values() for name in axis.values if name != axis.name
        )
        extra = {"coordinates": " ".join(named)} if named else {}
        return {
            "zarr_format": 3,
            "node_type": "group",
            "attributes": {**self._attrs, **extra, MARK: own},
            "consolidated_metadata": {
                "kind": "inline",
                "must_understand": False,
                "metadata": self.documents,
            },
        }

    def _coordinate_keys(self, axis: StepAxis) -> list[tuple[str, bytes]]:
        keys = []
        for name, values in axis.values.items():
            last = (len(values) - 1) // COORDINATE_CHUNK
            part = np.asarray(values[last * COORDINATE_CHUNK :])
            chunk = np.zeros(COORDINATE_CHUNK, part.dtype)
            chunk[: part.size] = part
            old = self.documents.get(name)
            if old is None:
                document, _ = plain_document(name, chunk, (axis.name,), {})
            else:
                document = old
            document["shape"] = [len(values)]
            self.documents[name] = document
            little = chunk.astype(chunk.dtype.newbyteorder("<"), copy=False)
            keys.append((f"{name}/c/{last}", little.tobytes()))
        return keys

    # -- continuing -------------------------------------------------------------------------

    def resume(self, root: bytes) -> None:
        """Take over the state of a store whose root's ``zarr.json`` this is, as published.

        Raises
        ------
        ConfigError
            Something else wrote the store, or it is damaged.
        """
        try:
            document = json.loads(root)
        except ValueError as error:
            raise ConfigError(
                f"InSituWriter: the zarr.json of {self._keys.store} is no JSON ({error}), so the "
                "store is damaged; write to another place, or mode='w' to delete what is there"
            ) from error
        own = document.get("attributes", {}).get(MARK)
        if own is None or own.get("version") != VERSION:
            raise ConfigError(
                f"InSituWriter: {self._keys.store} holds data that this version of InSituWriter "
                "did not write; choose another place, or mode='w' to delete what is there"
            )
        self._attrs = {
            k: v for k, v in document["attributes"].items() if k not in (MARK, "coordinates")
        } | self._attrs
        self.documents = dict(document["consolidated_metadata"]["metadata"])
        self.step_dims = dict(own["step_dims"])
        for dim in dict.fromkeys(self.step_dims.values()):
            axis = self.axes.setdefault(dim, StepAxis(dim))
            for name, described in self.documents.items():
                if name not in self.step_dims and described["dimension_names"] == [dim]:
                    values = self._read_coordinate(name, described)
                    axis.values[name] = list(values)
                    axis.dtypes[name] = values.dtype

    def leftovers(self, listed: Sequence[str]) -> list[str]:
        """What a run that was killed left half done, of all keys of the store.

        Temporary files, blocks of steps that are not visible, and those of arrays that never
        became visible: under the name of one that comes later they would be read as its steps.
        """
        done = {name: len(self.axes[dim].steps) for name, dim in self.step_dims.items()}
        arrays = {*self.documents, *(k.removesuffix("/zarr.json") for k in listed)}
        stale = []
        for key in listed:
            name, _, place = key.partition("/c/")
            index = place.split("/")[0]
            of_no_step = index.isdecimal() and int(index) >= done.get(name, int(index) + 1)
            of_no_array = index.isdecimal() and "/" not in name and name not in arrays
            if key.endswith(PARTIAL) or of_no_step or of_no_array:
                stale.append(key)
        return stale

    def _read_coordinate(self, name: str, document: Document) -> NDArray[Any]:
        size = document["shape"][0]
        memory: dict[str, Any] = {}
        store = MemoryStore(memory)
        local = Keys(store)
        local.set(f"{name}/zarr.json", _encoded(document))
        for chunk in range(-(-size // COORDINATE_CHUNK)):
            found = self._keys.get(f"{name}/c/{chunk}")
            if found is None:
                raise ConfigError(
                    f"InSituWriter: chunk {chunk} of coordinate {name!r} is missing in "
                    f"{self._keys.store}; the store is damaged: write to another place"
                )
            local.set(f"{name}/c/{chunk}", found)
        return np.asarray(zarr.open_array(store, path=name, mode="r")[:])


def _check_same(name: str, old: Document, new: Document) -> None:
    """Refuse another array of a name; the number of steps and attributes may differ."""

    def comparable(document: Document) -> dict[str, str]:
        known = {**document, "shape": document["shape"][1:], "attributes": None}
        return {key: json.dumps(value, sort_keys=True) for key, value in known.items()}

    before, now = comparable(old), comparable(new)
    differing = sorted(k for k in {*before, *now} if before.get(k) != now.get(k))
    if differing:
        raise ConfigError(
            f"InSituWriter: {name!r} was written differently before (see {', '.join(differing)} "
            "of its zarr.json); continue with the same shapes, chunks and codecs, or write to "
            "another place"
        )


def _encoded(document: Document) -> bytes:
    return json.dumps(document, indent=1).encode()
