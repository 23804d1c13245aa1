"""FZCodec in Zarr arrays and xarray datasets: formats 2 and 3, shards, serializer, odd dtypes."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
import xarray as xr
import zarr
from zarr_arrays import create

from fzdask import FZArrayCodec, FZCodec, UnsupportedDtypeError


def test_array_keeps_the_bound_also_in_padded_edge_chunks(
    tmp_path, field, worst, zarr_format, encode_as
):
    codec = FZCodec(abs=0.01)
    written = create(field, tmp_path / "a.zarr", zarr_format=zarr_format, **encode_as(codec))
    opened = zarr.open_array(tmp_path / "a.zarr")
    for z in (written, opened):
        assert worst(z[:], field) <= 0.01
    (found,) = opened.compressors or (opened.serializer,)
    want = codec if opened.compressors else codec.serializer
    assert found == want
    assert hash(found) == hash(want)


def test_the_same_xarray_line_for_every_format(tmp_path, field, worst, zarr_format, encode_as):
    codec = FZCodec(abs=0.01)
    ds = xr.Dataset({"t": (("y", "x"), field), "u": (("y", "x"), field * 2)})
    encoding = {"t": encode_as(codec), "u": encode_as(FZCodec(rel=1e-3))}
    ds.to_zarr(tmp_path / "d.zarr", zarr_format=zarr_format, encoding=encoding)
    with xr.open_zarr(tmp_path / "d.zarr") as back:
        assert worst(back.t, ds.t) <= 0.01
        assert worst(back.u, ds.u) <= 1e-3 * float(ds.u.max().astype("f8") - ds.u.min())
        found = back.t.encoding["compressors"] or (back.t.encoding["serializer"],)
        assert found[0] in (codec, codec.serializer)


def stored_codecs(path, zarr_format):
    if zarr_format == 2:
        return [json.loads((path / ".zarray").read_text())["compressor"]]
    codecs = json.loads((path / "zarr.json").read_text())["codecs"]
    if codecs[0]["name"] == "sharding_indexed":
        codecs = codecs[0]["configuration"]["codecs"]
    return codecs


def test_stored_metadata_is_readable(tmp_path, field, layout, zarr_format, encode_as):
    encoding = encode_as(FZCodec(abs=np.float32(0.25), preserve=-999))
    create(field, tmp_path / "a.zarr", zarr_format=zarr_format, **encoding)
    configuration = {"abs": 0.25, "preserve": [-999]}
    want = {
        "v2": {"id": "fzdask", **configuration},
        "v3": {"name": "fzdask", "configuration": configuration},
        "v3-serializer": {"name": "fzdask.array", "configuration": configuration},
    }[layout.replace("-shards", "")]
    assert want in stored_codecs(tmp_path / "a.zarr", zarr_format)


@pytest.mark.parametrize(
    ("zarr_format", "encoding"),
    [
        (2, {"compressors": {"id": "fzdask", "abs": 0.01}}),
        (3, {"compressors": {"name": "fzdask", "configuration": {"abs": 0.01}}}),
        (3, {"compressors": [{"name": "fzdask", "configuration": {"abs": 0.01}}]}),
        (
            3,
            {
                "serializer": {"name": "fzdask.array", "configuration": {"abs": 0.01}},
                "compressors": None,
            },
        ),
    ],
    ids=str,
)
def test_dictionary_forms(field, worst, calls, zarr_format, encoding):
    z = create(field, zarr_format=zarr_format, **encoding)
    assert worst(z[:], field) <= 0.01
    assert {c.abs for c in calls.configs} == {0.01}


def test_misspelt_key_in_a_dictionary_is_an_error_on_writing(field):
    stored = {"name": "fzdask", "configuration": {"abss": 0.01}}
    z = zarr.create_array({}, shape=field.shape, dtype="f4", chunks=(8, 8), compressors=stored)
    with pytest.raises(Exception, match="did you mean 'abs'"):
        z[:] = field


def test_zarr_looks_up_the_codec_by_name_without_importing_fzdask(tmp_path, field, run_python):
    for zarr_format in (2, 3):
        path = tmp_path / f"{zarr_format}.zarr"
        create(field, path, zarr_format=zarr_format, compressors=FZCodec(abs=0.01))
    np.save(tmp_path / "field.npy", field)
    run_python(
        """
        import numpy as np, zarr
        want = np.load("field.npy").astype("f8")
        for zarr_format in (2, 3):
            z = zarr.open_array(f"{zarr_format}.zarr", mode="r")
            assert np.abs(z[:].astype("f8") - want).max() <= 0.01
        """,
        cwd=tmp_path,
    )


ODD = {
    "bool": np.tile([True, False, True], (12, 4)),
    "int8": np.arange(144, dtype="i1").reshape(12, 12),
    "uint64": np.full((12, 12), 2**64 - 1, "u8"),
    "float16": np.linspace(0, 9, 144, dtype="f2").reshape(12, 12),
    "float64": np.linspace(0, 9, 144).reshape(12, 12),
    "complex64": (np.arange(144) * (1 + 0.5j)).astype("c8").reshape(12, 12),
    "complex128": (np.arange(144) * (1 + 0.5j)).reshape(12, 12),
    "datetime64": np.arange(144).reshape(12, 12).astype("M8[ns]"),
    "timedelta64": np.arange(144).reshape(12, 12).astype("m8[s]"),
    "unicode": np.array(["ab", "äöüß", ""] * 48).reshape(12, 12),
    "bytes": np.array([b"ab", b"cdef", b""] * 48).reshape(12, 12),
    "0-d": np.array(2.5, "f4"),
    "0-d text": np.array("crs"),
    "1-D": np.linspace(0, 9, 40, dtype="f4"),
    "5-D": np.linspace(0, 9, 64, dtype="f4").reshape(2, 2, 4, 2, 2),
    "structured": np.array([(1, 2.5), (3, 4.5)] * 8, [("n", "<i4"), ("v", "<f8")]),
    "all nan": np.full((12, 12), np.nan, "f4"),
    "zeros": np.zeros((12, 12), "f4"),
    "empty": np.zeros((0, 4), "f4"),
}


def exact_part(got, want):
    """Values that a bound does not touch come back exactly; return the error of the others."""
    if want.dtype.kind not in "fc":
        np.testing.assert_array_equal(got, want)
        return 0.0
    pairs = [(got.real, want.real), (got.imag, want.imag)]
    finite = np.isfinite(want)
    return max(float(np.abs(g - w.astype("f8"))[finite].max(initial=0.0)) for g, w in pairs)


@pytest.mark.parametrize("where", ["v2", "v3", "serializer"])
@pytest.mark.parametrize("name", ODD)
def test_no_dtype_makes_an_array_fail(name, where):
    codec = FZCodec(abs=0.01)
    data = ODD[name]
    encoding = (
        {"serializer": codec.serializer, "compressors": None}
        if where == "serializer"
        else {"compressors": codec}
    )
    chunks = tuple(max(1, n // 2 + 1) for n in data.shape)
    with warnings.catch_warnings():  # Zarr: "no Zarr v3 specification" of some dtypes
        warnings.simplefilter("ignore")
        z = create(data, chunks=chunks, zarr_format=2 if where == "v2" else 3, **encoding)
        got = np.asarray(z[...])
    assert got.dtype == data.dtype
    assert exact_part(got, data) <= 0.01


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_one_codec_for_every_variable_of_an_odd_dataset(tmp_path, zarr_format):
    codec = FZCodec(abs=0.01)
    ds = xr.Dataset(
        {
            name.replace(" ", "-"): ([f"{name}-{i}" for i in range(a.ndim)], a)
            for name, a in ODD.items()
            if name != "structured"  # xarray writes none
        }
    )
    ds["text"] = ("n", np.array(["variable", "length", "äöü"], dtype=object))
    ds = ds.assign_coords(time=("time", np.arange(5).astype("M8[D]").astype("M8[ns]")))
    encoding = {name: {"compressors": codec} for name in ds.variables}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ds.to_zarr(tmp_path / "d.zarr", zarr_format=zarr_format, encoding=encoding)
        back = xr.open_zarr(tmp_path / "d.zarr", consolidated=False).load()
    assert set(back.variables) == set(ds.variables)
    for name, variable in ds.variables.items():
        assert exact_part(back[name].values, variable.values) <= 0.01, name


@pytest.mark.parametrize("codec", [FZCodec(abs=100.0), FZCodec(rel=0.5)], ids=repr)
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_variable_length_text_reaches_the_codec_as_bytes_and_stays_exact(calls, codec, zarr_format):
    text = np.array(["variable", "length", "", "äöü"], dtype=object)
    z = zarr.create_array(
        {}, shape=4, chunks=(3,), dtype=str, zarr_format=zarr_format, compressors=codec
    )
    z[:] = text
    assert [str(s) for s in z[:]] == list(text)
    assert {(a.dtype.str, a.ndim) for a in calls.encoded} == {("|u1", 1)}
    assert all(c.lossless for c in calls.configs)


def test_serializer_refuses_variable_length_text_with_the_remedy():
    from zarr.core.dtype import VariableLengthUTF8

    with pytest.raises(UnsupportedDtypeError, match="compressors="):
        FZArrayCodec(abs=1.0).validate(shape=(4,), dtype=VariableLengthUTF8(), chunk_grid=None)


@pytest.mark.parametrize("shape", ["compressors", "serializer"])
def test_partial_read_of_a_shard_decodes_only_the_chunks_it_needs(tmp_path, field, calls, shape):
    codec = FZCodec(abs=0.01)
    how = {"compressors": codec} if shape == "compressors" else {"serializer": codec.serializer}
    if shape == "serializer":
        how["compressors"] = None
    create(field[:32, :24], tmp_path / "a.zarr", chunks=(8, 6), shards=(32, 24), **how)
    assert len(calls.encoded) == 16
    z = zarr.open_array(tmp_path / "a.zarr", mode="r")
    for selection, decodes in (
        ((slice(9, 13), slice(7, 11)), 1),
        ((slice(7, 9), slice(0, 6)), 2),
        ((slice(None), 0), 4),
        ((slice(None), slice(None)), 16),
    ):
        calls.decoded.clear()
        part = z[selection]
        assert np.abs(part.astype("f8") - field[:32, :24][selection]).max() <= 0.01
        assert len(calls.decoded) == decodes


def test_partial_write_of_a_chunk_keeps_the_bound_for_new_values(
    field, worst, zarr_format, encode_as
):
    z = create(field, zarr_format=zarr_format, **encode_as(FZCodec(abs=0.01)))
    z[3:20, 5] = 7.0
    want = field.copy()
    want[3:20, 5] = 7.0
    got = z[:]
    assert worst(got[3:20, 5], want[3:20, 5]) <= 0.01
    assert worst(got, want) <= 0.02  # the other values of those chunks: twice at most


def test_resize_and_attributes_rewrite_the_metadata_and_keep_the_codec(
    tmp_path, field, zarr_format, encode_as
):
    z = create(field, tmp_path / "a.zarr", zarr_format=zarr_format, **encode_as(FZCodec(abs=0.01)))
    before = stored_codecs(tmp_path / "a.zarr", zarr_format)
    z.resize((40, 40))
    z.attrs["note"] = "changed"
    assert stored_codecs(tmp_path / "a.zarr", zarr_format) == before


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_metadata_of_a_newer_version_opens_reads_and_survives_a_rewrite(
    tmp_path, field, worst, zarr_format
):
    """A later bound or key must not lock today's readers out of a group, nor be lost by them."""
    path = tmp_path / "d.zarr"
    xr.Dataset({"t": (("y", "x"), field)}).to_zarr(
        path,
        zarr_format=zarr_format,
        encoding={"t": {"chunks": (8, 8), "compressors": FZCodec(abs=0.01)}},
        consolidated=False,
    )
    document = path / "t" / (".zarray" if zarr_format == 2 else "zarr.json")
    later = document.read_text().replace('"abs": 0.01', '"pw_rel": 0.01, "books": ["x"]')
    assert later != document.read_text()
    document.write_text(later)
    with xr.open_zarr(path, consolidated=False) as back:
        assert worst(back.t, field) <= 0.01
    z = zarr.open_array(path / "t")
    z.attrs["note"] = "changed"
    z.resize((40, 29))
    assert '"pw_rel": 0.01' in document.read_text()
    assert '"books"' in document.read_text()
    with pytest.raises(Exception, match="upgrade fzdask"):
        z[:] = 1.0
