"""`interpolate` gives what its specification says for the levels that it chose, and undoes it."""

from __future__ import annotations

import interpolate_spec as spec
import numpy as np
import pytest
from exact import assert_guarantee

import fzdask
from fzdask.codecs.kernels.cpu import interpolate_classes as classes
from fzdask.codecs.kernels.cpu import interpolate_splines as splines
from fzdask.codecs.stages.base import Form, Job, Known
from fzdask.codecs.stages.huffman import Huffman
from fzdask.codecs.stages.interpolate import (
    DIFFERENCES,
    LEVELS,
    Interpolate,
    difference_bits,
)
from fzdask.codecs.stages.interpolate_levels import layout_of, pack_levels, spread, unpack_levels
from fzdask.codecs.stages.lorenzo import Lorenzo, folded_shape
from fzdask.codecs.stages.quantize import Quantize
from fzdask.codecs.stages.zstd import Zstd
from fzdask.errors import ConfigError, FormatError

NONE = np.zeros(0, np.uint8)
SHAPES = (
    *((2,), (3,), (57,), (2500,), (7, 31), (2, 2, 2), (5, 17, 18), (40, 3), (3, 4, 5, 6)),
    *((9, 12, 75), (4, 3, 9, 44)),  # rows of several vectors, planes across either axis
)


def job_of(x, forced=NONE):
    finite = x[np.isfinite(x)]
    top = float(np.abs(finite.astype("f8")).max()) if finite.size else 0.0
    return Job(forced, x.view(f"<u{x.itemsize}"), top)


def encoded(x, bound, forced=NONE, **options):
    form = Form(x.shape, x.dtype, bound)
    return form, Interpolate(**options).encode(x.reshape(-1), form, job_of(x.reshape(-1), forced))


def sides(got):
    return {k: np.frombuffer(v, np.uint8) for k, v in got.sections.items()}


def decoded(form, got):
    return Interpolate().decode(got.data, form, got.params, sides(got), Known())


def walk(shape, seed=0, scale=1.0):
    x = np.random.default_rng(seed).normal(size=shape)
    for axis in range(len(shape)):
        x = x.cumsum(axis)
    return x * scale


def assert_as_specified(x, bound, forced=NONE):
    """Encode, compare codes and values with the specification; returns the encoding."""
    form, got = encoded(x, bound, forced, predictor="interpolation")
    assert got.params == bytes([LEVELS])
    whole = x.dtype.kind in "iu"
    layout = layout_of(x.shape)
    levels = spec.read_levels(bytes(got.sections["levels"]))
    kept = np.isfinite(x) & ~((x == 0) & np.signbit(x)) if not whole else np.ones(x.shape, bool)
    if forced.size:
        kept &= forced.reshape(x.shape) == 0
    masked = np.where(kept, x.astype("f8" if whole else x.dtype), np.nan)
    grid = layout.arranged(masked.reshape(-1)).reshape(layout.grid)
    codes, y, missed = spec.encode(grid, levels, bound, whole)
    np.testing.assert_array_equal(got.data, codes)
    back = spec.decode(got.data, layout.grid, x.dtype, levels, bound, whole)
    np.testing.assert_array_equal(np.clip(y, back.min(), back.max()), back)
    back = layout.restored(back.reshape(-1)).reshape(x.shape)
    outlier = layout.restored(missed.reshape(-1)).reshape(x.shape)
    again = decoded(form, got).reshape(x.shape)
    assert again.dtype == x.dtype
    bits = f"u{x.itemsize}"
    np.testing.assert_array_equal(again.view(bits), np.where(outlier, x, back).view(bits))
    assert ("outliers" in got.sections) == outlier.any()
    return got


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_codes_and_values_are_those_of_the_specification(shape, dtype):
    assert_as_specified(walk(shape).astype(dtype), 0.01)


@pytest.mark.parametrize("bound", [1e-6, 0.3, 40.0])
def test_tight_and_loose_bounds(bound):
    assert_as_specified(walk((23, 30), 1).astype("f4"), bound)


@pytest.mark.parametrize("bound", [0, 1, 7])
@pytest.mark.parametrize("dtype", ["i2", "u1", "i4"])
def test_integers_are_interpolated_as_integers(dtype, bound):
    x = walk((13, 22), 2, 9.0)
    info = np.iinfo(dtype)
    x = np.clip(np.rint(x), info.min, info.max).astype(dtype)
    got = assert_as_specified(x, float(bound))
    assert "outliers" not in got.sections


