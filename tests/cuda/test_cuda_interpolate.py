"""Streams of ``interpolate`` decode on a device to the CPU's values, bit for bit."""

import numpy as np
import pytest
from stream_parts import Parts

import fzdask
from fzdask.codecs.device import decode_device
from fzdask.errors import FormatError

SHAPES = ((1,), (2,), (3,), (17,), (1000,), (30, 41), (9, 10, 11), (20, 33, 3), (3, 1, 7, 9, 4))
CASES = (("f4", {"rel": 1e-3}), ("f8", {"abs": 1e-6}), ("i4", {"abs": 3}), ("c8", {"abs": 0.1}))
PIPELINES = ("quality", "interpolate(predictor=interpolation) | huffman | zstd")


def field(shape, dtype):
    x = np.cumsum(np.cumsum(np.random.default_rng(7).standard_normal(shape), axis=-1), axis=0)
    if dtype[0] == "i":
        return (10 * x).astype(dtype)
    y = x.astype(dtype)
    if dtype == "f8" and y.size > 8:
        y.reshape(-1)[3] = np.nan
        y.reshape(-1)[y.size // 2 : y.size // 2 + 3] = -0.0
    return y


@pytest.mark.parametrize("pipeline", PIPELINES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_decoding_equals_the_cpus(device, shape, pipeline):
    for dtype, options in CASES:
        stream = fzdask.compress(field(shape, dtype), pipeline=pipeline, **options)
        expected = fzdask.decompress(stream)
        got = device.download(decode_device(stream, device))
        assert got.dtype == expected.dtype
        assert got.tobytes() == expected.tobytes()


def test_damaged_levels_are_refused_or_give_an_array_of_the_right_form(device):
    stream = fzdask.compress(field((9, 10, 11), "f4"), rel=1e-3, pipeline=PIPELINES[1])
    parts = Parts.of(stream)
    at = parts.index(0, 3)
    refused = 0
    for k in range(len(parts.raw[at])):
        for bit in range(8):
            damaged = bytearray(parts.raw[at])
            damaged[k] ^= 1 << bit
            hostile = parts.with_raw(at, bytes(damaged)).join()
            try:
                expected = fzdask.decompress(hostile)
            except FormatError:
                refused += 1
                with pytest.raises(FormatError):
                    decode_device(hostile, device)
                continue
            got = decode_device(hostile, device)
            assert (got.shape, got.dtype) == (expected.shape, expected.dtype)
    assert refused
