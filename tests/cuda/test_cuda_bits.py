"""Codes and bit planes on a device equal those of the CPU's stages, byte for byte."""

import numpy as np
import pytest
from test_cuda_streams import same, to_device, to_host

import fzdask
from fzdask.codecs import api
from fzdask.codecs.config import CodecConfig
from fzdask.codecs.device import decode_device, encode_device
from fzdask.codecs.device.bit_stages import (
    BitshuffleOnDevice,
    FixedLengthOnDevice,
    NegabinaryOnDevice,
    SignMagnitudeOnDevice,
    ZigzagOnDevice,
)
from fzdask.codecs.device.stages import device_stages
from fzdask.codecs.stages.base import Form, Known
from fzdask.codecs.stages.bitshuffle import Bitshuffle
from fzdask.codecs.stages.fixed_length import FixedLength
from fzdask.codecs.stages.negabinary import Negabinary
from fzdask.codecs.stages.sign_magnitude import SignMagnitude
from fzdask.codecs.stages.zigzag import Zigzag
from fzdask.errors import FormatError

KNOWN = Known()


def codes(size, dtype, seed=0):
    """Stretches of zeros, of narrow and of wide codes."""
    random = np.random.default_rng(seed)
    bits = 8 * np.dtype(dtype).itemsize
    width = np.repeat(random.integers(0, bits + 1, size // 37 + 1), 37)[:size]
    width[np.repeat(random.random(size // 200 + 1) < 0.4, 200)[:size]] = 0
    wide = random.integers(0, 2**64 - 1, size, np.uint64, endpoint=True)
    values = np.where(width > 0, wide >> (64 - np.maximum(width, 1)).astype(np.uint64), 0)
    return values.astype(f"u{bits // 8}").view(dtype)


def bytes_of(device, section):
    return bytes(section) if isinstance(section, bytes) else device.download(section).tobytes()


def check_stage(device, there, stage, data):
    """The device's bytes are the stage's, and each decodes the other's."""
    form = Form(data.shape, data.dtype)
    cpu = stage.encode(data, form, None)
    got = there.encode(device, stage, device.upload(data), form, None)
    assert got.params == cpu.params
    assert bytes_of(device, got.data) == cpu.data.tobytes()
    assert got.sections.keys() == cpu.sections.keys()
    sides = {}
    for name, section in cpu.sections.items():
        assert bytes_of(device, got.sections[name]) == bytes(np.ascontiguousarray(section)), name
        sides[name] = np.frombuffer(bytes(np.ascontiguousarray(section)), np.uint8)
    main = device.upload(np.asarray(cpu.data))
    back = there.decode(device, type(stage)(), main, form, cpu.params, sides, KNOWN)
    assert back.dtype == data.dtype
    assert device.download(back).tobytes() == data.tobytes()
    return cpu, sides


CODES = (
    (ZigzagOnDevice(), Zigzag()),
    (NegabinaryOnDevice(), Negabinary()),
    (SignMagnitudeOnDevice(), SignMagnitude()),
)


@pytest.mark.parametrize("dtype", ["i4", "i8"])
@pytest.mark.parametrize(("there", "stage"), CODES, ids=lambda s: getattr(s, "name", ""))
def test_codes_of_integers(device, there, stage, dtype):
    info = np.iinfo(dtype)
    ends = np.array([info.min, info.min + 1, -1, 0, 1, info.max], dtype)
    check_stage(device, there, stage, np.append(ends, codes(700, dtype)))


@pytest.mark.parametrize("block", [16, 32, 64])
@pytest.mark.parametrize("outlier", [False, True])
@pytest.mark.parametrize("dtype", ["u4", "u8", "i4", "i8"])
def test_fixed_length(device, block, outlier, dtype):
    stage = FixedLength(block, outlier)
    for size in (1, block, 4 * block - 1, 4 * block + 1, 33 * 4 * block + 5):
        check_stage(device, FixedLengthOnDevice(), stage, codes(size, dtype, size))
    check_stage(device, FixedLengthOnDevice(), stage, np.zeros(3000, dtype))


@pytest.mark.parametrize("outlier", [False, True])
def test_fixed_length_refuses_sections_that_do_not_fit_each_other(device, outlier):
    data = codes(2000, "u4")
    stage, form = FixedLength(16, outlier), Form(data.shape, data.dtype)
    cpu, sides = check_stage(device, FixedLengthOnDevice(), stage, data)
    random = np.random.default_rng(2)
    refused = 0
    for _ in range(60):
        name = random.choice(list(sides))
        damaged = {k: v.copy() for k, v in sides.items()}
        damaged[name][random.integers(damaged[name].size)] ^= 1 << int(random.integers(8))
        outcomes = []
        for decode in (
            lambda s: stage.decode(cpu.data, form, cpu.params, s, KNOWN),
            lambda s: device.download(
                FixedLengthOnDevice().decode(
                    device, stage, device.upload(cpu.data), form, cpu.params, s, KNOWN
                )
            ),
        ):
            try:
                outcomes.append(decode(damaged).tobytes())
            except FormatError:
                outcomes.append(None)
        assert outcomes[0] == outcomes[1]
        refused += outcomes[0] is None
    assert refused > 10


@pytest.mark.parametrize("dtype", ["u1", "f2", "i4", "f8"])
@pytest.mark.parametrize("block", [8, 64, 1024])
def test_bitshuffle(device, dtype, block):
    for size in (1, 7, 9, block, block + 1, 3 * block - 3):
        raw = np.random.default_rng(size).integers(0, 255, size * np.dtype(dtype).itemsize)
        data = raw.astype(np.uint8).view(dtype)
        there = BitshuffleOnDevice()
        check_stage(device, there, Bitshuffle(block), data)


PRESETS = ("cuszp2", "cuszp3_fixed", "fz-gpu", "pfpl", "szp", "szp_composed")
DIFFERENCES = ("axis=0", "axis=1", "axis=-1, order=2", "axis=5")


@pytest.mark.parametrize(
    "pipeline",
    [*PRESETS, *(f"quantize | difference({d}) | zigzag | fixed_length" for d in DIFFERENCES)],
)
@pytest.mark.parametrize("order", ["C", "F"])
def test_pipelines_of_codes_and_planes_run_on_the_device(device, pipeline, order):
    x = np.cumsum(np.cumsum(codes(9 * 37 * 31, "i4") % 50 - 25).reshape(9, 37, 31), 1)
    x = np.asarray(x, "f4", order=order)
    x[3] = 0
    config = CodecConfig(abs=20.0, pipeline=pipeline)
    assert device_stages(api.pipeline_of(config, x.dtype).array_stages)
    expected = fzdask.compress(x, abs=20.0, pipeline=pipeline)
    assert fzdask.inspect(expected).bound == "abs"
    assert encode_device(to_device(device, x), config, device) == expected
    assert same(to_host(device, decode_device(expected, device)), fzdask.decompress(expected))
