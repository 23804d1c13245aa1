"""`dt.fz`: one call for all groups of a tree, bounds by name or by path, a report of them all."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import fzdask
from fzdask import ConfigError, FZCodec
from fzdask.accessor import keywords
from fzdask.codecs.config import BOUND_NAMES


@pytest.fixture
def tree(ds):
    """Fields of the same names in several groups, coordinates that groups inherit."""
    top = ds[["land"]].drop_vars("time", errors="ignore")
    air = ds[["t", "u", "count"]].drop_vars(["lat", "lon"], errors="ignore")
    sea = (ds[["t"]] - 270).astype("f8").drop_vars(["lat", "lon"], errors="ignore")
    return xr.DataTree.from_dict({"/": top, "/air": air, "/sea/deep": sea})


def worst(a, b):
    return float(np.nanmax(np.abs(a.values.astype("f8") - b.values.astype("f8"))))


def test_bounds_by_name_by_path_and_for_the_rest(tree, tmp_path):
    tree.fz.to_zarr(tmp_path / "t.zarr", abs={"t": 0.5, "sea/deep/t": 0.01}, rel=1e-3)
    back = xr.open_datatree(tmp_path / "t.zarr", engine="zarr")
    assert 0.1 < worst(back["air/t"], tree["air/t"]) <= 0.5
    assert 0.001 < worst(back["sea/deep/t"], tree["sea/deep/t"]) <= 0.01
    u = tree["air/u"]
    assert 0 < worst(back["air/u"], u) <= 1e-3 * float(u.max() - u.min())
    xr.testing.assert_identical(back["air/count"], tree["air/count"])
    xr.testing.assert_identical(back["land"].load(), tree["land"])
    assert list(back.groups) == list(tree.groups)


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_the_report_has_a_row_for_each_path(tree, tmp_path, zarr_format):
    tree.fz.to_zarr(tmp_path / "t.zarr", rel=1e-3, zarr_format=zarr_format)
    report = tree.fz.report(tmp_path / "t.zarr")
    assert report.ok
    names = {row.name for row in report.rows}
    assert {"land", "lat", "air/t", "air/u", "air/count", "sea/deep/t"} <= names
    assert report["air/t"].stored < report["air/t"].nbytes
    assert 0 < report["sea/deep/t"].of_bound <= 1
    assert "air/t" in str(report)
    opened = xr.open_datatree(tmp_path / "t.zarr", engine="zarr")
    assert tree.fz.report(opened).ok


def test_a_report_finds_what_is_missing_and_what_is_wrong(tree, tmp_path):
    tree.fz.to_zarr(tmp_path / "t.zarr", abs=1e-3)
    more = tree.copy()
    more["/other"] = xr.Dataset({"q": ("x", np.arange(4.0))})
    more["/air/t"] = more["/air/t"] + np.float32(1)
    report = more.fz.report(tmp_path / "t.zarr")
    assert not report.ok
    assert report.missing == ("other/q",)
    assert report["air/t"].holds is False
    assert report["sea/deep/t"].holds


def test_a_path_goes_before_a_name_whatever_the_kinds_are(tree):
    found = tree.fz.encoding(
        abs={"t": 0.5}, rel={"/air/t": 1e-2}, pipeline={"air/t": "quality"}, preserve={"t": -1.0}
    )
    air, deep = (found[path]["t"]["compressors"] for path in ("/air", "/sea/deep"))
    assert deep == FZCodec(abs=0.5, preserve=(-1.0,))
    t = tree["air/t"]
    assert air.abs == pytest.approx(1e-2 * float(t.max() - t.min()), rel=1e-6)
    assert air.pipeline == "quality"
    assert "u" not in found["/air"]


def test_a_subtree_is_a_tree(tree, tmp_path):
    tree["sea"].fz.to_zarr(tmp_path / "sea.zarr", abs={"deep/t": 0.1})
    back = xr.open_datatree(tmp_path / "sea.zarr", engine="zarr")
    assert 0 < worst(back["deep/t"], tree["sea/deep/t"]) <= 0.1
    assert tree["sea"].fz.report(tmp_path / "sea.zarr").ok


def test_encodings_of_the_user_win(tree, tmp_path):
    tree.fz.to_zarr(tmp_path / "t.zarr", rel=1e-2, encoding={"air": {"t": {"chunks": (2, 20, 30)}}})
    back = xr.open_datatree(tmp_path / "t.zarr", engine="zarr")
    assert back["air/t"].encoding["chunks"] == (2, 20, 30)
    assert isinstance(back["air/t"].encoding["compressors"][0], FZCodec)


@pytest.mark.parametrize("of_variable", [False, True])
def test_chunks_that_are_empty_are_written_unless_an_encoding_says_otherwise(tmp_path, of_variable):
    ds = xr.Dataset({"q": ("x", np.full(8, np.nan))})
    ds.variables["q"].encoding["chunks"] = (4,)
    if of_variable:
        ds.variables["q"].encoding["write_empty_chunks"] = False
    tree = xr.DataTree.from_dict({"/a": ds})
    tree.fz.to_zarr(tmp_path / "t.zarr", abs=1)
    chunks = [path for path in (tmp_path / "t.zarr/a/q").rglob("*") if path.name.isdigit()]
    assert len(chunks) == (0 if of_variable else 2)
    assert tree.fz.report(tmp_path / "t.zarr").ok


def test_a_report_of_a_group_in_which_the_tree_is(tree, tmp_path):
    tree.fz.to_zarr(tmp_path / "t.zarr", abs=1e-2)
    report = xr.DataTree.from_dict({"/deep": tree["sea/deep"].to_dataset(inherit=False)}).fz.report(
        tmp_path / "t.zarr", group="sea"
    )
    assert report.ok
    assert report["deep/t"].stored


def test_a_tree_of_another_format_is_written(tree, tmp_path):
    tree.to_zarr(tmp_path / "old.zarr", zarr_format=2)
    opened = xr.open_datatree(tmp_path / "old.zarr", engine="zarr")
    opened.fz.to_zarr(tmp_path / "new.zarr", abs={"t": 0.1})
    assert opened.fz.report(tmp_path / "new.zarr").ok


def test_refusals(tree, tmp_path):
    store = tmp_path / "t.zarr"
    for wrong, text in (
        ({}, "dt.fz.to_zarr: no bound"),
        ({"abs": {"q": 1}}, "abs= names 'q'"),
        ({"abs": {"air/q": 1}}, "Did you mean 'air/"),
        ({"abs": 1, "rel": 1}, "two bounds for all"),
        ({"abs": {"air/t": 1}, "rel": {"air/t": 1}}, "group '/air'.*two bounds"),
        ({"abs": {"air/lat": 1}}, "air/lat"),
        ({"abs": 1, "mode": "a"}, "one by one"),
        ({"abs": 1, "preseve": -1}, "no keyword 'preseve'; did you mean 'preserve'"),
        ({"abs": 1, "encoding": {"ice": {}}}, "encoding= names '/ice'"),
        ({"abs": 1, "encoding": {"air": {"q": {}}}}, "encoding= names 'q'"),
    ):
        with pytest.raises(ConfigError, match=text):
            tree.fz.to_zarr(store, **wrong)
    with pytest.raises(ConfigError, match="no keyword 'relative'"):
        tree.fz.encoding(relative=1)
    assert not store.exists()
    with pytest.raises(FileNotFoundError):
        tree.fz.report(tmp_path / "nothing.zarr")


def test_the_bounds_are_those_of_the_codec():
    assert keywords.BOUNDS == BOUND_NAMES


def test_it_says_what_it_is(tree):
    assert repr(tree.fz).startswith("<fz accessor of a tree of 4 groups")
    assert isinstance(tree.fz, fzdask.accessor.DataTreeAccessor)
