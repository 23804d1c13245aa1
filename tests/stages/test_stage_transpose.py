"""`transpose` hands on the transposed array, and gives the array back as it was."""

from __future__ import annotations

import numpy as np
import pytest
from transpose_spec import transposed

import fzdask
from fzdask.codecs.stages.base import Form, Job, Known
from fzdask.codecs.stages.transpose import Transpose
from fzdask.errors import ConfigError, FormatError

NONE = np.zeros(0, np.uint8)


def run(x, order, axes, forced=NONE, pairs=False):
    """The stage on a user's array; pairs are a last axis that the user does not see."""
    user = x[..., 0] if pairs else x
    flat = np.ascontiguousarray(x)
    if order == "F":
        back = (*range(user.ndim)[::-1], *([user.ndim] if pairs else []))
        flat = np.ascontiguousarray(x.transpose(back))
    form = Form(flat.shape, flat.dtype, 0.5)
    flat = flat.reshape(-1)
    job = Job(forced, flat.view(f"u{flat.itemsize}"), 9.0, order, pairs=pairs)
    got = Transpose(axes).encode(flat, form, job)
    back = Transpose().decode(got.data, form, got.params, {}, Known())
    assert back.tobytes() == flat.tobytes()
    return got, Transpose().form_after(form, got.params), job


@pytest.mark.parametrize("order", "CF")
@pytest.mark.parametrize("axes", [(2, 0, 1), (1, 0, 2), (0, 1, 2), (-1, 0, -2), "reverse"], ids=str)
def test_stages_behind_see_the_transposed_array(axes, order):
    for dtype in ("f4", "f8", "i4", "f2"):
        x = np.arange(7 * 5 * 3).astype(dtype).reshape(7, 5, 3)
        want = transposed(x, axes)
        got, form, job = run(x, order, axes)
        assert form == Form(want.shape, x.dtype, 0.5)
        np.testing.assert_array_equal(got.data, want.reshape(-1))
        assert job.bits.tobytes() == want.tobytes()
        assert job.order == "C"
        assert (job.sample is None) == (dtype != "i4")


@pytest.mark.parametrize("order", "CF")
def test_parts_of_complex_numbers_stay_together(order):
    x = np.arange(7 * 5 * 3 * 2, dtype="f4").reshape(7, 5, 3, 2)
    got, form, _ = run(x, order, (1, 2, 0), pairs=True)
    assert form.shape == (5, 3, 7, 2)
    np.testing.assert_array_equal(got.data, transposed(x, (1, 2, 0), True).reshape(-1))


def test_flags_move_along():
    x = np.arange(15, dtype="f4").reshape(3, 5)
    flags = (x.reshape(-1) % 4 == 0).astype(np.uint8)
    got, _, job = run(x, "C", (1, 0), flags)
    np.testing.assert_array_equal(job.forced, (got.data % 4 == 0).astype(np.uint8))
    halves = Job(NONE, x.astype("f2").reshape(-1).view("u2"), 0.0)
    Transpose().encode(x.reshape(-1), Form(x.shape, np.dtype("f2")), halves)
    np.testing.assert_array_equal(halves.bits, x.astype("f2").T.copy().view("u2").reshape(-1))


@pytest.mark.parametrize("dtype", ["f2", "f4", ">f8", "c8", "i2", "?", "M8[s]", "V5"])
@pytest.mark.parametrize("order", "CF")
@pytest.mark.parametrize("shape", [(), (1,), (13,), (5, 31), (3, 7, 11)], ids=str)
def test_in_pipelines(dtype, order, shape):
    nbytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
    raw = (np.arange(nbytes) % 7).astype(np.uint8).tobytes()
    x = np.asarray(np.ndarray(shape, dtype, raw), order=order)
    for text in (
        "transpose | quantize | lorenzo | huffman",
        "quantize | transpose | lorenzo | huffman",
        "transpose | shuffle | zstd",
    ):
        for config in ({"abs": 1e-3}, {"lossless": True}):
            y = fzdask.decompress(fzdask.compress(x, pipeline=text, **config))
            assert (y.dtype, y.shape) == (x.dtype, x.shape)
            assert y.flags.f_contiguous == x.flags.f_contiguous
            if x.dtype.kind in "fc" and "abs" in config:
                assert (np.abs(y.astype("c16") - x.astype("c16")) <= 1e-3).all()
            else:
                assert y.tobytes() == x.tobytes()


def test_refusals():
    for wrong in ("backwards", (0, 0), (0, 2), (1,), 1.5, (-1, 1)):
        with pytest.raises(ConfigError, match="axes="):
            Transpose(wrong)
    with pytest.raises(ConfigError, match="an array of 3 axes"):
        fzdask.compress(np.ones((2, 3, 4)), abs=1e-3, pipeline="transpose(axes=(1, 0)) | quantize")
    form = Form((4, 5), np.dtype("i4"))
    for params in (b"", b"\x00", b"\x00\x00", b"\x01\x02", b"\x00\x01\x02"):
        with pytest.raises(FormatError):
            Transpose().form_after(form, params)
