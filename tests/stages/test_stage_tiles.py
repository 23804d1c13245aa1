"""`lorenzo_tiles` and `block_mean` give what their specification says, and undo it."""

from __future__ import annotations

import numpy as np
import pytest
import tiles_spec

import fzdask
from fzdask.codecs.stages.base import Form, Job, Known
from fzdask.codecs.stages.block_mean import BlockMean
from fzdask.codecs.stages.lorenzo_tiles import LorenzoTiles
from fzdask.errors import ConfigError, FormatError

NONE = np.zeros(0, np.uint8)
SHAPES = [(1,), (2,), (255,), (513,), (17, 31), (16, 16), (1, 33, 1), (9, 7, 11), (2, 3, 5, 9)]
SHAPES += [(2, 2, 3, 4, 5)]


def lattice(size, dtype, kind, seed=0):
    rng = np.random.default_rng(seed)
    info = np.iinfo(dtype)
    if kind == "extremes":
        return rng.integers(info.min, info.max, size, dtype, endpoint=True)
    steps = rng.integers(-3, 4, size)
    if kind == "mixed":  # noise, walks and curves, one after the other
        third = size // 3
        walk = np.cumsum(steps)
        return np.concatenate(
            [steps[:third] * 50 + 1000, walk[third : 2 * third], np.cumsum(walk)[2 * third :]]
        ).astype(dtype)
    return np.cumsum(steps).astype(dtype)


def as_read(encoded):
    return {name: np.frombuffer(data, np.uint8) for name, data in encoded.sections.items()}


@pytest.mark.parametrize("dtype", ["i4", "i8"])
@pytest.mark.parametrize("kind", ["extremes", "mixed"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_equal_their_specification_and_are_undone(shape, kind, dtype):
    x = lattice(int(np.prod(shape)), dtype, kind)
    form = Form(shape, x.dtype)
    for stage, modes in (
        (LorenzoTiles(), tiles_spec.MODES),
        (LorenzoTiles(edge=4), tiles_spec.MODES),
        (BlockMean(), [(0, True)]),
    ):
        got = stage.encode(x, form, Job(NONE, x, 0.0))
        want, chosen, means = tiles_spec.encode(x, shape, got.params, modes)
        np.testing.assert_array_equal(got.data, want)
        assert bytes(got.sections.get("means", b"")) == means
        assert bytes(got.sections.get("modes", chosen)) == chosen
        assert type(stage)().form_after(form, got.params) == form
        back = type(stage)().decode(got.data, form, got.params, as_read(got), Known())
        np.testing.assert_array_equal(back, x)


def test_every_kind_of_tile_takes_its_own_mode():
    rng = np.random.default_rng(0)
    noise = rng.integers(-40, 41, 256)
    level = noise + 5000
    ramp = 100 * np.arange(256)
    curve = 3 * np.arange(256) ** 2
    x = np.concatenate([noise, level, ramp + rng.integers(0, 2, 256), curve]).astype("i4")
    got = LorenzoTiles().encode(x, Form(x.shape, x.dtype), Job(NONE, x, 0.0))
    orders = [mode & 3 for mode in bytes(got.sections["modes"])]
    assert orders[0] == orders[1] == 0
    assert orders[3] == 2
    assert bytes(got.sections["modes"])[1] == 4


def test_edges():
    for shape, edge, params in (
        ((9,), 0, b"\x00\x00\x08"),
        ((9, 9), 0, b"\x00\x04\x04"),
        ((9, 9, 9), 0, b"\x03\x03\x03"),
        ((2, 9, 1, 9, 9), 0, b"\x03\x03\x03"),
        ((9, 9, 9), 4096, b"\x04\x04\x04"),
        ((), 2, b"\x00\x00\x01"),
    ):
        x = np.zeros(int(np.prod(shape)), "i4")
        for stage in (LorenzoTiles(edge), BlockMean(edge)):
            assert stage.encode(x, Form(shape, x.dtype), Job(NONE, x, 0.0)).params == params


@pytest.mark.parametrize("dtype", ["f4", ">f8", "f2", "c8", "i2"])
@pytest.mark.parametrize("order", "CF")
@pytest.mark.parametrize("stage", ["lorenzo_tiles", "block_mean(edge=4)"])
def test_in_a_pipeline(dtype, order, stage):
    t = np.linspace(0, 3, 40)
    x = np.array(100 * np.outer(np.sin(t), np.cos(2 * t)), order=order).astype(dtype)
    y = fzdask.decompress(fzdask.compress(x, abs=1.0, pipeline=f"quantize | {stage} | huffman"))
    assert (y.dtype, y.flags.f_contiguous) == (x.dtype, x.flags.f_contiguous)
    assert np.abs(y.astype("c16") - x.astype("c16")).max() <= 1.0


def test_refusals():
    for wrong in (3, 1, 8192, -2, 2.0):
        for stage in (LorenzoTiles, BlockMean):
            with pytest.raises(ConfigError, match="power of two"):
                stage(wrong)
    form = Form((20,), np.dtype("i4"))
    for stage in (LorenzoTiles(), BlockMean()):
        for params in (b"", b"\x00\x00", b"\x00\x00\x0d", b"\x05\x05\x05"):
            with pytest.raises(FormatError):
                stage.form_after(form, params)
        with pytest.raises(FormatError):
            stage.form_after(Form((20,), np.dtype("f4")), b"\x00\x00\x03")
    x = np.zeros(20, "i4")
    three, twelve = np.zeros(3, np.uint8), np.zeros(12, np.uint8)
    params = b"\x00\x00\x03"
    for sections in ({}, {"modes": three[:2]}, {"modes": three, "means": twelve},
                     {"modes": three + 4}, {"modes": three + 4, "means": twelve[:9]},
                     {"modes": three + 3}, {"modes": three + 8}):  # fmt: skip
        with pytest.raises(FormatError):
            LorenzoTiles().decode(x, form, params, sections, Known())
    for sections in ({}, {"means": twelve[:8]}, {"means": twelve[:9]}):
        with pytest.raises(FormatError):
            BlockMean().decode(x, form, params, sections, Known())
