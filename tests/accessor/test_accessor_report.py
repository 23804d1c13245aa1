"""``ds.fz.report``: figures recomputed, broken bounds found, whatever the copy was written with."""

from __future__ import annotations

import doctest
import json
import math

import numpy as np
import pytest
import xarray as xr
import zarr

from fzdask import ConfigError, FZCodec
from fzdask.accessor import dataset as dataset_module


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.zarr"


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("lazy", [False, True])
def test_figures(ds, path, worst, span, zarr_format, lazy):
    ds.fz.to_zarr(path, abs={"t": 0.01}, rel=1e-3, zarr_format=zarr_format, consolidated=not lazy)
    back = xr.open_zarr(path, consolidated=not lazy).load()
    found = (ds.chunk(time=4, lat=7) if lazy else ds).fz.report(path)
    assert found.ok
    row = found["t"]
    assert (row.asked, row.bound, row.holds) == ("abs=0.01", 0.01, True)
    assert row.max_error == worst(back.t, ds.t)
    assert row.of_bound == row.max_error / 0.01
    difference = back.t.values.astype("f8") - ds.t.values
    rmse = math.sqrt(float((difference**2).mean()))
    assert row.psnr == pytest.approx(20 * math.log10(span(ds.t) / rmse), rel=1e-12)
    assert row.stored == sum(f.stat().st_size for f in (path / "t").rglob("*") if f.is_file())
    assert row.ratio == ds.t.nbytes / row.stored
    assert found["u"].bound == 1e-3 * span(ds.u)
    for name in ("count", "land", "start", "label", "lat", "area", "time"):
        assert found[name].holds
        assert not found[name].changed
    assert found["lat"].asked == "exact"
    assert found["label"].max_error is None
    assert [r.name for r in found.rows] == [*ds.data_vars, *ds.coords]
    assert found.ratio == sum(r.nbytes for r in found.rows) / sum(r.stored for r in found.rows)


def test_of_a_dataset_opened_from_a_store_and_of_one_in_memory(ds, path):
    ds.fz.to_zarr(path, abs=0.01)
    opened = xr.open_zarr(path)
    assert ds.fz.report(opened).to_dict() == ds.fz.report(str(path)).to_dict()
    loaded = ds.fz.report(opened.load())  # which still says where it is from
    assert loaded.stored
    memory = ds.fz.report(ds.copy(deep=True))
    assert memory.stored is memory.ratio is None
    assert memory.ok
    assert memory["t"].psnr == math.inf
    assert memory["t"].holds  # nothing changed, whatever the bound


def test_of_one_array(ds, path):
    ds.t.fz.to_zarr(path, abs=0.01)
    found = ds.t.fz.report(path)
    assert found.ok
    assert found["t"].to_dict() == ds[["t"]].fz.report(path)["t"].to_dict()
    assert ds.t.fz.report(xr.open_zarr(path).t)["t"].max_error == found["t"].max_error
    ds.t.rename(None).fz.to_zarr(path, mode="w", abs=0.01)
    assert ds.t.rename(None).fz.report(path).rows[0].max_error == found["t"].max_error
    assert ds.t.rename(None).fz.report(xr.open_dataarray(path, engine="zarr")).rows[0].bound == 0.01


def test_a_bound_that_leaves_nothing_of_a_field_is_named(path):
    rain = np.random.default_rng(0).gamma(1, 1e-5, (20, 30))
    ds = xr.Dataset({"t": (("y", "x"), 280 + 1e5 * rain), "rain": (("y", "x"), rain)})
    ds.fz.to_zarr(path, abs=0.01)
    found = ds.fz.report(path)
    assert found.ok
    assert [row.name for row in found.rows if row.too_wide] == ["rain"]
    assert str(found).endswith("half the range or more, as a constant keeps: rain")
    assert found["rain"].span == float(rain.max()) - float(rain.min())
    ds.fz.to_zarr(path, mode="w", abs={"rain": found["rain"].span / 2.001, "t": 0.01})
    assert not any(row.too_wide for row in ds.fz.report(path).rows)


