"""`difference` along one axis: as specified, undone, and the axis is the user's own."""

from __future__ import annotations

import difference_spec
import numpy as np
import pytest

import fzdask
from fzdask.codecs.stages.base import Form, Job, Known
from fzdask.codecs.stages.difference import Difference
from fzdask.errors import ConfigError, FormatError

NONE = np.zeros(0, np.uint8)
SHAPES = [(1,), (2,), (4099,), (13, 7), (2, 2050), (2050, 2), (5, 64, 7), (4, 1, 63, 11), (3, 1)]


def extremes(size, dtype):
    info = np.iinfo(dtype)
    return np.random.default_rng(size).integers(info.min, info.max, size, dtype, endpoint=True)


@pytest.mark.parametrize("dtype", ["i4", "i8"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_equals_the_specification_along_every_axis(shape, dtype):
    x = extremes(int(np.prod(shape)), dtype)
    form = Form(shape, x.dtype)
    for axis in range(len(shape)):
        for order in (1, 2):
            got = Difference(axis, order).encode(x, form, Job(NONE, x, 0.0))
            assert got.params == bytes([axis, order])
            want = difference_spec.differences(x, shape, axis, order)
            np.testing.assert_array_equal(got.data, want)
            np.testing.assert_array_equal(difference_spec.lattice_of(want, shape, axis, order), x)
            assert Difference().form_after(form, got.params) == form
            back = Difference().decode(got.data, form, got.params, {}, Known())
            np.testing.assert_array_equal(back, x)


def test_the_axis_is_that_of_the_user():
    shape = (4, 5, 6)
    x = np.arange(120, dtype="i4")
    form, reverse = Form(shape, x.dtype), Form(shape[::-1], x.dtype)
    pairs = Form((*shape, 2), x.dtype)
    for axis in range(-3, 3):
        positive = axis % 3
        job = Job(NONE, x, 0.0)
        assert Difference(axis).encode(x, form, job).params[0] == positive
        assert Difference(axis).encode(x, reverse, Job(NONE, x, 0.0, "F")).params[0] == 2 - positive
        for order, expected in (("C", positive), ("F", 2 - positive)):
            job = Job(NONE, x, 0.0, order, pairs=True)
            twice = np.repeat(x, 2)
            assert Difference(axis).encode(twice, pairs, job).params[0] == expected


def test_an_axis_that_is_not_there_changes_nothing():
    x = extremes(20, "i4")
    for axis in (2, -3, 63):
        form = Form((4, 5), x.dtype)
        got = Difference(axis).encode(x, form, Job(NONE, x, 0.0))
        assert got.params == bytes([255, 1])
        np.testing.assert_array_equal(got.data, x)
        np.testing.assert_array_equal(Difference().decode(x, form, got.params, {}, Known()), x)


@pytest.mark.parametrize("dtype", ["f4", ">f8", "c8", "u1"])
@pytest.mark.parametrize("order", "CF")
def test_in_a_pipeline(dtype, order):
    t, y = np.mgrid[0:12, 0:31]
    x = np.array(100 + t * (y % 7), order=order).astype(dtype)
    for options in ("", "(order=2)", "(axis=-1)"):
        text = f"quantize | difference{options} | lorenzo | huffman"
        y = fzdask.decompress(fzdask.compress(x, abs=1.0, pipeline=text))
        assert y.dtype == x.dtype
        assert np.abs(y.astype("c16") - x.astype("c16")).max() <= 1.0
        assert str(fzdask.Pipeline.from_text(text)) == text


def test_a_constant_rate_costs_nothing_at_order_2():
    rng = np.random.default_rng(0)
    start, rate = rng.integers(-99, 99, (2, 500))
    x = (start + rate * np.arange(20)[:, None]).astype("i4")
    got = Difference(order=2).encode(x.reshape(-1), Form(x.shape, x.dtype), Job(NONE, x, 0.0))
    assert not got.data.reshape(x.shape)[2:].any()


def test_refusals():
    for wrong in ({"axis": 1.5}, {"axis": 64}, {"order": 3}, {"order": 0}):
        with pytest.raises(ConfigError):
            Difference(**wrong)
    form = Form((4, 5), np.dtype("i4"))
    for params in (b"", b"\x00", b"\x02\x01", b"\x00\x00", b"\x00\x03", b"\xfe\x01"):
        with pytest.raises(FormatError):
            Difference().form_after(form, params)
    with pytest.raises(FormatError):
        Difference().form_after(Form((4,), np.dtype("f4")), b"\x00\x01")
