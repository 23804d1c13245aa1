"""`wavelet` gives what its specification says, keeps the bound, and is undone on any machine."""

from __future__ import annotations

import numpy as np
import pytest
import wavelet_spec as spec
from exact import assert_guarantee

import fzdask
from fzdask.codecs.kernels.cpu.wavelet_fill import fill_holes
from fzdask.codecs.stages.base import Form, Job, Known
from fzdask.codecs.stages.wavelet import Wavelet
from fzdask.errors import ConfigError, FormatError

NONE = np.zeros(0, np.uint8)
SHAPES = ((1,), (2,), (7,), (57,), (2, 2, 2), (7, 31), (40, 3), (5, 17, 70), (3, 9, 1, 8, 16))


def walk(shape, seed=0):
    x = np.random.default_rng(seed).normal(size=shape)
    for axis in range(len(shape)):
        x = x.cumsum(axis)
    return x


def turbulence(shape, seed=6):
    """Noise with a spectrum that falls alike in all directions."""
    waves = np.fft.rfftn(np.random.default_rng(seed).normal(size=shape))
    sides = [np.fft.fftfreq(n) for n in shape[:-1]] + [np.fft.rfftfreq(shape[-1])]
    k2 = sum(
        np.square(s).reshape([-1 if d == e else 1 for e in range(len(shape))])
        for d, s in enumerate(sides)
    )
    return np.fft.irfftn(waves / (k2 + 1e-3) ** 0.9, shape, range(len(shape)))


def encoded(x, bound, forced=NONE, **options):
    form = Form(x.shape, x.dtype, bound)
    flat = x.reshape(-1)
    return form, Wavelet(**options).encode(flat, form, Job(forced, flat.view(f"u{x.itemsize}"), 0))


def sides(got):
    return {k: np.frombuffer(v, np.uint8) for k, v in got.sections.items()}


def decoded(form, got, **changed):
    sections = {**sides(got), **changed}
    return Wavelet().decode(got.data, form, got.params, sections, Known()).reshape(form.shape)


def assert_as_specified(x, bound, **options):
    """Coefficients, values and the guarantee; returns the encoding and the decoded array."""
    form, got = encoded(x, bound, **options)
    long = tuple(n for n in x.shape if n != 1)
    grid = (1,) * (4 - len(long)) + long
    reach = bound + 0.5 if x.dtype.kind in "iu" else bound
    step = options.get("step", 2.25)
    if "outliers" not in got.sections:
        codes = np.rint(
            spec.transform(x.reshape(grid) / (reach * step), *spec.read_plan(got.params))
        )
        np.testing.assert_array_equal(got.data.reshape(grid), codes)
    y = decoded(form, got)
    if "outliers" not in got.sections:
        corrections = sides(got).get("corrections", NONE).tolist()
        want = spec.decode(got.data.reshape(grid), x.dtype, bound, got.params, corrections)
        np.testing.assert_array_equal(y, want.reshape(x.shape))
    assert_guarantee(x, y, bound)
    return got, y


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_coefficients_and_values_are_those_of_the_specification(shape, dtype):
    got, _ = assert_as_specified(walk(shape).astype(dtype), 0.01)
    assert "outliers" not in got.sections


@pytest.mark.parametrize("step", [0.5, 1.5, 4])
def test_wide_steps_need_more_corrections(step):
    got, _ = assert_as_specified(walk((30, 41), 1), 0.1, step=step)
    counts = sides(got).get("corrections", NONE).size
    assert counts == 0 if step == 0.5 else 0 < counts < (60 if step == 1.5 else 1200)
    assert "outliers" not in got.sections


@pytest.mark.parametrize("bound", [0, 1, 7])
@pytest.mark.parametrize("dtype", ["i2", "u1", "i8"])
def test_integers(dtype, bound):
    info = np.iinfo(dtype)
    x = np.clip(np.rint(9 * walk((13, 22), 2)), max(info.min, -(2**50)), info.max).astype(dtype)
    got, _ = assert_as_specified(x, float(bound))
    assert "outliers" not in got.sections


def test_integers_that_binary64_skips_are_outliers():
    x = np.array([2**62, 2**62 + 1, 5, -(2**63), 2**52 + 1, 3] * 4, "i8")
    assert_as_specified(x, 2.0**53)
    got, y = assert_as_specified(x, 1.0)
    assert sides(got)["outliers"].size == 8 * 16
    np.testing.assert_array_equal(y[:2], x[:2])


def test_what_no_coefficient_holds_comes_back_bit_for_bit_and_harms_no_neighbour():
    x = walk((20, 35), 3).astype("f4")
    clean = encoded(x, 0.01)[1]
    x[4:9, 10:20] = np.nan
    x[2, ::3] = -0.0
    x[11, 5], x[15, 30] = np.inf, 1e30
    forced = np.zeros(x.size, np.uint8)
    forced[300:320] = 1
    form, got = encoded(x, 0.01, forced)
    y = decoded(form, got)
    assert_guarantee(x, y, 0.01)
    np.testing.assert_array_equal(y.reshape(-1)[300:320], x.reshape(-1)[300:320])
    odd = np.count_nonzero(~np.isfinite(x) | (np.signbit(x) & (x == 0)) | (x == 1e30))
    assert sides(got)["outliers"].size <= 4 * (odd + 20)
    assert np.abs(got.data).max() <= 4 * np.abs(clean.data).max()


