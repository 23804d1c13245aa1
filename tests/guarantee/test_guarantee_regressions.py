"""Faults that the guarantee's tests have found, each with the input that showed it."""

from __future__ import annotations

import math
import warnings
from fractions import Fraction

import numpy as np
import pytest
import zarr
from exact import assert_guarantee, violations

import fzdask
from fzdask import ConfigError, FZCodec, Pipeline
from fzdask.codecs.config import CodecConfig
from fzdask.codecs.prepare import NO_FLAGS, flat_form
from fzdask.codecs.stages.base import Job
from fzdask.format import Header, pack


@pytest.mark.parametrize("name", ["abs", "rel"])
@pytest.mark.parametrize("dtype", ["f4", "f8", "c8", "i2", "u8"])
def test_a_bound_of_zero_was_taken_for_no_bound(name, dtype):
    x = np.array([0.1, 1e-40, 3, 5, 7]).astype(dtype)
    y = fzdask.decompress(fzdask.compress(x, **{name: 0}))
    assert y.tobytes() == x.tobytes()
    codec = FZCodec(**{name: 0.0})
    assert codec.get_config() == {"id": "fzdask", name: 0.0}
    assert FZCodec.from_config(codec.get_config()) == codec


@pytest.mark.parametrize("name", ["abs", "rel"])
def test_a_bound_of_false_is_no_number(name):
    with pytest.raises(
        ConfigError, match=f"{name} must be a real number, as in {name}=1e-3; got False"
    ):
        CodecConfig(**{name: False})


def test_a_bound_and_a_bound_of_zero_are_two_bounds():
    with pytest.raises(ConfigError, match="got abs and rel"):
        CodecConfig(abs=0.0, rel=1e-3)


@pytest.mark.parametrize(
    "bound", [Fraction(1, 10), Fraction(2, 3), 2**53 + 3, np.longdouble("0.7")], ids=str
)
def test_a_bound_that_binary64_cannot_hold_is_rounded_down(bound):
    resolved = CodecConfig(abs=bound).bound[1]
    assert resolved <= bound
    assert math.nextafter(resolved, math.inf) > bound


def test_a_bound_in_single_precision_is_taken_as_it_is():
    """In binary32, 0.1 is above 0.1: no digits are made up, and none are cut."""
    assert CodecConfig(abs=np.float32(0.1)).bound[1] == 0.10000000149011612


@pytest.mark.parametrize("bound", [10**400, Fraction(10**400), np.inf, np.longdouble("1e4000")])
def test_a_bound_beyond_binary64_is_refused(bound):
    with pytest.raises(ConfigError, match="must be finite in float64"):
        CodecConfig(abs=bound)


def test_a_preserved_integer_beyond_binary64_equals_nothing():
    x = np.array([1.0, np.finfo("f8").max, np.inf])
    for value in (10**400, -(10**400)):
        y = fzdask.decompress(fzdask.compress(x, abs=0.1, preserve=(value, 1)))
        assert_guarantee(x, y, 0.1, preserve=(1,))


@pytest.mark.parametrize("preserve", [None, np.array(3.0), object()], ids=["None", "0-d", "object"])
def test_preserve_that_is_no_sequence_is_refused_with_an_example(preserve):
    with pytest.raises(ConfigError, match=r"preserve=.* as in preserve=\(-999\.0,\)"):
        CodecConfig(abs=1.0, preserve=preserve)


def test_range_of_large_integers_was_rounded_before_the_difference():
    """2**60 + 200 is 2**60 + 256 in binary64: rel=1 gave a bound of 256 for a range of 200."""
    x = np.r_[2**60, 2**60 + 200, np.full(5000, 2**60 + 100)]
    stream = fzdask.compress(x, rel=1.0)
    assert fzdask.inspect(stream).resolved == 200
    assert not violations(x, fzdask.decompress(stream), 200).any()


def test_group_of_huffman_is_a_whole_number():
    with pytest.raises(ConfigError, match=r"group=4096\.0 must be a power of two"):
        Pipeline.from_text("quantize | huffman(group=4096.0)")


