"""What a device encodes is the CPU's stream byte for byte, and each decodes the other's."""

from collections import OrderedDict
from pathlib import Path

import format_cases
import numpy as np
import pytest
from stream_parts import Parts

import fzdask
from fzdask import FZCodec
from fzdask.codecs import api, shared_codebooks
from fzdask.codecs.config import CodecConfig
from fzdask.codecs.device import decode_device, encode_device
from fzdask.codecs.device.stages import device_stages
from fzdask.errors import FormatError, UnsupportedDtypeError
from fzdask.format import VERSION

FIXTURES = Path(__file__).parents[1] / "format" / "fixtures" / f"v{VERSION}"
STREAMS = sorted(FIXTURES.parent.glob("v*/*.fz"))
NUMBERS = "biufc"
PIPELINES = (
    "speed",
    "quantize | lorenzo(order=2) | huffman(group=512) | zstd",
    "quantize | lorenzo(axes=narrow, order=2) | fixed_length(block=64, outlier=True)",
    "quantize | lorenzo | zigzag | bitshuffle | zstd",
)


def native(array):
    return array.astype(array.dtype.newbyteorder("="))


def same(a, b):
    alike = (a.dtype, a.shape, a.flags.f_contiguous) == (b.dtype, b.shape, b.flags.f_contiguous)
    return alike and a.tobytes() == b.tobytes()


def to_device(device, array):
    """With the memory order of the host's array."""
    order = "F" if array.flags.f_contiguous and not array.flags.c_contiguous else "C"
    flat = device.upload(np.ascontiguousarray(array.T if order == "F" else array).reshape(-1))
    return flat.reshape(array.shape[::-1]).T if order == "F" else flat.reshape(array.shape)


def to_host(device, array):
    return array if isinstance(array, np.ndarray) else device.xp.asnumpy(array, order="A")


def runs_there(array, options):
    """Whether this case is for the device alone."""
    chain = api.pipeline_of(CodecConfig.from_mapping(options), array.dtype).array_stages
    return device_stages(chain) is not None and not options.get("lossless")


CASES = {
    name: (native(array), options)
    for name, (array, options) in format_cases.all_cases().items()
    if array.dtype.kind in NUMBERS
}


def test_every_case_of_the_format_encodes_to_the_cpus_bytes_and_decodes(every_device):
    device = every_device
    there = 0
    for name, (array, options) in CASES.items():
        stream = encode_device(to_device(device, array), CodecConfig.from_mapping(options), device)
        expected = fzdask.compress(array, **options)
        assert bytes(stream) == expected, name
        decoded = to_host(device, decode_device(expected, device))
        assert same(decoded, fzdask.decompress(expected)), name
        there += runs_there(array, options)
    assert there > 120


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_other_pipelines_encode_to_the_cpus_bytes_and_decode(device, pipeline):
    random = np.random.default_rng(9)
    walk = np.cumsum(random.standard_normal((9, 31, 37)), axis=2)
    walk[4] = 0
    walk[5, 3:9] = np.nan
    for dtype, options in (
        ("f4", {"abs": 0.01}), ("f4", {"rel": 1e-6, "preserve": (0.0,)}), ("f8", {"abs": 1e-8}),
        ("f2", {"abs": 0.05}), ("i4", {"abs": 1}), ("c8", {"abs": 0.1}), ("u8", {"abs": 3}),
    ):  # fmt: skip
        x = (np.nan_to_num(walk) * 100).astype(dtype) if dtype[0] in "iu" else walk.astype(dtype)
        config = CodecConfig.from_mapping({**options, "pipeline": pipeline})
        expected = fzdask.compress(x, pipeline=pipeline, **options)
        assert encode_device(to_device(device, x), config, device) == expected
        assert same(to_host(device, decode_device(expected, device)), fzdask.decompress(expected))


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "c8", "i2", "u8"])
@pytest.mark.parametrize("bound", [{"abs": 2.5}, {"rel": 0.03}, {"pw_rel": 0.01}])
def test_values_that_could_come_back_as_a_preserved_one_are_kept_like_on_the_cpu(
    device, dtype, bound
):
    walk = np.cumsum(np.random.default_rng(5).standard_normal(900)) + 40
    x = walk.astype(dtype)
    x[::90] = 40
    options = {**bound, "preserve": (40, 3.25)}
    expected = fzdask.compress(x, **options)
    config = CodecConfig.from_mapping(options)
    assert encode_device(to_device(device, x), config, device) == expected
    decoded = to_host(device, decode_device(expected, device))
    assert np.array_equal(decoded == 40, x == 40)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "c8"])
