"""The bound holds for what a reader sees: whole-variable ranges, packing, fill values, dtypes."""

from __future__ import annotations

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr

from fzdask import FZCodec


def codec(dataset, name, **bound):
    return dataset.fz.encoding(**bound)[name]["compressors"]


@pytest.mark.parametrize("lazy", [False, True])
def test_ranges_are_of_the_whole_variable(ds, span, lazy):
    """Each time step has a smaller range than all of them together."""
    given = ds.chunk(time=1, lat=7) if lazy else ds
    bound = 1e-3 * span(ds.t)
    assert bound > 1e-3 * max(span(ds.t[i]) for i in range(6))
    assert codec(given, "t", rel=1e-3) == FZCodec(abs=bound)


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f4", "c8"])
def test_nan_infinities_and_sentinels_do_not_count(lazy, dtype):
    values = np.array([3, 5, np.nan, np.inf, -np.inf, -999, 7777, 4], dtype)
    ds = xr.Dataset({"t": ("x", values, {"missing_value": -999.0})})
    ds = ds.chunk(x=3) if lazy else ds
    low = 0 if dtype == "c8" else 3  # imaginary parts
    assert codec(ds, "t", rel=0.5, preserve=7777) == FZCodec(
        abs=0.5 * (5 - low), preserve=(-999.0, 7777)
    )


def test_wide_integers_are_subtracted_exactly():
    values = np.array([2**60, 2**60 + 200], "i8")
    assert codec(xr.Dataset({"n": ("x", values)}), "n", rel={"n": 0.1}) == FZCodec(abs=20.0)


@pytest.mark.parametrize("values", [[5.0, 5.0], [np.nan, np.nan], []])
def test_without_a_range_a_variable_is_kept_exactly(values, tmp_path):
    ds = xr.Dataset({"t": ("x", np.array(values, "f4"))})
    for given in (ds, ds.chunk(x=1) if values else ds):
        assert codec(given, "t", rel=1e-3) == FZCodec(lossless=True)
        given.fz.to_zarr(tmp_path / "a.zarr", rel=1e-3, mode="w")
        xr.testing.assert_equal(xr.open_zarr(tmp_path / "a.zarr").load(), ds)


def test_all_variables_are_read_in_one_pass_and_only_where_needed():
    """Two variables of one source: each of its blocks is computed once."""
    read = []

    def block(block_info=None):
        read.append(block_info[None]["chunk-location"])
        return np.full((2, 3), len(read), "f4")

    source = da.map_blocks(
        block, chunks=((2, 2), (3, 3, 3)), dtype="f4", meta=np.empty((0, 0), "f4")
    )
    ds = xr.Dataset({"t": (("y", "x"), source), "u": (("y", "x"), source * 2)})
    runs = []

    def scheduler(graph, keys, **kwargs):
        runs.append(keys)
        return dask.get(graph, keys, **kwargs)

    with dask.config.set(scheduler=scheduler):
        ds.fz.encoding(abs=0.1)
        assert not runs
        ds.fz.encoding(rel=0.1)
    assert len(runs) == 1
    assert sorted(read) == sorted(set(read))
    assert len(read) == 6


def packed_store(path):
    """A store as of a packed file: int16 with scale, offset and fill."""
    rng = np.random.default_rng(3)
    t = np.cumsum(rng.normal(size=(40, 50)), axis=1).astype("f4")
    t[:5, :9] = np.nan
    encoding = {"dtype": "i2", "scale_factor": 0.01, "add_offset": 20.0, "_FillValue": -32767}
    xr.Dataset({"t": (("y", "x"), t)}).to_zarr(path, encoding={"t": encoding}, zarr_format=2)


@pytest.mark.parametrize("lazy", [False, True])
def test_packing_is_dropped_so_that_the_bound_is_in_the_unit_that_is_read(tmp_path, worst, lazy):
    packed_store(tmp_path / "packed.zarr")
    ds = xr.open_zarr(tmp_path / "packed.zarr", chunks={} if lazy else None)
    assert ds.t.encoding["scale_factor"] == 0.01
    entry = ds.fz.encoding(abs={"t": 0.03})["t"]
    assert np.isnan(entry.pop("_FillValue"))
    assert entry == {"chunks": (40, 50), "compressors": FZCodec(abs=0.03)}
    ds.fz.to_zarr(tmp_path / "a.zarr", abs=0.03)
    back = xr.open_zarr(tmp_path / "a.zarr")
    assert back.t.dtype == ds.t.dtype
    assert 0.01 < worst(back.t, ds.t) <= 0.03
    assert ds.fz.report(tmp_path / "a.zarr").ok


def test_lossless_by_name_drops_packing_too(tmp_path):
    """Packed again, changed values would not come back bit for bit."""
    packed_store(tmp_path / "packed.zarr")
    ds = xr.open_zarr(tmp_path / "packed.zarr") * 1.7
    ds.t.encoding = xr.open_zarr(tmp_path / "packed.zarr").t.encoding
    ds.fz.to_zarr(tmp_path / "a.zarr", lossless=True)
    xr.testing.assert_equal(ds.load(), xr.open_zarr(tmp_path / "a.zarr").load())


def test_a_narrower_dtype_of_the_source_is_dropped(tmp_path, worst):
    """float64 in memory, float32 in its file: the cast would be an error of its own."""
    values = 1e6 + np.random.default_rng(0).random((40, 50))
    ds = xr.Dataset({"t": (("y", "x"), values)})
    ds.t.encoding["dtype"] = np.dtype("f4")
    ds.fz.to_zarr(tmp_path / "a.zarr", abs=1e-3)
    back = xr.open_zarr(tmp_path / "a.zarr")
    assert back.t.dtype == "f8"
    assert worst(back.t, ds.t) <= 1e-3


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("fill", [-999.0, 1e20, 9.96921e36, np.nan, None])
def test_masks_come_back_whatever_marks_them(ds, tmp_path, worst, fill, zarr_format):
    ds.u.encoding["_FillValue"] = fill
    if fill is None:
        ds = ds.assign(u=ds.u.fillna(0.0))
        ds.u.encoding["_FillValue"] = None
    ds.fz.to_zarr(tmp_path / "a.zarr", rel=1e-2, zarr_format=zarr_format)
    back = xr.open_zarr(tmp_path / "a.zarr")
    bound = 1e-2 * float(ds.u.max().astype("f8") - ds.u.min().astype("f8"))
    assert 0 < worst(back.u, ds.u) <= bound
    if fill is not None:
        assert back.u.encoding["_FillValue"] == pytest.approx(fill, nan_ok=True)


def test_undecoded_data_keep_their_sentinels_bit_for_bit(tmp_path, worst):
    values = np.linspace(250, 300, 4000, dtype="f4").reshape(40, 100)
    values[3, ::7] = np.float32(1e20)
    raw = xr.Dataset({"t": (("y", "x"), values, {"_FillValue": np.float32(1e20)})})
    raw.fz.to_zarr(tmp_path / "a.zarr", rel=1e-3)
    back = xr.open_zarr(tmp_path / "a.zarr", mask_and_scale=False)
    sentinel = values == np.float32(1e20)
    assert (back.t.values[sentinel] == values[sentinel]).all()
    assert 0 < worst(back.t.values[~sentinel], values[~sentinel]) <= 0.05
    masked = xr.open_zarr(tmp_path / "a.zarr")
    assert (masked.t.isnull().values == sentinel).all()
    assert raw.fz.report(tmp_path / "a.zarr", mask_and_scale=False).ok
