"""Chunks between Zarr and the codec: which array the bytes are, and what bound applies to it."""

from __future__ import annotations

import dataclasses
import math
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from zarr.core.buffer import Buffer

from fzdask.bounds import psnr_error, relative_bound
from fzdask.codecs.config import CodecConfig
from fzdask.errors import ConfigError, FormatError, UnsupportedDtypeError
from fzdask.format import Header

if TYPE_CHECKING:
    import numpy.typing as npt
    from zarr.core.array_spec import ArraySpec
    from zarr.core.buffer import NDBuffer

    Array = npt.NDArray[Any]

__all__ = [
    "LOSSLESS",
    "check_nbytes",
    "chunk_array",
    "chunk_config",
    "chunk_dtype",
    "device_chunk",
    "host",
    "memory_bytes",
    "refuse_object",
]

LOSSLESS = CodecConfig(lossless=True)

_PUT_FIRST = "Put FZCodec first in compressors=[...]; other compressors may follow it."


def host(buffer: Buffer | NDBuffer) -> Array:
    """Return a Zarr buffer as a NumPy array, without a copy where it is in host memory.

    The one place through which chunks reach the CPU codec: a device codec would take
    ``as_array_like()`` as it is.
    """
    data: Any = buffer.as_array_like() if isinstance(buffer, Buffer) else buffer.as_ndarray_like()
    return data if isinstance(data, np.ndarray) else np.asarray(buffer.as_numpy_array())


def device_chunk(buffer: Buffer, spec: ArraySpec) -> Any:
    """The chunk as an array on its device, where it is on one and is numbers; else None."""
    data: Any = buffer.as_array_like()
    dtype = chunk_dtype(spec)
    nbytes = math.prod(spec.shape) * dtype.itemsize if dtype is not None else -1
    if not hasattr(data, "__cuda_array_interface__") or data.base is None:
        return None  # on the host, or new bytes that another codec made (see `chunk_array`)
    if dtype is None or dtype.kind not in "iufc" or not dtype.isnative or data.size != nbytes:
        return None
    return data.view(dtype).reshape(spec.shape) if nbytes else None


def memory_bytes(array: Array) -> Array:
    """Return the array's bytes in memory order (C or F), flat, without a copy if contiguous."""
    return array.reshape(-1, order="A").view(np.uint8)


def chunk_dtype(spec: ArraySpec) -> np.dtype[Any] | None:
    """Return the dtype of a chunk's elements, little-endian as the `bytes` codec stores them.

    None where elements have no fixed size (variable-length strings and bytes): what reaches a
    bytes-to-bytes codec then is text of another codec's making.
    """
    dtype = np.dtype(spec.dtype.to_native_dtype())
    return None if dtype.hasobject else dtype.newbyteorder("<")


def chunk_array(data: Array, spec: ArraySpec) -> tuple[Array, bool]:
    """Return the array that a chunk's bytes are, and whether a lossy bound may touch it.

    A bytes-to-bytes codec is handed bytes and has to know what they are. It may lose precision
    only if they are the chunk, little-endian, as Zarr's `bytes` codec lays it out.

    Parameters
    ----------
    data : ndarray of uint8
        The bytes that reached the codec.
    spec : ArraySpec
        Zarr's description of the chunk: shape, data type, fill value.

    Raises
    ------
    ConfigError
        The bytes are certainly not the chunk: another codec has changed them.
    """
    dtype = chunk_dtype(spec)
    if dtype is None:
        return data, False
    nbytes = math.prod(spec.shape) * dtype.itemsize
    where = f"chunk of shape {tuple(spec.shape)} and dtype {dtype.name}"
    if data.nbytes != nbytes:
        raise ConfigError(
            f"FZCodec got {data.nbytes} bytes for a {where}, which has {nbytes}: another codec "
            f"has changed them. {_PUT_FIRST}"
        )
    # Length alone does not show a codec that keeps it (shuffle, byte swap), and quantizing what
    # such a codec gives would break the bound. Where the bytes come from does: Zarr's bytes codec
    # hands on a view of the chunk's array, while compressors hand on new byte strings. Device
    # arrays never get here as such (see `host`), so a missing base means nothing there.
    base = data.base
    if dtype.itemsize > 1 and data.size and not isinstance(base, np.ndarray):
        raise ConfigError(
            f"FZCodec got {data.nbytes} bytes for a {where} that do not come from Zarr's `bytes` "
            f"codec: another codec (a shuffle, for example) has rearranged them. {_PUT_FIRST}"
        )
    array = data.view(dtype).reshape(spec.shape)
    if isinstance(base, np.ndarray) and base.dtype.str[0] == ">":
        # Either BytesCodec(endian="big"), or an innocent little-endian view of memory that was
        # allocated as big-endian (x.byteswap().view(...)). Lossless is right for both.
        warnings.warn(
            f"FZCodec stores a {where} losslessly: its bytes look big-endian, so no bound can be "
            "applied to them. Use serializer=BytesCodec(endian='little'), which is the default, "
            "or FZCodec(...).serializer.",
            UserWarning,
            stacklevel=2,
        )
        return array, False
    return array, True


