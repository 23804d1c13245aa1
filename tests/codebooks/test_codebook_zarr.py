"""Shared and fitted codebooks through xarray and Zarr, and back in a new process."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from fzdask import FZCodec

BOUND = 1e-3
READ = """
import sys
import numpy as np, xarray as xr
import fzdask
with xr.open_zarr(sys.argv[1], consolidated=None) as ds:
    np.save(sys.argv[2], ds["t"].values)
"""


@pytest.fixture
def field():
    rng = np.random.default_rng(2)
    return rng.standard_normal((40, 30, 50)).cumsum(axis=0).astype("f4") / 50


def dataset(field):
    return xr.Dataset({"t": (("time", "y", "x"), field)})


@pytest.mark.filterwarnings("ignore:Consolidated metadata")
@pytest.mark.filterwarnings("ignore:Numcodecs codecs")
@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("way", ["shared", "fitted"])
def test_written_here_read_in_a_new_process(way, zarr_format, field, tmp_path, in_new_process):
    if way == "shared":
        codec = FZCodec(abs=BOUND, codebook="shared")
    else:
        codec = FZCodec.fit(field[:10], abs=BOUND)
    path = tmp_path / "t.zarr"
    encoding = {"t": {"compressors": codec, "chunks": (10, 30, 50)}}
    dataset(field).to_zarr(path, encoding=encoding, zarr_format=zarr_format)
    in_new_process(READ, str(path), str(tmp_path / "back.npy"))
    back = np.load(tmp_path / "back.npy")
    assert back.dtype == field.dtype
    assert np.abs(back.astype("f8") - field.astype("f8")).max() <= BOUND
    assert configuration(path, zarr_format) == {"abs": BOUND, "codebook": codec.codebook}


def configuration(path: Path, zarr_format: int) -> dict:
    """What the metadata say of the codec, as anyone may read it."""
    if zarr_format == 2:
        stored = json.loads((path / "t" / ".zarray").read_text())["compressor"]
        assert stored.pop("id") == "fzdask"
        return stored
    (stored,) = (
        c
        for c in json.loads((path / "t" / "zarr.json").read_text())["codecs"]
        if c["name"] == "fzdask"
    )
    return stored["configuration"]


@pytest.mark.filterwarnings("ignore:Consolidated metadata")
def test_appending_with_the_stored_codec_keeps_the_book(field, tmp_path):
    codec = FZCodec.fit(field[:10], abs=BOUND)
    path = tmp_path / "t.zarr"
    encoding = {"t": {"compressors": codec, "chunks": (10, 30, 50)}}
    dataset(field[:20]).to_zarr(path, encoding=encoding, zarr_format=3)
    dataset(field[20:]).to_zarr(path, append_dim="time", zarr_format=3)
    with xr.open_zarr(path, consolidated=None) as back:
        got = back["t"].values
    assert np.abs(got.astype("f8") - field.astype("f8")).max() <= BOUND
    assert configuration(path, 3)["codebook"] == codec.codebook


@pytest.mark.filterwarnings("ignore:Consolidated metadata")
def test_as_a_serializer(field, tmp_path):
    codec = FZCodec.fit(field[:10], abs=BOUND)
    path = tmp_path / "t.zarr"
    encoding = {"t": {"serializer": codec.serializer, "compressors": None, "chunks": (10, 30, 50)}}
    dataset(field).to_zarr(path, encoding=encoding, zarr_format=3)
    with xr.open_zarr(path, consolidated=None) as back:
        got = back["t"].values
    assert np.abs(got.astype("f8") - field.astype("f8")).max() <= BOUND
