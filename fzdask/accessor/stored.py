"""What a Zarr store holds: for each array its bound, its chunks and its size."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from fzdask.accessor.bounds import Bound
from fzdask.accessor.fields import FILLS, sentinels
from fzdask.codecs.config import BOUND_NAMES
from fzdask.codecs.zarr_codec import FZArrayCodec, FZCodec

__all__ = ["StoredArray", "bound_of", "stored_arrays"]


@dataclass(frozen=True, slots=True)
class StoredArray:
    """One array of a group.

    Attributes
    ----------
    array : zarr.Array
    bound : Bound or None
        That of its FZCodec; None without one.
    packed : bool
        Whether CF attributes scale its numbers.
    unpreserved : tuple of float
        Fill values that its codec may change, and give other values.
    """

    array: Any
    bound: Bound | None
    packed: bool
    unpreserved: tuple[float, ...] = ()

    @property
    def zarr_format(self) -> int:
        """2 or 3."""
        return int(self.array.metadata.zarr_format)

    @property
    def nbytes(self) -> int | None:
        """Stored bytes, metadata of the array included; None where the store cannot list."""
        if not self.array.store.supports_listing:
            return None
        return int(self.array.nbytes_stored())


def stored_arrays(
    store: Any, group: str | None = None, storage_options: Any = None
) -> dict[Hashable, StoredArray]:
    """Arrays of a group by name; none where there is no such group."""
    import zarr
    from zarr.errors import GroupNotFoundError

    try:
        opened = zarr.open_group(store, mode="r", path=group, storage_options=storage_options)
    except (FileNotFoundError, GroupNotFoundError):
        return {}
    return {
        name: StoredArray(array, bound_of(codecs), _is_packed(array), _unpreserved(array, codecs))
        for name, array in opened.arrays()
        for codecs in (_codecs(array),)
    }


def _codecs(array: Any) -> list[Any]:
    codecs = list(array.compressors)
    if array.metadata.zarr_format == 3:
        codecs.append(array.serializer)
    return codecs


def _unpreserved(array: Any, codecs: list[Any]) -> tuple[float, ...]:
    bound, dtype = bound_of(codecs), np.dtype(array.dtype)
    if bound is None or bound[0] == "lossless" or dtype.kind not in "iufc":
        return ()
    if dtype.kind in "iu" and (bound[0] == "pw_rel" or (bound[0] == "abs" and bound[1] < 1)):
        return ()  # such bounds leave integers exact
    fills = {key: array.attrs[key] for key in FILLS if key in array.attrs}
    if array.metadata.zarr_format == 2:
        fills["_FillValue"] = array.fill_value  # which xarray masks in this format
    elif "_FillValue" in fills:
        from xarray.backends.zarr import FillValueCoder

        fills["_FillValue"] = FillValueCoder.decode(fills["_FillValue"], dtype)
    kept = sentinels(dtype, {"_FillValue": _first(codecs).preserve})
    return tuple(fill for fill in sentinels(dtype, fills) if fill not in kept)


def _first(codecs: Iterable[Any]) -> Any:
    """The first codec of fzdask among some; None without one."""
    return next((codec for codec in codecs if isinstance(codec, FZCodec | FZArrayCodec)), None)


def bound_of(codecs: Iterable[Any]) -> Bound | None:
    """The bound of the first codec of fzdask among some."""
    codec = _first(codecs)
    for kind in BOUND_NAMES:
        value = getattr(codec, kind, None)
        if value is not None and value is not False:
            return kind, 0.0 if kind == "lossless" else float(value)
    return None


def _is_packed(array: Any) -> bool:
    packed = any(key in array.attrs for key in ("scale_factor", "add_offset"))
    return packed or np.dtype(array.dtype).kind in "iu"
