"""``ds.fz.to_zarr``: formats, Dask, appending, regions, and encodings that the user adds."""

from __future__ import annotations

import warnings

import dask
import numcodecs
import numpy as np
import pytest
import xarray as xr
import zarr

from fzdask import ConfigError, FZCodec


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.zarr"


def stored(path, name="t"):
    """The codec of a stored array."""
    return zarr.open_group(path, mode="r")[name].compressors[0]


def check(path, ds, worst, **bounds):
    """Read back with plain xarray; everything without a bound is exact."""
    with xr.open_zarr(path) as back:
        for name, bound in bounds.items():
            assert 0 < worst(back[name], ds[name]) <= bound, name
        rest = [name for name in ds.variables if name not in bounds]
        xr.testing.assert_identical(
            back.drop_vars(bounds)[[n for n in rest if n in ds.data_vars]].load(),
            ds.drop_vars(bounds)[[n for n in rest if n in ds.data_vars]].load(),
        )


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("consolidated", [None, False])
def test_both_formats_eager_and_lazy(ds, path, worst, span, zarr_format, lazy, consolidated):
    label = ds.label.astype("U")  # fixed size: of objects Dask would have to look at each
    given = ds.assign(label=label).chunk(time=2, lat=10) if lazy else ds
    given.fz.to_zarr(
        path, abs={"t": 0.01}, rel=1e-3, zarr_format=zarr_format, consolidated=consolidated
    )
    check(path, ds, worst, t=0.01, u=1e-3 * span(ds.u))
    group = zarr.open_group(path, mode="r")
    assert group.metadata.zarr_format == zarr_format
    assert stored(path).abs == 0.01
    if lazy:
        assert group["t"].chunks == (2, 10, 30)


def test_later(ds, path, worst):
    ds = ds.drop_vars("label")
    delayed = ds.chunk(time=2).fz.to_zarr(path, abs=0.01, compute=False)
    assert zarr.open_group(path, mode="r")["t"].nchunks_initialized == 0
    dask.compute(delayed)
    check(path, ds, worst, t=0.01, u=0.01)


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_appending_goes_by_the_stored_codecs(ds, path, worst, zarr_format):
    ds = ds.drop_vars("label")
    ds.isel(time=slice(0, 4)).fz.to_zarr(path, abs=0.01, zarr_format=zarr_format)
    codec = stored(path)
    ds.isel(time=slice(4, 5)).fz.to_zarr(path, abs=0.01, append_dim="time")
    ds.isel(time=slice(5, 6)).fz.to_zarr(path, append_dim="time")
    check(path, ds, worst, t=0.01, u=0.01)
    assert stored(path) == codec


def test_appending_with_another_bound_is_refused(ds, path):
    first, second = ds.isel(time=slice(0, 4)), ds.isel(time=slice(4, 6))
    first.fz.to_zarr(path, abs={"t": 0.01}, pw_rel={"u": 0.1}, rel=1e-4)
    second.fz.to_zarr(path, append_dim="time", abs={"t": 0.5})  # which 0.01 keeps
    for bound in ({"abs": {"t": 1e-3}}, {"pw_rel": {"t": 1e-3}}, {"lossless": {"u": True}}):
        (name,) = next(iter(bound.values()))
        with pytest.raises(ConfigError, match=f"{name!r} is in the store already, with .*asked"):
            second.fz.to_zarr(path, append_dim="time", **bound)
    assert zarr.open_group(path, mode="r")["t"].shape[0] == 6
    ds.to_zarr(path, mode="w")
    with pytest.raises(ConfigError, match="'t' is in the store already, with no FZCodec"):
        second.fz.to_zarr(path, append_dim="time", abs=0.01)


def test_appending_with_a_range_says_where_the_stored_bound_is_wider(ds, path, span, worst):
    ds = ds[["t"]]
    first, second = ds.isel(time=slice(0, 4)), ds.isel(time=slice(4, 6))
    first.fz.to_zarr(path, rel=1e-3)
    bound = stored(path).abs
    assert bound == 1e-3 * span(first.t)
    with pytest.warns(UserWarning, match=r"'t' keeps the bound it was created with.*rel=1e-05"):
        second.fz.to_zarr(path, append_dim="time", rel=1e-5)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*keeps the bound")
        second.fz.to_zarr(path, append_dim="time", rel=1e-2)
    both = xr.concat([first, second, second], "time", data_vars="minimal")
    assert worst(xr.open_zarr(path).t, both.t) <= bound


def test_new_variables_get_a_codec_and_stored_ones_keep_theirs(ds, path, worst):
    ds[["t"]].fz.to_zarr(path, abs=0.01)
    ds[["t", "u"]].fz.to_zarr(path, mode="a", abs={"t": 0.01, "u": 0.2})
    assert stored(path) == FZCodec(abs=0.01)
    assert stored(path, "u") == FZCodec(abs=0.2, preserve=-999)
    check(path, ds[["t", "u"]], worst, t=0.01, u=0.2)


def test_regions(ds, path, worst):
    ds = ds[["t", "u"]].drop_vars("area").chunk(time=2)
    ds.fz.to_zarr(path, abs=0.01, compute=False)
    for start in (0, 2, 4):
        part = ds.isel(time=slice(start, start + 2)).drop_vars(["lat", "lon"])
        part.fz.to_zarr(path, abs=0.01, region={"time": slice(start, start + 2)})
    ds.isel(time=slice(0, 2)).drop_vars(["lat", "lon"]).fz.to_zarr(path, region="auto")
    check(path, ds, worst, t=0.01, u=0.01)


def test_replacing_a_store_may_change_every_bound(ds, path, worst):
    ds.fz.to_zarr(path, abs=1.0)
    ds.fz.to_zarr(path, abs=0.01, mode="w")
    check(path, ds, worst, t=0.01, u=0.01)


