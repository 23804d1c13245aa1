"""The simulation's arrays at the moment of a write: copied block by block, or taken as they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fzdask.errors import ConfigError
from fzdask.insitu.block import Slices
from fzdask.insitu.blocks import Region, padded_block
from fzdask.insitu.bulk import BulkCopy
from fzdask.insitu.layout import FieldLayout
from fzdask.insitu.pool import BlockPool

__all__ = ["host_array", "is_on_device", "snapshot_encoders"]


def is_on_device(array: Any) -> bool:
    """Whether an array lives in the memory of a GPU."""
    return hasattr(array, "__cuda_array_interface__") and not isinstance(array, np.ndarray)


def host_array(name: str, array: Any) -> tuple[NDArray[Any], bool]:
    """An array in host memory, and whether it is a copy that belongs to the writer.

    CuPy arrays come through page-locked memory, in the current stream, which is waited for.

    Raises
    ------
    ConfigError
        It is masked, holds Python objects, or is no array.
    """
    if is_on_device(array):
        return _from_device(array), True
    if isinstance(array, np.ma.MaskedArray):
        raise ConfigError(
            f"InSituWriter: {name!r} is a masked array; pass .filled(value), and "
            "preserve=(value,) to FZCodec"
        )
    plain = np.asarray(array)
    if plain.dtype.hasobject:
        raise ConfigError(
            f"InSituWriter: {name!r} has dtype {plain.dtype}, whose values are Python objects; "
            "convert it to numbers"
        )
    return plain, False


def _from_device(array: Any) -> NDArray[Any]:
    import cupy  # type: ignore[import-not-found, unused-ignore]  # there is one: here is its array
    import cupyx  # type: ignore[import-not-found, unused-ignore]

    source = cupy.asarray(array)
    pinned: NDArray[Any] = cupyx.empty_pinned(source.shape, source.dtype)
    source.get(out=pinned)
    return pinned


def snapshot_encoders(
    layout: FieldLayout, array: NDArray[Any], pool: BlockPool, *, copy: bool
) -> list[Callable[[], Slices]]:
    """An encoder for every block, over a copy made now or over the array itself.

    Parameters
    ----------
    copy : bool
        False: the array must not change before its snapshot is stored.
    """
    if not copy:
        return [_borrowed(layout, region, array, pool) for region in layout.regions]
    nbytes = layout.block_nbytes
    pool.reserve(nbytes, len(layout.regions))
    together = BulkCopy(nbytes)
    encoders = []
    for region in layout.regions:
        memory = pool.take(nbytes)
        together.add(array, region.slices, memory, layout.block)
        encoders.append(_copied(layout, memory, pool))
    together.run()
    return encoders


def _copied(
    layout: FieldLayout, memory: NDArray[np.uint8], pool: BlockPool
) -> Callable[[], Slices]:
    def encode() -> Slices:
        try:
            values = memory.view(layout.dtype).reshape(layout.block)
            return (yield from layout.encoder(values[None]))
        finally:
            pool.give(memory)

    return encode


def _borrowed(
    layout: FieldLayout, region: Region, array: NDArray[Any], pool: BlockPool
) -> Callable[[], Slices]:
    def encode() -> Slices:
        where: tuple[Any, ...] = (*region.slices, ...)
        part = array[where]
        if part.shape == layout.block and part.flags.c_contiguous:
            return (yield from layout.encoder(part[None]))
        memory = pool.take(layout.block_nbytes)
        try:
            values = memory.view(layout.dtype).reshape(layout.block)
            padded_block(array, region.slices, values)
            yield
            return (yield from layout.encoder(values[None]))
        finally:
            pool.give(memory)

    return encode
