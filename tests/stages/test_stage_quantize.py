"""`quantize` gives what its specification says, byte for byte, and decodes to what it promises."""

from __future__ import annotations

import lattice_spec
import numpy as np
import pytest
from exact import assert_guarantee

from fzdask.codecs.stages.base import Form, Job, Known
from fzdask.codecs.stages.quantize import Quantize

NONE = np.zeros(0, np.uint8)
# Around the kernels' tile of 2048 elements, and short ones.
SIZES = [1, 2, 7, 63, 64, 65, 2047, 2048, 2049, 4095, 4096, 4097, 6151]


def job_for(x, forced=NONE, bits=None):
    """What the pipeline's preparation hands to the stages."""
    usable = ~forced.astype(bool) if forced.size else np.ones(x.size, bool)
    if x.dtype.kind == "f":
        usable = usable & np.isfinite(x)
    largest = max((abs(v) for v in x[usable].tolist()), default=0)
    bits = x.view(f"u{x.itemsize}") if bits is None else bits
    return Job(forced, bits, float(largest))


def assert_as_specified(x, bound, forced=NONE, bits=None):
    """Encode, compare with the specification, decode; returns the decoded values."""
    job = job_for(x, forced, bits)
    form = Form(x.shape, np.dtype(f"{x.dtype.kind}{job.bits.itemsize}"), bound)
    got = Quantize().encode(x, form, job)
    flags = forced.astype(bool) if forced.size else np.zeros(x.size, bool)
    if x.dtype.kind == "f":
        params, lattice, sections = lattice_spec.quantize_floats(x, job.bits, bound, flags)
    else:
        params, lattice, sections = lattice_spec.quantize_integers(x, int(bound), flags)
    assert got.params == params
    assert got.data.dtype == lattice.dtype
    np.testing.assert_array_equal(got.data, lattice)
    assert {k: bytes(v) for k, v in got.sections.items()} == sections
    raw = {k: np.frombuffer(v, np.uint8) for k, v in sections.items()}
    return Quantize().decode(got.data, form, params, raw, Known())


def field(size, dtype, share, seed=0):
    """A random walk of which about ``share`` are no numbers of the lattice, in stretches."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=size).cumsum().astype(dtype)
    odd = np.array([np.nan, np.inf, -np.inf, -0.0, 3e38], dtype)
    stretch = np.repeat(rng.random(size // 5 + 1) < share, 5)[:size]
    x[stretch] = rng.choice(odd, stretch.sum())
    return x


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("size", SIZES)
def test_sizes_around_every_tile(dtype, size):
    for share in (0.0, 0.3):
        x = field(size, dtype, share)
        assert_guarantee(x, assert_as_specified(x, 0.01), 0.01)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.1, 0.5, 0.9, 1.0])
def test_any_share_of_outliers(dtype, share):
    x = field(5000, dtype, share)
    if share == 1.0:
        x[:] = np.nan
    assert_guarantee(x, assert_as_specified(x, 1e-3), 1e-3)


@pytest.mark.parametrize("bound", [1e-30, 2.0**-149, 1e-9, 0.5, 3.7, 1e10, 1e38])
def test_bounds_from_denormal_to_beyond_the_range(bound):
    x = field(3000, "f4", 0.1)
    assert_guarantee(x, assert_as_specified(x, bound), bound)


def test_lattice_is_wide_where_values_need_it_and_only_there():
    x = np.array([0.0, 2.0**30 - 1, 5.0], "f8")
    assert Quantize().encode(x, Form(x.shape, x.dtype, 0.5), job_for(x)).params == b"\x04"
    assert_as_specified(x, 0.5)
    x[1] += 1
    assert Quantize().encode(x, Form(x.shape, x.dtype, 0.5), job_for(x)).params == b"\x08"
    assert_as_specified(x, 0.5)


def test_ends_of_both_lattices():
    for end in (2.0**30, 2.0**51):
        x = np.array([s * end + d for s in (-1, 1) for d in (-1.5, -0.5, 0, 0.5, 1, 2)])
        assert_guarantee(x, assert_as_specified(x, 0.5), 0.5)


def test_outlier_takes_the_inlier_before_it_even_across_tiles():
    x = np.full(5000, 7.0, "f4")
    x[2000:4500] = np.nan
    got = Quantize().encode(x, Form(x.shape, x.dtype, 0.5), job_for(x))
    assert (got.data == 7).all()
    x[0] = np.inf  # none before it: the lattice starts at 0
    got = Quantize().encode(x, Form(x.shape, x.dtype, 0.5), job_for(x))
    assert got.data[0] == 0
    assert_as_specified(x, 0.5)


@pytest.mark.parametrize("size", [1, 2047, 2048, 2049, 5000])
def test_forced_values_are_outliers(size):
    x = field(size, "f4", 0.1)
    forced = (np.random.default_rng(1).random(size) < 0.4).astype(np.uint8)
    y = assert_as_specified(x, 0.1, forced)
    np.testing.assert_array_equal(y.view("u4")[forced == 1], x.view("u4")[forced == 1])
    assert_guarantee(x, y, 0.1)


def test_long_gaps_and_runs_take_long_varints():
    x = np.zeros(70000, "f4")
    x[20000:55000] = np.nan
    x[-1] = -0.0
    got = Quantize().encode(x, Form(x.shape, x.dtype, 1.0), job_for(x))
    expected = [20000, 35000, 14999, 1]
    assert bytes(got.sections["outlier_runs"]) == b"".join(map(lattice_spec.varint, expected))
    assert_as_specified(x, 1.0)


def test_halves_keep_their_own_bits():
    bits = np.arange(65536, dtype="u2")
    x = bits.view("f2").astype("f4")
    forced = np.zeros(bits.size, np.uint8)
    forced[np.abs(x) > 1000] = 1
    y = assert_as_specified(x, 0.25, forced, bits)
    exact = (forced == 1) | ~np.isfinite(x) | (bits == 0x8000)
    np.testing.assert_array_equal(y.view("u2")[exact], bits[exact])


INTEGERS = ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"]


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("bound", [0, 1, 2, 100, 2**20, 2**31, 2**53])
def test_integers(dtype, bound):
    info = np.iinfo(dtype)
    ends = [info.min, info.min + 1, -1, 0, 1, 2, info.max - 1, info.max]
    rng = np.random.default_rng(2)
    size = 2049
    if bound:  # the preparation takes a bound of 0 where sums could leave 64 bits
        ends = [v for v in ends if abs(v) < 2**62]
    low, high = max(info.min, -(2**61)), min(info.max, 2**61)
    x = rng.integers(low, high, size, dtype, endpoint=True)
    x[: len(ends)] = np.array([max(v, info.min) for v in ends], dtype)
    y = assert_as_specified(x, float(bound))
    assert_guarantee(x, y, bound)
    forced = (rng.random(size) < 0.2).astype(np.uint8)
    y = assert_as_specified(x, float(bound), forced)
    np.testing.assert_array_equal(y[forced == 1], x[forced == 1])
    assert_guarantee(x, y, bound)


@pytest.mark.parametrize("bound", [1, 2, 7])
def test_every_small_integer_is_within_the_bound(bound):
    for dtype in ("i1", "u1", "i2", "u2"):
        info = np.iinfo(dtype)
        x = np.arange(info.min, info.max + 1).astype(dtype)
        assert_guarantee(x, assert_as_specified(x, float(bound)), bound)