def test_groups_and_stores_in_memory(ds, worst, path):
    store = zarr.storage.MemoryStore()
    ds.fz.to_zarr(store, group="a/b", abs=0.01)
    ds.isel(time=[0]).fz.to_zarr(store, group="a/b", abs=0.01, append_dim="time")
    with pytest.raises(ConfigError, match="in the store already"):
        ds.isel(time=[0]).fz.to_zarr(store, group="a/b", abs=0.001, append_dim="time")
    back = xr.open_zarr(store, group="a/b").isel(time=slice(0, 6))
    assert worst(back.t, ds.t) <= 0.01
    assert ds.fz.report(back).ok
    assert back.isel(time=slice(0, 6)).fz.report(back).ok


def test_encodings_of_the_user_win(ds, path, worst):
    encoding = {
        "t": {"chunks": (3, 10, 30), "shards": (6, 20, 30), "_FillValue": np.float32(-1)},
        "u": {"compressors": zarr.codecs.ZstdCodec(), "chunks": (2, 20, 30)},
        "lat": {"dtype": "f8"},
    }
    ds.fz.to_zarr(path, abs=0.01, encoding=encoding)
    check(path, ds, worst, t=0.01)
    group = zarr.open_group(path, mode="r")
    assert (group["t"].chunks, group["t"].shards) == ((3, 10, 30), (6, 20, 30))
    assert stored(path) == FZCodec(abs=0.01, preserve=-1)
    assert group["u"].chunks == (2, 20, 30)
    assert stored(path, "u") == zarr.codecs.ZstdCodec()
    assert "_FillValue" not in encoding["u"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"encoding": {"t": {"scale_factor": 0.1}}}, "'t' scale_factor=0.1, which changes"),
        ({"encoding": {"t": {"dtype": "f2"}}}, r"'t' \(float32\) as float16, a rounding"),
        ({"encoding": {"t": {"filters": [numcodecs.Delta(dtype="f4")]}}}, "filters"),
        ({"encoding": {"t": {"compressors": FZCodec(abs=1)}}}, "a bound, abs=, and a codec"),
        ({"encoding": {"T": {}}}, "encoding= names 'T'"),
        ({"zarr_forma": 2}, "no keyword 'zarr_forma'; did you mean 'zarr_format'"),
        ({"ab": 2}, "no keyword 'ab'; did you mean 'abs'"),
    ],
)
def test_what_would_break_a_bound_is_refused(ds, path, more, message):
    with pytest.raises(ConfigError, match=message):
        ds.fz.to_zarr(path, abs={"t": 0.01}, **more)
    assert not path.exists()


def test_without_a_bound_there_is_nothing_to_do_for_a_new_store(ds, path):
    with pytest.raises(ConfigError, match=r"no bound.*ds\.to_zarr writes as it is"):
        ds.fz.to_zarr(path)


@pytest.mark.parametrize("source", [2, 3])
@pytest.mark.parametrize("target", [2, 3])
@pytest.mark.parametrize("first", ["plain", "fz"])
def test_opened_from_one_format_and_written_in_the_other(
    ds, tmp_path, worst, source, target, first
):
    """xarray keeps codecs of the source, which the other format does not take."""
    if source == target == 2:
        ds = ds.drop_vars("label")  # text of format 2 is not written to it again by xarray either
    if first == "plain":
        ds.to_zarr(tmp_path / "source.zarr", zarr_format=source)
    else:
        ds.fz.to_zarr(tmp_path / "source.zarr", lossless=True, zarr_format=source)
    opened = xr.open_zarr(tmp_path / "source.zarr")
    opened.fz.to_zarr(tmp_path / "a.zarr", abs={"t": 0.01}, zarr_format=target)
    check(tmp_path / "a.zarr", ds, worst, t=0.01)


def test_shards_are_kept_in_format_3_and_left_out_of_format_2(ds, tmp_path, worst):
    encoding = {"t": {"chunks": (3, 10, 30), "shards": (6, 20, 30)}}
    ds.to_zarr(tmp_path / "source.zarr", encoding=encoding)
    opened = xr.open_zarr(tmp_path / "source.zarr", chunks={"time": 6, "lat": 20})
    for zarr_format, shards in ((2, None), (3, (6, 20, 30))):
        path = tmp_path / f"{zarr_format}.zarr"
        opened.fz.to_zarr(path, abs={"t": 0.01}, zarr_format=zarr_format)
        array = zarr.open_group(path, mode="r")["t"]
        assert array.chunks == (3, 10, 30)
        assert array.shards == shards
        check(path, ds, worst, t=0.01)


def test_every_chunk_is_written_unless_told_otherwise(path):
    ds = xr.Dataset({"t": ("x", np.zeros(40, "f4"))})
    count = {}
    for empty in (None, False):
        encoding = {"t": {"chunks": (10,), "_FillValue": np.float32(0)}}
        ds.fz.to_zarr(
            path, lossless=True, encoding=encoding, mode="w", write_empty_chunks=empty
        ) if empty is not None else ds.fz.to_zarr(path, lossless=True, encoding=encoding, mode="w")
        count[empty] = zarr.open_group(path, mode="r")["t"].nchunks_initialized
    assert count[None] == 4
    own = {"t": {"chunks": (10,), "write_empty_chunks": False}}
    ds.fz.to_zarr(path, lossless=True, encoding=own, mode="w")


def test_on_workers_of_a_cluster(ds, path, worst):
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster),
    ):
        lazy = ds.drop_vars("label").chunk(time=2)
        lazy.fz.to_zarr(path, rel=1e-3)
        assert lazy.fz.report(path).ok
    assert worst(xr.open_zarr(path).t, ds.t) <= stored(path).abs
