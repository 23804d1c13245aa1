"""The back ends `lz4`, `blosc`, `deflate` and `run_length`: exact, kept where they save, safe."""

from __future__ import annotations

import blosc_spec
import deflate_spec
import lz4_spec
import numpy as np
import pytest
import run_length_spec

import fzdask
from fzdask.codecs.stages.blosc import CODECS, PIECE, SHUFFLES, Blosc
from fzdask.codecs.stages.deflate import Deflate
from fzdask.codecs.stages.lz4 import LZ4
from fzdask.codecs.stages.run_length import RunLength
from fzdask.codecs.stages.zstd import Zstd
from fzdask.errors import ConfigError, FormatError

STAGES = [LZ4(), Blosc(), Deflate(), RunLength()]
NAMES = [stage.name for stage in STAGES]
DECODERS = {"lz4": lz4_spec, "deflate": deflate_spec, "blosc": blosc_spec}


def samples():
    rng = np.random.default_rng(0)
    steps = np.repeat(rng.integers(0, 256, 900), rng.integers(1, 40, 900)).astype("u1")
    sparse = np.where(rng.random(50_000) < 0.02, rng.integers(1, 9, 50_000), 0).astype("u1")
    return {
        "zeros": np.zeros(3000, "u1"),
        "steps": steps,
        "sparse": sparse,
        "numbers": (np.arange(9000, dtype="<i4") // 30).view("u1"),
        "runs of every length": np.concatenate([np.full(n, n % 7, "u1") for n in range(1, 300)]),
        "long": np.tile(steps, 40)[: 3 * PIECE // 2 + 7],
    }


SAMPLES = samples()


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("stage", STAGES, ids=NAMES)
def test_bytes_come_back_and_read_as_specified(stage, name):
    data = SAMPLES[name]
    packed = stage.compress(data)
    if packed is None:  # run_length of numbers
        assert stage.name == "run_length"
        return
    assert len(packed) < 0.98 * data.size
    coded = np.frombuffer(packed, np.uint8)
    np.testing.assert_array_equal(stage.decompress(coded, data.size), data)
    if stage.name in DECODERS:
        assert DECODERS[stage.name].decode(packed) == data.tobytes()
    else:
        assert packed == run_length_spec.encode(data.tobytes())


@pytest.mark.parametrize("stage", STAGES, ids=NAMES)
def test_what_saves_nothing_is_left_alone(stage):
    rng = np.random.default_rng(1)
    for size in (0, 1, 3, 63, 5000):
        assert stage.compress(rng.integers(0, 256, size, "u1")) is None


@pytest.mark.parametrize("size", [4, 5, 6, 127, 131, 132, 16387, 16388, 3 << 21])
def test_run_lengths_around_the_sizes_of_varints(size):
    run = np.full(size, 9, "u1")
    for data in (run, np.r_[run, run + 1], np.r_[np.arange(20, dtype="u1"), run]):
        packed = RunLength().compress(data)
        if packed is None:
            assert data.size < 60
            continue
        if size < 20_000:
            assert packed == run_length_spec.encode(data.tobytes())
        back = RunLength().decompress(np.frombuffer(packed, np.uint8), data.size)
        np.testing.assert_array_equal(back, data)


@pytest.mark.parametrize("stage", STAGES, ids=NAMES)
def test_other_sizes_are_refused_before_anything_is_allocated(stage):
    data = SAMPLES["steps"]
    packed = np.frombuffer(stage.compress(data), np.uint8)
    stage.check(packed, data.size)
    with pytest.raises(FormatError):
        stage.check(packed, 2**50)
    for nbytes in (0, 1, data.size - 1, data.size + 1, 2 * data.size, 2**33):
        with pytest.raises(FormatError):
            stage.decompress(packed, nbytes)
    for length in range(0, packed.size, 37):
        with pytest.raises(FormatError):
            stage.decompress(packed[:length], data.size)
    with pytest.raises(FormatError):
        stage.decompress(np.r_[packed, packed], data.size)


@pytest.mark.parametrize("stage", STAGES, ids=NAMES)
def test_flipped_bits_give_an_error_or_as_many_bytes(stage):
    data = SAMPLES["steps"][:1500]
    packed = np.frombuffer(stage.compress(data), np.uint8)
    rng = np.random.default_rng(2)
    for _ in range(300):
        hurt = packed.copy()
        hurt[rng.integers(hurt.size, size=2)] ^= rng.integers(1, 256, 2, "u1")
        try:
            out = stage.decompress(hurt, data.size)
        except FormatError:
            continue
        assert out.size == data.size
        assert out.dtype == np.uint8


@pytest.mark.parametrize("stage", STAGES, ids=NAMES)
def test_lengths_of_sizes_beyond_64_bits_are_refused(stage):
    for data in (b"\xff" * 40, b"\xff" * 8 + b"\x7f\0", b"\xfd\xff\xff\xff\xff\xff\xff\x7f\0"):
        with pytest.raises(FormatError):
            stage.decompress(np.frombuffer(data, np.uint8), 1000)


@pytest.mark.parametrize("cname", CODECS)
@pytest.mark.parametrize("shuffle", SHUFFLES)
def test_blosc_writes_the_same_bytes_every_time(cname, shuffle):
    """Its threads would not, if a frame had several blocks."""
    data = SAMPLES["long"]
    stage = Blosc(cname=cname, shuffle=shuffle, clevel=3, typesize=2)
    packed = stage.compress(data)
    assert packed is not None
    assert all(stage.compress(data) == packed for _ in range(3))
    assert len(blosc_spec.frames(packed)) == 2
    np.testing.assert_array_equal(
        Blosc().decompress(np.frombuffer(packed, np.uint8), data.size), data
    )


@pytest.mark.parametrize("name", ["lz4(acceleration=9)", "blosc(cname=zstd)", "deflate(level=1)",
                                  "run_length", "run_length | lz4"])  # fmt: skip
def test_in_a_pipeline_they_keep_the_guarantee(name):
    x = np.add.outer(np.arange(80) // 9, np.zeros(70)).astype("f4")
    stream = fzdask.compress(x, abs=0.25, pipeline=f"quantize | lorenzo | {name}")
    assert len(stream) < x.nbytes / 8
    assert (np.abs(fzdask.decompress(stream).astype("f8") - x) <= 0.25).all()


@pytest.mark.parametrize(
    ("stage", "options"),
    [(LZ4, {"acceleration": 0}), (LZ4, {"acceleration": 2.0}), (Deflate, {"level": 10}),
     (Deflate, {"level": True}), (Blosc, {"cname": "gzip"}), (Blosc, {"clevel": 0}),
     (Blosc, {"shuffle": 1}), (Blosc, {"typesize": 17})],
)  # fmt: skip
def test_options_out_of_range_are_refused(stage, options):
    with pytest.raises(ConfigError, match=stage.name):
        stage(**options)


@pytest.mark.parametrize("size", [6000, 200_000], ids=["counted", "sampled"])
def test_zstd_keeps_what_saves_the_least_asked_for(size):
    data = np.random.default_rng(3).integers(0, 100, size).astype("u1")  # 6.64 of eight bits
    kept = Zstd().compress(data)
    assert kept is not None
    saved = 1 - len(kept) / size
    assert 0.1 < saved < 0.2
    assert Zstd(least=0.04).compress(data) == kept
    assert Zstd(least=saved - 0.05).compress(data) is not None
    assert Zstd(least=saved + 0.01).compress(data) is None
    text = "bitshuffle | zstd(least=0.05)"
    assert str(fzdask.Pipeline.from_text(text)) == text


def test_zstd_with_a_large_least_has_small_blocks_and_is_sparing():
    rng = np.random.default_rng(5)
    data = np.concatenate([rng.integers(k, k + 60, 1 << 14) for k in [0, 15, 30] * 5])
    data = data.astype("u1")  # what is frequent changes from block to block
    near, far = Zstd(least=0.08).compress(data), Zstd(least=0.04).compress(data)
    assert near is not None
    assert far is not None
    assert len(near) < len(far)
    for frame in (near, far):
        back = Zstd().decompress(np.frombuffer(frame, np.uint8), data.size)
        np.testing.assert_array_equal(back, data)
    sizes = np.stack([rng.integers(0, 256, 128), np.zeros(128)], 1).astype("u1").reshape(-1)
    assert Zstd(least=0.08).compress(sizes) is not None
    assert Zstd(least=0.08).compress(sizes[:-1]) is None
    assert Zstd().compress(sizes[:-1]) is not None
    assert Zstd(least=0.08).compress(np.zeros(64, np.uint8)) is not None
    twice = np.tile(rng.integers(0, 256, 1 << 17).astype("u1"), 2)  # even, but repeated
    assert Zstd(least=0.08).compress(twice) is None


@pytest.mark.parametrize("least", [-0.01, 1, float("nan"), True, "0.1"])
def test_zstd_refuses_a_least_that_is_no_share(least):
    with pytest.raises(ConfigError, match="zstd: least="):
        Zstd(least=least)
