"""FZArrayCodec: the array-to-bytes form of FZCodec, for ``serializer=`` in Zarr v3."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from zarr.abc.codec import ArrayBytesCodec

from fzdask.codecs import api
from fzdask.codecs.device import arrays
from fzdask.codecs.zarr_chunk import chunk_config, host
from fzdask.codecs.zarr_device import decode_chunk, encode_batch, encode_chunk
from fzdask.codecs.zarr_metadata import ConfiguredCodec
from fzdask.errors import FormatError, UnsupportedDtypeError
from fzdask.format import Header

if TYPE_CHECKING:
    from zarr.core.array_spec import ArraySpec
    from zarr.core.buffer import Buffer, NDBuffer

__all__ = ["FZArrayCodec"]


@dataclass(frozen=True, init=False, eq=False, repr=False)
class FZArrayCodec(ConfiguredCodec, ArrayBytesCodec):
    """Error-bounded compression as the ``serializer`` of a Zarr v3 array.

    Keeps the bound for every finite value of a chunk and returns NaN, infinities and preserved
    values bit for bit, like `FZCodec`, whose keywords it takes. Unlike `FZCodec` it is handed
    the array itself and not its bytes: no other codec can come between, and the byte order or
    memory order of what is written do not matter. Prefer it for new Zarr v3 arrays; use
    `FZCodec` where one line of code must serve Zarr v2 as well.

    Parameters
    ----------
    abs, rel, lossless, preserve, pipeline, codebook
        As for `FZCodec`.

    Raises
    ------
    ConfigError
        No bound, two bounds, a value out of range or an unknown keyword.
    UnsupportedDtypeError
        On creating an array of variable-length strings, which have a serializer of their own.

    Examples
    --------
    >>> import numpy as np, zarr
    >>> z = zarr.create_array({}, data=np.linspace(0, 1, 64, dtype="f4"),
    ...                       serializer=FZArrayCodec(abs=1e-3), compressors=None)
    >>> bool(abs(z[:].astype("f8") - np.linspace(0, 1, 64, dtype="f4")).max() <= 1e-3)
    True
    """

    codec_id = "fzdask.array"
    is_fixed_size = False

    def validate(self, *, shape: tuple[int, ...], dtype: Any, chunk_grid: Any) -> None:
        """Raise `UnsupportedDtypeError` for elements without a fixed size."""
        native = np.dtype(dtype.to_native_dtype())
        if native.hasobject:
            raise UnsupportedDtypeError(
                f"FZArrayCodec cannot serialize dtype {native}: its elements have no fixed size. "
                "Leave serializer= out and put FZCodec into compressors= instead."
            )

    def compute_encoded_size(self, input_byte_length: int, chunk_spec: ArraySpec) -> int:
        """Raise: the size of a compressed chunk is not known before it is compressed."""
        raise NotImplementedError("FZArrayCodec: the compressed size depends on the data")

    def _encode_sync(self, chunk_array: NDBuffer, chunk_spec: ArraySpec) -> Buffer:
        config = self._encoding_config()
        on_device = _on_device(chunk_array, chunk_spec)
        if on_device is not None:
            stream = encode_chunk(on_device, config, chunk_spec.fill_value)
            return chunk_spec.prototype.buffer.from_bytes(stream)
        array = host(chunk_array)
        # Zarr v3 data types have no byte order: equal values must give equal streams.
        array = array.astype(array.dtype.newbyteorder("<"), copy=False)
        config = chunk_config(config, array, fill_value=chunk_spec.fill_value)
        return chunk_spec.prototype.buffer.from_bytes(api.encode(array, config))

    def _decode_sync(self, chunk_bytes: Buffer, chunk_spec: ArraySpec) -> NDBuffer:
        native = np.dtype(chunk_spec.dtype.to_native_dtype())

        def check(header: Header) -> None:
            if header.shape != tuple(chunk_spec.shape) or not _same_values(header.dtype, native):
                raise FormatError(
                    f"The stream holds an array of shape {header.shape} and dtype {header.dtype}, "
                    f"but the Zarr metadata describes a chunk of shape {tuple(chunk_spec.shape)} "
                    f"and dtype {native}: the chunk belongs to another array, or the metadata has "
                    "been changed. Write the chunk again."
                )

        raw: Any = chunk_bytes.as_array_like()
        if arrays.is_device_array(raw) and native.kind in "iufc":
            found = decode_chunk(raw, self._decoding_codebook, check)
            return chunk_spec.prototype.nd_buffer.from_ndarray_like(found)
        array = api.decode(host(chunk_bytes), self._decoding_codebook, check)
        array = array.astype(native, copy=False)
        return chunk_spec.prototype.nd_buffer.from_numpy_array(array)

    async def encode(self, chunks_and_specs: Any) -> Any:
        """Encode what Zarr hands over at once; chunks on a device in a batch."""
        batch = list(chunks_and_specs)
        return await encode_batch(batch, _on_device, self._encoding_config, super().encode)

    async def _encode_single(self, chunk_data: NDBuffer, chunk_spec: ArraySpec) -> Buffer:
        return await asyncio.to_thread(self._encode_sync, chunk_data, chunk_spec)

    async def _decode_single(self, chunk_data: Buffer, chunk_spec: ArraySpec) -> NDBuffer:
        return await asyncio.to_thread(self._decode_sync, chunk_data, chunk_spec)


def _on_device(chunk: NDBuffer, spec: ArraySpec) -> Any:
    """The chunk's array where it is on a device and is numbers; else None."""
    data: Any = chunk.as_ndarray_like()
    fits = arrays.is_device_array(data) and data.dtype.kind in "iufc" and data.dtype.isnative
    return data if fits and data.size else None


def _same_values(stored: np.dtype[Any], expected: np.dtype[Any]) -> bool:
    return stored.newbyteorder("<") == expected.newbyteorder("<")