def test_groups(ds, path):
    ds.fz.to_zarr(path, group="north", abs=0.01)
    assert ds.fz.report(path, group="north")["t"].stored
    assert ds.fz.report(xr.open_zarr(path, group="north"))["t"].stored is None


def spoiled(ds, path, name, change):
    """A copy of which one value is another, with the codec of the store."""
    ds.fz.to_zarr(path, abs=0.01)
    opened = xr.open_zarr(path).load()
    change(opened[name].values)
    return opened


def test_a_broken_bound_is_found(ds, path):
    def change(values):
        values[2, 3, 4] = np.float32(ds.t.values[2, 3, 4]) + np.float32(0.0101)

    found = ds.fz.report(spoiled(ds, path, "t", change))
    row = found["t"]
    assert not found.ok
    assert row.holds is False
    assert row.violations == 1
    assert row.of_bound > 1
    assert "NO: 1 beyond it" in str(found)
    assert "BOUND BROKEN" in str(found)
    assert found["u"].holds


@pytest.mark.parametrize("name", ["count", "land", "lat_bnds", "u"])
def test_any_change_of_a_lossless_variable_is_found(ds, path, name):
    """Also one of less than 1, the value of `lossless=True` as a number."""
    ds.fz.to_zarr(path, abs=0.01, lossless={"u": True})
    assert ds.fz.report(path)[name].bound == 0
    other = xr.open_zarr(path).load()
    first = other[name].values.reshape(-1)[:1]
    first[0] = {"b": not first[0], "i": first[0] + 1, "f": first[0] * 1.01}[first.dtype.kind]
    row = ds.fz.report(other)[name]
    assert row.holds is False
    assert row.violations + row.changed == 1


@pytest.mark.parametrize("value", [np.nan, 3.0])
def test_a_changed_mask_is_found(ds, path, value):
    def change(values):
        values[(0, 0, 0) if np.isnan(value) else (0, 3, 5)] = value

    row = ds.fz.report(spoiled(ds, path, "u", change))["u"]
    assert row.holds is False
    assert row.violations + row.changed == 1


def test_a_changed_coordinate_or_text_is_found(ds, path):
    ds.fz.to_zarr(path, abs=0.01)
    other = xr.open_zarr(path).load()
    moved = other.assign_coords(lat=other.lat + 1e-9)
    assert ds.fz.report(moved)["lat"].holds is False
    other.label.values[2] = "step two"
    row = ds.fz.report(other)["label"]
    assert row.holds is not True
    assert row.changed == 1


def test_relative_bounds_of_chunks_are_checked_chunk_by_chunk(ds, path, span):
    """As a plain codec has them: each chunk has a range of its own."""
    encoding = {"t": {"chunks": (1, 10, 30), "compressors": FZCodec(rel=1e-2)}}
    ds[["t"]].to_zarr(path, encoding=encoding)
    row = ds.fz.report(path)["t"]
    assert row.asked == "rel=0.01"
    assert row.holds
    chunks = [ds.t[i, j : j + 10] for i in range(6) for j in (0, 10)]
    assert row.bound == max(1e-2 * span(chunk) for chunk in chunks) < 1e-2 * span(ds.t)
    opened = xr.open_zarr(path).load()
    narrow = min(chunks, key=span)
    place = (
        round(float(narrow.time) * 3),
        int(np.argmax(ds.lat.values == narrow.lat.values[0])),
        0,
    )
    opened.t.values[place] = ds.t.values[place] + 1.01e-2 * span(narrow)
    row = ds.fz.report(opened)["t"]
    assert row.violations == 1
    assert row.max_error < row.bound