def test_values_that_no_code_holds_come_back_and_harm_no_neighbour():
    x = walk((20, 35), 3).astype("f4")
    x[4:9, 10:20] = np.nan
    x[2, ::3] = -0.0
    x[11, 5] = np.inf
    forced = np.zeros(x.size, np.uint8)
    forced[300:320] = 1
    got = assert_as_specified(x, 0.01, forced)
    clean = np.isfinite(x)
    form = Form(x.shape, x.dtype, 0.01)
    back = decoded(form, got).reshape(x.shape)
    assert np.isfinite(back[clean]).all()


def test_values_near_the_end_of_the_dtype():
    top = np.finfo("f4").max
    x = np.array([1, -1, 0.5, -0.25] * 16, "f4").reshape(8, 8) * top
    form, got = encoded(x, float(top) * 1e-3, predictor="interpolation")
    assert got.params == bytes([LEVELS])
    assert_guarantee(x, decoded(form, got).reshape(x.shape), float(top) * 1e-3)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("shape", [(500,), (13, 40)], ids=str)
def test_an_error_that_binary64_rounds_down_to_the_bound_is_above_it(shape, dtype):
    """-1e-30 became 1.0 within a bound of 1.0: their difference is 1.0 in binary64."""
    rng = np.random.default_rng(1)
    x = rng.integers(-2, 3, shape).astype(dtype)
    x[x == 0] = rng.choice([-1e-30, 1e-30], (x == 0).sum())
    got = assert_as_specified(x, 1.0)
    back = decoded(Form(x.shape, x.dtype, 1.0), got).reshape(x.shape)
    assert_guarantee(x, back, 1.0)
    assert (np.abs(back - x) == 1.0).any()  # what is 1.0 apart and no more stays coded


def test_the_grid_is_a_matter_of_the_shape():
    assert layout_of((1, 9, 1, 40)).grid == (1, 1, 9, 40)
    assert layout_of((98, 500, 3)).grid == (1, 98, 3, 500)
    assert layout_of((2, 3, 4, 5, 60)).grid == (6, 4, 5, 60)
    assert layout_of((30, 30, 2)).grid == (1, 30, 2, 30)
    x = np.arange(30 * 20 * 2)
    layout = layout_of((30, 20, 2))
    np.testing.assert_array_equal(layout.restored(layout.arranged(x)), x)


def test_a_slow_axis_waits_for_coarser_levels():
    """Frames that have nothing to do with each other are not interpolated in time."""
    rng = np.random.default_rng(4)
    y, x = np.mgrid[:64, :64] / 10
    frames = np.stack([np.sin(x + p) * np.cos(y * q) for p, q in rng.uniform(0, 2, (8, 2))])
    _, got = encoded(frames.astype("f4"), 1e-3, predictor="interpolation")
    assert spec.read_levels(bytes(got.sections["levels"]))[0]["active"] == (2, 3)


def test_noise_is_differenced_and_waves_are_interpolated():
    noise = np.random.default_rng(5).normal(size=(8, 400)).repeat(8, 0).astype("f4")
    form, got = encoded(noise, 1e-3)
    assert got.params[0] == DIFFERENCES
    assert_guarantee(noise, decoded(form, got).reshape(noise.shape), 1e-3)
    waves = np.sin(np.mgrid[:64, :64].sum(0) / 9).astype("f4")
    assert encoded(waves, 1e-3)[1].params[0] == LEVELS


@pytest.mark.parametrize("dtype", ["f4", "i2"])
def test_differences_are_those_of_quantize_and_lorenzo(dtype):
    x = walk((17, 19), 6, 10.0).astype(dtype).reshape(-1)
    form = Form((17, 19), x.dtype, 1.0)
    got = Interpolate(predictor="lorenzo").encode(x, form, job_of(x))
    lattice = Quantize().encode(x, form, job_of(x))
    axes = tuple(k for k in range(2) if got.params[2] >> k & 1)
    after = Quantize().form_after(form, lattice.params)
    residual = Lorenzo(axes=axes).encode(lattice.data, after, job_of(x))
    assert got.params == bytes([DIFFERENCES]) + lattice.params + residual.params
    np.testing.assert_array_equal(got.data, residual.data)
    np.testing.assert_array_equal(
        decoded(form, got), Quantize().decode(lattice.data, form, lattice.params, {}, Known())
    )


