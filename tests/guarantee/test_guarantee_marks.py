"""Values to preserve mark something, such as missing data: no other value comes back as one."""

from __future__ import annotations

import numpy as np
import pytest
from exact import assert_guarantee

import fzdask
from fzdask.codecs.config import CodecConfig
from fzdask.codecs.prepare import prepare, preserved_ranges

PIPELINES = ["default", "speed", "quality", "quantize | lorenzo_tiles | rans", "wavelet | huffman"]
MARKS = (0.0, -0.75, 3.0)


def around(dtype: str, marks: tuple[float, ...] = MARKS) -> np.ndarray:
    """Values on and beside the marks, some by the least there is, and a smooth rest."""
    rng = np.random.default_rng(1)
    x = np.sin(np.arange(4096) / 90) * 4
    near = rng.choice(marks, 800) + rng.choice([-1, 1], 800) * 10.0 ** rng.uniform(-9, -1, 800)
    x[rng.permutation(4096)[:800]] = near
    x[::37] = rng.choice(marks, x[::37].size)
    if dtype.startswith("c"):
        odd = np.where(rng.random(4096) < 0.3, 10.0 ** rng.uniform(-9, 0, 4096), 0)
        return (x + 1j * odd).astype(dtype).reshape(64, 64)
    return x.astype(dtype).reshape(64, 64)


def assert_marks_mean_the_same(x, y, marks=MARKS):
    for mark in marks:
        value = np.asarray(mark).astype(x.dtype)
        assert np.array_equal(x == value, y == value), f"{mark} came back elsewhere"


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f4", "c8", "c16"])
@pytest.mark.parametrize("bound", [{"abs": 0.01}, {"rel": 1e-3}, {"pw_rel": 0.01}, {"psnr": 50}])
@pytest.mark.parametrize("pipeline", PIPELINES[:3])
def test_floats(dtype, bound, pipeline):
    x = around(dtype)
    stream = fzdask.compress(x, **bound, preserve=MARKS, pipeline=pipeline)
    y = fzdask.decompress(stream)
    assert_marks_mean_the_same(x, y)
    if "psnr" not in bound and x.dtype.kind == "f":
        kept = ~np.isin(x, np.array(MARKS, x.dtype))
        error = np.abs(x[kept].astype("f8") - y[kept].astype("f8"))
        if "pw_rel" in bound:
            assert (error <= 0.01 * np.abs(x[kept].astype("f8"))).all()
        else:
            assert error.max() <= fzdask.inspect(stream).resolved


@pytest.mark.parametrize("pipeline", PIPELINES)
@pytest.mark.parametrize("order", "CF")
def test_pipelines(pipeline, order):
    x = np.asarray(around("f4"), order=order)
    for bound in (0.3, 1e-4):
        y = fzdask.decompress(fzdask.compress(x, abs=bound, preserve=MARKS, pipeline=pipeline))
        assert_marks_mean_the_same(x, y)
        assert_guarantee(x, y, bound, MARKS)


@pytest.mark.parametrize("dtype", ["i1", "u1", "i2", "i4", "i8", "u8"])
def test_integers(dtype):
    info = np.iinfo(dtype)
    marks = (info.min, info.max, 3)
    rng = np.random.default_rng(2)
    x = np.concatenate(
        [
            info.min + np.arange(20, dtype=object),
            info.max - np.arange(20, dtype=object),
            rng.integers(0, 40, 200).astype(object),
        ]
    ).astype(dtype)
    for bound in (1, 5, 1e-2):
        asked = {"abs": bound} if bound >= 1 else {"rel": bound}
        y = fzdask.decompress(fzdask.compress(x, **asked, preserve=marks))
        assert_marks_mean_the_same(x, y, marks)


