"""`bitshuffle` gives what its specification says for elements of any size and number."""

from __future__ import annotations

import bitshuffle_spec
import numpy as np
import pytest

import fzdask
from fzdask.codecs.stages.base import Form, Job, Known
from fzdask.codecs.stages.bitshuffle import Bitshuffle
from fzdask.errors import ConfigError, FormatError

NONE = np.zeros(0, np.uint8)


@pytest.mark.parametrize("dtype", ["u1", ">f2", "<i4", "f8", "U3", "V5"])
@pytest.mark.parametrize("size", [1, 7, 8, 9, 63, 64, 65, 1000])
def test_bitshuffle_and_back(dtype, size):
    dtype = np.dtype(dtype)
    raw = np.random.default_rng(0).bytes(size * dtype.itemsize)
    x = np.frombuffer(raw, dtype)
    form = Form((size,), dtype)
    for block in (8, 64, 1024):
        stage = Bitshuffle(block)
        got = stage.encode(x, form, Job(NONE, NONE, 0.0))
        assert bytes(got.data) == bitshuffle_spec.bitshuffle(raw, dtype.itemsize, block)
        assert stage.form_after(form, got.params) == Form((got.data.size,), np.dtype("u1"))
        back = Bitshuffle().decode(got.data, form, got.params, {}, Known())
        assert back.dtype == dtype
        assert back.tobytes() == raw


@pytest.mark.parametrize("dtype", ["V412", "U100", "S2000"])
@pytest.mark.parametrize("size", [1, 5, 9])
def test_planes_of_few_long_elements_were_taken_for_damage(dtype, size):
    """Their last bytes are filled up, by more than what a section may have beside its elements."""
    dtype = np.dtype(dtype)
    x = np.zeros(size * dtype.itemsize, np.uint8)
    x[:: dtype.itemsize // 4] = np.arange(x[:: dtype.itemsize // 4].size) % 3
    x = x.view(dtype)
    stream = fzdask.compress(x, lossless=True, pipeline="bitshuffle(block=64) | zstd")
    assert "bitshuffle" in fzdask.inspect(stream).pipeline
    assert fzdask.decompress(stream).tobytes() == x.tobytes()


@pytest.mark.parametrize("block", [0, 4, 12, 1 << 21, 8.0, "8", True])
def test_blocks_are_powers_of_two(block):
    with pytest.raises(ConfigError, match="power of two"):
        Bitshuffle(block)


@pytest.mark.parametrize("params", [b"\x02", b"\x15", b"\xff"])
def test_no_other_blocks_are_read(params):
    with pytest.raises(FormatError, match="damaged"):
        Bitshuffle().form_after(Form((3,), np.dtype("f4")), params)
