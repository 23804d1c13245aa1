"""FZCodec: one object that is a codec for NumPy arrays, Zarr v2 (numcodecs) and Zarr v3."""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numcodecs.abc import Codec as NumcodecsCodec
from numcodecs.registry import register_codec as register_numcodec
from zarr.abc.codec import BytesBytesCodec
from zarr.core.array_spec import ArraySpec
from zarr.registry import register_codec as register_zarr_codec

from fzdask.codecs import api
from fzdask.codecs.config import CodecConfig
from fzdask.codecs.device import arrays, decode_device, encode_device
from fzdask.codecs.slices import encode_slices
from fzdask.codecs.zarr_array_codec import FZArrayCodec
from fzdask.codecs.zarr_chunk import (
    LOSSLESS,
    check_nbytes,
    chunk_array,
    chunk_config,
    device_chunk,
    host,
    memory_bytes,
    refuse_object,
)
from fzdask.codecs.zarr_device import decode_chunk, encode_batch, encode_chunk
from fzdask.codecs.zarr_metadata import ConfiguredCodec
from fzdask.errors import ConfigError

if TYPE_CHECKING:
    from zarr.core.buffer import Buffer

__all__ = ["FZArrayCodec", "FZCodec"]


@dataclass(frozen=True, init=False, eq=False, repr=False)
class FZCodec(ConfiguredCodec, BytesBytesCodec):
    """Error-bounded compression of arrays, for NumPy, numcodecs, Zarr v2 and v3, xarray and Dask.

    Every finite value comes back within the bound; NaN payloads, infinities, -0.0 and preserved
    values come back bit for bit. What cannot be approximated (bool, dates, text, structured
    data, bytes of another codec's making) comes back bit for bit whatever the bound.

    Give exactly one bound. Instances are immutable, hashable, picklable, thread-safe, and equal
    when their configurations are.

    Parameters
    ----------
    abs : float, optional
        Absolute bound in the unit of the stored data: ``|x - x'| <= abs``.
    rel : float, optional
        Bound relative to ``max - min`` of the finite, non-preserved values of each chunk. In Zarr
        v3 values equal to the array's fill value are left out of the range too, because Zarr
        pads edge chunks with it.
    pw_rel : float, optional
        Bound relative to each value, below 1: ``|x - x'| <= pw_rel * |x|``, zeros and signs exact.
        Integers are kept exactly.
    psnr : float, optional
        Least PSNR of each chunk in dB, ``20 log10((max - min) / RMSE)``.
    lossless : bool
        Every bit comes back.
    preserve : float or iterable of float
        Sentinels such as a ``_FillValue``: kept bit for bit and left out of ranges, and no other
        value comes back as one of them. Values within the bound of one are therefore kept
        exactly too, which costs their size.
    pipeline : str
        A preset name or a pipeline in text form.
    codebook : str
        Where Huffman codebooks come from. ``own``: each chunk has its own, and its bytes depend
        on it alone. ``shared``: from earlier chunks of this process with an equal configuration
        and dtype where one suits; the bytes depend on history, the values never. Or the text
        of a fitted one, see :meth:`fit`.

    Raises
    ------
    ConfigError
        No bound, two bounds, a value out of range or an unknown keyword.

    Examples
    --------
    >>> import numpy as np
    >>> codec = FZCodec(abs=1e-3, preserve=-999.0)
    >>> codec
    FZCodec(abs=0.001, preserve=(-999.0,))
    >>> x = np.array([1.23456, -999.0, np.nan], dtype="f4")
    >>> y = codec.decode(codec.encode(x))
    >>> float(y[1]), bool(np.isnan(y[2])), bool(abs(float(y[0]) - float(x[0])) <= 1e-3)
    (-999.0, True, True)
    """

    codec_id = "fzdask"
    is_fixed_size = False

    @property
    def serializer(self) -> FZArrayCodec:
        """The same configuration as an array-to-bytes codec, for ``serializer=`` in Zarr v3."""
        return FZArrayCodec._from_stored(self._stored)

    @classmethod
    def fit(cls, sample: Any, **config: Any) -> Self:
        """A codec whose configuration holds a codebook made for arrays like the sample.

        Its streams name the codebook instead of carrying it, which saves about 100 bytes a
        chunk; only this codec, or one of the same stored configuration, decodes them.

        Parameters
        ----------
        sample : array_like
            A typical chunk or more.
        **config
            As for the class, without ``codebook``.

        Raises
        ------
        ConfigError
            The configuration codes such arrays without a Huffman codebook.
        """
        plain = CodecConfig.from_mapping(config)
        if plain.codebook != "own":
            raise ConfigError("FZCodec.fit: it makes the codebook itself; leave codebook= out.")
        return cls(**{**config, "codebook": api.fit_codebook(sample, plain)})

    # numcodecs: NumPy arrays and Zarr v2

    def get_config(self) -> dict[str, Any]:
        """Return the numcodecs configuration, ``{"id": "fzdask", ...}``, as plain JSON values."""
        return {"id": self.codec_id, **self.to_dict()["configuration"]}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Build from a numcodecs configuration, with or without its ``id``.

        Keys that this version does not know do not hinder decoding; `encode` refuses them.
        """
        stored = dict(config)
        codec_id = stored.pop("id", cls.codec_id)
        if codec_id != cls.codec_id:
            raise ConfigError(
                f"FZCodec.from_config: id is {codec_id!r}, but this codec's is {cls.codec_id!r}."
            )
        return cls._from_stored(stored)

    def encode(self, buf: Any) -> Any:
        """Compress an array within the bound; the stream carries its shape, dtype and order.

        Parameters
        ----------
        buf : array_like or buffer
            Any shape, memory order, byte order and dtype but object. One-dimensional uint8, and
            hence ``bytes``, is kept losslessly. A CuPy array is compressed on its device. (Zarr
            v3 calls this method with an iterable of chunks and their descriptions, and gets a
            coroutine.)

        Returns
        -------
        bytes
            The stream.

        Raises
        ------
        UnsupportedDtypeError
            The dtype's elements are Python objects.
        ConfigError
            The codec was read from metadata that this version does not fully understand.
        """
        if type(buf) is np.ndarray:
            refuse_object(buf.dtype)
            return api.encode(buf, chunk_config(self._encoding_config(), buf))
        if arrays.is_device_array(buf):
            return encode_device(buf, self._encoding_config(), arrays.device_of(buf))
        if _is_array_or_buffer(buf):
            config = self._encoding_config()
            # Through memoryview, bytes are uint8 and not one long text.
            array = np.asanyarray(buf if hasattr(buf, "__array__") else memoryview(buf))
            refuse_object(array.dtype)
            return api.encode(array, chunk_config(config, array))
        batch = _zarr_batch(buf, "encode")
        return encode_batch(batch, device_chunk, self._encoding_config, super().encode)

    def encode_slices(self, buf: Any) -> Generator[None, None, bytes]:
        """Compress an array in steps: yields between them, and returns the bytes of `encode`.

        For schedulers that compress in the pauses of other work. The array must not change
        before the generator has returned.

        Parameters
        ----------
        buf : array_like or buffer
            As for `encode`.

        Returns
        -------
        generator
            Its return value (of ``yield from``, or of `StopIteration`) is the stream.

        Raises
        ------
        UnsupportedDtypeError, ConfigError
            As `encode`, at the first step.
        """
        config = self._encoding_config()
        array = np.asanyarray(buf if hasattr(buf, "__array__") else memoryview(buf))
        refuse_object(array.dtype)
        return (yield from encode_slices(array, chunk_config(config, array)))

    def decode(self, buf: Any, out: Any = None) -> Any:
        """Decompress a stream to an array of the shape, dtype and memory order that went in.

        Parameters
        ----------
        buf : buffer
            The stream. (Zarr v3 calls this method with an iterable of chunks and their
            descriptions, and gets a coroutine.)
        out : ndarray or writable buffer, optional
            Where to put the values: an array of the same shape and dtype (any byte order), or
            a flat buffer of the same dtype or of bytes that receives them in memory order. A
            CuPy array of the same shape and dtype gets them on its device; so does the result
            where the stream itself is a device array. One that is contiguous in the memory order
            of the array is decoded into; nothing is copied where the pipeline can do so.

        Returns
        -------
        ndarray
            The array, or `out`.

        Raises
        ------
        FormatError
            The stream is damaged or is none. What is in `out` is then not defined.
        ConfigError
            `out` does not fit the array.
        """
        on_host = type(buf) is bytes and (out is None or type(out) is np.ndarray)
        for given in () if on_host else (out, buf):
            if arrays.is_device_array(given):
                device = arrays.device_of(given)
                return decode_device(buf, device, self._decoding_codebook, out)
        if on_host or _is_array_or_buffer(buf):
            if out is None:
                return api.decode(buf, self._decoding_codebook)
            target = out if isinstance(out, np.ndarray) else np.asarray(memoryview(out))
            array = api.decode(buf, self._decoding_codebook, out=target)
            if array.base is not target and not np.may_share_memory(array, target):
                _copy_into(array, target)
            return out
        if out is not None:
            raise ConfigError("FZCodec.decode: out= goes with a stream, not with a Zarr batch.")
        return super().decode(_zarr_batch(buf, "decode"))

    # Zarr v3, bytes to bytes

    def compute_encoded_size(self, input_byte_length: int, chunk_spec: ArraySpec) -> int:
        """Raise: the size of a compressed chunk is not known before it is compressed."""
        raise NotImplementedError("FZCodec: the compressed size depends on the data")

    def _encode_sync(self, chunk_bytes: Buffer, chunk_spec: ArraySpec) -> Buffer:
        config = self._encoding_config()
        on_device = device_chunk(chunk_bytes, chunk_spec)
        if on_device is not None:
            stream = encode_chunk(on_device, config, chunk_spec.fill_value)
            return chunk_spec.prototype.buffer.from_bytes(stream)
        array, is_chunk = chunk_array(host(chunk_bytes), chunk_spec)
        if is_chunk:
            config = chunk_config(config, array, fill_value=chunk_spec.fill_value)
        else:
            config = LOSSLESS
        return chunk_spec.prototype.buffer.from_bytes(api.encode(array, config))

    def _decode_sync(self, chunk_bytes: Buffer, chunk_spec: ArraySpec) -> Buffer:
        raw = chunk_bytes.as_array_like()
        if arrays.is_device_array(raw):
            check = partial(check_nbytes, spec=chunk_spec)
            found = decode_chunk(raw, self._decoding_codebook, check)
            return chunk_spec.prototype.buffer.from_array_like(memory_bytes(found))
        array = api.decode(
            host(chunk_bytes), self._decoding_codebook, partial(check_nbytes, spec=chunk_spec)
        )
        # Memory order, as in Zarr v2: metadata migrated from v2 describes order='F' by a
        # transpose codec and '>f4' by a big-endian bytes codec, over the same chunks.
        return chunk_spec.prototype.buffer.from_bytes(memory_bytes(array).data)

    async def _encode_single(self, chunk_data: Buffer, chunk_spec: ArraySpec) -> Buffer:
        return await asyncio.to_thread(self._encode_sync, chunk_data, chunk_spec)

    async def _decode_single(self, chunk_data: Buffer, chunk_spec: ArraySpec) -> Buffer:
        return await asyncio.to_thread(self._decode_sync, chunk_data, chunk_spec)


def _is_array_or_buffer(value: Any) -> bool:
    if hasattr(value, "__array__"):
        return True
    try:
        memoryview(value)
    except TypeError:
        return False
    return True


def _zarr_batch(value: Any, method: str) -> list[Any]:
    """Return Zarr's iterable of (chunk or None, ArraySpec) as a list, or raise TypeError."""
    try:
        batch = list(value)
    except TypeError:
        batch = [value]
    for item in batch:
        if not (isinstance(item, tuple) and len(item) == 2 and isinstance(item[1], ArraySpec)):
            raise TypeError(
                f"FZCodec.{method} takes an array or a buffer, got {type(value).__name__}; "
                "convert it with numpy.asarray first."
            )
    return batch