@pytest.mark.parametrize("bound", [{"psnr": 50}, {"pw_rel": 0.01}])
def test_bounds_that_are_no_absolute_ones(ds, path, bound):
    ds = ds[["t", "u"]]
    encoding = {n: {"compressors": FZCodec(**bound), "chunks": (3, 20, 30)} for n in ds.data_vars}
    ds.to_zarr(path, encoding=encoding)
    found = ds.fz.report(path)
    assert found.ok
    assert found["t"].asked == "{}={}".format(*next(iter(bound.items())))
    opened = xr.open_zarr(path).load()
    opened.t.values[0, 0, 0] *= np.float32(1.2)
    assert ds.fz.report(opened)["t"].holds is False


def test_a_pointwise_error_of_exactly_the_bound_is_within_it():
    """And the next number is not: decided in exact arithmetic."""
    values = np.array([1.0, 3.0, -7.0], "f8")
    ds = xr.Dataset({"t": ("x", values)})
    other = ds.copy(deep=True)
    other.t.encoding["compressors"] = FZCodec(pw_rel=0.5)
    other.t.values[:] = [1.5, 1.5, -10.5]
    assert ds.fz.report(other)["t"].holds
    other.t.values[1] = np.nextafter(1.5, 0)
    assert ds.fz.report(other)["t"].violations == 1
    other.t.values[1] = -3.0
    assert ds.fz.report(other)["t"].violations == 1


def test_complex_numbers_by_their_distance():
    values = np.array([1 + 1j, np.nan + 1j], "c8")
    ds = xr.Dataset({"t": ("x", values)})
    other = ds.copy(deep=True)
    other.t.encoding["compressors"] = FZCodec(abs=0.125)
    other.t.values[0] += 0.1 + 0.1j  # each part within the bound, the number not
    row = ds.fz.report(other)["t"]
    assert row.violations == 1
    assert row.max_error == pytest.approx(0.1414, rel=1e-3)


def test_a_copy_of_another_dtype_or_order_of_axes(ds, path):
    other = ds[["t"]].astype("f8").transpose("lon", "lat", "time")
    row = ds.fz.report(other)["t"]
    assert row.holds
    assert row.max_error == 0


def test_what_the_copy_lacks_is_said(ds, path):
    found = ds.fz.report(ds.drop_vars(["u", "label"]))
    assert found.missing == ("u", "label")
    assert not found.ok
    assert "missing: u, label" in str(found)
    with pytest.raises(ConfigError, match=r"'t' has shape \(6, 20, 30\) here and \(5, 20, 30\)"):
        ds.fz.report(ds.isel(time=slice(5)))
    with pytest.raises(ConfigError, match="no variable in common"):
        ds.fz.report(xr.Dataset({"other": 1}))
    with pytest.raises(FileNotFoundError):
        ds.fz.report(path)


def test_other_codecs_have_no_bound_but_errors(ds, path):
    ds[["t"]].round(1).to_zarr(path, encoding={"t": {"compressors": zarr.codecs.ZstdCodec()}})
    row = ds[["t"]].fz.report(path)["t"]
    assert row.asked == ""
    assert row.bound is row.holds is None
    assert 0 < row.max_error <= 0.06


def test_shown_as_text_html_and_json(ds, path):
    ds = ds.rename(t="a<b>")
    ds.fz.to_zarr(path, abs=0.01)
    found = ds.fz.report(path)
    lines = str(found).splitlines()
    assert lines[0].split()[:3] == ["variable", "ratio", "stored"]
    assert len(lines) == 2 + len(found.rows)
    assert "every known bound holds" in lines[-1]
    assert "<td>a&lt;b&gt;</td>" in found._repr_html_()
    plain = json.loads(json.dumps(found.to_dict()))
    assert plain["variables"]["a<b>"]["max_error"] == found["a<b>"].max_error
    assert plain["ok"] is True
    with pytest.raises(KeyError):
        found["no"]


def test_examples_of_docstrings_run():
    failed, attempted = doctest.testmod(dataset_module)
    assert attempted >= 4
    assert failed == 0
