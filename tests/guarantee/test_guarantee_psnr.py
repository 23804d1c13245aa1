"""`psnr=`: every chunk has at least the PSNR asked for, recomputed exactly."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from chunk_strategies import CALM
from exact import native
from hypothesis import given, settings
from hypothesis import strategies as st

import fzdask


def signal_to_noise(x, y, preserve=()):
    """``range**2 / mse`` over finite values that are not preserved; None where nothing moved."""
    x, y = native(x).reshape(-1), native(y).reshape(-1)
    kept = np.isfinite(x)
    for value in preserve:
        kept &= x != value
    pairs = [(a, b) for a, b in zip(x[kept].tolist(), y[kept].tolist(), strict=True)]
    if not pairs:
        return None
    if x.dtype.kind == "c":
        reals = [Fraction(v) for a, _ in pairs for v in (a.real, a.imag)]
        error = sum(
            (Fraction(a.real) - Fraction(b.real)) ** 2 + (Fraction(a.imag) - Fraction(b.imag)) ** 2
            for a, b in pairs
        )
    else:
        reals = [Fraction(a) for a, _ in pairs]
        error = sum((Fraction(a) - Fraction(b)) ** 2 for a, b in pairs)
    span = max(reals) - min(reals)
    return None if error == 0 else span**2 * len(pairs) / error


def assert_psnr(x, psnr, **config):
    stream = fzdask.compress(x, psnr=psnr, **config)
    y = fzdask.decompress(stream)
    reached = signal_to_noise(x, y, config.get("preserve", ()))
    if (
        reached is not None
    ):  # 10 ** (psnr / 10) by whole tenths of a decibel is a root; compare powers
        tenths = round(psnr * 10)
        assert reached**100 >= Fraction(10) ** tenths
    odd = ~np.isfinite(x) if x.dtype.kind in "fc" else np.zeros(x.shape, bool)
    for value in config.get("preserve", ()):
        odd |= x == value
    assert x[odd].tobytes() == y[odd].tobytes()
    return fzdask.inspect(stream)


@pytest.mark.parametrize("dtype", ["f2", "f4", ">f4", "f8", "c8", "c16", "i2", "u1", "i8"])
@pytest.mark.parametrize("psnr", [0.0, 20.0, 46.3, 90.0, 200.0])
def test_every_dtype(dtype, psnr):
    rng = np.random.default_rng(7)
    x = 40 * np.sin(np.arange(900) / 30) + rng.normal(size=900) + 60
    x = x.astype(dtype)
    if x.dtype.kind == "c":
        x.imag = rng.normal(size=900).cumsum()
    info = assert_psnr(x.reshape(30, 30), psnr)
    assert info.bound in ("psnr", "lossless")


@settings(max_examples=60, **CALM)
@given(
    seed=st.integers(0, 2**32 - 1),
    tenths=st.integers(0, 1500),
    scale=st.integers(-300, 300),
    kind=st.sampled_from(["noise", "walk", "spikes", "few"]),
)
def test_any_field(seed, tenths, scale, kind):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=200)
    if kind == "walk":
        x = x.cumsum()
    elif kind == "spikes":
        x = x * (rng.random(200) < 0.02)
    elif kind == "few":  # errors are as large as the bound for all, or for none
        x = rng.integers(0, 3, 200).astype("f8")
    assert_psnr(x * 10.0**scale, tenths / 10)


def test_a_chunk_whose_errors_are_all_as_large_as_the_bound_takes_the_sure_bound():
    """Values half way between cells: their errors have no smaller mean than the bound."""
    x = np.tile([0.0, 1.0, 0.5, 0.5], 500)
    for psnr in (3.0, 6.0, 9.1, 12.0):
        assert_psnr(x, psnr)


def test_sentinels_count_neither_for_the_range_nor_for_the_mean():
    x = np.sin(np.arange(2000) / 70)
    x[5::9] = -1e9
    x[7::9] = np.nan
    info = assert_psnr(x, 60.0, preserve=(-1e9,))
    assert info.resolved < 1e-2


def test_constant_and_single_values_are_exact():
    for x in (np.full(50, 3.7), np.array(2.5), np.array([1e300, 1e300])):
        assert fzdask.decompress(fzdask.compress(x, psnr=40.0)).tobytes() == x.tobytes()


@pytest.mark.parametrize("dtype", ["f4", "c8"])
def test_axes_in_another_order_in_memory_take_no_wider_bound_and_no_narrower_one(dtype):
    """Values were compared with those of other places, so that the sure bound was taken."""
    rng = np.random.default_rng(3)
    x = (rng.normal(size=(11, 12, 13)).cumsum(1) * 500).astype(dtype).transpose(1, 2, 0)
    for y in (x, x[::2], np.flip(x, 1)):
        assert fzdask.compress(y, psnr=50.0) == fzdask.compress(y.copy(order="C"), psnr=50.0)


def test_integers_that_binary64_takes_for_a_preserved_one_count():
    """2**60 + 50 equals 2.0**60 in binary64, but is no preserved value."""
    cell = 37  # of the wider bound that is tried first, 18; all errors but two are as large
    near = np.arange(2**60 + 22, 2**60 + 128)
    halfway = near[(near % cell == 18) | (near % cell == 19)]
    x = np.r_[near[0], np.tile(halfway, 300), near[-1]]
    y = fzdask.decompress(fzdask.compress(x, psnr=20.0, preserve=(2.0**60,)))
    assert signal_to_noise(x, y, (2**60,)) >= 100
