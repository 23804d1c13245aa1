"""What ``interpolate`` encodes on a device is what it encodes on the CPU, choices and all."""

import numpy as np
import pytest
from cases.interpolate import fixtures

import fzdask
from fzdask.codecs.config import CodecConfig
from fzdask.codecs.device import decode_device, encode_device, interpolate_attempt
from fzdask.codecs.device.interpolate_stage import InterpolateOnDevice
from fzdask.codecs.device.prepare import prepare_on_device
from fzdask.codecs.prepare import memory_order, prepare
from fzdask.codecs.stages.interpolate import DIFFERENCES, LEVELS, Interpolate
from fzdask.codecs.stages.interpolate_levels import layout_of, unpack_levels

SHAPES = (
    (2,), (3,), (17,), (1000,), (2, 2), (30, 41), (41, 3), (9, 10, 11), (20, 33, 3), (1, 257, 2),
    (4, 5, 6, 7), (3, 1, 7, 9, 4),
)  # fmt: skip
KINDS = {"f4": {"rel": 1e-3}, "f8": {"abs": 1e-3}, "i4": {"abs": 3}, "u1": {"rel": 0.02}}
FULL = 16


@pytest.fixture
def few(monkeypatch):
    """Hardly anything is left to the host."""
    monkeypatch.setattr(interpolate_attempt, "FEW", 1)


def walk(shape, seed=7):
    steps = np.random.default_rng(seed).standard_normal(shape)
    return np.cumsum(np.cumsum(steps, axis=-1), axis=0)


def waves(shape):
    """Smooth along every axis, so that levels are worth having."""
    x = np.zeros(())
    for k, n in enumerate(shape):
        x = np.add.outer(x, np.sin(np.arange(n) / (5 + k)))
    return x * np.cos(x)


def both(device, array, options, predictor="auto"):
    """What the stage gives on the CPU and on a device, with sections as bytes."""
    config = CodecConfig.from_mapping(options)
    order = memory_order(array)
    here = prepare(array, order, config)
    flat = device.upload((array.T if order == "F" else array).reshape(-1))
    laid = flat.reshape(array.shape[::-1]).T if order == "F" else flat.reshape(array.shape)
    there = prepare_on_device(device, laid, order, config)
    stage = Interpolate(predictor)
    cpu = stage.encode(here.data, here.form, here.job)
    gpu = InterpolateOnDevice().encode(device, stage, there.data, there.form, there.job)
    assert gpu.data.dtype == cpu.data.dtype
    return cpu, (device.download(gpu.data), gpu.params, sections(device, gpu.sections))


def sections(device, found):
    return {
        k: v if isinstance(v, bytes) else device.download(v).tobytes() for k, v in found.items()
    }


def check(device, array, options, predictor="auto"):
    """Compare, and give the parameters and side sections."""
    cpu, (data, params, sides) = both(device, array, options, predictor)
    assert params == cpu.params
    assert list(sides) == list(cpu.sections)
    assert sides == {k: bytes(v) for k, v in cpu.sections.items()}
    np.testing.assert_array_equal(data, cpu.data)
    return params, sides


