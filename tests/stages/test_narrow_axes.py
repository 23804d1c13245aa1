"""`lorenzo(axes=narrow)` chooses the axes of its specification; ranges are those of NumPy."""

from __future__ import annotations

import narrow_axes_spec
import numpy as np
import pytest

import fzdask
from fzdask.codecs.kernels.cpu.ranges import finite_range
from fzdask.codecs.kernels.cpu.width_sampling import narrowest_axes

NONE = np.zeros(0, np.uint8)


def field(shape, dtype, axes, seed=0):
    """Smooth along these axes and rough along the others."""
    x = np.random.default_rng(seed).normal(size=shape)
    for axis in axes:
        x = x.cumsum(axis)
    return x.astype(dtype)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize(
    ("shape", "smooth"),
    [((4000,), (0,)), ((50, 90), (0,)), ((50, 90), (1,)), ((50, 90), (0, 1)), ((9, 30, 40), (0, 2)),
     ((5, 6, 20, 31), (1, 3)), ((5, 6, 20, 31), ()), ((7,), (0,)), ((3, 4), (0,))],
)  # fmt: skip
def test_axes_are_as_specified(shape, smooth, dtype):
    x = field(shape, dtype, smooth)
    x.reshape(-1)[::997] = np.nan
    forced = (np.random.default_rng(1).random(x.size) < 0.002).astype("u1")
    lengths = np.array(shape, np.int64)
    for inverse in (40.0, 1e6):
        for flags in (NONE, forced):
            got = narrowest_axes(x.reshape(-1), flags, lengths, inverse, 10)
            assert got == narrow_axes_spec.narrowest_axes(x.ravel(), flags, shape, inverse, 10)


def test_smooth_axes_are_chosen():
    for smooth in ((0,), (2,), (0, 1), (0, 1, 2)):
        x = field((20, 30, 40), "f4", smooth).reshape(-1)
        mask = sum(1 << axis for axis in smooth)
        assert narrowest_axes(x, NONE, np.array((20, 30, 40)), 50.0, 64) == mask
    nothing = np.full(5000, np.nan, "f4")
    assert narrowest_axes(nothing, NONE, np.array((50, 100)), 1.0, 64) == 3


def test_the_option_is_one_of_the_stage():
    x = field((40, 50), "f4", (1,))
    stream = fzdask.compress(x, abs=0.01, pipeline="quantize | lorenzo(axes=narrow) | huffman")
    assert (np.abs(fzdask.decompress(stream) - x.astype("f8")) <= 0.01).all()


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("size", [1, 2, 127, 128, 129, 1000, 4096])
def test_ranges_are_those_of_what_is_finite(size, dtype):
    largest = np.finfo(dtype).max
    x = field((size,), dtype, ())
    assert finite_range(x, largest) == (x.min(), x.max())
    odd = x.copy()
    odd[:: max(size // 7, 1)] = np.nan
    kept = odd[np.isfinite(odd)]
    low, high = finite_range(odd, largest)
    if kept.size:
        assert (low, high) == (kept.min(), kept.max())
    else:
        assert low > high
    odd[size // 2 :] = np.inf
    odd[size // 3] = -np.inf
    kept = odd[np.isfinite(odd)]
    low, high = finite_range(odd, largest)
    if kept.size:
        assert (low, high) == (kept.min(), kept.max())
    else:
        assert low > high
    odd[:] = largest
    assert finite_range(odd, largest) == (largest, largest)
