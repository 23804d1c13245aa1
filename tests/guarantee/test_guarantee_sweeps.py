"""Every bit pattern of a float, or a sample of them, over the lattice at several bounds."""

from __future__ import annotations

import numpy as np
import pytest
from exact import assert_guarantee, exact_positions
from lattice_trip import LATTICE, over_the_lattice

ALL_HALVES = np.arange(1 << 16, dtype="u2").view("f2")
HALF_BOUNDS = [2.0**-26, 2.0**-25, 2.0**-24, 1e-6, 1e-3, 2.0**-10, 0.01, 1 / 3, 0.5, 1.0, 7.7]
HALF_BOUNDS += [16.0, 100.0, 1024.0, 3e4, 65504.0, 65519.0, 65520.0, 1e6, 1e300]


@pytest.mark.parametrize("bound", HALF_BOUNDS)
def test_every_half(bound):
    y, _ = over_the_lattice(ALL_HALVES, abs=bound)
    assert_guarantee(ALL_HALVES, y, bound)


@pytest.mark.parametrize("bound", [1e-3, 0.7, 50.0])
def test_every_half_in_another_order_and_pipeline(bound):
    x = np.random.default_rng(0).permutation(ALL_HALVES).reshape(16, 64, 64)
    y, _ = over_the_lattice(x, LATTICE, abs=bound, preserve=(1.0, -2.5))
    assert_guarantee(x, y, bound, preserve=(1.0, -2.5))


def patterns(dtype, count, seed):
    """A sample of all bit patterns, even over signs and exponents."""
    dtype = np.dtype(dtype)
    raw = np.random.default_rng(seed).bytes(count * dtype.itemsize)
    return np.frombuffer(raw, dtype)


BOUNDS = [2.0**-1024, 2.0**-1022, 1e-300, 1e-45, 2.0**-149, 1e-30, 1e-7, 1e-3, 0.1, 1.0]
BOUNDS += [12345.678, 1e10, 1e37, 3.5e38, 1e100, 1e300, 1.7e308]


@pytest.mark.parametrize("bound", BOUNDS)
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_sampled_bit_patterns(dtype, bound):
    x = patterns(dtype, 1 << 16, 1)
    y, _ = over_the_lattice(x, LATTICE, abs=bound)
    assert_guarantee(x, y, bound)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_sampled_bit_patterns_near_the_bound(dtype):
    """Exponents from far below the bound to where the lattice ends."""
    rng = np.random.default_rng(2)
    for bound in (1e-3, 0.3, 1.0, 700.0):
        exponents = np.log2(bound) + rng.uniform(-4, 60, 1 << 16)
        x = (np.exp2(exponents) * rng.choice([-1, 1], exponents.size)).astype(dtype)
        y, _ = over_the_lattice(x, LATTICE, abs=bound)
        assert_guarantee(x, y, bound)


BLOCK = 1 << 20


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("bound", [1e-3, 1.0, 3e4 / 7])
def test_every_single(bound):
    """All 2**32 bit patterns of float32.

    Binary64 suffices to judge: a difference of two float32 is inexact in it only if one of them
    is 2**29 times the other. The lesser then is 0 (and the difference exact after all), or the
    greater is several bounds from it, since what is not 0 is at least a cell of two bounds.
    """
    for start in range(0, 1 << 32, BLOCK):
        x = np.arange(start, start + BLOCK, dtype="u8").astype("u4").view("f4")
        y, _ = over_the_lattice(x, LATTICE, abs=bound)
        exact = exact_positions(x)
        np.testing.assert_array_equal(y.view("u4")[exact], x.view("u4")[exact])
        with np.errstate(invalid="ignore"):
            distance = np.abs(x.astype("f8") - y.astype("f8"))
        wrong = ~(distance <= bound) & ~exact
        if wrong.any():
            k = np.argmax(wrong)
            raise AssertionError(f"{x[k]!r} became {y[k]!r} at a bound of {bound!r}")
