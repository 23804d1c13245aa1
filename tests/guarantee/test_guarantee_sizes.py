"""Sizes of streams: never much above raw, and far below one bit a value where nothing happens."""

from __future__ import annotations

import numpy as np
import pytest
from exact import assert_guarantee

import fzdask

OVERHEAD = 64
SIZES = [0, 1, 2, 3, 15, 16, 17, 255, 1000, 4097, 50000]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "c16", "i1", "u4", "i8", "M8[s]", "?"])
def test_noise_grows_by_at_most_64_bytes(dtype, size):
    rng = np.random.default_rng(size)
    raw = rng.bytes(size * np.dtype(dtype).itemsize)
    x = np.frombuffer(raw, dtype) if dtype != "?" else rng.integers(0, 2, size).astype("?")
    for config in ({"abs": 0.0}, {"abs": 1e-300}, {"rel": 1e-16}, {"lossless": True}):
        stream = fzdask.compress(x, **config)
        assert len(stream) <= x.nbytes + OVERHEAD
    assert fzdask.decompress(stream).tobytes() == x.tobytes()


@pytest.mark.parametrize(
    "shape", [(), (1,) * 32, (2,) * 12, (3, 1) * 6, (0,) * 32, (0, 2**20, 7), (2, 0) * 16], ids=str
)
def test_many_axes_grow_by_at_most_64_bytes(shape):
    x = np.random.default_rng(0).random(shape)
    for order in "CF":
        stream = fzdask.compress(np.asarray(x, order=order), abs=0.0)
        assert len(stream) <= x.nbytes + OVERHEAD
        assert fzdask.decompress(stream).shape == shape


@pytest.mark.parametrize(
    "pipeline", ["quantize", "quantize | lorenzo", "shuffle", "shuffle | zstd"]
)
def test_no_pipeline_makes_a_chunk_grow(pipeline):
    x = np.frombuffer(np.random.default_rng(1).bytes(40000), "f4")
    stream = fzdask.compress(x, abs=1e-3, pipeline=pipeline)
    assert len(stream) <= x.nbytes + OVERHEAD


@pytest.mark.parametrize("dtype", ["f4", "f8", "i4"])
def test_a_nearly_constant_chunk_shrinks_by_thousands(dtype):
    """Runs take far less than a bit a value, with a back end and without."""
    x = np.full((64, 128, 128), 273, dtype)
    x[10, 20, 30:40] = 300
    x[50, 100, 7] = -40
    for pipeline in ("default", "quantize | lorenzo(axes=all) | huffman"):
        stream = fzdask.compress(x, abs=0.5, pipeline=pipeline)
        assert x.nbytes / len(stream) >= 1900
        assert_guarantee(x, fzdask.decompress(stream), 0.5)


def test_a_field_of_two_regions_shrinks_by_thousands():
    y, x = np.mgrid[0:1024, 0:1024]
    field = np.where(np.hypot(x - 500, y - 400) < 200, 1.0, 0.0).astype("f4")
    stream = fzdask.compress(field, abs=0.01)
    assert field.nbytes / len(stream) >= 700
    assert_guarantee(field, fzdask.decompress(stream), 0.01)


def test_a_missing_region_costs_next_to_nothing():
    """NaN and fill values over a coast line: outliers in stretches, and long runs of them."""
    y, x = np.mgrid[0:512, 0:512]
    smooth = np.sin(x / 90) * np.cos(y / 70)
    for fill in (np.nan, -999.0):
        field = np.where(x + 30 * np.sin(y / 40) < 256, smooth, fill).astype("f4")
        sea = np.count_nonzero(field == smooth.astype("f4"))
        stream = fzdask.compress(field, abs=1e-3, preserve=(-999.0,))
        assert_guarantee(field, fzdask.decompress(stream), 1e-3, preserve=(-999.0,))
        assert len(stream) <= 0.25 * sea  # two bits for a value that is there


@pytest.mark.parametrize(("period", "exact"), [(512, True), (1 << 19, False)])
def test_a_large_array_is_exact_where_that_is_smaller(period, exact):
    """Whether it may be is told from pieces: of these one repeats itself, the other does not."""
    rng = np.random.default_rng(7)
    x = np.tile(rng.random(period, "f4"), (1 << 19) // period)
    stream = fzdask.compress(x, abs=2e-7, pipeline="quantize | huffman")
    back = fzdask.decompress(stream)
    assert np.array_equal(back, x) == exact
    assert (len(stream) < 0.1 * x.nbytes) == exact
    assert np.abs(back.astype("f8") - x.astype("f8")).max() <= 2e-7
