"""`dictionary` gives what its specification says, passes what has too many values, undoes both."""

from __future__ import annotations

import dictionary_spec
import numpy as np
import pytest

import fzdask
from fzdask.codecs.kernels.cpu import histogram
from fzdask.codecs.stages.base import Form, Job, Known
from fzdask.codecs.stages.dictionary import Dictionary
from fzdask.errors import ConfigError, FormatError

NONE = np.zeros(0, np.uint8)
EDGES = {"i4": [-(2**31), -(2**31) + 1, -1, 0, 7, 2**31 - 1], "i8": [-(2**63), -9, 5, 2**63 - 1]}


def encoded(x, **options):
    form = Form(x.shape, x.dtype)
    return form, Dictionary(**options).encode(x, form, Job(NONE, NONE, 0.0))


def assert_as_specified(x, **options):
    form, got = encoded(x, **options)
    after = Dictionary().form_after(form, got.params)
    if got.params == b"\0":
        assert got.sections == {}
        assert after == form
        np.testing.assert_array_equal(got.data, x)
    else:
        places, packed = dictionary_spec.encode(x)
        assert got.params == b"\1"
        assert after.dtype == got.data.dtype == np.dtype("<i4")
        np.testing.assert_array_equal(got.data, places)
        assert bytes(got.sections["values"]) == packed
    raw = {k: np.frombuffer(bytes(v), np.uint8) for k, v in got.sections.items()}
    back = Dictionary().decode(got.data, form, got.params, raw, Known())
    assert back.dtype == x.dtype
    np.testing.assert_array_equal(back, x)
    return got


@pytest.mark.parametrize("dtype", ["i4", "i8"])
@pytest.mark.parametrize("step", [1, 2, 3, 50, 10**6])
@pytest.mark.parametrize("size", [1, 15, 16, 17, 400, 5000])
def test_values_on_a_grid_of_their_own(dtype, step, size):
    x = (np.random.default_rng(0).integers(-20, 20, size) * step).astype(dtype)
    got = assert_as_specified(x)
    if step > 2 and size >= 1000:
        assert got.params == b"\1"
    if step == 1:
        assert got.params == b"\0"


@pytest.mark.parametrize("dtype", ["i4", "i8"])
def test_the_edges_of_the_lattice(dtype):
    x = np.random.default_rng(1).choice(np.array(EDGES[dtype], dtype), 600)
    assert assert_as_specified(x).params == b"\1"


@pytest.mark.parametrize("value", [0, -1, 2**31 - 1, -(2**31)])
def test_constants_pass(value):
    assert assert_as_specified(np.full(300, value, "i4")).params == b"\0"


def test_more_values_than_allowed_pass():
    x = np.repeat(np.arange(100, dtype="i8") * 10**9, 40)
    assert assert_as_specified(x, most=100).params == b"\1"
    assert assert_as_specified(x, most=99).params == b"\0"
    assert assert_as_specified(np.arange(4000, dtype="i8") * 10**9).params == b"\0"


def test_a_packed_field_gets_smaller():
    """Integers times a scale factor, kept in float: the radar and CT way of storing."""
    packed = np.random.default_rng(2).normal(0, 6, (90, 90)).cumsum(1).astype("i2")
    x = packed * np.float32(0.5)
    lossless = {"abs": 1e-3}
    plain = fzdask.compress(x, pipeline="quantize | lorenzo | huffman", **lossless)
    stream = fzdask.compress(x, pipeline="quantize | dictionary | lorenzo | huffman", **lossless)
    assert len(stream) < 0.8 * len(plain)
    assert (np.abs(fzdask.decompress(stream).astype("f8") - x) <= 1e-3).all()


def test_damaged_tables_and_places_are_refused():
    x = np.random.default_rng(3).integers(-20, 20, 900).astype("i4") * 1000
    form, got = encoded(x)
    values = np.frombuffer(bytes(got.sections["values"]), np.uint8)

    def decode(data=got.data, params=got.params, **sections):
        return Dictionary().decode(data, form, params, sections, Known())

    np.testing.assert_array_equal(decode(values=values), x)
    beyond = got.data.copy()
    for place in (int(got.data.max()) + 1, -1, 2**31 - 1):
        beyond[77] = place
        with pytest.raises(FormatError, match="beyond"):
            decode(beyond, values=values)
    hurt = [values[:-1], values[:1], values[:0], np.full(12, 255, "u1"), np.full(11, 128, "u1")]
    hurt += [np.r_[values, np.frombuffer(b"\xff\xff\xff\xff\x0f", "u1")]]
    hurt += [np.r_[values, np.frombuffer(b"\xff" * 9 + b"\x02", "u1")]]
    for table in hurt:
        with pytest.raises(FormatError):
            decode(values=table)
    with pytest.raises(FormatError):
        decode()
    with pytest.raises(FormatError):
        decode(params=b"\0", values=values)
    for params in (b"", b"\2", b"\1\1"):
        with pytest.raises(FormatError):
            Dictionary().form_after(form, params)


@pytest.mark.parametrize("most", [0, -1, 65537, 2.0, True])
def test_options_out_of_range_are_refused(most):
    with pytest.raises(ConfigError, match="dictionary"):
        Dictionary(most=most)


@pytest.mark.parametrize("dtype", ["i4", "i8"])
def test_dense_histogram(dtype):
    x = np.random.default_rng(4).integers(-9, 9, 3000).astype(dtype)
    x[:2] = np.iinfo(dtype).min, np.iinfo(dtype).max
    counts = np.zeros(10, np.int64)
    assert histogram.dense(x, -5, counts) == (~((x >= -5) & (x < 5))).sum()
    assert counts.tolist() == [(x == v).sum() for v in range(-5, 5)]
    assert histogram.span(x) == (x.min(), x.max())


@pytest.mark.parametrize("k", [0, 1, 3, 8, 50])
def test_the_most_frequent(k):
    for seed in range(20):
        counts = np.random.default_rng(seed).integers(0, 6, 12)
        order = sorted(range(12), key=lambda i: (-counts[i], i))
        expected = [i for i in order if counts[i] > 0][:k]
        assert histogram.top_k(counts, k).tolist() == expected


def test_distinct_values():
    x = np.random.default_rng(5).choice(np.array(EDGES["i8"]), 500)
    assert histogram.distinct(x, 4).tolist() == sorted(EDGES["i8"])
    assert histogram.distinct(x, 3).size == 0
