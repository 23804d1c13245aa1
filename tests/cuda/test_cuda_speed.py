"""The fused form of the ``speed`` pipeline: the bytes of the stages one by one, in one pass."""

import numpy as np
import pytest
from stream_parts import Parts
from test_cuda_streams import native, same, to_device, to_host

import fzdask
from fzdask.codecs import api
from fzdask.codecs.config import CodecConfig
from fzdask.codecs.device import decode_device, encode_device
from fzdask.codecs.device import stages as device_stages
from fzdask.codecs.kernels.cuda import fused_speed
from fzdask.codecs.pipeline import Pipeline
from fzdask.errors import FormatError

TILE = fused_speed.TILE
SPEED = "quantize | lorenzo(axes=narrow) | zigzag | fixed_length"
SHAPES = (
    (1,), (63,), (64,), (TILE - 1,), (TILE + 65,), (3 * TILE + 5,),
    (2, 3), (5, 1000), (700, 7), (3, TILE + 9),
    (3, 5, 31), (2, 65, 64), (4, 70, 64), (17, 3, 129),
    (3, 4, 5, 37), (2, 3, 2, 700),
    (2, 2, 3, 3, 40),
)  # fmt: skip


def walk(shape, dtype, seed=0):
    """Smooth in the middle, zero at the end, and rough at a few places."""
    random = np.random.default_rng(seed)
    x = np.cumsum(random.standard_normal(np.prod(shape)) / 20)
    x[random.random(x.size) < 0.01] += 1e4
    x[-(x.size // 3) :] = 0
    return x.reshape(shape).astype(dtype)


def check(device, x, fused=True, **options):
    """The device's stream is the CPU's, each decodes, and the fused kernels ran as they should."""
    expected = fzdask.compress(x, **options)
    launches = getattr(device, "launches", [])
    del launches[:]
    assert encode_device(to_device(device, x), CodecConfig(**options), device) == expected
    if hasattr(device, "launches"):
        assert any(name.startswith("encode") for name in launches) == fused
        assert not any(name.startswith(("pack_", "forward")) for name in launches) or not fused
    del launches[:]
    assert same(
        to_host(device, decode_device(expected, device)), native(fzdask.decompress(expected))
    )
    if hasattr(device, "launches"):
        kernels = {f"unpack_{p}{t}" for t in ("i4", "f4", "f8") for p in ("", "planes_")}
        exact = fzdask.inspect(expected).bound == "lossless"  # it was smaller
        assert bool(kernels & set(launches)) == (fused and not exact)
    return expected


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("axes", ["narrow", "all"])
def test_every_shape_gives_the_cpus_bytes(every_device, dtype, axes):
    pipeline = SPEED.replace("narrow", axes)
    for shape in SHAPES:
        x = walk(shape, dtype, len(shape))
        config = CodecConfig(abs=0.05, pipeline=pipeline)
        stream = encode_device(to_device(every_device, x), config, every_device)
        expected = fzdask.compress(x, abs=0.05, pipeline=pipeline)
        assert stream == expected, shape
        back = to_host(every_device, decode_device(expected, every_device))
        assert same(back, fzdask.decompress(expected)), shape


@pytest.mark.parametrize("axes", [(), (0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2)])
def test_every_subset_of_axes(device, axes):
    chosen = ", ".join(map(str, axes))
    comma = "," if len(axes) == 1 else ""
    x = walk((5, 40, 70), "f4")
    check(device, x, abs=0.05, pipeline=SPEED.replace("narrow", f"({chosen}{comma})"))


PLANES = ((9, 70, 128), (5, 33, 192), (7, 3, 2048), (2, 3, 33, 128), (5, 3, 1984))


@pytest.mark.parametrize("shape", PLANES)
def test_planes_of_rows_are_summed_along_both_axes_at_once(device, shape):
    axes = range(len(shape))
    innermost = f"({axes[-2]}, {axes[-1]})"
    for dtype, chosen in (("f4", "all"), ("f4", innermost), ("f8", innermost), ("i4", innermost)):
        x = 20 * walk(shape, dtype, 3)
        check(device, x.astype(dtype), abs=1.0, pipeline=SPEED.replace("narrow", chosen))
        if hasattr(device, "launches"):
            direct = dtype if dtype[0] == "f" and chosen != "all" else "i4"
            assert f"unpack_planes_{direct}" in device.launches


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("share", [0.002, 0.3])
def test_outliers_apart_from_each_other_stay_in_one_pass(device, dtype, share):
    random = np.random.default_rng(4)
    x = walk((9, 31, 61), dtype)
    x[random.random(x.shape) < share] = random.choice([np.nan, np.inf, -np.inf, -0.0])
    x[0, 0, :20] = np.nan
    check(device, x, abs=0.05, pipeline="speed")
    if hasattr(device, "launches"):
        encode_device(to_device(device, x), CodecConfig(abs=0.05, pipeline="speed"), device)
        assert not any(name.startswith("quantize") for name in device.launches)


@pytest.mark.parametrize("length", [31, 32, 33, 34, TILE + 1])
def test_runs_of_outliers_of_any_length(device, length):
    x = walk((3 * TILE,), "f4")
    x[100 : 100 + length] = np.nan
    x[-length:] = np.inf
    check(device, x, abs=0.05, pipeline="speed")
    check(device, np.concatenate([x[100:], x]), abs=0.05, pipeline="speed")  # from the beginning


def test_nothing_but_outliers_and_nothing_but_zeros(device):
    check(device, np.full(5000, np.nan, "f4"), abs=1.0, pipeline="speed")
    check(device, np.zeros((3, 5000), "f8"), abs=1.0, pipeline="speed")


def test_preserved_values_and_infinite_neighbours_of_the_greatest_number(device):
    x = walk((40, 50), "f4")
    x[3:20, 7:40] = -999.0
    x[30, ::3] = -999.0
    check(device, x, abs=0.05, preserve=(-999.0,), pipeline="speed")
    greatest = np.finfo("f4").max
    huge = np.linspace(0.999, 1, 3000).astype("f4") * greatest
    check(device, huge, abs=float(greatest) * 1e-4, pipeline="speed")


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("bound", [1e-3, 2.0**-10, 1e-30, 2.0**-149])
def test_values_between_two_cells_are_decided_as_on_the_cpu(device, dtype, bound):
    random = np.random.default_rng(1)
    cells = random.integers(-(2**21), 2**21, 3000) + 0.5
    x = (cells * (2 * bound)).astype(dtype)
    beside = np.nextafter(x, random.choice([-np.inf, np.inf], x.shape).astype(dtype))
    both = np.stack([x, beside, (random.integers(-99, 99, 3000) * 2 * bound).astype(dtype)])
    check(device, both, abs=bound, pipeline="speed")


@pytest.mark.parametrize("dtype", ["f2", "i2", "i4", "u1"])
def test_other_values_are_quantized_first(device, dtype):
    x = (np.arange(6 * 900) % 97 + 5 * np.sin(np.arange(6 * 900))).reshape(6, 900).astype(dtype)
    check(device, x, abs=2.0, pipeline="speed")


@pytest.mark.parametrize(
    "pipeline",
    [
        "quantize | lorenzo(order=2) | zigzag | fixed_length",
        "quantize | lorenzo | zigzag | fixed_length(block=32)",
        "quantize | lorenzo | zigzag | fixed_length(outlier=True)",
    ],
)
def test_what_the_fused_form_does_not_take(device, pipeline):
    x = np.cumsum(np.cumsum(walk((8, 500), "f4"), 1), 1).astype("f4")
    check(device, x, fused=False, abs=100.0, pipeline=pipeline)


def test_wide_lattices_go_stage_by_stage(device):
    check(device, walk((8, 500), "f8"), fused=False, abs=1e-9, pipeline="speed")


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_after_a_logarithm_and_of_complex_numbers(device, dtype):
    x = np.exp(walk((7, 900), dtype) % 3)
    x[2, ::40] = 0
    x[3, ::90] = np.nan
    check(device, x, pw_rel=1e-2, pipeline="speed")
    z = (walk((7, 300), dtype) + 1j * walk((7, 300), dtype, 1)).astype(f"c{2 * x.itemsize}")
    z[1, ::30] = np.nan
    check(device, z, abs=0.05, pipeline="speed")


def test_fortran_order_and_parts_of_an_array(device):
    x = walk((40, 6, 50), "f4")
    check(device, np.asfortranarray(x), rel=1e-4, pipeline="speed")
    config = CodecConfig(abs=0.05, pipeline="speed")
    part = to_device(device, x)[3:30, ::2, 1:]
    expected = fzdask.compress(x[3:30, ::2, 1:], abs=0.05, pipeline="speed")
    assert encode_device(part, config, device) == expected


def test_fixed_length_may_zigzag_itself(device):
    check(device, walk((8, 500), "f4"), abs=0.05, pipeline="quantize | lorenzo | fixed_length")


def test_fused_and_one_by_one_are_alike(device, monkeypatch):
    x = walk((6, 50, 70), "f4")
    x[2, 3, ::7] = np.nan
    there = to_device(device, x)
    config = CodecConfig(abs=0.05, pipeline=SPEED)
    fused = encode_device(there, config, device)
    values = to_host(device, decode_device(fused, device))
    apart = Pipeline(Pipeline.from_text(SPEED).stages, fused=False)
    monkeypatch.setattr(api, "pipeline_of", lambda config, dtype: apart)
    assert encode_device(there, config, device) == fused
    monkeypatch.setattr(device_stages, "_FUSIONS", ())
    assert same(to_host(device, decode_device(fused, device)), values)
    if hasattr(device, "launches"):
        assert {"pack_16_u4", "unpack_16_u4"} <= set(device.launches)


def test_damaged_sections_are_refused_or_decode_as_on_the_cpu(device):
    x = walk((20, 400), "f4")
    x[::3, ::50] = np.nan
    parts = Parts.of(fzdask.compress(x, abs=0.05, pipeline="speed"))
    random = np.random.default_rng(6)
    refused = 0
    for at, raw in enumerate(parts.raw):
        for _ in range(15):
            damaged = bytearray(raw)
            damaged[random.integers(len(raw))] ^= 1 << int(random.integers(8))
            stream = parts.with_raw(at, bytes(damaged)).join()
            outcomes = []
            for decode in (fzdask.decompress, lambda s: to_host(device, decode_device(s, device))):
                try:
                    outcomes.append(decode(stream).tobytes())
                except FormatError:
                    outcomes.append(None)
            assert outcomes[0] == outcomes[1]
            refused += outcomes[0] is None
    assert refused > 10
