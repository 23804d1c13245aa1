"""`lorenzo` gives what its specification says, byte for byte, and undoes it."""

from __future__ import annotations

import choices_spec
import lorenzo_spec
import numpy as np
import pytest

from fzdask.codecs.stages.base import Form, Job, Known
from fzdask.codecs.stages.lorenzo import Lorenzo, axes_geometry, folded_shape

NONE = np.zeros(0, np.uint8)

# Kernels work in tiles of 2048 elements, and keep strides below 64 apart from longer ones.
SHAPES = [
    (1,),
    (2,),
    (2047,),
    (2048,),
    (2049,),
    (4097,),
    *[(3, s) for s in (63, 64, 65, 127, 128, 129, 2047, 2048, 2049)],
    *[(s, 3) for s in (63, 64, 65, 682, 683, 684)],
    (2, 1025),
    (45, 46),
    (5, 63, 7),
    (5, 64, 7),
    (5, 65, 7),
    (4, 9, 57),
    (33, 2, 64),
    (3, 3, 2049),
    (2, 31, 67),
    (3, 5, 7, 11),
    (2, 2, 32, 32),
    (7, 13, 8, 8),
    (2, 3, 683, 1),
    (1, 1, 1, 5),
    (3, 2, 3, 5, 7, 2),
    (2, 1, 65, 1, 3, 4, 2),
]


def masks(shape):
    return range(1 << len(lorenzo_spec.folded_shape(shape)))


def axes_of(mask):
    return tuple(k for k in range(4) if mask >> k & 1)


def extremes(size, dtype):
    """Values up to the ends of the lattice's integers: sums must wrap."""
    info = np.iinfo(dtype)
    return np.random.default_rng(size).integers(info.min, info.max, size, dtype, endpoint=True)


def run(x, shape, axes):
    form = Form(shape, x.dtype)
    return Lorenzo(axes=axes).encode(x, form, Job(NONE, x, 0.0))


@pytest.mark.parametrize("dtype", ["i4", "i8"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_residual_and_its_inverse_for_every_subset_of_axes(shape, dtype):
    x = extremes(int(np.prod(shape)), dtype)
    form = Form(shape, x.dtype)
    for mask in masks(shape):
        got = run(x, shape, axes_of(mask))
        assert got.params == bytes([mask])
        assert got.data.dtype == x.dtype
        np.testing.assert_array_equal(got.data, lorenzo_spec.residual(x, shape, mask))
        back = Lorenzo().decode(got.data, form, got.params, {}, Known())
        np.testing.assert_array_equal(back, x)
        np.testing.assert_array_equal(lorenzo_spec.lattice_of(got.data, shape, mask), x)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_folding_and_geometry(shape):
    folded = lorenzo_spec.folded_shape(shape)
    assert folded_shape(shape) == folded
    for mask in masks(shape):
        strides, spans = axes_geometry(shape, mask)
        expected = [
            (int(np.prod(folded[k + 1 :])), int(np.prod(folded[k:])))
            for k in reversed(axes_of(mask))
        ]
        assert list(zip(strides.tolist(), spans.tolist(), strict=True)) == expected


def test_all_axes_and_axes_beyond_the_shape():
    x = extremes(60, "i4")
    assert run(x, (3, 4, 5), "all").params == b"\x07"
    assert run(x, (3, 1, 20), "all").params == b"\x03"  # an axis of length 1 does not count
    assert run(x, (3, 20), (0, 3)).params == b"\x01"
    assert run(x, (), "all").params == b"\x00"


def auto_fields():
    rng = np.random.default_rng(5)
    y, x = np.mgrid[0:41, 0:53]
    smooth = np.rint(3000 * np.sin(y / 9) * np.cos(x / 7)).astype("i4")
    yield "smooth", smooth
    yield "noise", rng.integers(-100, 100, (41, 53)).astype("i4")
    yield "rows differ", np.rint(smooth + rng.normal(scale=1e4, size=(41, 1))).astype("i4")
    yield "columns differ", np.rint(smooth + rng.normal(scale=1e4, size=(53,))).astype("i4")
    yield "constant", np.full((41, 53), 9, "i4")
    yield "walk in 3-D", rng.integers(-3, 4, (9, 17, 33)).cumsum(0).cumsum(2).astype("i4")
    yield "4-D", rng.integers(-3, 4, (5, 6, 7, 21)).cumsum(3).astype("i4")
    yield "wide", extremes(3000, "i8").reshape(50, 60)
    yield "two values", np.array([5, -5], "i4")
    yield "one value", np.array([5], "i4")
    yield "long", rng.integers(-3, 4, 300_000).cumsum().astype("i4")


AUTO = dict(auto_fields())


@pytest.mark.parametrize("name", AUTO)
def test_auto_takes_the_axes_that_the_specification_takes(name):
    x = AUTO[name]
    chosen = run(x.reshape(-1), x.shape, "auto").params[0]
    assert chosen == choices_spec.auto_axes(x, x.shape, 1.0, NONE)


def test_auto_finds_the_smooth_axes():
    rng = np.random.default_rng(8)
    for axis in (0, 1):
        walk = rng.integers(-3, 4, (50, 60)).cumsum(axis).astype("i4")
        assert run(walk.reshape(-1), walk.shape, "auto").params == bytes([1 << axis])
    assert run(AUTO["noise"].reshape(-1), (41, 53), "auto").params == b"\x00"


@pytest.mark.parametrize("inverse", [1e-3, 1.0, 1e17, 1e300])
def test_auto_samples_the_lattice_of_values_and_skips_what_has_none(inverse):
    rng = np.random.default_rng(6)
    x = rng.normal(size=(60, 50)).cumsum(1)
    x[rng.random(x.shape) < 0.1] = np.nan
    x[rng.random(x.shape) < 0.1] = 1e308
    forced = (rng.random(x.size) < 0.1).astype(np.uint8)
    for flags in (NONE, forced):
        job = Job(flags, NONE, 0.0, sample=(x.reshape(-1), inverse))
        got = Lorenzo().subset(np.zeros(x.size, "i4"), Form(x.shape, np.dtype("i4")), job)
        assert got == choices_spec.auto_axes(x, x.shape, inverse, flags)


def test_auto_with_nothing_to_sample_takes_all_axes():
    x = np.full((30, 40), np.nan)
    job = Job(NONE, NONE, 0.0, sample=(x.reshape(-1), 1.0))
    assert Lorenzo().subset(np.zeros(1200, "i4"), Form((30, 40), np.dtype("i4")), job) == 3
    assert choices_spec.auto_axes(x, x.shape, 1.0, NONE) == 3
