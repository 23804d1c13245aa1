"""Axes by the names of a DataArray's dimensions: they are numbers from the text on."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from exact import assert_guarantee

import fzdask
from fzdask import FZCodec, Pipeline
from fzdask.errors import ConfigError

TEXT = "quantize | difference(axis={}) | huffman | zstd"


@pytest.fixture
def series():
    """Rough in space, slow in time, which is the middle axis."""
    rng = np.random.default_rng(3)
    start, trend = rng.normal(size=(2, 20, 1, 30))
    values = (10 * start + 0.01 * trend * np.arange(24)[:, None]).astype("f4")
    return xr.DataArray(values, dims=("lat", "time", "lon"), name="t")


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_named_axis_through_xarray(series, zarr_format, tmp_path):
    sizes = {}
    for name in series.dims:
        codec = FZCodec(abs=1e-3, pipeline=Pipeline.from_text(TEXT.format(name), dims=series.dims))
        path = tmp_path / f"{name}.zarr"
        encoding = {"t": {"compressors": codec, "chunks": (10, 24, 30)}}
        series.to_dataset().to_zarr(path, encoding=encoding, zarr_format=zarr_format)
        again = xr.open_zarr(path)["t"]
        assert again.dims == series.dims
        assert_guarantee(series.values, again.values, 1e-3)
        sizes[name] = sum(file.stat().st_size for file in (path / "t").rglob("*") if file.is_file())
    assert sizes["time"] < 0.6 * min(sizes["lat"], sizes["lon"])


def test_the_pipeline_holds_the_number(series):
    named = Pipeline.from_text(TEXT.format("time"), dims=series.dims)
    assert named == Pipeline.from_text(TEXT.format(1))
    assert Pipeline.from_text(str(named)) == named
    assert Pipeline.from_text(TEXT.format(-1), dims=series.dims) == Pipeline.from_text(
        TEXT.format(-1)
    )
    fortran = np.asfortranarray(series.values)
    for array in (series.values, fortran):
        stream = fzdask.compress(array, abs=1e-3, pipeline=named)
        assert_guarantee(array, fzdask.decompress(stream), 1e-3)


def test_all_axes_in_an_order_of_names(series):
    turned = "transpose(axes={}) | quantize | lorenzo | huffman | zstd"
    named = Pipeline.from_text(turned.format("(lon, lat, time)"), dims=series.dims)
    assert named == Pipeline.from_text(turned.format("(2, 0, 1)"))
    mixed = Pipeline.from_text(turned.format("(lon, 0, 'time')"), dims=series.dims)
    assert mixed == named
    reversed_all = Pipeline.from_text(turned.format("reverse"), dims=series.dims)
    assert reversed_all == Pipeline.from_text("transpose | quantize | lorenzo | huffman | zstd")
    stream = fzdask.compress(series.values, abs=1e-3, pipeline=named)
    assert_guarantee(series.values, fzdask.decompress(stream), 1e-3)
    with pytest.raises(ConfigError, match=r"'transpose' names the axis 'lot'.*mean 'lon'"):
        Pipeline.from_text(turned.format("(lot, lat, time)"), dims=series.dims)
    with pytest.raises(ConfigError, match=r"every axis once.*dims=array.dims"):
        Pipeline.from_text(turned.format("(lon, lat, time)"))
    with pytest.raises(ConfigError, match="every axis once"):
        Pipeline.from_text(turned.format("(lon, lon, time)"), dims=series.dims)


def test_dimensions_that_are_no_texts_have_their_text_as_name():
    assert Pipeline.from_text(TEXT.format("'0'"), dims=(1, 0)) == Pipeline.from_text(TEXT.format(1))


def test_unknown_names_are_refused_with_the_nearest(series):
    with pytest.raises(ConfigError, match=r"'difference' names the axis 'tim'.*mean 'time'"):
        Pipeline.from_text(TEXT.format("tim"), dims=series.dims)
    with pytest.raises(ConfigError, match="the array has no axes"):
        Pipeline.from_text(TEXT.format("time"), dims=())
    with pytest.raises(ConfigError, match=r"axis='time'.*dims=array.dims"):
        Pipeline.from_text(TEXT.format("time"))
