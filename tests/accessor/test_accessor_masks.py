"""Masks before and after are the same, with values nearer to the fill value than the bound."""

from __future__ import annotations

import warnings

import dask
import numpy as np
import pytest
import xarray as xr
import zarr

from fzdask import ConfigError, FZCodec

BOUNDS = [{"abs": 0.3}, {"rel": 0.05}, {"pw_rel": 1e-3}, {"psnr": 30}]


def around(fill, dtype="f4"):
    """A wave of height 3 around a fill value, some of it nearer than any bound, and holes."""
    wave = fill + 3 * np.sin(np.arange(1200.0) / 70)
    wave[5::9] = fill + 10.0 ** -(1 + np.arange(wave[5::9].size) % 4)
    values = wave.astype(dtype)
    values[values == fill] += 1
    holes = np.zeros(values.size, bool)
    holes[::7] = True
    return values.reshape(30, 40), holes.reshape(30, 40)


def written(ds, path, lazy, zarr_format, **bounds):
    given = ds.chunk(y=11) if lazy else ds
    given.fz.to_zarr(path, mode="w", zarr_format=zarr_format, **bounds)
    return xr.open_zarr(path)


def check(back, values, holes):
    np.testing.assert_array_equal(back.isnull().values, holes)
    got, want = back.values[~holes].astype("f8"), values[~holes].astype("f8")
    (codec,) = back.encoding["compressors"]
    bound = codec.abs if codec.pw_rel is None else codec.pw_rel * np.abs(want)
    assert (np.abs(got - want) <= bound).all()
    assert (got != want).any()


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("fill", [0.0, -999.0])
@pytest.mark.parametrize("key", ["_FillValue", "missing_value"])
def test_decoded_data(tmp_path, zarr_format, lazy, fill, key):
    values, holes = around(fill)
    ds = xr.Dataset({"t": (("y", "x"), np.where(holes, np.float32(np.nan), values))})
    ds.t.encoding[key] = np.float32(fill)
    for bound in BOUNDS:
        back = written(ds, tmp_path / "a.zarr", lazy, zarr_format, **bound)
        assert back.t.encoding[key] == fill
        check(back.t, values, holes)


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("key", ["_FillValue", "missing_value"])
def test_undecoded_data_with_attributes(tmp_path, zarr_format, lazy, key):
    """Two fill values among the values: a list of `missing_value`, or one of `_FillValue`."""
    values, holes = around(-999.0)
    raw = np.where(holes, np.float32(-999), values)
    more = key == "missing_value"
    fills = [-999.0, -997.5] if more else np.float32(-999)
    if more:
        raw[1::9, 3] = -997.5
        holes = holes | (raw == np.float32(-997.5))
    ds = xr.Dataset({"t": (("y", "x"), raw, {key: fills})})
    for bound in BOUNDS:
        if more:
            with pytest.warns(xr.SerializationWarning, match="multiple fill values"):
                back = written(ds, tmp_path / "a.zarr", lazy, zarr_format, **bound)
        else:
            back = written(ds, tmp_path / "a.zarr", lazy, zarr_format, **bound)
        check(back.t, values, holes)
        again = xr.open_zarr(tmp_path / "a.zarr", mask_and_scale=False)
        np.testing.assert_array_equal(again.t.values[holes], raw[holes])


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("lazy", [False, True])
def test_whole_numbers(tmp_path, zarr_format, lazy):
    """As they are stored, and as xarray reads them: floats with NaN. Every step goes through 0."""
    rng = np.random.default_rng(5)
    holes = rng.random((30, 40)) < 0.1
    values = rng.integers(-8, 9, holes.shape).astype("i2")
    values[values == 0] = 1
    raw = np.where(holes, np.int16(0), values)
    ds = xr.Dataset(
        {
            "raw": (("y", "x"), raw, {"_FillValue": np.int16(0)}),
            "read": (("y", "x"), np.where(holes, np.nan, values.astype("f4"))),
        }
    )
    ds["read"].encoding = {"dtype": np.dtype("i2"), "_FillValue": np.int16(0)}
    for value in (1, 5):
        bounds = {"raw": value, "read": value + 0.5}
        back = written(ds, tmp_path / "a.zarr", lazy, zarr_format, abs=bounds)
        for name, bound in bounds.items():
            np.testing.assert_array_equal(back[name].isnull().values, holes)
            error = np.abs(back[name].values[~holes].astype("f8") - values[~holes])
            assert 0 < error.max() <= bound


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_complex_numbers(tmp_path, zarr_format):
    """xarray gives back the fill value of a complex variable as a complex number."""
    values, holes = around(0.0, "c8")
    ds = xr.Dataset({"t": (("y", "x"), np.where(holes, np.complex64(np.nan), values))})
    for fill in (0.0, np.complex64(0)):
        ds.t.encoding["_FillValue"] = fill
        back = written(ds, tmp_path / "a.zarr", False, zarr_format, abs=0.3)
        np.testing.assert_array_equal(back.t.isnull().values, holes)
        assert 0 < np.abs(back.t.values - values)[~holes].max() <= 0.3
    ds.t.encoding["_FillValue"] = np.complex64(1 - 9j)
    with pytest.raises(ConfigError, match=r"'t' has _FillValue=.*preserves real numbers only"):
        ds.fz.encoding(abs=0.3)
    xr.testing.assert_identical(
        written(ds, tmp_path / "a.zarr", False, zarr_format, lossless=True).load(), ds
    )
    ds.t.encoding["_FillValue"] = np.complex64(complex(np.nan, np.nan))
    assert ds.fz.encoding(abs=0.3)["t"]["compressors"] == FZCodec(abs=0.3)


