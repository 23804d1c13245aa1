"""What a Zarr store holds: for each array its bound, its chunks and its size."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from fzdask.accessor.bounds import Bound
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
    """

    array: Any
    bound: Bound | None
    packed: bool

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
        name: StoredArray(array, _array_bound(array), _is_packed(array))
        for name, array in opened.arrays()
    }


def _array_bound(array: Any) -> Bound | None:
    codecs = list(array.compressors)
    if array.metadata.zarr_format == 3:
        codecs.append(array.serializer)
    return bound_of(codecs)


def bound_of(codecs: Iterable[Any]) -> Bound | None:
    """The bound of the first codec of fzdask among some."""
    for codec in codecs:
        if isinstance(codec, FZCodec | FZArrayCodec):
            for kind in BOUND_NAMES:
                value = getattr(codec, kind)
                if value is not None and value is not False:
                    return kind, float(value)
    return None


def _is_packed(array: Any) -> bool:
    packed = any(key in array.attrs for key in ("scale_factor", "add_offset"))
    return packed or np.dtype(array.dtype).kind in "iu"