def chunk_config(config: CodecConfig, array: Array, *, fill_value: Any = None) -> CodecConfig:
    """Return the configuration that applies to one chunk.

    One-dimensional uint8 is taken for bytes of another codec's making (text, shuffled or packed
    bits) and kept losslessly. A relative bound leaves the Zarr fill value out of the range,
    because Zarr pads every edge chunk with it: a padding of 0 beside temperatures of 250 to
    300 would loosen the bound sixfold. The result is never looser than `config`.

    Parameters
    ----------
    config : CodecConfig
        What the user asked for.
    array : ndarray
        The chunk.
    fill_value : scalar, optional
        Fill value of the Zarr array; None where it is not known (Zarr v2).
    """
    if config.lossless:
        return config
    if array.dtype == np.uint8 and array.ndim <= 1:
        return LOSSLESS
    kind = array.dtype.kind
    if config.bound[0] not in ("rel", "psnr") or kind not in "fiuc":
        return config
    kept = np.ones((), bool) if fill_value is None else array != fill_value
    if kind == "c":
        kept = kept & np.isfinite(array)  # of nan+0j, which Zarr pads with, 0 is no value
    if kept.all():
        return config
    values = array[kept]
    with np.errstate(over="ignore"):  # a preserved 1e300 equals no float32
        for value in config.preserve:
            values = values[values != value]
    if kind == "f":
        values = values[np.isfinite(values)]
    elif kind == "c":
        values = values.view(values.real.dtype)
    if not values.size:
        return config
    number = int if kind in "iu" else float
    low, high = number(values.min()), number(values.max())
    name, asked = config.bound
    # For a PSNR always enough: padding, which costs no error, must not count for the mean.
    bound = {"rel": relative_bound, "psnr": psnr_error}[name](asked, low, high)
    if bound == 0:
        return LOSSLESS
    return dataclasses.replace(config, rel=None, psnr=None, abs=bound)


def refuse_object(dtype: np.dtype[Any]) -> None:
    """Raise `UnsupportedDtypeError` for dtypes whose elements are pointers."""
    if dtype.hasobject:
        raise UnsupportedDtypeError(
            f"FZCodec cannot encode dtype {dtype}: its elements are pointers, not values. "
            "Give strings a fixed width (.astype('U') or .astype('S')); in Zarr v2 put "
            "filters=[numcodecs.VLenUTF8()] before FZCodec, in Zarr v3 keep the default serializer."
        )


def check_nbytes(header: Header, spec: ArraySpec) -> None:
    """Raise `FormatError` unless a stream holds a chunk of the size that its metadata promises."""
    dtype = chunk_dtype(spec)
    if dtype is None:
        return
    nbytes = math.prod(spec.shape) * dtype.itemsize
    if header.nbytes != nbytes:
        raise FormatError(
            f"The stream holds an array of shape {header.shape} and dtype {header.dtype} "
            f"({header.nbytes} bytes), but the Zarr metadata describes a chunk of shape "
            f"{tuple(spec.shape)} and dtype {dtype} ({nbytes} bytes): the chunk belongs to "
            "another array, or the metadata has been changed. Write the chunk again."
        )