def test_a_fill_value_that_the_dtype_does_not_have_marks_nothing(tmp_path):
    small = np.arange(-100, 100, dtype="i1")
    ds = xr.Dataset(
        {
            "n": ("x", small, {"missing_value": 300}),
            "h": ("x", small, {"missing_value": 2.5}),
            "t": ("x", np.linspace(-1000, -998, 200, dtype="f4"), {"missing_value": -999.1}),
        }
    )
    assert not xr.decode_cf(ds).to_array().isnull().any()
    ds.fz.to_zarr(tmp_path / "a.zarr", abs={"n": 2, "h": 2, "t": 0.01})
    assert not xr.open_zarr(tmp_path / "a.zarr").to_array().isnull().any()


def test_fill_values_are_no_reason_to_read_the_values(ds):
    lazy = ds[["t"]].chunk(time=1)
    lazy.t.encoding["_FillValue"] = 280.0

    def refuse(*args, **kwargs):
        raise AssertionError("values were read")

    with dask.config.set(scheduler=refuse):
        assert lazy.fz.encoding(abs=0.5)["t"] == {
            "_FillValue": 280.0,
            "compressors": FZCodec(abs=0.5, preserve=280.0),
        }


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("fill", [0.0, -999.0])
def test_a_stored_codec_that_preserves_no_fill_value_is_warned_of(tmp_path, zarr_format, fill):
    """It was not chosen here and cannot be replaced."""
    values, holes = around(fill)
    ds = xr.Dataset({"t": (("y", "x"), np.where(holes, np.float32(np.nan), values))})
    entry = {"_FillValue": np.float32(fill), "compressors": FZCodec(abs=0.3)}
    ds.to_zarr(tmp_path / "a.zarr", encoding={"t": entry}, zarr_format=zarr_format)
    back = xr.open_zarr(tmp_path / "a.zarr")
    assert (back.t.isnull().values != holes).any()
    with pytest.warns(UserWarning, match=rf"'t' is in the store.*not preserve {fill:g},") as said:
        ds.fz.to_zarr(tmp_path / "a.zarr", append_dim="y")
    assert [w.filename for w in said if "not preserve" in str(w.message)] == [__file__]


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize(
    ("fill", "dtype", "codec"),
    [
        (1e20, "f4", FZCodec(abs=0.3, preserve=1e20)),
        (-999.0, "f4", FZCodec(lossless=True)),
        (-999.0, "f4", zarr.codecs.ZstdCodec()),
        (np.nan, "f4", FZCodec(abs=0.3)),
        (-1, "i2", FZCodec(abs=0.3)),
        (-1, "i2", FZCodec(pw_rel=0.3)),
        (-1, "i2", FZCodec(abs=3, preserve=-1)),
    ],
)
def test_other_stored_codecs_keep_masks(tmp_path, recwarn, zarr_format, fill, dtype, codec):
    if zarr_format == 2 and not isinstance(codec, FZCodec):
        codec = None
    values, holes = around(-2.0)
    given = np.where(holes, np.float32(np.nan), values if dtype == "f4" else values.round() * 3)
    ds = xr.Dataset({"t": (("y", "x"), given)})
    entry = {"_FillValue": fill, "compressors": codec, "dtype": dtype}
    ds.to_zarr(tmp_path / "a.zarr", encoding={"t": entry}, zarr_format=zarr_format)
    ds.fz.to_zarr(tmp_path / "a.zarr", append_dim="y")
    assert not [w for w in recwarn if "not preserve" in str(w.message)]
    twice = np.concatenate([holes, holes])
    np.testing.assert_array_equal(xr.open_zarr(tmp_path / "a.zarr").t.isnull().values, twice)


@pytest.mark.parametrize("fill", [-9999.0, 1e20, 9.96921e36])
@pytest.mark.parametrize("lazy", [False, True])
def test_a_fill_value_that_nothing_names_is_warned_of(ds, fill, lazy):
    raw = ds[["t", "u"]].fillna(np.float32(fill)).drop_encoding()
    raw = raw.chunk(lat=7) if lazy else raw
    with pytest.warns(UserWarning, match=r"range of variable 'u' ends at.*preserve=") as said:
        raw.fz.encoding(rel=1e-3)
    assert [w.filename for w in said] == [__file__]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        raw.fz.encoding(rel=1e-3, preserve={"u": fill})
        raw.assign(u=raw.u.assign_attrs(_FillValue=np.float32(fill))).fz.encoding(rel=1e-3)
        raw.fz.encoding(abs=0.01)  # no range counts
        ds.fz.encoding(psnr=60)


def test_fill_values_that_are_still_numbers_are_the_same_as_missing_ones(ds, tmp_path):
    """Of a dataset that was not decoded, or whose attributes were set by hand."""
    path = tmp_path / "a.zarr"
    raw = ds[["u"]].fillna(np.float32(-9999)).drop_encoding()
    raw.u.attrs["_FillValue"] = np.float32(-9999)
    raw.fz.to_zarr(path, rel=1e-3)
    assert raw.fz.report(path).ok
    assert raw.fz.report(path, decode_cf=False).ok
    broken = xr.open_zarr(path).load()
    broken.u[0, 3, 5] = 1.0
    assert raw.fz.report(broken)["u"].changed == 1
    broken = xr.open_zarr(path).load()
    broken.u[0, 0, 0] = np.nan
    assert raw.fz.report(broken)["u"].holds is False