def test_regression_a_small_value_beside_a_preserved_zero_does_not_become_zero():
    """40 values of this line came back as 0, which a reader of _FillValue=0 masks."""
    x = np.linspace(-1, 1, 4096)
    for pipeline in PIPELINES:
        y = fzdask.decompress(fzdask.compress(x, abs=0.01, preserve=0.0, pipeline=pipeline))
        assert not (y == 0).any()
        assert np.abs(x - y).max() <= 0.01


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
@pytest.mark.parametrize("mark", [0.0, 1.0, -999.0, 6e4, 2.0**-14])
@pytest.mark.parametrize("reach", [1e-300, 1e-5, 0.1, 7.0, 1e30])
def test_ranges_hold_whatever_could_come_back_as_the_mark(dtype, mark, reach):
    (ends,) = preserved_ranges(np.dtype(dtype), (mark,), reach, pointwise=False)
    low, high, _ = (np.longdouble(end) for end in ends)
    wide = np.longdouble(np.dtype(dtype).type(mark))
    assert low <= wide - np.longdouble(reach)
    assert high >= wide + np.longdouble(reach)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
@pytest.mark.parametrize("mark", [1.0, -999.0, 6e4, -(2.0**-14), 5e-8])
@pytest.mark.parametrize("reach", [1e-300, 1e-5, 0.1, 0.5, 0.9, 1 - 2.0**-53])
def test_ranges_of_a_pointwise_bound_are_no_wider_than_its_reach(dtype, mark, reach):
    """|x - mark| <= reach |x| holds from mark / (1 + reach) to mark / (1 - reach)."""
    dtype = np.dtype(dtype)
    (ends,) = preserved_ranges(dtype, (mark,), reach, pointwise=True)
    wide = np.longdouble(dtype.type(mark))
    exact = sorted([wide / (1 + np.longdouble(reach)), wide / (1 - np.longdouble(reach))])
    low, high = map(np.longdouble, ends[:2])
    assert low <= exact[0]
    assert high >= exact[1]
    info = np.finfo(dtype)
    for end, wanted in zip((low, high), exact, strict=True):
        if abs(wanted) < info.max:
            rounded = 16 * info.eps * abs(wanted) + 2 * info.smallest_subnormal
            assert abs(end - wanted) <= rounded


def test_nothing_but_the_mark_is_kept_where_no_value_moves():
    assert preserved_ranges(np.dtype("f4"), (2.5,), 0.0, pointwise=False) == [(2.5, 2.5, 0)]
    assert preserved_ranges(np.dtype("f4"), (0.0,), 0.1, pointwise=True) == [(0, 0, 0)]
    assert preserved_ranges(np.dtype("f4"), (1e300,), 0.1, pointwise=False) == []
    assert preserved_ranges(np.dtype("u1"), (2.5, -1, 256), 1.0, pointwise=False) == []


def test_marks_far_from_all_values_cost_no_outlier():
    x = np.linspace(250, 300, 5000, dtype="f4")
    x[::50] = -999
    ready = prepare(x, "C", CodecConfig(abs=0.01, preserve=(-999.0,)))
    assert ready.job is not None
    assert np.array_equal(ready.job.forced, (x == -999).view("u1"))


@pytest.mark.parametrize("fill", [1e20, -9.96921e36])
@pytest.mark.parametrize(
    "bound", [{"pw_rel": 1e-3}, {"pw_rel": 0.5}, {"pw_rel": 0.9}, {"abs": 0.1}]
)
def test_a_fill_value_far_from_all_values_costs_nothing(bound, fill):
    """From pw_rel=0.5 on, every value was kept bit for bit whatever the fill value was."""
    x = (2 + np.sin(np.arange(4000) / 50)).astype("f4")
    assert fzdask.compress(x, **bound, preserve=fill) == fzdask.compress(x, **bound)
    x[1000:1500] = fill
    ready = prepare(x, "C", CodecConfig(**bound, preserve=(fill,)))
    assert ready.job is not None
    assert np.array_equal(ready.job.forced, (x == np.float32(fill)).view("u1"))
