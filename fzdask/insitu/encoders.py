"""From a block's values to the bytes of its Zarr chunk, in slices where the codec is ours."""

from __future__ import annotations

import dataclasses
import itertools
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import BytesCodec, Crc32cCodec, ShardingCodec
from zarr.core.buffer import Buffer

from fzdask.codecs.config import CodecConfig
from fzdask.codecs.slices import encode_slices
from fzdask.codecs.zarr_array_codec import FZArrayCodec
from fzdask.codecs.zarr_chunk import chunk_config
from fzdask.codecs.zarr_codec import FZCodec
from fzdask.insitu.block import Slices

__all__ = ["Encoder", "make_encoder"]

Encoder = Callable[[NDArray[Any]], Slices]
"""Takes the values of a whole chunk (or shard), C-contiguous; the slices return its bytes."""

Where = tuple[int, ...]
WriteOrder = Callable[[Where, Where], Where]
"""From the coordinates of a chunk and the counts of chunks along the axes to a sorting key."""


def make_encoder(array: zarr.Array[Any], memory: dict[str, Buffer], share: bool) -> Encoder:
    """The encoder for the chunks of an array, or for its shards if it has any.

    With FZCodec alone the bytes are those that Zarr itself would write, in shards too, and
    encoding pauses between slices. Any other chain of codecs is run by Zarr in one piece.

    Parameters
    ----------
    array : zarr.Array
        Of one chunk (or shard), kept in `memory`, and written even where it is all fill value.
    memory : dict
        The dictionary behind the array's store, with nothing else in it that is needed.
    share : bool
        Take codebooks from earlier blocks where the codec does not say otherwise.
    """
    metadata: Any = array.metadata
    codecs: Sequence[Any] = metadata.codecs
    if len(codecs) == 1 and isinstance(codecs[0], ShardingCodec):
        shard = codecs[0]
        inner = _config(shard.codecs, metadata.dtype, share)
        order = _write_order(shard)
        if inner is not None and order is not None and _has_plain_index(shard) and _crc32c():
            counts = tuple(n // c for n, c in zip(array.shape, shard.chunk_shape, strict=True))
            grid = itertools.product(*(range(n) for n in counts))
            places = sorted(grid, key=lambda where: order(where, counts))
            return _shard_encoder(inner, shard.chunk_shape, counts, places, metadata.fill_value)
        return _zarr_encoder(array, memory)
    if len(codecs) == 1 and _is_plain(codecs[0]) and not _has_objects(metadata.dtype):
        return _raw_encoder()
    config = _config(codecs, metadata.dtype, share)
    if config is None:
        return _zarr_encoder(array, memory)
    return _chunk_encoder(config, metadata.fill_value)


def _config(codecs: Sequence[Any], dtype: Any, share: bool) -> CodecConfig | None:
    """The configuration of FZCodec where it is the only codec; None otherwise."""
    if len(codecs) == 1 and isinstance(codecs[0], FZArrayCodec):
        codec: FZCodec | FZArrayCodec = codecs[0]
    elif len(codecs) == 2 and _is_plain(codecs[0]) and isinstance(codecs[1], FZCodec):
        codec = codecs[1]
    else:
        return None
    if _has_objects(dtype):
        return None
    config = codec._encoding_config()
    if share and config.codebook == "own" and not config.lossless:
        config = dataclasses.replace(config, codebook="shared")
    return config


def _has_objects(dtype: Any) -> bool:
    """Whether elements have no fixed size (Zarr's text of variable length)."""
    return bool(np.dtype(dtype.to_native_dtype()).hasobject)


def _is_plain(codec: Any) -> bool:
    """Whether a codec lays values out in memory order, little-endian."""
    return isinstance(codec, BytesCodec) and _text(codec.endian) in (None, "little")


def _has_plain_index(shard: ShardingCodec) -> bool:
    """Whether a shard ends with its index, little-endian and followed by a checksum."""
    codecs = shard.index_codecs
    plain = len(codecs) == 2 and _is_plain(codecs[0]) and isinstance(codecs[1], Crc32cCodec)
    return plain and _text(shard.index_location) == "end"


def _text(setting: Any) -> Any:
    """What a setting of a codec is called: an enumeration in some releases of Zarr, or a text."""
    return getattr(setting, "value", setting)


def _write_order(shard: ShardingCodec) -> WriteOrder | None:
    """The key that sorts the chunks of a shard as Zarr would; None if this module knows none.

    The format leaves the order free. Zarr's own is Morton's, so that chunks that are near to each
    other in space are so in the file; newer releases let the user choose (`subchunk_write_order`).
    """
    return _WRITE_ORDERS.get(getattr(shard, "subchunk_write_order", "morton"))


def _morton(where: Where, counts: Where) -> Where:
    """Bits of the coordinates, interleaved: a coordinate has as many as its axis needs."""
    bits = [
        (level, axis, index >> level & 1)
        for axis, (index, count) in enumerate(zip(where, counts, strict=True))
        for level in range((count - 1).bit_length())
    ]
    return tuple(bit for _, _, bit in sorted(bits, reverse=True))


_WRITE_ORDERS: dict[str, WriteOrder] = {
    "morton": _morton,
    "unordered": lambda where, counts: where,
    "lexicographic": lambda where, counts: where,
    "colexicographic": lambda where, counts: where[::-1],
}


def _raw_encoder() -> Encoder:
    def encode(values: NDArray[Any]) -> Slices:
        yield from ()  # a generator that never pauses
        return values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes()

    return encode


def _chunk_encoder(config: CodecConfig, fill_value: Any) -> Encoder:
    def encode(values: NDArray[Any]) -> Slices:
        little = values.astype(values.dtype.newbyteorder("<"), copy=False)
        return (
            yield from encode_slices(little, chunk_config(config, little, fill_value=fill_value))
        )

    return encode


def _shard_encoder(
    config: CodecConfig, inner: Where, counts: Where, places: Sequence[Where], fill_value: Any
) -> Encoder:
    """Chunks one after the other as in `places`, then their index: Zarr's ``sharding_indexed``."""
    chunk = _chunk_encoder(config, fill_value)
    checksum = _crc32c()
    assert checksum is not None

    def encode(values: NDArray[Any]) -> Slices:
        index = np.empty((*counts, 2), "<u8")
        parts: list[bytes] = []
        at = 0
        for where in places:
            region = tuple(slice(i * c, (i + 1) * c) for i, c in zip(where, inner, strict=True))
            stream = yield from chunk(np.ascontiguousarray(values[region]))
            index[where] = at, len(stream)
            parts.append(stream)
            at += len(stream)
            yield
        table = index.tobytes()
        return b"".join((*parts, table, checksum(table).to_bytes(4, "little")))

    return encode


def _crc32c() -> Callable[[bytes], int] | None:
    """The checksum of shard indexes, from the library that Zarr takes it from."""
    try:
        from google_crc32c import value
    except ImportError:
        return None
    checksum: Callable[[bytes], int] = value
    return checksum


def _zarr_encoder(array: zarr.Array[Any], memory: dict[str, Buffer]) -> Encoder:
    """Let Zarr write the block into memory, and take the bytes from there."""
    # One scratch array serves all blocks. Workers of a cluster that share a process share it.
    lock = threading.Lock()

    def encode(values: NDArray[Any]) -> Slices:
        yield
        region = tuple(slice(0, n) for n in values.shape)
        with lock:
            array[region] = values
            (key,) = [k for k in memory if not k.endswith("zarr.json")]
            return memory.pop(key).to_bytes()

    return encode
