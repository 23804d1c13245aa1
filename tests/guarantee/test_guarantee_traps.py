"""Traps that error-bounded compressors are known to fall into, one test each."""

from __future__ import annotations

import numpy as np
import pytest
from exact import assert_guarantee, relative
from lattice_trip import FULL, LATTICE, neighbours, over_the_lattice

import fzdask
from fzdask.codecs.pipeline import Pipeline

FLOATS = ["f2", "f4", "f8"]
BOUNDS = [2.0**-20, 1e-5, 1e-3, 0.1, 0.3, 1 / 3, 0.5, 1.0, 1.1, 7.0, 1e3, 65504.0]


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("bound", BOUNDS)
def test_values_half_way_between_two_cells_and_next_to_them(dtype, bound):
    k = np.r_[np.arange(40), np.geomspace(50, 2**52, 200).round()]
    ties = neighbours((k + 0.5) * (2 * bound), dtype)
    x = np.r_[ties, -ties, neighbours(k * (2 * bound), dtype)]
    y, _ = over_the_lattice(x, abs=bound)
    assert_guarantee(x, y, bound)


@pytest.mark.parametrize("dtype", FLOATS)
def test_half_way_between_cells_of_many_bounds(dtype):
    """At ``|x| = bound`` itself, rounding of ``1 / (2 bound)`` decides between 0 and 1."""
    rng = np.random.default_rng(0)
    for exponent in (-120.0, -20.0, -3.0, 0.0, 5.0, 12.0):
        for bound in np.exp2(exponent + rng.random(60)):
            ties = neighbours((np.arange(6) + 0.5) * (2 * bound), dtype)
            y, _ = over_the_lattice(ties, LATTICE, abs=float(bound))
            assert_guarantee(ties, y, float(bound))


@pytest.mark.parametrize("dtype", FLOATS)
def test_denormal_values_and_bounds(dtype):
    tiny = np.finfo(dtype).smallest_subnormal
    rng = np.random.default_rng(1)
    x = (rng.integers(-3000, 3000, 5000) * tiny).astype(dtype)
    for factor in (0.5, 1.0, 1.5, 10.0, 1e6):
        bound = float(tiny) * factor
        if 0 < bound < 2.0**-1025:  # no reciprocal, hence no lattice: kept losslessly
            assert fzdask.decompress(fzdask.compress(x, abs=bound)).tobytes() == x.tobytes()
        elif bound:
            y, _ = over_the_lattice(x, abs=bound)
            assert_guarantee(x, y, bound)


def test_smallest_bound_with_a_lattice():
    for bound in (2.0**-1025, 2.0**-1024, 2.0**-1022, 2.0**-1021):
        x = np.arange(-2000, 2000) * (bound / 3)
        assert_guarantee(x, fzdask.decompress(fzdask.compress(x, abs=bound)), bound)


def test_minus_zero_keeps_its_sign():
    for dtype in [*FLOATS, "c8", ">f4", ">f8"]:
        x = np.tile(np.array([0.0, -0.0, 1e-7, -1e-7]), 700).astype(dtype)
        y, _ = over_the_lattice(x, abs=0.1)
        assert_guarantee(x, y, 0.1)


@pytest.mark.parametrize("dtype", [*FLOATS, ">f2", ">f4", ">f8"])
def test_nan_keeps_its_payload(dtype):
    dtype = np.dtype(dtype)
    mantissa = np.finfo(dtype).nmant
    exponent = (1 << (8 * dtype.itemsize - 1 - mantissa)) - 1 << mantissa
    rng = np.random.default_rng(2)
    bits = (rng.integers(1, 1 << mantissa, 5000) | exponent).astype(f"u{dtype.itemsize}")
    bits[::2] |= bits.dtype.type(1 << (8 * dtype.itemsize - 1))
    bits[::7] = 0
    x = bits.view(f"f{dtype.itemsize}")
    x = x if dtype.isnative else x.byteswap().view(dtype)
    y, outliers = over_the_lattice(x, abs=0.5)
    assert_guarantee(x, y, 0.5)
    assert outliers >= 0.85


@pytest.mark.parametrize("dtype", [*FLOATS, "c8", "c16"])
@pytest.mark.parametrize("bound", [1e-3, 1e30, 1.7976931348623157e308])
def test_alternating_largest_values(dtype, bound):
    part = np.dtype(dtype) if dtype[0] == "f" else np.dtype(f"f{np.dtype(dtype).itemsize // 2}")
    top = np.finfo(part).max
    x = np.tile(np.array([top, -top, 0, top, top, -top], part), 700)
    x = x.view(dtype).reshape(6, -1)
    y, _ = over_the_lattice(x, abs=bound)
    assert_guarantee(x, y, bound)


