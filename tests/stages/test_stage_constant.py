"""`constant` gives what its specification says and undoes it; blocks stay within the bound."""

from __future__ import annotations

import constant_spec
import numpy as np
import pytest

import fzdask
from fzdask.codecs.stages.base import Form, Job, Known
from fzdask.codecs.stages.constant import Constant
from fzdask.errors import ConfigError, FormatError

NONE = np.zeros(0, np.uint8)
DTYPES = ["f4", "f8", "i1", "u2", "i4", "u8", "i8"]


def patches(dtype, size=3000, seed=0):
    """Stretches that are constant, nearly so, rough, or not numbers."""
    rng = np.random.default_rng(seed)
    x = np.zeros(size, dtype)
    at = 0
    while at < size:
        part = x[at : at + int(rng.integers(3, 60))]
        kind = rng.integers(6)
        part[:] = rng.integers(0, 90)
        if kind > 2:
            part += rng.integers(0, [1, 1, 1, 2, 4, 30][kind], part.size).astype(dtype)
        if x.dtype.kind == "f" and kind == 1:
            part[:] = rng.choice([np.nan, np.inf, -0.0])
        if x.dtype.kind == "f" and kind == 4:
            part[rng.integers(part.size)] = rng.choice([np.nan, np.inf, -0.0])
        at += part.size
    return x


def run(x, bound, forced=NONE, **options):
    bits = x.view(f"u{x.itemsize}")
    job = Job(forced, bits, 0.0)
    return Constant(**options).encode(x, Form(x.shape, x.dtype, bound), job), job


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bound", [0.0, 1.0, 2.0])
@pytest.mark.parametrize("block", [8, 16])
def test_equals_the_specification_and_is_undone(dtype, bound, block):
    x = patches(dtype)
    bits = x.view(f"u{x.itemsize}")
    for flags in (NONE, (np.arange(x.size) % 40 < 7).astype(np.uint8)):
        got, job = run(x, bound, flags, block=block, share=0)
        every = flags if flags.size else np.zeros(x.size, np.uint8)
        params, stays, sections = constant_spec.encode(x, bits, every, bound, block, 0)
        assert got.params == params
        assert got.data.tobytes() == stays.tobytes()
        assert {k: bytes(v) for k, v in got.sections.items()} == sections
        assert job.bits.tobytes() == stays.tobytes()
        assert job.forced.size in (0, stays.size)
        form = Form(x.shape, x.dtype, bound)
        after = Constant().form_after(form, got.params)
        assert after == Form(stays.shape, x.dtype, bound)
        y = Constant().decode(got.data, form, got.params, as_read(got), Known())
        exact = every.astype(bool)
        if x.dtype.kind == "f":
            exact |= ~np.isfinite(x) | ((x == 0) & np.signbit(x))
        assert (y.view(bits.dtype)[exact] == bits[exact]).all()
        near = np.abs(x[~exact].astype("g") - y[~exact].astype("g"))
        assert near.max() <= bound


def as_read(encoded):
    return {name: np.frombuffer(data, np.uint8) for name, data in encoded.sections.items()}


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 16, 17, 1000])
def test_every_size(size):
    for x in (np.full(size, 3.5, "f4"), np.arange(size, dtype="f4")):
        got, _ = run(x, 0.25, block=8)
        form = Form(x.shape, x.dtype, 0.25)
        after = Constant().form_after(form, got.params)
        assert after.size == got.data.size
        assert after.size > 0 or size == 0
        back = Constant().decode(got.data, form, got.params, as_read(got), Known())
        np.testing.assert_array_equal(back, x)


def test_a_wide_range_and_its_middle():
    top = np.finfo("f8").max
    x = np.concatenate([np.tile([top, -top], 32), np.zeros(1)])
    got, _ = run(x, top, block=64, share=0)
    assert got.data.size == x.size  # exactly at the bound is left to the stages behind
    info = np.iinfo("i8")
    x = np.concatenate([np.tile(np.array([info.min, info.max]), 32), [0]])
    assert run(x, 2.0**53, block=64, share=0)[0].data.size == 65
    narrow = np.concatenate([np.tile(np.array([info.max - 2, info.max]), 32), [0]])
    got, _ = run(narrow, 1.0, block=64, share=0)
    assert np.frombuffer(bytes(got.sections["values"]), "i8").tolist() == [info.max - 1]


