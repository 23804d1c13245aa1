"""``ds.fz.encoding``: which variable gets which bound, and what becomes of its encoding."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
import zarr

from fzdask import ConfigError, FZCodec, Pipeline


def codecs(encoding):
    return {name: entry["compressors"] for name, entry in encoding.items()}


def test_a_mapping_for_one_and_a_number_for_the_other_fields(ds, span):
    found = codecs(ds.fz.encoding(abs={"t": 0.01}, rel=1e-3))
    assert found["t"] == FZCodec(abs=0.01)
    assert found["u"] == FZCodec(abs=1e-3 * span(ds.u), preserve=-999)
    # Everything else that is data stays exact; coordinates and text are left to xarray.
    for name in ("count", "land", "start", "lat_bnds"):
        assert found[name] == FZCodec(lossless=True)
    assert set(found) == {"t", "u", "count", "land", "start", "lat_bnds"}


def test_without_a_number_for_all_the_others_are_left_alone(ds):
    assert set(ds.fz.encoding(abs={"t": 0.01})) == {"t"}
    assert ds.fz.encoding(lossless={"t": False}, pw_rel={"u": 0.1})["u"] == {
        "_FillValue": np.float32(-999),
        "compressors": FZCodec(pw_rel=0.1, preserve=-999),
    }


def test_every_kind_of_bound(ds, span):
    found = codecs(
        ds.assign(a=ds.t, b=ds.t, c=ds.t, d=ds.t).fz.encoding(
            abs={"a": 1}, pw_rel={"b": 0.01}, psnr={"c": 60}, rel={"d": 0.01}, lossless=True
        )
    )
    assert found["a"] == FZCodec(abs=1)
    assert found["b"] == FZCodec(pw_rel=0.01)
    assert found["c"].abs <= span(ds.t) * 1e-3
    assert found["c"].abs >= span(ds.t) * 0.999999e-3
    assert found["d"] == FZCodec(abs=0.01 * span(ds.t))
    assert found["t"] == found["u"] == found["count"] == FZCodec(lossless=True)


def test_options_for_all_or_by_variable(ds):
    text = "quantize | lorenzo | huffman"
    found = codecs(
        ds.fz.encoding(
            abs=0.01,
            pipeline={"t": Pipeline.from_text(text)},
            codebook="shared",
            preserve={"t": (0, 300)},
        )
    )
    assert found["t"].pipeline == text
    assert found["u"].pipeline == "default"
    assert found["t"].preserve == (0, 300)
    assert found["t"].codebook == found["u"].codebook == "shared"
    assert codecs(ds.fz.encoding(abs=0.01, pipeline="speed"))["u"].pipeline == "speed"
    # Those that stay exact have no use for them.
    assert found["count"] == FZCodec(lossless=True)


def test_whole_numbers_only_when_asked_by_name(ds, worst, tmp_path):
    encoding = ds.fz.encoding(abs={"count": 2, "t": 0.01})
    assert encoding["count"]["compressors"] == FZCodec(abs=2)
    ds.to_zarr(tmp_path / "a.zarr", encoding=encoding)
    back = xr.open_zarr(tmp_path / "a.zarr")
    assert 0 < worst(back["count"], ds["count"]) <= 2
    assert back["count"].dtype == ds["count"].dtype


def test_whole_numbers_with_missing_ones_among_them_are_no_field(ds):
    """xarray reads them as floats; so it does flags."""
    ds["soil"] = ds.t.round()
    ds.soil.encoding = {"dtype": np.dtype("i2"), "_FillValue": np.int16(-1)}
    ds["mask"] = ds.t.round().assign_attrs(flag_values=[1, 2], flag_meanings="sea land")
    found = ds.fz.encoding(rel=1e-3)
    assert found["soil"]["compressors"] == found["mask"]["compressors"] == FZCodec(lossless=True)
    assert found["soil"]["dtype"] == "i2"
    assert ds.fz.encoding(abs={"soil": 1.0})["soil"] == {
        "_FillValue": np.int16(-1),
        "compressors": FZCodec(abs=1.0, preserve=-1),
    }


def test_helpers_of_cf_stay_exact(ds):
    """Cell boundaries, areas and the coefficients of a vertical coordinate, but not pressure."""
    ds = ds.assign(
        areacella=ds.t[0],
        a=("lev", np.linspace(0, 1, 4)),
        a_bnds=(("lev", "edge"), np.linspace(0, 1, 8).reshape(4, 2)),
        ps=ds.t * 300,
        p0=1e5,
    ).assign_coords(
        lev=("lev", np.arange(4.0), {"formula_terms": "a: a ps: ps p0: p0", "bounds": "lev_bnds"})
    )
    ds["lev_bnds"] = (("lev", "edge"), np.zeros((4, 2)), {"formula_terms": "a: a_bnds ps: ps"})
    ds.t.attrs["cell_measures"] = "area: areacella"
    found = codecs(ds.fz.encoding(abs=0.01))
    exact = {name for name, codec in found.items() if codec.lossless}
    assert {"areacella", "a", "a_bnds", "lev_bnds", "lat_bnds", "p0"} <= exact
    assert found["ps"] == found["t"] == FZCodec(abs=0.01)
    # By its name any of them can have a bound.
    assert codecs(ds.fz.encoding(abs={"areacella": 0.5}))["areacella"] == FZCodec(abs=0.5)


def test_compressors_are_replaced_and_layout_is_kept(ds):
    ds.t.encoding = {
        "chunks": (2, 10, 10),
        "shards": (4, 20, 20),
        "compressors": (zarr.codecs.ZstdCodec(),),
        "filters": (),
        "serializer": zarr.codecs.BytesCodec(),
        "fill_value": 0.0,
        "preferred_chunks": {"time": 2},
        "zlib": True,
        "chunksizes": (1, 20, 30),
        "source": "file.nc",
        "dtype": np.dtype("f4"),
        "_FillValue": np.float32(1e20),
    }
    before = dict(ds.t.encoding)
    assert ds.fz.encoding(abs={"t": 0.01})["t"] == {
        "chunks": (2, 10, 10),
        "shards": (4, 20, 20),
        "_FillValue": np.float32(1e20),
        "compressors": FZCodec(abs=0.01, preserve=float(np.float32(1e20))),
    }
    assert ds.t.encoding == before


@pytest.mark.parametrize("place", ["encoding", "attrs"])
def test_sentinels_are_preserved_as_they_are_stored(ds, place):
    for key in ("_FillValue", "missing_value"):
        ds.t.attrs = {}
        ds.t.encoding = {}
        getattr(ds.t, place)[key] = 1e20  # which float32 does not have
        preserve = ds.fz.encoding(abs={"t": 0.01})["t"]["compressors"].preserve
        assert preserve == (float(np.float32(1e20)),)
    getattr(ds.t, place)["missing_value"] = np.array([1e20, -7777], "f4")
    getattr(ds.t, place).pop("_FillValue", None)
    preserve = ds.fz.encoding(abs={"t": 0.01})["t"]["compressors"].preserve
    assert preserve == (float(np.float32(1e20)), -7777)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "no bound; give one of abs, rel"),
        ({"abs": 1, "rel": 1}, r"two bounds for all variables, abs=1 and rel=1"),
        ({"abs": {"t": 1}, "rel": {"t": 1}}, r"'t' has two bounds, abs and rel"),
        ({"abs": {"T": 1}}, r"abs= names 'T'.*variables are 't', 'u', 'count'"),
        ({"abs": {"coun": 1}}, r"'coun', which the dataset does not have.*mean 'count'\?"),
        ({"abs": 1, "pipeline": {"x": "speed"}}, "pipeline= names 'x'"),
        ({"abs": {"t": -1}}, r"variable 't': .*abs=-1 must be finite"),
        ({"abs": {"t": None}}, r"variable 't': .*exactly one bound"),
        ({"rel": "much"}, "rel must be a real number"),
        ({"abs": {"label": 1}}, r"names 'label'.*no meaning for dtype object"),
        ({"lossless": {"label": True}}, r"'label'.*no fixed size; leave it out"),
        ({"rel": {"start": 1}}, r"names 'start'.*datetime64"),
        ({"psnr": {"land": 60}}, r"names 'land'.*bool.*lossless=\{'land': True\}"),
        ({"abs": {"lat": 1}}, r"'lat', which is a coordinate.*reset_coords\('lat'\)"),
        ({"abs": {"area": 1}}, r"'area', which is a coordinate"),
        ({"abs": 1, "pipelin": "speed"}, "no keyword 'pipelin'; did you mean 'pipeline'"),
        ({"abs": 1, "pipeline": "sped"}, "sped"),
    ],
)
def test_what_cannot_be_is_an_error_that_says_so(ds, given, message):
    with pytest.raises(ConfigError, match=f"(?s){message}"):
        ds.fz.encoding(**given)


def test_a_bound_without_its_kind_is_refused(ds, tmp_path):
    for xarray_object in (ds, ds.t):
        with pytest.raises(TypeError, match=r"by its kind: ds.fz.encoding\(abs=0.001\) or"):
            xarray_object.fz.encoding(1e-3)
        with pytest.raises(TypeError, match=r"by its kind: ds.fz.to_zarr\(store, abs=0.001\) or"):
            xarray_object.fz.to_zarr(tmp_path / "a.zarr", 1e-3)
    assert not (tmp_path / "a.zarr").exists()


def test_of_arrays(ds, worst, tmp_path):
    assert ds.t.fz.encoding(abs=0.01) == {"t": {"compressors": FZCodec(abs=0.01)}}
    assert ds["count"].fz.encoding(abs=3)["count"]["compressors"] == FZCodec(abs=3)
    with pytest.raises(ConfigError, match="datetime64"):
        ds.start.fz.encoding(abs=3)
    nameless = ds.u.rename(None)
    for number, array in enumerate((ds.u, nameless, ds.u.rename("lat"))):
        array.fz.to_zarr(tmp_path / f"{number}.zarr", rel=1e-3)
        back = xr.open_dataarray(tmp_path / f"{number}.zarr", engine="zarr")
        assert back.name == array.name
        bound = 1e-3 * float(ds.u.max().astype("f8") - ds.u.min().astype("f8"))
        assert 0 < worst(back, array) <= bound
    assert "fz accessor" in repr(ds.u.fz) + repr(ds.fz)