@pytest.mark.parametrize("dtype", FLOATS)
def test_bound_larger_than_the_range(dtype):
    x = np.linspace(-7, 9, 5000).astype(dtype)
    for bound in (9.0, 16.0, 20.0, 1e38, 1e300):
        stream = fzdask.compress(x, abs=bound)
        assert_guarantee(x, fzdask.decompress(stream), bound)
        assert len(stream) < 120


@pytest.mark.parametrize("dtype", [*FLOATS, "c8", "i1", "i4", "i8", "u8"])
@pytest.mark.parametrize("value", [0, 1, 7, 100])
def test_constant_chunk(dtype, value):
    """One symbol alone in the codebook, or no range to be relative to."""
    for size in (1, 2, 255, 256, 4096, 4097, 70000):
        x = np.full(size, value, dtype)
        for config in ({"abs": 0.3}, {"rel": 1e-3}, {"lossless": True}):
            stream = fzdask.compress(x, **config)
            bound = config.get("abs", relative(x, config.get("rel", 0.0)))
            assert_guarantee(x, fzdask.decompress(stream), bound)
            assert len(stream) <= min(200, x.nbytes + 64)
        y, _ = over_the_lattice(x, abs=2.0)
        assert_guarantee(x, y, 2.0)


@pytest.mark.parametrize("share", [0, 1e-4, 0.01, 0.1, 0.5, 0.9, 0.9999, 1])
@pytest.mark.parametrize("dtype", FLOATS)
def test_any_share_of_outliers(share, dtype):
    rng = np.random.default_rng(3)
    x = rng.normal(size=20000).cumsum().astype(dtype)
    where = rng.random(x.size) < share
    if share == 0.9999:
        where[:] = True
        where[[5000, -1]] = False
    x[where] = np.nan
    y, outliers = over_the_lattice(x, abs=0.1)
    assert_guarantee(x, y, 0.1)
    assert outliers >= where.mean()
    stream = fzdask.compress(x, abs=0.1)
    assert len(stream) <= x.nbytes + 64
    assert_guarantee(x, fzdask.decompress(stream), 0.1)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("power", [23, 24, 25, 29, 30, 31, 50, 51, 52, 53, 54, 62, 63, 64])
def test_values_many_bounds_large(dtype, power):
    """Where ``x / bound`` leaves the integers of float32, of float64, of the lattice."""
    rng = np.random.default_rng(power)
    for bound in (1.0, 0.1, 3e-5):
        near = 2.0**power * bound
        x = (near * rng.uniform(0.9, 1.1, 3000)).astype(dtype)
        x[::2] *= -1
        x = np.r_[x, neighbours([near, 2 * near], dtype)]
        y, _ = over_the_lattice(x, abs=bound)
        assert_guarantee(x, y, bound)


def test_bound_is_not_narrowed_to_float32():
    """float32(0.1) is above 0.1: a value of that size must not become 0."""
    above = np.float32(0.1)
    assert float(above) > 0.1
    x = np.array([above, -above, 0.3, 0.29999998], "f4")
    y, _ = over_the_lattice(np.tile(x, 1000), abs=0.1)
    assert_guarantee(np.tile(x, 1000), y, 0.1)
    assert (y.astype("f8")[:2] != 0).all()


def test_bound_is_not_narrowed_for_any_rounding_of_it():
    rng = np.random.default_rng(4)
    for bound in rng.uniform(0.01, 10, 300):
        edge = np.float32(bound)
        x = neighbours(np.array([1, 3, 5, 7]) * np.float64(edge), "f4")
        y, _ = over_the_lattice(x, LATTICE, abs=float(bound))
        assert_guarantee(x, y, float(bound))


ALL_AXES = Pipeline.from_text("quantize | lorenzo(axes=all) | huffman")


def test_sums_of_lorenzo_wrap_in_64_bits():
    """Four differences of alternating ends of int64 grow to 2**68, and come back."""
    info = np.iinfo("i8")
    signs = np.indices((9, 8, 7, 11)).sum(0) % 2
    x = np.where(signs, info.max, info.min)
    y, _ = over_the_lattice(x, ALL_AXES, abs=0.5)
    np.testing.assert_array_equal(y, x)
    x = x.view("u8")
    y, _ = over_the_lattice(x, ALL_AXES, abs=0.5)
    np.testing.assert_array_equal(y, x)