@pytest.mark.parametrize("dtype", KINDS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_encoding_equals_the_cpus(device, few, shape, dtype):
    x = (walk(shape) * 9).astype(dtype)
    for predictor in ("auto", "interpolation"):
        params, _ = check(device, x, KINDS[dtype], predictor)
    assert params[0] == LEVELS


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("shape", [(700,), (23, 40), (40, 5), (9, 13, 17), (5, 6, 7, 8)], ids=str)
def test_outliers_are_the_cpus(device, few, shape, dtype):
    """NaN with payloads, infinities, -0.0, preserved values, and values far from all others."""
    random = np.random.default_rng(3)
    x = walk(shape).astype(dtype)
    flat = x.reshape(-1)
    for value in (np.nan, np.inf, -np.inf, -0.0, 77.0, 12345.678):
        flat[random.integers(flat.size, size=9)] = value
    flat[:3] = flat[-2:] = np.nan
    flat[40:120:3] = -999.0
    flat.view(f"u{x.itemsize}")[5] = int("7ff1b2c3" + "0" * (2 * x.itemsize - 8), 16)
    for options in ({"abs": 1e-3}, {"abs": 0.3, "preserve": (-999.0, 77.0)}):
        _, sides = check(device, x, options, "interpolation")
        assert {"levels", "outlier_runs", "outliers"} == set(sides)
        check(device, x, options)


ODD = {
    "nan": (np.full(100, np.nan, "f4"), {"abs": 1.0}),
    "minus-zero": (np.full((9, 9), -0.0, "f8"), {"abs": 1.0}),
    "half": (walk((20, 30)).astype("f2"), {"abs": 0.5}),
    "narrow": (walk((20, 30)).astype("f4"), {"abs": 1e-38}),
    "large": (walk((20, 30)) * 1e300, {"abs": 1e297}),
    "out-of-range": (np.where(np.arange(500) % 7, 1e30, -3e38).astype("f4"), {"abs": 1e25}),
    "wide-integers": (np.linspace(-(2**31), 2**31 - 1, 400).astype("i8"), {"abs": 1000}),
    "wide-unsigned": (np.arange(500, dtype="u8") ** 7 * 12345, {"abs": 10**15}),
    "integers": (np.linspace(-(2**30), 2**30, 400).astype("i8"), {"abs": 1000}),
    "exact": ((np.arange(600) ** 3 % 255).astype("u1"), {"abs": 0, "preserve": (3,)}),
    "complex": (walk((8, 60)).astype("c8") * (1 + 2j), {"abs": 0.1}),
    "fortran": (np.asfortranarray(walk((9, 20, 31)).astype("f4")), {"rel": 1e-4}),
}
ODD["complex"][0][3, 4:6] = complex(np.nan, 1)


@pytest.mark.parametrize("name", ODD)
def test_odd_arrays_are_the_cpus(device, few, name):
    for predictor in ("auto", "interpolation", "lorenzo"):
        check(device, *ODD[name], predictor)


@pytest.mark.parametrize("left", [1, 60, 1 << 16])
def test_levels_of_the_host_and_of_the_device_are_alike(device, monkeypatch, left):
    """Wherever the host takes over; here both trials of cells are made, and either may win."""
    monkeypatch.setattr(interpolate_attempt, "FEW", left)
    widths = set()
    for shape, bound in (((30, 40, 50), 2e-3), ((30, 40, 50), 0.2), ((60, 70), 1e-4)):
        x = waves(shape).astype("f4")
        launches = getattr(device, "launches", None)  # the shim notes what is launched
        if launches is not None:
            launches.clear()
        params, sides = check(device, x, {"abs": bound}, "interpolation")
        assert params[0] == LEVELS
        _, plans, levels = unpack_levels(sides["levels"], layout_of(shape).grid)
        widths.add(bool((plans[:, 1] < FULL).any()))
        assert levels > 2
        if launches is not None:
            assert ("encode_class_f4" in launches) == (x.size > left)
    assert widths == {False, True}


def test_differences_where_they_are_smaller(device, few):
    random = np.random.default_rng(1)
    noise = random.integers(0, 50, (40, 41)).astype("f4")
    assert check(device, noise, {"abs": 0.5})[0][0] == DIFFERENCES
    assert check(device, waves((40, 41)).astype("f4"), {"abs": 0.01})[0][0] == LEVELS
    assert check(device, random.integers(0, 50, 900), {"abs": 0})[0][0] == DIFFERENCES


@pytest.mark.parametrize("left", [1, 1 << 16])
def test_differences_in_another_order_are_the_cpus(device, monkeypatch, left):
    monkeypatch.setattr(interpolate_attempt, "FEW", left)
    random = np.random.default_rng(2)
    x = random.integers(0, 90, (40, 9, 11))
    x[:, random.random((9, 11)) < 0.75] = 9
    assert check(device, x.astype("f4").repeat(2, 0), {"abs": 1})[0][3:] == b"\0"
    for dtype in ("f4", "f8", "i4"):
        params, _ = check(device, x.astype(dtype), {"abs": 1}, "lorenzo")
        assert params[3:] == b"\0"
        for behind in ("huffman", "lorenzo | zigzag"):
            chain = f"interpolate(predictor=lorenzo) | {behind}"
            options = {"abs": 1, "preserve": [3], "pipeline": chain}
            stream = fzdask.compress(x.astype(dtype), **options)
            there = device.upload(x.astype(dtype))
            assert encode_device(there, CodecConfig.from_mapping(options), device) == stream
            back = device.download(decode_device(stream, device))
            assert back.tobytes() == fzdask.decompress(stream).tobytes()


def test_streams_are_the_cpus(device, few):
    cases = [
        *fixtures().values(),
        (waves((20, 30, 21)).astype("f4"), {"rel": 1e-3, "pipeline": "quality"}),
        (waves((50, 21)), {"rel": 1e-6, "pipeline": "interpolate | lorenzo | huffman"}),
    ]
    assert len(cases) > 6
    for array, options in cases:
        config = CodecConfig.from_mapping(options)
        expected = fzdask.compress(array, **options)
        assert encode_device(device.upload(array), config, device) == expected
        back = device.download(decode_device(expected, device))
        assert back.tobytes() == fzdask.decompress(expected).tobytes()


def test_only_few_values_cross(device):
    """What the host looks at, which is as much for a larger array, coarse levels, and sections."""
    x = waves((128, 128, 128)).astype("f4")
    config = CodecConfig.from_mapping({"abs": 0.01, "pipeline": "quality"})
    expected = fzdask.compress(x, abs=0.01, pipeline="quality")
    there = device.upload(x)
    if hasattr(device, "copied"):
        device.copied = dict.fromkeys(device.copied, 0)
    assert encode_device(there, config, device) == expected
    if hasattr(device, "copied"):
        assert max(device.copied.values()) < x.nbytes
