"""The guarantee over everything at once: dtypes, shapes, layouts, values, bounds, preserve."""

from __future__ import annotations

import numpy as np
import pytest
from chunk_strategies import (
    CALM,
    COMPLEX,
    FLOATS,
    INTEGERS,
    absolute_bounds,
    chunks,
    preserved_values,
    relative_bounds,
)
from exact import assert_guarantee, relative
from hypothesis import given, settings
from hypothesis import strategies as st

import fzdask

OVERHEAD = 64
KINDS = pytest.mark.parametrize("dtypes", [FLOATS, COMPLEX, INTEGERS], ids=["f", "c", "iu"])


def round_trip(x, **config):
    """Encode and decode; the stream's size is checked on the way."""
    before = x.tobytes()
    stream = fzdask.compress(x, **config)
    assert len(stream) <= x.nbytes + OVERHEAD
    y = fzdask.decompress(stream)
    assert x.tobytes() == before
    assert y.flags.writeable
    return y


@KINDS
@settings(max_examples=250, **CALM)
@given(st.data())
def test_absolute_bound(dtypes, data):
    x = data.draw(chunks(dtypes))
    bound = data.draw(absolute_bounds(x))
    assert_guarantee(x, round_trip(x, abs=bound), bound)


@KINDS
@settings(max_examples=200, **CALM)
@given(st.data())
def test_relative_bound(dtypes, data):
    x = data.draw(chunks(dtypes))
    rel = data.draw(relative_bounds())
    assert_guarantee(x, round_trip(x, rel=rel), relative(x, rel))


@KINDS
@settings(max_examples=200, **CALM)
@given(st.data())
def test_preserved_values(dtypes, data):
    x = data.draw(chunks(dtypes))
    preserve = data.draw(preserved_values(x))
    if data.draw(st.booleans()):
        bound = data.draw(absolute_bounds(x))
        y = round_trip(x, abs=bound, preserve=preserve)
    else:
        rel = data.draw(relative_bounds())
        y = round_trip(x, rel=rel, preserve=preserve)
        bound = relative(x, rel, preserve)
    assert_guarantee(x, y, bound, preserve)


@KINDS
@settings(max_examples=80, **CALM)
@given(st.data())
def test_lossless(dtypes, data):
    x = data.draw(chunks(dtypes))
    y = round_trip(x, lossless=True)
    assert (y.dtype.str, y.shape) == (x.dtype.str, x.shape)
    assert y.tobytes() == x.tobytes()


PIPELINES = ["quantize", "quantize | lorenzo(axes=all) | zstd", "quantize | huffman(group=256)"]


@pytest.mark.parametrize("pipeline", PIPELINES)
@settings(max_examples=60, **CALM)
@given(st.data())
def test_every_pipeline(pipeline, data):
    x = data.draw(chunks([*FLOATS, *COMPLEX, *INTEGERS]))
    bound = data.draw(absolute_bounds(x))
    assert_guarantee(x, round_trip(x, abs=bound, pipeline=pipeline), bound)


@settings(max_examples=150, **CALM)
@given(st.data())
def test_codebooks_of_other_chunks(data):
    """Books of chunks that had nothing in common with this one: escapes, or a book of its own."""
    x = data.draw(chunks([*FLOATS, *COMPLEX, *INTEGERS]))
    bound = data.draw(st.sampled_from([1e-3, 1.0, 300.0]))
    assert_guarantee(x, round_trip(x, abs=bound, codebook="shared"), bound)


OTHERS = ["?", "M8[s]", "<m8[D]", ">M8[ns]", "S7", "U3", ">U2", "V5", "g", "G", "S0", "U0"]
OTHERS += ["i4,f8", [("a", ">f4", (2,)), ("b", "S3")], [("x", [("y", "u1")])]]


@pytest.mark.parametrize("dtype", OTHERS, ids=str)
@pytest.mark.parametrize("shape", [(), (0,), (1,), (17,), (3, 0, 2), (5, 7)], ids=str)
@pytest.mark.parametrize("order", "CF")
def test_what_has_no_bound_is_kept_bit_for_bit(dtype, shape, order):
    dtype = np.dtype(dtype)
    nbytes = int(np.prod(shape)) * dtype.itemsize
    raw = np.random.default_rng(0).integers(0, 2, nbytes, np.uint8).tobytes()
    x = np.asarray(np.ndarray(shape, dtype, raw), order=order)
    for config in ({"abs": 1e9}, {"rel": 0.5}, {"lossless": True}):
        y = fzdask.decompress(fzdask.compress(x, **config))
        assert (y.dtype, y.shape) == (x.dtype, x.shape)
        assert y.flags.f_contiguous == x.flags.f_contiguous
        assert y.tobytes() == x.tobytes()