def quiet_map(shape, dtype="f4", axis=0):
    """Noise at a quarter of the places of a map, at all times along an axis; 9 elsewhere."""
    random = np.random.default_rng(7)
    x = random.integers(0, 90, shape).astype(dtype)
    still = random.random([n for k, n in enumerate(shape) if k != axis]) < 0.75
    np.moveaxis(x, axis, -1)[still] = 9
    return x


@pytest.mark.parametrize("dtype", ["f4", "f8", "i4"])
@pytest.mark.parametrize(
    ("shape", "axis"),
    [((60, 50), 0), ((40, 9, 11), 0), ((7, 60, 9), 1), ((3, 5, 80, 9), 2), ((2, 3, 90, 7, 5), 2)],
)
def test_differences_are_stored_along_the_axis_where_they_repeat(dtype, shape, axis):
    x = quiet_map(shape, dtype, axis)
    if dtype == "f4":
        x[1:3, 1:3] = np.nan
        x[0, 0] = -0.0
    folded = folded_shape(shape)
    innermost = axis - (len(shape) - len(folded))
    form, got = encoded(x, 1.0, predictor="lorenzo")
    assert got.params[3:] == bytes([innermost])
    after = Interpolate().form_after(form, got.params)
    assert after.shape == np.moveaxis(np.empty(folded, "?"), innermost, -1).shape
    own = np.ascontiguousarray(np.moveaxis(got.data.reshape(after.shape), -1, innermost))
    again = Interpolate().decode(own.reshape(-1), form, got.params[:3], sides(got), Known())
    back = decoded(form, got)
    bits = f"u{x.itemsize}"
    np.testing.assert_array_equal(back.view(bits), again.view(bits))
    assert_guarantee(x, back.reshape(shape), 1.0)
    lattice = Quantize().encode(x.reshape(-1), form, job_of(x.reshape(-1)))
    axes = tuple(k for k in range(len(folded)) if got.params[2] >> k & 1)
    middle = Quantize().form_after(form, lattice.params)
    residual = Lorenzo(axes=axes).encode(lattice.data, middle, job_of(x.reshape(-1)))
    np.testing.assert_array_equal(own.reshape(-1), residual.data)


def test_the_order_stays_where_another_saves_next_to_nothing():
    random = np.random.default_rng(8)
    sparse = np.zeros((64, 40, 41), "f4")
    sparse.reshape(-1)[random.choice(sparse.size, 30, replace=False)] = 50
    for x in (random.integers(0, 9, (30, 40, 5)).astype("f4"), sparse, quiet_map((12, 90), axis=1)):
        form, got = encoded(x, 0.5, predictor="lorenzo")
        assert len(got.params) == 3
        assert_guarantee(x, decoded(form, got).reshape(x.shape), 0.5)


@pytest.mark.parametrize("order", ["C", "F"])
def test_stages_behind_a_new_order_see_its_shape(order):
    x = np.asarray(quiet_map((40, 9, 11), axis=0 if order == "C" else 2), order=order)
    for behind in ("lorenzo | huffman", "difference(axis=0) | huffman", "rans", "context_mixing"):
        stream = fzdask.compress(x, abs=0.5, pipeline=f"interpolate | {behind}")
        assert_guarantee(x, fzdask.decompress(stream), 0.5)
    half = x.astype("f2")
    assert_guarantee(half, fzdask.decompress(fzdask.compress(half, abs=1, pipeline="quality")), 1)
    pairs = x.astype("f4") * np.array(1 + 2j, "c8")
    stream = fzdask.compress(pairs, abs=0.5, pipeline="interpolate | difference(axis=0) | huffman")
    assert np.abs(fzdask.decompress(stream).astype("c16") - pairs).max() <= 0.5


def test_a_new_order_saves_bytes():
    x = quiet_map((40, 19, 21))
    form, got = encoded(x, 0.5, predictor="lorenzo")
    own = np.ascontiguousarray(np.moveaxis(got.data.reshape(19, 21, 40), -1, 0)).reshape(-1)
    sizes = []
    for data in (got.data, own):
        coded = Huffman().encode(data, form, job_of(data.astype("f4")))
        sizes.append(len(bytes(Zstd().compress(coded.data) or coded.data)))
    assert sizes[0] < 0.8 * sizes[1]