def test_holes_are_filled_smoothly():
    y, x = np.mgrid[:40, :50]
    wave = np.sin(x / 9) + y / 20
    known = (x - 25) ** 2 + (y - 20) ** 2 > 60
    filled = fill_holes(np.where(known, wave, np.nan), known)
    np.testing.assert_array_equal(filled[known], wave[known])
    assert np.abs(np.diff(filled, axis=0)).max() < 0.3
    assert np.abs(np.diff(filled, axis=1)).max() < 0.3
    nothing = fill_holes(np.full((3, 5), np.nan), np.zeros((3, 5), bool))
    np.testing.assert_array_equal(nothing, np.zeros((3, 5)))


def test_bounds_near_the_precision_of_the_dtype():
    x = (walk((500,), 4) + 4096).astype("f4")
    for bound in (2.0**-12, 2.0**-13, 2.0**-14, 1e-9):
        form, got = encoded(x, bound)
        assert_guarantee(x, decoded(form, got), bound)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_values_near_the_ends_of_the_dtype(dtype):
    info = np.finfo(dtype)
    signs = np.array([1, -1, 0.5, -0.25] * 16, dtype).reshape(8, 8)
    for top in (info.max, info.smallest_normal, 8 * info.smallest_subnormal):
        x = signs * top
        bound = float(top) * 1e-2
        if bound > 0 and np.isfinite(1 / (2 * bound)):
            stream = fzdask.compress(x, abs=bound, pipeline="wavelet | zstd")
            assert_guarantee(x, fzdask.decompress(stream), bound)


def test_smooth_fields_become_few_coefficients():
    y, x = np.mgrid[:128, :128] / 40
    wave = (np.sin(x) * np.cos(y)).astype("f4")
    got, _ = assert_as_specified(wave, 1e-3)
    assert np.count_nonzero(got.data) < wave.size / 20
    assert np.count_nonzero(got.data.reshape(128, 128)[:16, :16]) > 50


def test_each_axis_is_halved_as_suits_it():
    y, x = np.mgrid[:64, :64] / 10
    rng = np.random.default_rng(4)
    members = np.stack([np.sin(x + p) * np.cos(y * q) for p, q in rng.uniform(0, 3, (16, 2))])
    time = np.arange(32)[:, None, None] / 100
    noise = np.random.default_rng(5).normal(size=(64, 64)).cumsum(0).cumsum(1) / 50
    _, got = encoded(members.astype("f4"), 1e-3)
    assert spec.read_plan(got.params)[0][1] == 0
    _, got = encoded((noise + time).astype("f4"), 1e-3)
    levels, apart = spec.read_plan(got.params)
    assert levels[1] > 1
    assert 1 in apart
    rough = turbulence((32, 32, 32))
    got, _ = assert_as_specified(rough, 0.05)
    assert spec.read_plan(got.params) == ([0, 3, 3, 3], ())


def test_wrong_sections_and_parameters_are_refused():
    form, got = encoded(walk((30, 41), 1), 0.1)
    good = sides(got)["corrections"]
    beyond = np.concatenate([good, np.array([255, 255, 255, 1], np.uint8)])
    for wrong in (beyond, good[:-1] | 128, np.full(12, 255, np.uint8)):
        with pytest.raises(FormatError, match="corrections"):
            decoded(form, got, corrections=wrong)
    width, sixteenths, low, high, apart = got.params
    for params in (
        bytes([5, sixteenths, low, high, apart]),
        bytes([width, 7, low, high, apart]),
        bytes([width, sixteenths, 1, high, apart]),  # of an axis of length 1
        bytes([width, sixteenths, low, 0xFF, apart]),
        bytes([width, sixteenths, low, 0xFF, 15]),
        bytes([width, sixteenths, low, high, 16]),
        got.params[:-1],
    ):
        with pytest.raises(FormatError, match="wavelet"):
            Wavelet().form_after(form, params)


@pytest.mark.parametrize("step", [0.25, 9, 1.7, "1.5", True])
def test_a_step_that_no_byte_holds_is_refused(step):
    with pytest.raises(ConfigError, match="wavelet: step="):
        Wavelet(step=step)


def test_the_preset_keeps_the_bound():
    x = walk((9, 40, 41), 8).astype("f4")
    for options in ({"rel": 1e-3}, {"pw_rel": 1e-2}):
        stream = fzdask.compress(x, pipeline="sperr_gpu", **options)
        y = fzdask.decompress(stream)
        assert "wavelet" in fzdask.inspect(stream).pipeline
        if "rel" in options:
            assert_guarantee(x, y, 1e-3 * (float(x.max()) - float(x.min())))
        else:
            assert (np.abs(x.astype("f8") - y) <= 1e-2 * np.abs(x.astype("f8"))).all()