def test_few_constant_blocks_leave_the_array_as_it_is():
    x = np.arange(1280, dtype="f4").reshape(10, 128)
    x[4] = 7
    form = Form(x.shape, x.dtype, 0.1)
    got = Constant().encode(x.reshape(-1), form, Job(NONE, x.reshape(-1).view("u4"), 0.0))
    assert got.params == b"\x07"
    assert Constant().form_after(form, got.params) == form


@pytest.mark.parametrize("dtype", ["f2", "f4", ">f8", "c8", "i2", "u8"])
@pytest.mark.parametrize("order", "CF")
@pytest.mark.parametrize(
    "pipeline",
    ["constant(block=16) | quantize | lorenzo | huffman", "quantize | constant(block=8) | zstd"],
)
def test_in_a_pipeline(dtype, order, pipeline):
    t = np.linspace(0, 6, 900)
    x = np.array(np.maximum(60 * np.sin(t), 0).reshape(30, 30), order=order).astype(dtype)
    stream = fzdask.compress(x, abs=0.5, pipeline=pipeline)
    y = fzdask.decompress(stream)
    assert "constant" in fzdask.inspect(stream).pipeline
    assert y.dtype == x.dtype
    assert np.abs(y.astype("c16") - x.astype("c16")).max() <= 0.5


@pytest.mark.parametrize("bound", [{"abs": 0.5}, {"pw_rel": 0.01}], ids=["abs", "pw_rel"])
@pytest.mark.parametrize("dtype", ["f4", "f8", "i4", "i8"])
@pytest.mark.parametrize("lossy", ["quantize", "interpolate"])
def test_constant_blocks_of_a_lattice_were_given_the_bits_of_the_input(lossy, dtype, bound):
    x = np.repeat([7, 70, 700], 500).astype(dtype)
    y = fzdask.decompress(
        fzdask.compress(x, **bound, pipeline=f"{lossy} | constant(block=8, share=0.0)")
    )
    if x.dtype.kind == "i" and "pw_rel" in bound:
        assert y.tobytes() == x.tobytes()
    assert (np.abs(y.astype("f8") - x.astype("f8")) <= bound.get("abs", 0.01 * x)).all()


@pytest.mark.parametrize("dtype", ["?", "M8[s]", "V5", "S3", "c16", ">u2", "f2"])
def test_lossless_on_anything(dtype):
    x = np.zeros(4000 * np.dtype(dtype).itemsize, np.uint8)
    x[::997] = 1
    x = x.view(dtype)
    stream = fzdask.compress(x, lossless=True, pipeline="constant | shuffle | zstd")
    assert fzdask.decompress(stream).tobytes() == x.tobytes()


def test_refusals():
    for wrong in ({"block": 100}, {"block": 4}, {"block": 2**17}, {"share": -1}, {"share": "a"}):
        with pytest.raises(ConfigError):
            Constant(**wrong)
    form = Form((100,), np.dtype("i4"))
    for params in (b"", b"\x02", b"\x11", b"\x03\x0d", b"\x03" + bytes(9)):
        with pytest.raises(FormatError):
            Constant().form_after(form, params)
    value, two = np.zeros(4, np.uint8), np.zeros(2, np.uint8)
    one = np.array([1, 0], np.uint8)
    left = np.zeros(92, "i4")
    for params, data, sections in (
        (b"\x03", np.zeros(100, "i4"), {"blocks": one}),
        (b"\x03\x01", left, {"blocks": one}),
        (b"\x03\x01", left, {"values": value}),
        (b"\x03\x01", left, {"blocks": two, "values": value}),
        (b"\x03\x01", left, {"blocks": one[:1], "values": value}),
        (b"\x03\x01", left, {"blocks": one, "values": value[:3]}),
        (b"\x03\x01", left, {"blocks": np.array([0, 16], np.uint8), "values": value}),
    ):
        with pytest.raises(FormatError):
            Constant().decode(data, form, params, sections, Known())
