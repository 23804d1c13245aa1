"""Lossless back ends on a device: the bytes of the CPU's stages, and the same refusals."""

import numpy as np
import pytest
from stream_parts import seal, split
from test_cuda_streams import same, to_device, to_host

import fzdask
from fzdask.codecs.config import CodecConfig
from fzdask.codecs.device import decode_device, encode_device, wrapping
from fzdask.codecs.device.back_ends import BACK_ENDS
from fzdask.codecs.pipeline import Pipeline
from fzdask.codecs.stages.run_length import RunLength
from fzdask.codecs.stages.zero_blocks import SIZES, ZeroBlocks
from fzdask.codecs.stages.zero_bytes import ZeroBytes
from fzdask.errors import FormatError

STAGES = (*(ZeroBlocks(block) for block in SIZES), ZeroBytes(), RunLength())
EDGES = (1, 3, 4, 5, 7, 8, 9, 63, 64, 65, 257, 2047, 2048, 2049, 6000)


def stretches(size, seed=0, zeros=0.5, longest=90):
    """Stretches of one byte and of random ones, of any length."""
    random = np.random.default_rng(seed)
    lengths = random.integers(1, longest, size + 1)
    kinds = np.repeat(random.random(size + 1), lengths)[:size]
    value = np.repeat(random.integers(0, 4, size + 1), lengths)[:size]
    out = random.integers(0, 255, size, endpoint=True)
    out = np.where(kinds < 0.7, np.where(kinds < zeros, 0, value), out)
    return out.astype(np.uint8)


def check(device, stage, data):
    """The stored bytes and back; False where they would save nothing."""
    there = BACK_ENDS[type(stage)]
    cpu = stage.compress(data)
    got = there.compress(device, stage, device.upload(data))
    assert (got is None) == (cpu is None)
    if cpu is None:
        return False
    assert device.download(got).tobytes() == bytes(cpu)
    stored = device.upload(np.frombuffer(cpu, np.uint8))
    assert np.array_equal(device.download(there.decompress(device, stored, data.size)), data)
    return True


@pytest.mark.parametrize("stage", STAGES, ids=str)
def test_stored_bytes_are_those_of_the_cpu(every_device, stage):
    saved = 0
    for size in EDGES:
        for seed, (zeros, longest) in enumerate([(0.6, 90), (0.6, 900), (0.3, 7), (0.0, 3)]):
            saved += check(every_device, stage, stretches(size, seed, zeros, longest))
        check(every_device, stage, np.zeros(size, np.uint8))
    assert saved > 10


def test_runs_of_every_length_between_stretches_of_every_length(device):
    random = np.random.default_rng(3)
    for plain in (0, 1, 2, 63, 64, 65, 129, 8192, 8193):
        for run in (3, 4, 5, 66, 67, 68, 69, 4000, 8195, 8196):
            between = np.arange(plain) % 251
            data = np.concatenate([between, np.full(run, 255), between, [7] * run, between])
            check(device, RunLength(), data.astype(np.uint8))
    # Random bytes of few values: every way in which runs of three and four can touch.
    for seed in range(20):
        random = np.random.default_rng(seed)
        repeated = np.repeat(random.integers(0, 3, 900), random.integers(1, 12, 900))
        check(device, RunLength(), repeated.astype(np.uint8))


def test_what_saves_hardly_enough_is_kept_or_not_as_on_the_cpu(device):
    """Around the share that run-length coding must save, byte by byte."""
    outcomes = set()
    for extra in range(-60, 60):
        plain = np.arange(2000 + extra) % 251
        data = np.concatenate([plain, np.full(44, 7)]).astype(np.uint8)
        outcomes.add(check(device, RunLength(), data))
        outcomes.add(check(device, RunLength(), np.concatenate([data[64:], data[:64]])))
    assert outcomes == {True, False}