def test_parameters_of_an_order_that_is_none_are_refused():
    form = Form((4, 1, 6), np.dtype("f4"), 1.0)
    assert Interpolate().form_after(form, bytes([0, 4, 3, 0])).shape == (6, 4)
    for wrong in (bytes([0, 4, 3, 1]), bytes([0, 4, 3, 255]), bytes([0, 4, 3, 0, 0])):
        with pytest.raises(FormatError):
            Interpolate().form_after(form, wrong)
    with pytest.raises(FormatError):
        Interpolate().form_after(Form((9,), np.dtype("f4"), 1.0), bytes([0, 4, 1, 0]))


@pytest.mark.parametrize(
    ("among", "wanted"), [(1, 512), (511, 512), (512, 512), (4096, 512), (10**6, 7)]
)
def test_what_is_looked_at_is_spread_and_has_no_period(among, wanted):
    chosen = spread(among, wanted)
    parts = min(among, wanted)
    assert chosen.size == parts
    low, high = np.arange(parts) * among // parts, (np.arange(parts) + 1) * among // parts
    assert ((low <= chosen) & (chosen < high)).all()
    if among > 4 * parts:  # no step comes often
        assert np.unique(np.diff(chosen), return_counts=True)[1].max() < max(parts // 4, 2)


def test_estimates_see_what_lies_at_one_end_of_the_rows():
    """A quiet field with noise only in the last values of its rows, or only in its first ones."""
    random = np.random.default_rng(9)
    for part in (slice(0, 32), slice(96, 128)):
        x = np.zeros((64, 64, 128), "f4")
        x[..., part] = random.integers(0, 64, (64, 64, 32))
        form = Form(x.shape, x.dtype, 0.5)
        bits = difference_bits(x.reshape(-1), form, 0)
        assert bits / 256 == pytest.approx(x.size / 4 * 6, rel=0.2)


def test_what_32_bits_do_not_hold_is_differenced():
    for x, bound in (
        (np.arange(50) * 2.0**40, 1.0),
        (np.arange(50, dtype="i8") << 40, 5.0),
        (np.arange(50) * 1e-308, 6e-309),
    ):
        form, got = encoded(x, bound, predictor="interpolation")
        assert got.params[0] == DIFFERENCES
        assert_guarantee(x, decoded(form, got), bound)


def test_levels_round_trip_and_wrong_ones_are_refused():
    _, got = encoded(walk((5, 17, 18)).astype("f4"), 0.01, predictor="interpolation")
    packed = bytes(got.sections["levels"])
    grids, plans, levels = unpack_levels(packed, (1, 5, 17, 18))
    assert levels > 2
    assert (grids[-1] == 1).all()
    assert pack_levels(plans) == packed
    for wrong in (packed[:-1], packed + packed, b"\0" + packed[1:], b"\1" + packed[1:]):
        with pytest.raises(FormatError):
            unpack_levels(wrong, (1, 5, 17, 18))


def test_rules_have_weights_that_keep_constants_and_lines():
    for rule in range(splines.TAPS.size):
        taps, left = int(splines.TAPS[rule]), int(splines.LEFT[rule])
        weights = splines.WEIGHTS[rule]
        places = 2 * np.arange(taps) - 2 * left + 1
        assert weights[:taps].sum() == pytest.approx(1, abs=1e-15)
        assert not weights[taps:].any()
        if taps > 1:
            assert weights[:taps] @ places == pytest.approx(0, abs=1e-15)


def test_every_class_comes_after_those_it_is_predicted_from():
    order = [0, *classes.CLASS_ORDER.tolist()]
    assert sorted(order) == list(range(classes.CLASSES))
    for p in order[1:]:
        for d in range(classes.AXES):
            if p >> d & 1:
                assert order.index(p ^ 1 << d) < order.index(p)


def test_an_unknown_predictor_is_refused_by_name():
    with pytest.raises(ConfigError, match="interpolate: predictor='cubic'"):
        Interpolate(predictor="cubic")


def test_the_preset_keeps_the_bound():
    x = walk((9, 40, 41), 8).astype("f4")
    stream = fzdask.compress(x, rel=1e-3, pipeline="quality")
    assert_guarantee(x, fzdask.decompress(stream), 1e-3 * float(x.max() - x.min()))
    assert "interpolate" in fzdask.inspect(stream).pipeline
