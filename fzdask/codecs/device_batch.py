"""Device arrays encoded at once: back ends on the host while the device is at the next array."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fzdask.codecs import api
from fzdask.codecs.batch import checked_in_flight
from fzdask.codecs.config import CodecConfig
from fzdask.codecs.device.base import DeviceStage
from fzdask.codecs.device.prepare import prepare_on_device
from fzdask.codecs.device.stages import device_stages
from fzdask.codecs.device.streams import encode_sections
from fzdask.codecs.flow import Data, Device, Flow, Task, Timeline
from fzdask.codecs.flow.cupy_streams import CupyStreams
from fzdask.codecs.flow.executor import processors
from fzdask.codecs.kernels.cuda.backend import cupy_device
from fzdask.codecs.pipeline import Pipeline
from fzdask.codecs.prepare import memory_order
from fzdask.format import Header, SectionEntry, pack

__all__ = ["cuda_streams", "encode_device_as_completed", "encode_device_many"]


@cache
def cuda_streams(number: int | None = None) -> CupyStreams:
    """The streams of a CUDA device that all batches of this process use."""
    return CupyStreams(number)


def encode_device_many(
    arrays: Iterable[Any], config: CodecConfig | Mapping[str, Any], **options: Any
) -> list[bytes]:
    """Compress device arrays: the streams of the same arrays on the host, in their order.

    See :func:`encode_device_as_completed` for the options.
    """
    streams = dict(encode_device_as_completed(arrays, config, **options))
    return [streams[number] for number in range(len(streams))]


def encode_device_as_completed(
    arrays: Iterable[Any],
    config: CodecConfig | Mapping[str, Any],
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
    ends run on host threads meanwhile. An array itself is copied to the host only where the device
    cannot encode it, or where an exact stream may be smaller.

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
    config = config if isinstance(config, CodecConfig) else CodecConfig.from_mapping(config)
    workers = processors() if workers is None else workers
    most = checked_in_flight("encode_device_many", in_flight, workers)
    kernels = cupy_device() if kernels is None else kernels
    streams = cuda_streams(kernels.number) if streams is None else streams
    return _encode(arrays, config, kernels, streams, workers, most, timeline)


def _encode(
    arrays: Iterable[Any], config: CodecConfig, kernels: Any, streams: Device, workers: int,
    most: int, timeline: Timeline | None,
) -> Iterator[tuple[int, bytes]]:  # fmt: skip
    with Flow(streams, workers=workers, timeline=timeline) as flow:
        history = [flow.data(None, name="codebooks")] if config.codebook == "shared" else []
        pending: dict[Task, _Chunk] = {}

        def take() -> Iterator[tuple[int, bytes]]:
            """The stream of an array that is done; none if an exact one must be tried first."""
            task = flow.first(pending)
            chunk = pending.pop(task)
            stream, final = flow.result(chunk.stream)
            if final:
                yield task.tag, stream
            else:
                pending[chunk.submit_exact(flow, task.tag)] = chunk

        for number, array in enumerate(arrays):
            while len(pending) >= most:
                yield from take()
            chunk = _Chunk(flow, array, config, kernels)
            pending[chunk.submit(flow, history, number)] = chunk
        while pending:
            yield from take()


@dataclass(frozen=True, slots=True)
class _Coded:
    """What the header of a stream needs of the array stages."""

    params: list[bytes]
    resolved: float


class _Chunk:
    """The tasks of one array."""

    def __init__(self, flow: Flow, array: Any, config: CodecConfig, kernels: Any) -> None:
        self.config = config
        self.kernels = kernels
        self.dtype, self.shape, self.nbytes = array.dtype, array.shape, array.nbytes
        self.order = memory_order(array)
        self.pipeline: Pipeline = api.pipeline_of(config, array.dtype)
        bounded = config.bound[0] != "psnr" and api.takes_bound(array, self.pipeline, config)
        found = device_stages(self.pipeline.array_stages, encode=True) if bounded else None
        self.stages: list[DeviceStage] | None = found
        self.source: Data = flow.data(array, name="array")
        self.stream: Data = flow.data(name="stream")

    def submit(self, flow: Flow, history: list[Data], tag: int) -> Task:
        """The tasks that give the stream; the last of them."""
        if self.stages is None:
            shared = len(history) * (None,)
            return flow.submit(
                lambda array, *_: (
                    ((api.encode(array, self.config), True), *shared)
                    if shared
                    else (api.encode(array, self.config), True)
                ),
                reads=[self.source, *history],
                writes=[self.stream, *history],
                name="encode",
                tag=tag,
            )
        coded, sides, main = (flow.data(name=n) for n in ("coded", "side sections", "main section"))
        names = " | ".join(stage.name for stage in self.pipeline.array_stages)
        flow.submit(
            self.encode, reads=[self.source, *history], writes=[coded, sides, main, *history],
            place="device", name=names, tag=tag,
        )  # fmt: skip
        wrapped = []
        for raw in (sides, main):
            done = flow.data(name=f"{raw.name} packed")
            flow.submit(self.wrap, reads=raw, writes=done, name="back ends", tag=tag)
            wrapped.append(done)
        return flow.submit(
            self.join, reads=[coded, *wrapped], writes=self.stream, name="join", tag=tag
        )

    def submit_exact(self, flow: Flow, tag: int) -> Task:
        """The task that compares with exact streams, for which the array comes to the host."""
        return flow.submit(
            lambda array, found: (api.smallest(found[0], array, self.order, self.pipeline), True),
            reads=[self.source, self.stream],
            writes=self.stream,
            name="exact",
            tag=tag,
        )

    def encode(self, array: Any, *history: Any) -> tuple[Any, ...]:
        """On the device: what the header needs, side sections, main section."""
        assert self.stages is not None
        ready = prepare_on_device(self.kernels, array, self.order, self.config)
        if ready.job is None:
            return None, [], [], *(None for _ in history)
        ready.job.books = api.books_of(self.config, ready.form)
        params, sections = encode_sections(self.pipeline, self.stages, ready, self.kernels)
        coded = _Coded(params, ready.resolved)
        return coded, sections[:-1], sections[-1:], *(None for _ in history)

    def wrap(self, raw: list[Any]) -> list[tuple[SectionEntry, NDArray[np.uint8]]]:
        """On the host: sections through their back ends."""
        return [self.pipeline.wrap(s, n, np.frombuffer(data, np.uint8)) for s, n, data in raw]

    def join(self, coded: _Coded | None, *wrapped: Any) -> tuple[bytes | None, bool]:
        """The stream, and whether no exact one need be tried."""
        if coded is None:
            return None, False
        sections = [section for group in wrapped for section in group]
        header = Header(
            self.dtype, self.shape, self.order, *self.config.bound, coded.resolved,
            self.pipeline.stage_entries(coded.params),
            tuple(entry for entry, _ in sections),
        )  # fmt: skip
        stream = pack(header, [blob for _, blob in sections])
        return stream, len(stream) <= api.TRY_LOSSLESS * self.nbytes
