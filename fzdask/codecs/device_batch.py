"""Device arrays encoded at once: back ends on the host while the device is at the next array."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

from fzdask.codecs.batch import checked_in_flight
from fzdask.codecs.config import CodecConfig
from fzdask.codecs.device_tasks import ChunkOnDevice
from fzdask.codecs.flow import Device, Flow, Task, Timeline
from fzdask.codecs.flow.cupy_streams import CupyStreams
from fzdask.codecs.flow.executor import processors
from fzdask.codecs.kernels.cuda.backend import cupy_device

__all__ = [
    "cuda_streams",
    "encode_device_as_completed",
    "encode_device_each",
    "encode_device_many",
]


@cache
def cuda_streams(number: int | None = None) -> CupyStreams:
    """The streams of a CUDA device that all batches of this process use."""
    return CupyStreams(number)


def encode_device_many(arrays: Iterable[Any], config: Any, **options: Any) -> list[bytes]:
    """Compress device arrays: the streams of the same arrays on the host, in their order.

    See :func:`encode_device_as_completed` for the options.
    """
    streams = dict(encode_device_as_completed(arrays, config, **options))
    return [streams[number] for number in range(len(streams))]


def encode_device_as_completed(
    arrays: Iterable[Any],
    config: Any,
    *,
    kernels: Any = None,
    streams: Device | None = None,
    workers: int | None = None,
    in_flight: int | None = None,
    timeline: Timeline | None = None,
) -> Iterator[tuple[int, bytes]]:
    """Yield the number and the stream of each device array as it is complete.

    The streams are those of :func:`fzdask.codecs.device.encode_device`, byte for byte. The array
    stages run on the device, what they give is copied through pinned memory, and its lossless back
    ends run on host threads meanwhile. Where the last array stage is ``huffman``, the histogram
    goes to the host and becomes a codebook there while outliers are compacted on the device. An
    array itself is copied to the host only where the device cannot encode it, or where an exact
    stream may be smaller.

    Parameters
    ----------
    arrays : iterable of device arrays
        Read as room for them comes. An array may still be in the making on the current stream.
    config : CodecConfig or mapping
    kernels : device of fzdask.codecs.kernels.cuda, optional
        Default: the current CUDA device.
    streams : fzdask.codecs.flow.Device, optional
        Streams of the same device.
    workers : int, optional
        Host threads. Default: the processors this process may use.
    in_flight : int, optional
        Most arrays in work at once. Default: one more than workers.
    timeline : Timeline, optional

    Raises
    ------
    ConfigError
        As by ``encode_device``.
    DeviceError
        No device is given, and there is none.
    """
    asked = CodecConfig.of(config)
    return encode_device_each(
        ((array, asked) for array in arrays), kernels=kernels, streams=streams, workers=workers,
        in_flight=in_flight, timeline=timeline,
    )  # fmt: skip


def encode_device_each(
    asked: Iterable[tuple[Any, CodecConfig]],
    *,
    kernels: Any = None,
    streams: Device | None = None,
    workers: int | None = None,
    in_flight: int | None = None,
    timeline: Timeline | None = None,
) -> Iterator[tuple[int, bytes]]:
    """:func:`encode_device_as_completed` of arrays that each have a configuration of their own.

    Parameters
    ----------
    asked : iterable of (device array, CodecConfig)
    kernels, streams, workers, in_flight, timeline
        As for :func:`encode_device_as_completed`.

    Raises
    ------
    ConfigError, DeviceError
        As by :func:`encode_device_as_completed`.
    """
    workers = processors() if workers is None else workers
    most = checked_in_flight("encode_device_many", in_flight, workers)
    kernels = cupy_device() if kernels is None else kernels
    streams = cuda_streams(getattr(kernels, "number", None)) if streams is None else streams
    return _encode(asked, kernels, streams, workers, most, timeline)


def _encode(
    asked: Iterable[tuple[Any, CodecConfig]], kernels: Any, streams: Device, workers: int,
    most: int, timeline: Timeline | None,
) -> Iterator[tuple[int, bytes]]:  # fmt: skip
    with Flow(streams, workers=workers, timeline=timeline) as flow:
        history = flow.data(None, name="codebooks")
        pending: dict[Task, ChunkOnDevice] = {}

        def take() -> Iterator[tuple[int, bytes]]:
            """The stream of an array that is done; none if an exact one must be tried first."""
            task = flow.first(pending)
            chunk = pending.pop(task)
            stream, final = flow.result(chunk.stream)
            if final:
                yield task.tag, stream
            else:
                pending[chunk.submit_exact(flow, task.tag)] = chunk

        for number, (array, config) in enumerate(asked):
            while len(pending) >= most:
                yield from take()
            chunk = ChunkOnDevice(flow, array, config, kernels)
            shared = [history] if config.codebook == "shared" else []
            pending[chunk.submit(flow, shared, number)] = chunk
        while pending:
            yield from take()
