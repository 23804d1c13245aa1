"""Batches of device arrays: the bytes of the host, and only compressed ones cross."""

from __future__ import annotations

import contextlib
import threading
import time

import numpy as np
import pytest

from fzdask.codecs import shared_codebooks
from fzdask.codecs.api import encode
from fzdask.codecs.config import CodecConfig
from fzdask.codecs.device_batch import encode_device_as_completed, encode_device_many
from fzdask.codecs.flow import Device, Timeline
from fzdask.errors import ConfigError


class Event(threading.Event):
    at = 0.0


class ShimStreams(Device):
    """Streams of the shim: what is launched runs at once, so every event has fired."""

    def __init__(self):
        self.down = []

    def take_stream(self):
        return object()

    def return_stream(self, stream):
        pass

    def on(self, stream):
        return contextlib.nullcontext()

    def record(self, stream):
        event = Event()
        event.at = time.perf_counter()
        return event

    def wait(self, stream, event):
        pass

    def arrival(self):
        return None

    def synchronize(self, event):
        pass

    def when(self, event):
        return event.at

    def owns(self, value):
        return isinstance(value, np.ndarray)

    def stage(self, array):
        return array

    def upload(self, staged, stream):
        return staged.copy(order="K")

    def download(self, array, stream):
        self.down.append(array.nbytes)
        return array.copy(order="K")

    def close(self):
        pass


RNG = np.random.default_rng(8)
FIELDS = [np.cumsum(RNG.standard_normal((12, 40 + k)), axis=1).astype("f4") for k in range(4)]
ODD = [
    np.asfortranarray(FIELDS[0]),
    np.zeros((0, 2), "f4"),
    np.full(60, np.nan, "f4"),
    RNG.standard_normal(100).astype("f4") * 1e30,
    RNG.integers(0, 1000, 200).astype("i4"),
]


@pytest.fixture
def shim(request):
    from devices import make_device

    return make_device("shuffled", request)


@pytest.mark.parametrize(
    "asked",
    [{"abs": 1e-2}, {"rel": 1e-3}, {"lossless": True}, {"psnr": 50.0}, {"abs": 1e-9}],
    ids=str,
)
def test_the_bytes_are_those_of_encode(shim, asked):
    config = CodecConfig.from_mapping(asked)
    arrays = FIELDS + ODD
    found = encode_device_many(arrays, config, kernels=shim, streams=ShimStreams(), workers=2)
    assert found == [encode(a, config) for a in arrays]


def test_shared_codebooks_do_not_depend_on_the_threads(shim):
    config = CodecConfig(abs=0.5, codebook="shared")
    arrays = [(20 * RNG.standard_normal(3000)).astype("f4") for _ in range(5)]

    def fresh(encode_all):
        shared_codebooks._registry.pop((config, np.dtype("f4")), None)
        return encode_all()

    expected = fresh(lambda: [encode(a, config) for a in arrays])
    streams = ShimStreams()
    found = fresh(lambda: encode_device_many(arrays, config, kernels=shim, streams=streams))
    assert found == expected


def test_only_sections_cross_to_the_host(shim):
    """Not the array, where the stream is small."""
    field = np.cumsum(RNG.standard_normal(40000)).astype("f4")
    streams, timeline = ShimStreams(), Timeline()
    (stream,) = encode_device_many(
        [field], {"rel": 1e-2}, kernels=shim, streams=streams, timeline=timeline
    )
    assert stream == encode(field, CodecConfig(rel=1e-2))
    assert sum(streams.down) < field.nbytes / 2
    assert timeline.downloaded == sum(streams.down)
    assert next(iter(timeline.by_name())) == "range | quantize"


def test_arrays_are_read_as_there_is_room(shim):
    read = []

    def arrays():
        for field in FIELDS:
            read.append(field.size)
            yield field

    found = encode_device_as_completed(
        arrays(), {"abs": 1e-2}, kernels=shim, streams=ShimStreams(), workers=1, in_flight=1
    )
    assert read == []
    assert next(found)[1] == encode(FIELDS[0], CodecConfig(abs=1e-2))
    assert len(read) == 2
    found.close()
    with pytest.raises(ConfigError, match="in_flight=0"):
        encode_device_as_completed([], {"abs": 1}, in_flight=0)


@pytest.mark.gpu
@pytest.mark.parametrize("asked", [{"abs": 1e-2}, {"rel": 1e-3}, {"lossless": True}], ids=str)
def test_batches_on_a_gpu(asked):
    import cupy

    config = CodecConfig.from_mapping(asked)
    large = [np.tile(field, (200, 30)) for field in FIELDS]
    arrays = [*FIELDS, *large, *large]
    timeline = Timeline()
    on_device = [cupy.asarray(array) for array in arrays]  # may still be on their way
    assert encode_device_many(on_device, config, timeline=timeline) == [
        encode(array, config) for array in arrays
    ]
    assert timeline.downloaded > 0