def test_brackets_that_do_not_match_are_a_config_error():
    with pytest.raises(ConfigError, match="brackets do not match"):
        Pipeline.from_text("quantize | zstd(level=1) + (2)")


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "c8", "c16", ">f2", ">f4", ">c8"])
def test_signalling_nan_raised_a_warning(dtype):
    """Comparing and widening it sets the invalid flag of the processor; its bits must stay."""
    dtype = np.dtype(dtype)
    part = np.dtype(f"f{dtype.itemsize // (2 if dtype.kind == 'c' else 1)}")
    signalling = {2: 0x7C01, 4: 0x7F800001, 8: 0x7FF0000000000001}[part.itemsize]
    bits = np.full(1000, signalling, f"u{part.itemsize}")
    bits[::3] = np.array(1.5, part).view(bits.dtype)
    x = bits.view(part).view(dtype.newbyteorder("="))
    x = x if dtype.isnative else x.byteswap().view(dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        y = fzdask.decompress(fzdask.compress(x, abs=0.1, preserve=(0, 1.5)))
        fzdask.compress(x, rel=0.1)
    assert_guarantee(x, y, 0.1, preserve=(0, 1.5))


@pytest.mark.parametrize("dtype", ["S0", "U0", "V0"])
def test_strings_of_no_characters_became_longer(dtype):
    x = np.ndarray((3, 2), dtype)
    y = fzdask.decompress(fzdask.compress(x, lossless=True))
    assert (y.dtype, y.shape) == (x.dtype, (3, 2))


def test_a_part_beside_nan_does_not_widen_the_range():
    """The 0 of ``nan + 0j`` once made a relative bound on values near 300 six times looser."""
    x = np.full(4096, 300 + 300j)
    x += np.random.default_rng(0).normal(0, 1, 4096)
    x[::5] = complex(np.nan, 0)
    finite = x[np.isfinite(x)].view("f8")
    bound = 1e-3 * (finite.max() - finite.min())
    info = fzdask.inspect(fzdask.compress(x, rel=1e-3))
    assert info.resolved <= bound
    back = fzdask.decompress(fzdask.compress(x, rel=1e-3))
    assert back[::5].tobytes() == x[::5].tobytes()


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_range_of_large_integers_in_a_padded_zarr_chunk(zarr_format):
    """The Zarr face leaves padding out of the range, and resolved it in binary64 too."""
    x = np.r_[2**60, 2**60 + 200, np.full(500, 2**60 + 100)]
    array = zarr.create_array(
        {}, shape=x.shape, chunks=(600,), dtype=x.dtype, zarr_format=zarr_format,
        compressors=FZCodec(rel=1.0), fill_value=0,
    )  # fmt: skip
    array[:] = x
    assert not violations(x, array[:], 200).any()


def test_a_relative_bound_beyond_binary64_was_refused_in_a_padded_zarr_chunk():
    x = np.array([1.0, 5.0, 1e10])
    array = zarr.create_array(
        {}, shape=x.shape, chunks=(4,), dtype=x.dtype, compressors=FZCodec(rel=1e300), fill_value=0
    )
    array[:] = x
    assert np.isfinite(array[:]).all()


@pytest.mark.parametrize("pipeline", ["default", "transpose | shuffle | zstd"])
@pytest.mark.parametrize("layout", ["C", "transposed", "strided", "reversed"])
def test_bytes_between_fields_were_those_that_lay_in_memory(layout, pipeline):
    """NumPy copies fields alone: streams of equal arrays differed, and told of other data."""
    dtype = np.dtype({"names": ["a", "b"], "formats": ["f4", "u1"], "offsets": [3, 9]})
    nbytes = dtype.itemsize
    raw = np.random.default_rng(0).integers(0, 5, 40 * 30 * 4 * nbytes, np.uint8)
    x = raw.view(dtype).reshape(40, 30, 4)
    x = {"transposed": x.transpose(1, 2, 0), "strided": x[::2, ::3]}.get(layout, x)
    x = np.flip(x, 1) if layout == "reversed" else x
    y = fzdask.decompress(fzdask.compress(x, lossless=True, pipeline=pipeline))
    assert y.dtype == dtype
    np.testing.assert_array_equal(y.view(f"V{nbytes}"), x.view(f"V{nbytes}"))


def test_bytes_between_fields_of_constant_blocks():
    dtype = np.dtype({"names": ["a"], "formats": ["S1"], "offsets": [3]})
    raw = np.repeat(np.random.default_rng(0).integers(0, 5, 40, np.uint32), 16)
    raw[200:300] = np.arange(100)
    stream = fzdask.compress(
        raw.view(dtype), lossless=True, pipeline="constant(block=8) | shuffle | zstd"
    )
    assert "constant" in fzdask.inspect(stream).pipeline
    assert fzdask.decompress(stream).view(raw.dtype).tobytes() == raw.tobytes()


def test_bytes_that_are_the_array_were_a_view_of_the_stream():
    """Shuffled bytes of single bytes are these, and no back end copies what it cannot shorten."""
    x = np.random.default_rng(2).integers(0, 256, 100, np.uint8)
    form = flat_form(x.dtype, x.shape, "C")
    stages, entries, blobs = Pipeline(["shuffle", "zstd"]).encode(
        x, form, Job(NO_FLAGS, x[:0], 0.0, "C")
    )
    stream = pack(Header(x.dtype, x.shape, "C", "lossless", 0.0, 0.0, stages, (*entries,)), blobs)
    y = fzdask.decompress(stream)
    y += 1
    np.testing.assert_array_equal(fzdask.decompress(stream), x)
