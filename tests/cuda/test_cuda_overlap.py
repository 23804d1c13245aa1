"""What may run at once in batches of device arrays does, on imitated streams; and is still right.

The encoder, its kernels (compiled for a CPU) and its tasks are the real ones. Overlaps are shown by
work that ends only if the other work runs meanwhile.
"""

from __future__ import annotations

import threading

import numpy as np
import pytest
from devices import make_device
from stream_device import StreamKernels

from fzdask.codecs.api import encode, fit_codebook
from fzdask.codecs.config import CodecConfig
from fzdask.codecs.device_batch import encode_device_many
from fzdask.codecs.device_tasks import ChunkOnDevice
from fzdask.codecs.flow import Timeline

PATIENCE = 30  # seconds; only a failure waits that long
RNG = np.random.default_rng(21)
FIELDS = [np.cumsum(RNG.standard_normal((12, 50 + k)), axis=1).astype("f4") for k in range(5)]
for number, x in enumerate(FIELDS):
    x[3, 4 : 5 + number] = np.nan  # outliers


@pytest.fixture
def kernels(request):
    made = StreamKernels(make_device("forward", request))
    yield made
    made.streams.close()


def run(kernels, fields, asked, **options):
    return encode_device_many(
        kernels.arrays(fields), asked, kernels=kernels, streams=kernels.streams, **options
    )


@pytest.mark.parametrize(
    "asked",
    [
        {"abs": 1e-2},
        {"rel": 1e-3, "preserve": (0.0,)},
        {"abs": 1e-2, "pipeline": "speed"},
        {"abs": 1e-2, "pipeline": "quantize | lorenzo | sign_magnitude | bitshuffle | zero_blocks"},
        {"abs": 3.0},  # runs, which are counted on the device
        {"abs": 1e-9},
        {"lossless": True},
    ],
    ids=str,
)
@pytest.mark.parametrize("seed", [0, 1])
def test_the_bytes_do_not_depend_on_when_things_run(request, asked, seed):
    config = CodecConfig.from_mapping(asked)
    kernels = StreamKernels(make_device("forward", request), jitter=1e-3, seed=seed)
    fields = [*FIELDS, np.asfortranarray(FIELDS[0]), np.full(70, np.nan, "f4")]
    if "zero_blocks" in config.pipeline:
        fields = [np.tile(FIELDS[1], (1, 400)), FIELDS[0]]  # of a size that stays on the device
    found = run(kernels, fields, config, workers=2, in_flight=4)
    assert found == [encode(field, config) for field in fields]
    kernels.streams.close()


def test_a_fitted_codebook_is_named(kernels):
    plain = CodecConfig(abs=1e-2)
    config = CodecConfig(abs=1e-2, codebook=fit_codebook(np.concatenate(FIELDS, axis=1), plain))
    assert run(kernels, FIELDS, config) == [encode(field, config) for field in FIELDS]


def test_codebook_on_the_host_while_outliers_are_compacted_on_the_device(kernels, monkeypatch):
    """Each waits for the other to have begun."""
    compacting, choosing = threading.Event(), threading.Event()
    choose = ChunkOnDevice.choose

    def before(kernel):
        if kernel == "outlier_counts":
            compacting.set()
            assert choosing.wait(PATIENCE)

    def on_host(self, counts):
        assert isinstance(counts, np.ndarray)  # the histogram has come to the host
        choosing.set()
        assert compacting.wait(PATIENCE)
        return choose(self, counts)

    kernels.before = before
    monkeypatch.setattr(ChunkOnDevice, "choose", on_host)
    timeline = Timeline()
    (stream,) = run(kernels, FIELDS[:1], {"abs": 1e-2}, workers=1, timeline=timeline)
    assert stream == encode(FIELDS[0], CodecConfig(abs=1e-2))
    spans = {span.name: span for span in timeline.spans}
    codebook, outliers = spans["codebook"], spans["compact outliers"]
    assert codebook.place.startswith("host")
    assert outliers.place.startswith("stream")
    assert codebook.start < outliers.end
    assert outliers.start < codebook.end
    assert any(s.kind == "download" and s.name == "counts" for s in timeline.spans)


def test_back_ends_of_one_chunk_while_the_next_is_predicted(kernels, monkeypatch):
    """Each of the chunks but the last is packed only once the one after it is differenced."""
    predicted = [threading.Event() for _ in FIELDS]
    predict, wrap = ChunkOnDevice.predict, ChunkOnDevice.wrap

    def on_device(self, state, data):
        out = predict(self, state, data)
        kernels.streams.launch(predicted[self.shape[1] - 50].set)
        return out

    def on_host(self, raw, *history):
        after = self.shape[1] - 50 + 1
        if after < len(FIELDS):
            assert predicted[after].wait(PATIENCE)
        return wrap(self, raw, *history)

    monkeypatch.setattr(ChunkOnDevice, "predict", on_device)
    monkeypatch.setattr(ChunkOnDevice, "wrap", on_host)
    found = run(kernels, FIELDS, {"abs": 1e-2}, workers=1, in_flight=len(FIELDS))
    assert found == [encode(field, CodecConfig(abs=1e-2)) for field in FIELDS]


def test_a_chunk_that_waits_for_its_range_holds_up_no_other(kernels):
    """The first chunk's range is found only when the second has been quantized."""
    second, first = threading.Event(), threading.Event()

    def before(kernel):
        if kernel == "range_f4" and not first.is_set():
            first.set()
            assert second.wait(PATIENCE)
        elif kernel == "quantize_f4_i4" or kernel == "quantize_f4_i8":
            second.set()

    kernels.before = before
    found = run(kernels, FIELDS[:2], {"rel": 1e-3}, workers=1, in_flight=2)
    assert found == [encode(field, CodecConfig(rel=1e-3)) for field in FIELDS[:2]]


def test_only_what_is_coded_crosses(kernels):
    """Of a field of 400 kB, with its histogram, counts and totals."""
    field = np.cumsum(RNG.standard_normal((100, 1000)), axis=1).astype("f4")
    (stream,) = run(kernels, [field], {"rel": 1e-2})
    assert stream == encode(field, CodecConfig(rel=1e-2))
    crossed = kernels.streams.downloaded + kernels.copied["to host"]
    assert crossed < 2 * len(stream) + 20_000
    assert kernels.streams.uploaded == 0
    assert kernels.copied["to device"] < 8192  # the codebook