def test_sums_of_lorenzo_wrap_in_32_bits():
    signs = np.indices((9, 8, 7, 11)).sum(0) % 2
    x = np.where(signs, 2**30 - 1, -(2**30 - 1)).astype("i4")
    y, _ = over_the_lattice(x, ALL_AXES, abs=0.0)
    np.testing.assert_array_equal(y, x)
    y, _ = over_the_lattice(x.astype("f8"), ALL_AXES, abs=0.5)
    assert_guarantee(x.astype("f8"), y, 0.5)


def test_largest_lattice_of_64_bits_through_four_differences():
    signs = np.indices((9, 8, 7, 11)).sum(0) % 2
    x = np.where(signs, 2.0**51, -(2.0**51))
    y, outliers = over_the_lattice(x, ALL_AXES, abs=0.5)
    assert_guarantee(x, y, 0.5)
    assert outliers == 0


# Blocks of the kernels, of the entropy coder, of the preparation, of the back end.
BLOCKS = [64, 256, 1024, 2048, 4096, 16384, 65536]


@pytest.mark.parametrize(
    "size", sorted({b * k + d for b in BLOCKS for k in (1, 3) for d in (-1, 0, 1)})
)
def test_partial_tail_of_every_block(size):
    rng = np.random.default_rng(size)
    walk = rng.normal(size=size).cumsum()
    for dtype in ("f2", "f4", "f8", "i4"):
        x = walk.astype(dtype)
        if x.dtype.kind == "f":
            x[-1] = np.nan
            x[:: max(size // 7, 1)] = 999
        y = fzdask.decompress(fzdask.compress(x, abs=1.0, preserve=(999,)))
        assert_guarantee(x, y, 1.0, preserve=(999,))
        y, _ = over_the_lattice(x, FULL, abs=1.0, preserve=(999,))
        assert_guarantee(x, y, 1.0, preserve=(999,))


@pytest.mark.parametrize("dtype", ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"])
@pytest.mark.parametrize(
    "bound", [0.0, 0.99, 1.0, 1.5, 2.0, 127.0, 128.0, 255.0, 1e9, 2.0**60, 1e300]
)
def test_integers_at_the_ends_of_their_range(dtype, bound):
    info = np.iinfo(dtype)
    ends = [v for d in range(40) for v in (info.min + d, info.max - d)]
    x = np.array(ends * 50, dtype)
    for values in (x, x[::2], x[1::2]):
        values = np.ascontiguousarray(values)
        y, _ = over_the_lattice(values, abs=bound)
        assert_guarantee(values, y, bound)


def test_integers_around_2_to_the_62():
    """Beyond it, cells times their width would leave 64 bits: kept bit for bit."""
    for dtype in ("i8", "u8"):
        for middle in (2**62 - 1, 2**62, 2**62 + 1, 2**61):
            x = np.array([middle + d for d in range(-500, 500)], dtype)
            for bound in (1, 3, 1000, 2**53):
                y, _ = over_the_lattice(x, abs=bound)
                assert_guarantee(x, y, bound)


def test_complex_distance_at_the_corner_of_the_cell():
    """Both parts may miss by their share at once; the distance counts."""
    rng = np.random.default_rng(5)
    for dtype, part in (("c8", "f4"), ("c16", "f8")):
        for bound in (0.1, 1.0, 1 / 3, 1e-3):
            share = bound / np.sqrt(2)
            edge = neighbours((2 * rng.integers(-50, 50, 2000) + 1) * share, part)
            x = (edge[::-1] + 1j * edge).astype(dtype)
            y, _ = over_the_lattice(x, abs=bound)
            assert_guarantee(x, y, bound)


def test_one_part_of_a_complex_number_not_finite():
    x = np.array(
        [1 + 1j * np.nan, np.inf - 2.3j, complex(-0.0, 1.7), complex(np.nan, np.inf)] * 500
    )
    y, _ = over_the_lattice(x, abs=0.1)
    assert_guarantee(x, y, 0.1)
    assert np.abs(y.imag[1::4] + 2.3).max() <= 0.1


@pytest.mark.parametrize("dtype", FLOATS)
def test_preserved_value_is_rounded_to_the_dtype_and_left_out_of_the_range(dtype):
    x = np.linspace(0, 1, 4000).astype(dtype)
    x[::5] = -999.9
    y = fzdask.decompress(fzdask.compress(x, rel=0.01, preserve=(-999.9,)))
    assert_guarantee(x, y, 0.01, preserve=(-999.9,))


def test_values_preserved_beside_the_lattice_point_they_would_get():
    x = np.full(5000, 10.0, "f4")
    x[::3] = 10.25
    y, outliers = over_the_lattice(x, abs=1.0, preserve=(10.25,))
    assert (y[::3] == 10.25).all()
    assert outliers > 0.3
