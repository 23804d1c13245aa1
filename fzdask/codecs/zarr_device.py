"""Zarr chunks that are on a device: several in flight, and only compressed bytes off it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any

from fzdask.codecs.config import CodecConfig
from fzdask.codecs.device import arrays, decode_device, encode_device
from fzdask.codecs.device_batch import cuda_streams, encode_device_each
from fzdask.codecs.zarr_chunk import chunk_config
from fzdask.format import Header, unpack

__all__ = ["decode_chunk", "encode_batch", "encode_chunk", "encode_chunks"]


async def encode_batch(
    batch: Sequence[tuple[Any, Any]],
    on_device: Callable[[Any, Any], Any],
    config: Callable[[], CodecConfig],
    encode: Callable[[Any], Awaitable[Any]],
) -> list[Any]:
    """Encode what Zarr hands over at once (``codec_pipeline.batch_size``).

    Two or more chunks on a device go through its streams together; each of the others, and a
    single one, goes the codec's own way.

    Parameters
    ----------
    batch : sequence of (chunk or None, ArraySpec)
    on_device : callable
        Of a chunk and its description: the array, if it is on a device, or None.
    config : callable
        Gives the configuration, or raises why there is none to encode with.
    encode : callable
        Encodes a batch chunk by chunk.

    Returns
    -------
    list of Buffer or None
    """
    found: dict[int, Any] = {}
    for number, (chunk, spec) in enumerate(batch):
        array = None if chunk is None else on_device(chunk, spec)
        if array is not None:
            found[number] = array, spec.fill_value
    if len(found) < 2:
        return list(await encode(batch))
    rest = [(None if k in found else chunk, spec) for k, (chunk, spec) in enumerate(batch)]
    streams, encoded = await asyncio.gather(
        asyncio.to_thread(encode_chunks, found, config()), encode(rest)
    )
    return [
        spec.prototype.buffer.from_bytes(streams[k]) if k in streams else other
        for k, ((_, spec), other) in enumerate(zip(batch, encoded, strict=True))
    ]


def encode_chunk(array: Any, config: CodecConfig, fill_value: Any) -> bytes:
    """Compress one chunk on a stream of its own, beside those of other threads.

    Parameters
    ----------
    array : device array
        May still be in the making on the current stream.
    config : CodecConfig
    fill_value : scalar
        That of the Zarr array, left out of ranges.
    """
    device = arrays.device_of(array)
    with arrays.current(device):
        config = chunk_config(config, array, fill_value=fill_value)
        streams = cuda_streams(getattr(device, "number", None))
        arrived = streams.arrival()
        stream = streams.take_stream()
        try:
            with streams.on(stream):
                if arrived is not None:
                    streams.wait(stream, arrived)
                return encode_device(array, config, device)
        finally:
            streams.synchronize(streams.record(stream))
            streams.return_stream(stream)


def encode_chunks(chunks: Mapping[int, tuple[Any, Any]], config: CodecConfig) -> dict[int, bytes]:
    """Compress several chunks at once: the back ends of some while the device is at others.

    Parameters
    ----------
    chunks : mapping of int to (device array, fill value)
        By their numbers, which say in what order they teach shared codebooks.
    config : CodecConfig

    Returns
    -------
    dict of int to bytes
        The streams that :func:`encode_chunk` gives for them in turn.
    """
    streams: dict[int, bytes] = {}
    devices = {number: arrays.device_of(array) for number, (array, _) in chunks.items()}
    for device in dict.fromkeys(devices.values()):
        numbers = [number for number in sorted(chunks) if devices[number] is device]

        def asked(numbers: list[int] = numbers) -> Iterator[tuple[Any, CodecConfig]]:
            for number in numbers:
                array, fill_value = chunks[number]
                yield array, chunk_config(config, array, fill_value=fill_value)

        with arrays.current(device):
            for place, stream in encode_device_each(asked(), kernels=device):
                streams[numbers[place]] = stream
    return streams


def decode_chunk(raw: Any, codebook: str, check: Callable[[Header], None]) -> Any:
    """The device array of a stream that lies on a device; only compressed bytes cross.

    Parameters
    ----------
    raw : device array of uint8
    codebook : str
        That of the codec, if it is a fitted one.
    check : callable
        May refuse the array that the header describes, before anything is allocated for it.
    """
    device = arrays.device_of(raw)
    with arrays.current(device):
        stream = device.download(raw)
    check(unpack(stream, verify_payload=False)[0])
    return decode_device(stream, device, codebook)