def _copy_into(array: np.ndarray[Any, Any], target: np.ndarray[Any, Any]) -> None:
    """Copy a decoded array to where `out` is; `ConfigError` if it does not fit."""
    problem = ""
    if not target.flags.writeable:
        problem = "is read-only"
    elif target.dtype.newbyteorder("=") == array.dtype.newbyteorder("="):
        if target.shape == array.shape:
            np.copyto(target, array)
        elif target.shape == (array.size,):
            np.copyto(target, array.reshape(-1, order="A"))
        else:
            problem = "has another shape"
    elif target.dtype == np.uint8 and target.shape == (array.nbytes,):
        np.copyto(target, memory_bytes(array))
    else:
        problem = "has another dtype or size"
    if problem:
        raise ConfigError(
            f"FZCodec.decode: out (shape {target.shape}, dtype {target.dtype}) {problem}; the "
            f"stream holds shape {array.shape}, dtype {array.dtype} ({array.nbytes} bytes). Pass a "
            "writable array like that, or leave out= away."
        )


# Entry points announce the codec to readers that never import fzdask; registering here serves
# programs that import it without having it installed (a source tree, a frozen application).
# "numcodecs.fzdask" is the name under which Zarr's v2-to-v3 metadata migration looks for it.
NumcodecsCodec.register(FZCodec)
register_numcodec(FZCodec)
register_zarr_codec(FZCodec.codec_id, FZCodec)
register_zarr_codec(f"numcodecs.{FZCodec.codec_id}", FZCodec)
register_zarr_codec(FZArrayCodec.codec_id, FZArrayCodec)