@pytest.mark.parametrize("pw_rel", [1e-1, 1e-3, 1e-7])
def test_logarithms_are_those_of_the_cpu(device, dtype, pw_rel):
    random = np.random.default_rng(3)
    walk = np.exp(np.cumsum(random.standard_normal((7, 60)) / 9, axis=1))
    for signs, zeros, odd in (
        (1, 0, 0),
        (-1, 0, 0),
        (random.choice([-1, 1], walk.shape), 0.2, 0.1),
    ):
        x = (walk * signs).astype(dtype)
        x[random.random(x.shape) < zeros] = 0
        x[random.random(x.shape) < odd] = np.nan
        x[:, :2] *= (
            np.array([1e-30, 1e-44], dtype) if dtype != "f2" else np.array([1e-4, 1e-6], "f2")
        )
        stream = fzdask.compress(x, pw_rel=pw_rel)
        config = CodecConfig(pw_rel=pw_rel)
        assert encode_device(to_device(device, x), config, device) == stream
        assert same(to_host(device, decode_device(stream, device)), fzdask.decompress(stream))
    zeros = np.zeros(9000, dtype)
    nothing = fzdask.compress(zeros, pw_rel=pw_rel)
    assert encode_device(to_device(device, zeros), CodecConfig(pw_rel=pw_rel), device) == nothing
    assert not to_host(device, decode_device(nothing, device)).any()


@pytest.mark.parametrize("path", STREAMS, ids=lambda p: p.stem)
def test_stored_streams_decode_as_on_the_cpu(device, path):
    stream = path.read_bytes()
    expected = fzdask.decompress(stream)
    if expected.dtype.kind not in NUMBERS:
        with pytest.raises(UnsupportedDtypeError, match="on the host"):
            decode_device(stream, device)
        return
    assert same(to_host(device, decode_device(stream, device)), native(expected))


@pytest.mark.parametrize("codebook", ["shared", "fitted"])
def test_shared_and_fitted_codebooks_are_the_cpus(device, codebook, monkeypatch):
    random = np.random.default_rng(0)
    field = np.cumsum(random.standard_normal((8, 40, 50)), axis=2).astype("f4")
    fitted = FZCodec.fit(field[0], abs=0.01).get_config()
    text = codebook if codebook == "shared" else fitted["codebook"]
    config = CodecConfig(abs=0.01, codebook=text)
    monkeypatch.setattr(shared_codebooks, "_registry", OrderedDict())
    here = [bytes(api.encode(part, config)) for part in field]
    monkeypatch.setattr(shared_codebooks, "_registry", OrderedDict())
    there = [bytes(encode_device(to_device(device, p), config, device)) for p in field]
    assert here == there
    for part, stream in zip(field, there, strict=True):
        back = to_host(device, decode_device(stream, device, text))
        assert np.abs(back.astype("f8") - part.astype("f8")).max() <= 0.01


def test_only_compressed_bytes_cross_to_the_host(device):
    if not hasattr(device, "copied"):
        pytest.skip("counted on the shim alone")
    x = np.cumsum(np.random.default_rng(1).standard_normal((30, 40, 50)), axis=2).astype("f4")
    stream = encode_device(x, CodecConfig(rel=1e-3), device)
    # Beside the sections: symbol counts, ranges of blocks and a few totals.
    assert device.copied["to host"] <= len(stream) * 1.1 + 10_000
    device.copied["to device"] = 0
    decode_device(stream, device)
    assert device.copied["to device"] <= len(stream) * 1.1 + 20_000


def test_out_is_filled_and_returned(device):
    x = np.linspace(0, 1, 600, dtype="f4").reshape(20, 30)
    stream = fzdask.compress(x, abs=1e-3)
    out = to_device(device, np.zeros_like(x))
    assert decode_device(stream, device, out=out) is out
    assert np.array_equal(to_host(device, out), fzdask.decompress(stream))
    with pytest.raises(FormatError, match="out is float32"):
        decode_device(stream, device, out=out[:5])


def outcome(decode, stream):
    try:
        return decode(stream)
    except FormatError:
        return None


@pytest.mark.parametrize("name", ["default-f4", "default-outliers-half", "default-runs"])
def test_damaged_sections_are_refused_or_decode_as_on_the_cpu(device, name):
    """With the checksums made anew, so that the kernels see the damage."""
    parts = Parts.of((FIXTURES / f"{name}.fz").read_bytes())
    random = np.random.default_rng(6)
    refused = 0
    for at, raw in enumerate(parts.raw):
        for _ in range(12):
            damaged = bytearray(raw)
            damaged[random.integers(len(raw))] ^= 1 << int(random.integers(8))
            stream = parts.with_raw(at, bytes(damaged)).join()
            cpu = outcome(fzdask.decompress, stream)
            there = outcome(lambda s: decode_device(s, device), stream)
            assert (cpu is None) == (there is None)
            refused += cpu is None
            if cpu is not None:
                assert same(to_host(device, there), native(cpu))
    assert refused
