"""The fields of a run: their layouts, made from the first arrays, and the steps they have."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fzdask.errors import ConfigError
from fzdask.insitu.block_size import profiled_layout, unmeasured
from fzdask.insitu.blocks import block_shape
from fzdask.insitu.copies import snapshot_encoders
from fzdask.insitu.layout import FieldLayout, check_keys, check_name, field_layout
from fzdask.insitu.pool import BlockPool
from fzdask.insitu.publication import Publisher
from fzdask.insitu.step_axes import StepAxes

__all__ = ["Fields", "checked_encoding"]


def checked_encoding(encoding: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The encoding as a dictionary; `ConfigError` for what could never be a field's."""
    if not isinstance(encoding, Mapping):
        raise ConfigError(
            f"InSituWriter: encoding={encoding!r} must be a mapping of fields, such as "
            "{'density': {'compressors': FZCodec(abs=1e-3)}}"
        )
    for name, settings in encoding.items():
        if not isinstance(settings, Mapping):
            raise ConfigError(
                f"InSituWriter: encoding of {name!r} is {settings!r}; give a mapping such as "
                "{'compressors': FZCodec(abs=1e-3)}"
            )
        check_name(name)
        check_keys(name, settings)
    return {name: dict(settings) for name, settings in encoding.items()}


class Fields(StepAxes):
    """Layouts and counts of steps. Used by the simulation's thread.

    Parameters
    ----------
    encoding : mapping
        What the user said of each field.
    publisher : Publisher
        Its catalogue learns of every new field.
    share : bool
        Codebooks are shared.
    size : int
        Processes that write the store. Where there is one, coordinates of DataArrays are those of
        the whole, and the size of blocks is chosen from a profile.

    Attributes
    ----------
    clock : callable
        What that profile is measured with: processor time of the calling thread, in seconds.
    """

    who: ClassVar[str] = "InSituWriter"

    def __init__(
        self,
        encoding: Mapping[str, Mapping[str, Any]],
        publisher: Publisher,
        share: bool,
        size: int,
    ) -> None:
        super().__init__(encoding, publisher, share)
        self._size = size
        self.clock = time.thread_time
        self.pool = BlockPool()

    def __getitem__(self, name: str) -> FieldLayout:
        return self._layouts[name]

    def prepare(self, name: str, given: Any, array: NDArray[Any]) -> None:
        """Make the layout of a field that is new, or compare the array with it.

        Parameters
        ----------
        given, array
            What the user gave (perhaps a DataArray), and its values.

        Raises
        ------
        ConfigError
            Another shape or dtype than before, a bad encoding, a field that comes too late, a
            dimension of two lengths.
        """
        layout = self._layouts.get(name)
        if layout is not None:
            layout.check(array)
            self.check_order(name, given, layout.dims)
            return
        encoding = self._encoding.get(name, {})
        dims = self._dims(name, given, array)
        self.check_order(name, given, dims)
        self.check_dims(name, dims, tuple(encoding.get("shape") or array.shape))
        layout = self._layout(name, array, encoding, dims)
        done = self._counts.get(layout.step_dim, 0)
        catalog = self._publisher.catalog
        if done and name not in catalog.documents and not layout.gaps:
            raise ConfigError(
                f"InSituWriter: {name!r} is new after {done} steps, and {layout.dtype} has no "
                "NaN to mark the steps without it; write it from the first step on, or give "
                "fill_value= or its own step_dim= in encoding"
            )
        with self._publisher.lock:
            catalog.add_field(layout)
            if self._size == 1:
                self._add_coordinates(given)
        self._layouts[name] = layout
        # The first encoding of a process compiles: before the simulation's time counts.
        if layout.regions:
            for _ in snapshot_encoders(layout, array, self.pool, copy=False)[0]():
                pass

    def _layout(
        self, name: str, array: NDArray[Any], encoding: Mapping[str, Any], dims: Sequence[str]
    ) -> FieldLayout:
        """In the blocks that the user wants, that the store has already, or that suit best."""

        def make(chunks: Sequence[int] | None) -> FieldLayout:
            own = encoding if chunks is None else {**encoding, "chunks": chunks}
            return field_layout(name, array, own, dims, self._share)

        if encoding.get("chunks") is not None or encoding.get("shards") is not None:
            return make(None)
        stored = self._publisher.catalog.documents.get(name)
        if stored is not None:
            chunks = stored["chunk_grid"]["configuration"]["chunk_shape"]
            return make(chunks if len(chunks) == array.ndim + 1 else None)
        itemsize = array.dtype.itemsize
        if self._size > 1:  # all processes must come to the same
            whole = math.prod(encoding.get("shape") or array.shape) * itemsize
            return make(
                block_shape(array.shape, itemsize, unmeasured(encoding, whole // self._size))
            )
        return profiled_layout(
            lambda target: make(block_shape(array.shape, itemsize, target)), array, self.clock
        )

    def _dims(self, name: str, given: Any, array: NDArray[Any]) -> Sequence[str]:
        own = self._encoding.get(name, {}).get("dims") or getattr(given, "dims", None)
        if own is not None:
            dims = tuple(str(d) for d in own)
            if len(dims) != array.ndim:
                raise ConfigError(
                    f"InSituWriter: dims={dims} of {name!r} must name its {array.ndim} axes"
                )
            return dims
        documents = self._publisher.catalog.documents
        if name in documents:  # continued: as it was
            return tuple(documents[name]["dimension_names"][1:])
        whole = self._encoding.get(name, {}).get("shape") or array.shape
        sizes = {
            dim: n
            for document in documents.values()
            for dim, n in zip(document["dimension_names"], document["shape"], strict=True)
        }
        common = tuple(f"dim_{k}" for k in range(array.ndim))
        fits = all(sizes.get(dim, n) == n for dim, n in zip(common, whole, strict=True))
        return common if fits else tuple(f"{name}_dim_{k}" for k in range(array.ndim))

    def _add_coordinates(self, given: Any) -> None:
        """Those of a DataArray's dimensions."""
        for dim in getattr(given, "dims", ()):
            if dim in given.coords:
                coordinate = given.coords[dim]
                self._publisher.catalog.add_coordinate(
                    str(dim), np.asarray(coordinate.values), (str(dim),), dict(coordinate.attrs)
                )
