"""`lorenzo(order=2)`: second differences, as specified and undone, and when they are chosen."""

from __future__ import annotations

import lorenzo_spec
import numpy as np
import pytest

import fzdask
from fzdask.codecs.stages.base import Form, Job, Known
from fzdask.codecs.stages.lorenzo import Lorenzo
from fzdask.errors import ConfigError, FormatError

NONE = np.zeros(0, np.uint8)
SHAPES = [
    (1,),
    (2,),
    (4097,),
    (3, 63),
    (65, 3),
    (2, 1025),
    (45, 46),
    (3, 2049),
    (5, 64, 7),
    (2, 2, 31, 33),
    (3, 5, 7, 11),
]


def extremes(size, dtype):
    info = np.iinfo(dtype)
    return np.random.default_rng(size).integers(info.min, info.max, size, dtype, endpoint=True)


def run(x, shape, **options):
    form = Form(shape, x.dtype)
    return Lorenzo(**options).encode(x, form, Job(NONE, x, 0.0))


@pytest.mark.parametrize("dtype", ["i4", "i8"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_second_differences_and_their_inverse(shape, dtype):
    x = extremes(int(np.prod(shape)), dtype)
    form = Form(shape, x.dtype)
    nd = len(lorenzo_spec.folded_shape(shape))
    for mask in range(1 << nd):
        axes = tuple(k for k in range(nd) if mask >> k & 1)
        got = run(x, shape, axes=axes, order=2)
        assert got.params == bytes([mask | mask << 4])
        np.testing.assert_array_equal(got.data, lorenzo_spec.residual(x, shape, got.params[0]))
        np.testing.assert_array_equal(x, lorenzo_spec.lattice_of(got.data, shape, got.params[0]))
        assert Lorenzo().form_after(form, got.params) == form
        np.testing.assert_array_equal(Lorenzo().decode(got.data, form, got.params, {}, Known()), x)


@pytest.mark.parametrize("params", [0x11, 0x13, 0x23, 0x37, 0x57, 0x47])
def test_orders_that_differ_by_axis(params):
    for shape in ((40, 70, 33), (5, 3, 200)):
        x = extremes(int(np.prod(shape)), "i4")
        r = lorenzo_spec.residual(x, shape, params)
        back = Lorenzo().decode(r, Form(shape, x.dtype), bytes([params]), {}, Known())
        np.testing.assert_array_equal(back, x)


def test_a_line_costs_its_start_once():
    x = (1000 + 7 * np.arange(50)).astype("i4")
    got = run(x, (50,), axes="all", order=2)
    assert got.data.tolist() == [1000, 7, *[0] * 48]


def test_auto_takes_the_order_that_fits_each_axis():
    rng = np.random.default_rng(4)
    once = rng.integers(-3, 4, (60, 70)).cumsum(0)
    twice = rng.integers(-3, 4, (60, 70)).cumsum(1).cumsum(1)
    noise = rng.integers(-300, 300, (60, 70))
    both = rng.integers(-3, 4, (60, 70)).cumsum(0).cumsum(1).cumsum(1)
    for x, params in ((once, 0x01), (twice, 0x22), (noise, 0x00), (both, 0x23)):
        got = run(x.astype("i4").reshape(-1), x.shape, order=2)
        assert got.params[0] == params


def test_auto_where_there_is_little_to_see():
    nothing = np.full(900, np.nan)
    job = Job(NONE, NONE, 0.0, sample=(nothing, 1.0))
    form = Form((30, 30), np.dtype("i4"))
    assert Lorenzo(order=2).subset(np.zeros(900, "i4"), form, job) == 3
    for shape in ((), (1,), (2,), (2, 500), (300, 2)):
        x = np.arange(int(np.prod(shape)), dtype="i4")
        assert run(x, shape, order=2).params == run(x, shape).params


@pytest.mark.parametrize("dtype", ["f4", ">f8", "f2", "c8", "i2"])
@pytest.mark.parametrize("order", "CF")
def test_in_a_pipeline_fused_or_not(dtype, order):
    t = np.linspace(0, 3, 40)
    x = np.array(100 * np.outer(np.sin(t), np.cos(2 * t)), order=order).astype(dtype)
    for axes in ("auto", "all"):
        text = f"quantize | lorenzo(axes={axes}, order=2) | huffman"
        y = fzdask.decompress(fzdask.compress(x, abs=1.0, pipeline=text))
        assert y.dtype == x.dtype
        assert np.abs(y.astype("c16") - x.astype("c16")).max() <= 1.0
    assert fzdask.Pipeline.from_text(text).from_text(str(fzdask.Pipeline.from_text(text)))


def test_order_2_pays_on_smooth_fields():
    y, x = np.mgrid[0:200, 0:300]
    field = np.sin(y / 40) * np.cos(x / 50)
    sizes = [
        len(fzdask.compress(field, abs=1e-6, pipeline=f"quantize | lorenzo(order={n}) | huffman"))
        for n in (1, 2)
    ]
    assert sizes[1] < 0.75 * sizes[0]


def test_refusals():
    with pytest.raises(ConfigError, match="order=3"):
        Lorenzo(order=3)
    form = Form((4, 5), np.dtype("i4"))
    for params in (b"\x10", b"\x21", b"\x44", b"\x01\x01"):
        with pytest.raises(FormatError):
            Lorenzo().form_after(form, params)