@pytest.mark.parametrize("stage", [ZeroBlocks(8), ZeroBytes(), RunLength()], ids=str)
@pytest.mark.parametrize("size", [40, 5001])
def test_damaged_bytes_are_refused_as_on_the_cpu(device, stage, size):
    data = stretches(size, 1, 0.6, 60)
    stored = np.frombuffer(stage.compress(data), np.uint8)
    there, random = BACK_ENDS[type(stage)], np.random.default_rng(2)
    refused = 0
    for k in range(90):
        damaged = stored.copy()
        damaged[random.integers(min(stored.size, 40))] ^= 1 << int(random.integers(8))
        if k % 3 == 0:
            damaged = damaged[: random.integers(1, stored.size)]
        outcomes = []
        for decode in (
            lambda d: type(stage)().decompress(d, size),
            lambda d: device.download(there.decompress(device, device.upload(d), size)),
        ):
            try:
                outcomes.append(decode(damaged).tobytes())
            except FormatError:
                outcomes.append(None)
        assert outcomes[0] == outcomes[1]
        refused += outcomes[0] is None
    assert refused > 20


PIPELINES = (
    "fz-gpu",
    "quantize | lorenzo | negabinary | bitshuffle | zero_bytes | zstd",
    "quantize | lorenzo | zigzag | fixed_length | zstd | run_length",
    "quantize | lorenzo | zigzag | bitshuffle | zero_blocks(block=8) | run_length",
    "quantize | lorenzo | zigzag | bitshuffle | run_length | deflate | zero_bytes",
    "quantize | lorenzo | huffman | run_length; outliers = zero_bytes | zstd",
)


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_streams_of_pipelines_with_back_ends(device, monkeypatch, pipeline):
    monkeypatch.setattr(wrapping, "LEAST_NBYTES", 1)
    random = np.random.default_rng(0)
    x = np.cumsum(random.standard_normal((7, 40, 41)) / 50, axis=2).astype("f4")
    x[2:5] = 0
    x[random.random(x.shape) < 0.01] = np.nan
    expected = fzdask.compress(x, abs=0.02, pipeline=pipeline)
    config = CodecConfig(abs=0.02, pipeline=pipeline)
    assert encode_device(to_device(device, x), config, device) == expected
    assert same(to_host(device, decode_device(expected, device)), fzdask.decompress(expected))


def test_short_sections_are_left_to_the_host(device):
    if not hasattr(device, "launches"):
        pytest.skip("counted on the shim alone")
    kernels = {"block_bits", "put_blocks"}
    for size, there in ((1000, False), (20000, True)):
        x = np.sin(np.arange(size) / 90).astype("f4")
        stream = encode_device(x, CodecConfig(abs=1e-3, pipeline="fz-gpu"), device)
        assert stream == fzdask.compress(x, abs=1e-3, pipeline="fz-gpu")
        decode_device(stream, device)
        assert (kernels <= set(device.launches)) == there


def test_only_stored_bytes_cross_where_the_back_end_is_on_the_device(device):
    if not hasattr(device, "copied"):
        pytest.skip("counted on the shim alone")
    x = np.repeat(np.arange(50, dtype="f4"), 1500)
    stream = encode_device(x, CodecConfig(abs=0.25, pipeline="fz-gpu"), device)
    assert len(stream) < x.nbytes / 20
    assert device.copied["to host"] < 2 * len(stream) + 10_000
    device.copied["to device"] = 0
    decode_device(stream, device)
    assert device.copied["to device"] < 2 * len(stream)


def test_damaged_streams_with_back_ends_are_refused_as_on_the_cpu(device, monkeypatch):
    monkeypatch.setattr(wrapping, "LEAST_NBYTES", 1)
    x = np.cumsum(np.random.default_rng(0).standard_normal(3000) / 50).astype("f4")
    x[500:2000] = 0
    pipeline = Pipeline.from_text(
        "quantize | lorenzo | zigzag | bitshuffle | zero_blocks | run_length"
    )
    fields, payload = split(fzdask.compress(x, abs=0.02, pipeline=pipeline))
    random, refused = np.random.default_rng(6), 0
    for _ in range(80):
        damaged = bytearray(payload)
        damaged[random.integers(len(payload))] ^= 1 << int(random.integers(8))
        stream = seal(fields, bytes(damaged))
        outcomes = []
        for decode in (fzdask.decompress, lambda s: to_host(device, decode_device(s, device))):
            try:
                outcomes.append(decode(stream).tobytes())
            except FormatError:
                outcomes.append(None)
        assert outcomes[0] == outcomes[1]
        refused += outcomes[0] is None
    assert 5 < refused < 80
