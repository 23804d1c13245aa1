"""`binning` gives what its specification says, level by level, and undoes it."""

from __future__ import annotations

import binning_spec
import numpy as np
import pytest

import fzdask
from fzdask.codecs.stages.base import Form, Job, Known
from fzdask.codecs.stages.binning import Binning
from fzdask.errors import ConfigError, FormatError

NONE = np.zeros(0, np.uint8)
SHAPES = [(), (1,), (2,), (3,), (257,), (17, 31), (2, 64), (33, 1, 2), (9, 16, 11), (2, 3, 5, 19)]
SHAPES += [(2, 2, 3, 4, 5), (5, 33)]


def extremes(size, dtype):
    info = np.iinfo(dtype)
    return np.random.default_rng(size).integers(info.min, info.max, size, dtype, endpoint=True)


@pytest.mark.parametrize("dtype", ["i4", "i8"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_equals_the_specification_and_is_undone(shape, dtype):
    x = extremes(int(np.prod(shape)), dtype)
    form = Form(shape, x.dtype)
    for levels in (1, 2, 63):
        for axes, mask in (("all", 15), ((0,), 1), ((1, 2), 6), ((), 0)):
            got = Binning(levels, axes).encode(x, form, Job(NONE, x, 0.0))
            mask &= (1 << len(binning_spec.folded_shape(shape))) - 1
            assert got.params == bytes([levels, mask])
            want = binning_spec.forward(x, shape, levels, mask)
            np.testing.assert_array_equal(got.data, want)
            np.testing.assert_array_equal(binning_spec.inverse(want, shape, levels, mask), x)
            assert Binning().form_after(form, got.params) == form
            back = Binning().decode(got.data, form, got.params, {}, Known())
            np.testing.assert_array_equal(back, x)


def test_the_corner_is_a_small_picture():
    y, x = np.mgrid[0:64, 0:48]
    field = (50 * y + 30 * x).astype("i4")
    got = Binning(3).encode(field.reshape(-1), Form(field.shape, field.dtype), Job(NONE, field, 0))
    corner = got.data.reshape(field.shape)[:8, :6]
    blocks = field.reshape(8, 8, 6, 8).mean(axis=(1, 3))
    assert np.abs(corner - blocks).max() <= 6  # each of the six means is rounded down


@pytest.mark.parametrize("dtype", ["f4", ">f8", "f2", "c8", "i2"])
@pytest.mark.parametrize("order", "CF")
def test_in_a_pipeline(dtype, order):
    t = np.linspace(0, 3, 40)
    x = np.array(100 * np.outer(np.sin(t), np.cos(2 * t)), order=order).astype(dtype)
    for text in ("quantize | binning | huffman", "quantize | binning(levels=1, axes=(1,)) | zstd"):
        y = fzdask.decompress(fzdask.compress(x, abs=1.0, pipeline=text))
        assert (y.dtype, y.flags.f_contiguous) == (x.dtype, x.flags.f_contiguous)
        assert np.abs(y.astype("c16") - x.astype("c16")).max() <= 1.0


def test_refusals():
    for wrong in ({"levels": 0}, {"levels": 64}, {"levels": 1.5}, {"axes": "some"}, {"axes": (4,)}):
        with pytest.raises(ConfigError):
            Binning(**wrong)
    form = Form((4, 5), np.dtype("i4"))
    for params in (b"", b"\x00\x03", b"\x40\x03", b"\x03\x04", b"\x03\x03\x03"):
        with pytest.raises(FormatError):
            Binning().form_after(form, params)
    with pytest.raises(FormatError):
        Binning().form_after(Form((4,), np.dtype("f4")), b"\x01\x01")
