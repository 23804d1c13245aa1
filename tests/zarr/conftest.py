"""Fixtures of the Zarr tests: small fields, chunk layouts, and the bound recomputed."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import numpy as np
import pytest

from fzdask import FZCodec

# Every way in which a Zarr array can hold the codec: format, and encoding keys for 2-D arrays of
# up to (40, 40). "chunks" divide neither 37 nor 29, so that edge chunks are padded.
LAYOUTS = ("v2", "v3", "v3-shards", "v3-serializer", "v3-shards-serializer")


def layout_encoding(layout: str, codec: FZCodec) -> dict:
    """Keyword arguments for `zarr.create_array`, equally for xarray's encoding."""
    encoding: dict = {"chunks": (8, 8)}
    if "shards" in layout:
        encoding["shards"] = (16, 16)
    if "serializer" in layout:
        return {**encoding, "serializer": codec.serializer, "compressors": None}
    return {**encoding, "compressors": codec}


@pytest.fixture(params=LAYOUTS)
def layout(request):
    return request.param


@pytest.fixture
def zarr_format(layout):
    return 2 if layout == "v2" else 3


@pytest.fixture
def encode_as(layout):
    """Return a function codec -> encoding keys of the layout under test."""
    return lambda codec: layout_encoding(layout, codec)


@pytest.fixture
def field():
    """A smooth 37 x 29 float32 field of about 250 to 300, with noise in every mantissa bit."""
    y, x = np.mgrid[0:37, 0:29]
    noise = np.random.default_rng(7).normal(scale=0.5, size=(37, 29))
    return (275 + 20 * np.sin(y / 6) * np.cos(x / 5) + noise).astype("f4")


@pytest.fixture
def worst():
    """Return the largest error in float64 over finite values; everything else must be exact."""

    def worst(got, want):
        got, want = np.asarray(got), np.asarray(want)
        assert got.shape == want.shape
        assert got.dtype.newbyteorder("=") == want.dtype.newbyteorder("=")
        finite = np.isfinite(want)
        np.testing.assert_array_equal(got[~finite], want[~finite])
        if not finite.any():
            return 0.0
        return float(np.max(np.abs(got[finite].astype("f8") - want[finite].astype("f8"))))

    return worst


@pytest.fixture
def calls(monkeypatch):
    """Record every chunk that reaches or leaves the core: calls.encoded, .configs, .decoded."""
    from fzdask.codecs import api

    class Calls:
        def __init__(self):
            self.encoded, self.decoded, self.configs = [], [], []

    calls = Calls()
    encode, decode = api.encode, api.decode

    def recording_encode(array, config):
        calls.encoded.append(array)
        calls.configs.append(config)
        return encode(array, config)

    def recording_decode(stream, *more):
        array = decode(stream, *more)
        calls.decoded.append(array)
        return array

    monkeypatch.setattr(api, "encode", recording_encode)
    monkeypatch.setattr(api, "decode", recording_decode)
    return calls


@pytest.fixture
def run_python():
    """Run a script in a new interpreter that has only what Zarr's readers have: entry points."""

    def run(script, cwd):
        subprocess.run(
            [sys.executable, "-c", textwrap.dedent(script)], cwd=cwd, check=True, timeout=120
        )

    return run
