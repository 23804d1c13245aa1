"""The fields of a run on a cluster: made from Dask arrays, checked in the client's process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from fzdask.cluster.block_profile import profiled_block
from fzdask.cluster.grid import Whole, check_chunks
from fzdask.cluster.parts import FieldSpec
from fzdask.errors import ConfigError
from fzdask.insitu.layout import field_layout
from fzdask.insitu.publication import Publisher
from fzdask.insitu.step_axes import StepAxes

__all__ = ["ClusterFields", "dask_array"]


def dask_array(name: str, given: Any) -> Any:
    """The Dask array in what the user gave.

    Raises
    ------
    ConfigError
        There is none.
    """
    import dask.array as da

    array = getattr(given, "data", given) if hasattr(given, "dims") else given
    if not isinstance(array, da.Array):
        raise ConfigError(
            f"ClusterWriter: {name!r} is a {type(array).__name__}; with a client fields are Dask "
            "arrays, whose chunks are on the workers. Leave client= out to write arrays of this "
            "process, or make one with dask.array.from_array"
        )
    return array


class ClusterFields(StepAxes):
    """Layouts, and counts of steps.

    Parameters
    ----------
    client : distributed.Client
        Its workers hold the chunks of which one is profiled.
    encoding : mapping
        What the user said of each field.
    publisher : Publisher
        Its catalogue learns of every new field.
    share : bool
        Codebooks are shared.
    """

    who: ClassVar[str] = "ClusterWriter"

    def __init__(
        self,
        client: Any,
        encoding: Mapping[str, Mapping[str, Any]],
        publisher: Publisher,
        share: bool,
    ) -> None:
        super().__init__(encoding, publisher, share)
        self._client = client
        self._blocks: dict[str, tuple[int, ...]] = {}
        self.specs: dict[str, FieldSpec] = {}

    def prepare(self, name: str, given: Any, array: Any) -> None:
        """Make the layout of a field that is new, or compare the array with it.

        Raises
        ------
        ConfigError
            Another shape or dtype than before, chunks that cut through blocks, a bad encoding.
        """
        if any(np.isnan(n) for sizes in array.chunks for n in sizes):
            check_chunks(name, array.chunks, (1,) * array.ndim)
        if array.dtype.hasobject:
            raise ConfigError(
                f"ClusterWriter: {name!r} has dtype {array.dtype}, whose values are Python "
                "objects; convert it to numbers"
            )
        whole = Whole(tuple(int(n) for n in array.shape), np.dtype(array.dtype))
        layout = self._layouts.get(name)
        if layout is not None:
            layout.check(whole)
            self.check_order(name, given, layout.dims)
            check_chunks(name, array.chunks, self._blocks[name])
            return
        encoding: dict[str, Any] = dict(self._encoding.get(name, {}))
        for key in ("shape", "start"):
            if key in encoding:
                raise ConfigError(
                    f"ClusterWriter: encoding of {name!r} has {key}=, which is for processes "
                    "that write parts; a Dask array is the whole: leave it out"
                )
        dims = self._dims(name, given, array.ndim)
        self.check_order(name, given, dims)
        self.check_dims(name, dims, whole.shape)
        if encoding.get("chunks") is None and encoding.get("shards") is None:
            encoding["chunks"] = self._chunks(name, array, encoding, dims)
        layout = field_layout(name, whole, encoding, dims, self._share)
        check_chunks(name, array.chunks, layout.block)
        done = self._counts.get(layout.step_dim, 0)
        catalog = self._publisher.catalog
        if done and name not in catalog.documents and not layout.gaps:
            raise ConfigError(
                f"ClusterWriter: {name!r} is new after {done} steps, and {layout.dtype} has no "
                "NaN to mark the steps without it; write it from the first step on, or give "
                "fill_value= or its own step_dim= in encoding"
            )
        with self._publisher.lock:
            catalog.add_field(layout)
            for dim in getattr(given, "dims", ()):
                if dim in getattr(given, "coords", ()):
                    found = given.coords[dim]
                    catalog.add_coordinate(
                        str(dim), np.asarray(found.values), (str(dim),), dict(found.attrs)
                    )
        self._layouts[name] = layout
        self._blocks[name] = layout.block
        self.specs[name] = FieldSpec({**encoding, "shape": whole.shape}, dims)

    def _chunks(
        self, name: str, array: Any, encoding: Mapping[str, Any], dims: tuple[str, ...]
    ) -> Sequence[int]:
        """Blocks that the store has already, or that suit best."""
        stored = self._publisher.catalog.documents.get(name)
        if stored is not None:
            chunks: list[int] = stored["chunk_grid"]["configuration"]["chunk_shape"]
            if len(chunks) == array.ndim + 1:
                return chunks
        return profiled_block(self._client, name, array, encoding, dims)

    def _dims(self, name: str, given: Any, ndim: int) -> tuple[str, ...]:
        own = self._encoding.get(name, {}).get("dims") or getattr(given, "dims", None)
        documents = self._publisher.catalog.documents
        if own is None and name in documents:  # continued: as it was
            return tuple(documents[name]["dimension_names"][1:])
        dims = tuple(f"{name}_dim_{k}" for k in range(ndim)) if own is None else tuple(own)
        if len(dims) != ndim:
            raise ConfigError(f"ClusterWriter: dims={dims} of {name!r} must name its {ndim} axes")
        return tuple(map(str, dims))
