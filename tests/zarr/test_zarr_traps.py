"""Traps between a lossy codec and Zarr: memory and byte order, masks, packing, writing again."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import xarray as xr
import zarr
from zarr.codecs import TransposeCodec
from zarr_arrays import create

from fzdask import FZCodec

CODEC = FZCodec(abs=0.01)


# Memory order and byte order


@pytest.mark.parametrize("data_order", "CF")
@pytest.mark.parametrize("order", "CF")
@pytest.mark.parametrize("chunks", [(8, 8), (8, 5), (37, 29), (1, 29), (37, 1)], ids=str)
def test_f_order_chunks_of_v2_are_not_transposed_silently(field, worst, order, data_order, chunks):
    data = np.asarray(field, order=data_order)
    z = create(data, chunks=chunks, zarr_format=2, order=order, compressors=CODEC)
    assert worst(z[:], field) <= 0.01
    assert worst(z[5:20, 3], field[5:20, 3]) <= 0.01


@pytest.mark.parametrize("data_order", "CF")
@pytest.mark.parametrize("runtime_order", "CF")
def test_f_order_data_and_runtime_order_in_v3(field, worst, encode_as, data_order, runtime_order):
    with zarr.config.set({"array.order": runtime_order}):
        z = create(np.asarray(field, order=data_order), **encode_as(CODEC))
        assert worst(z[:], field) <= 0.01


def test_transpose_filter_before_the_codec(field, worst, calls):
    z = create(field, chunks=(8, 5), filters=[TransposeCodec(order=(1, 0))], compressors=CODEC)
    assert worst(z[:], field) <= 0.01
    assert {a.shape for a in calls.encoded} == {(5, 8)}


@pytest.mark.parametrize("dtype", [">f4", ">f8", ">i4"])
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_big_endian_variables(field, worst, calls, zarr_format, dtype):
    data = field.astype(dtype)
    with warnings.catch_warnings():  # Zarr v3 drops the byte order and may say so
        warnings.simplefilter("ignore")
        z = create(data, zarr_format=zarr_format, compressors=CODEC)
    assert worst(z[:], data) <= 0.01
    arrived = ">" if zarr_format == 2 else "<"
    assert {a.dtype.str for a in calls.encoded} == {arrived + dtype[1:]}
    assert not any(c.lossless for c in calls.configs)


def test_serializer_streams_do_not_depend_on_byte_order(field):
    native = zarr.storage.MemoryStore()
    swapped = zarr.storage.MemoryStore()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for store, data in ((native, field), (swapped, field.astype(">f4"))):
            create(data, store, serializer=CODEC.serializer, compressors=None)
    assert native._store_dict["c/0/0"].to_bytes() == swapped._store_dict["c/0/0"].to_bytes()


# Fill values, padding and masks


@pytest.mark.parametrize("complex_part", [0, 1j], ids=["real", "complex"])
@pytest.mark.parametrize("fill_value", [0.0, -9999.0, np.nan], ids=str)
def test_padding_of_edge_chunks_does_not_loosen_a_relative_bound(
    field, encode_as, zarr_format, fill_value, complex_part
):
    """Zarr v2 does not tell a codec the fill value: there it has to be preserved."""
    preserve = fill_value if zarr_format == 2 else ()
    data = field if not complex_part else (field + complex_part * field).astype("c8")
    encoding = encode_as(FZCodec(rel=1e-3, preserve=preserve))
    got = create(data, zarr_format=zarr_format, fill_value=fill_value, **encoding)[:]
    for y in range(0, 37, 8):
        for x in range(0, 29, 8):
            block = (slice(y, y + 8), slice(x, x + 8))
            error = np.abs(got[block].astype("c16") - data[block]).max()
            assert error <= 1e-3 * np.ptp(field[block].astype("f8"))


@pytest.mark.parametrize(
    ("data", "preserve"),
    [
        (np.zeros((8, 8), "f4"), ()),  # nothing but the fill value
        (np.where(np.eye(8) > 0, 5, 0).astype("f4"), ()),  # one value beside it
        (np.where(np.eye(8) > 0, -999, 0).astype("f4"), -999.0),  # sentinels beside it
        (np.where(np.eye(8) > 0, np.nan, 0).astype("f4"), ()),
        (np.array([[0, 3e38], [-3e38, 1.0]], "f4"), ()),
        (np.array([[0, 1.7e308], [-1.7e308, 1.0]]), ()),  # the range overflows
        (np.array([[0, 200], [-100, 7]], "i2"), ()),
        (np.array([[0, 2**64 - 1], [2**63, 7]], "u8"), ()),
    ],
    ids=["fill only", "one value", "sentinel", "nan", "f4 max", "overflow", "int16", "uint64"],
)
def test_relative_bound_beside_the_fill_value_in_hard_cases(worst, calls, data, preserve):
    codec = FZCodec(rel=1e-3, preserve=preserve)
    z = create(data, chunks=data.shape, compressors=codec, config={"write_empty_chunks": True})
    got = z[:]
    others = data[np.isfinite(data) & (data != 0) & (data != -999)].astype("f8")
    with np.errstate(over="ignore"):
        span = others.max() - others.min() if others.size else 0.0
    assert worst(got, data) <= 1e-3 * span
    np.testing.assert_array_equal(got == -999, data == -999)
    assert len(calls.encoded) == 1


def masked(field):
    """A dataset in which a tenth is missing, marked by the CF `_FillValue` -999."""
    data = field.copy()
    data[np.random.default_rng(1).random(field.shape) < 0.1] = np.nan
    return xr.Dataset({"t": (("y", "x"), data)})


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("bound", [{"abs": 0.7}, {"rel": 0.01}], ids=str)
def test_masks_survive_with_preserve(tmp_path, field, worst, zarr_format, bound):
    ds = masked(field)
    codec = FZCodec(**bound, preserve=-999.0)
    encoding = {"t": {"_FillValue": np.float32(-999), "compressors": codec, "chunks": (8, 8)}}
    ds.to_zarr(tmp_path / "d.zarr", zarr_format=zarr_format, encoding=encoding)
    with xr.open_zarr(tmp_path / "d.zarr", consolidated=False) as back:
        span = float(ds.t.max()) - float(ds.t.min())
        assert worst(back.t, ds.t) <= codec.abs if codec.abs else 0.01 * span


def test_masks_are_lost_without_preserve(field):
    """The trap itself: a sentinel within the bound of itself is no longer the sentinel."""
    data = np.where(np.isnan(masked(field).t), np.float32(-999), field)
    got = CODEC_07.decode(CODEC_07.encode(data))
    assert (np.abs(got.astype("f8") - data) <= 0.7).all()
    assert not (got[data == -999] == -999).any()


CODEC_07 = FZCodec(abs=0.7)


@pytest.mark.parametrize("bound", [3.0, 0.004])
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_packed_data_is_bounded_in_packed_units(tmp_path, field, zarr_format, bound):
    """With scale_factor the codec sees integers: abs=3 means three steps of scale_factor."""
    scale = 0.01
    encoding = {
        "dtype": "int16",
        "scale_factor": scale,
        "add_offset": 275.0,
        "_FillValue": -32768,
        "compressors": FZCodec(abs=bound, preserve=-32768),
    }
    ds = masked(field)
    ds.to_zarr(tmp_path / "d.zarr", zarr_format=zarr_format, encoding={"t": encoding})
    del encoding["compressors"]
    ds.to_zarr(tmp_path / "exact.zarr", zarr_format=zarr_format, encoding={"t": encoding})
    packed, exact = (
        xr.open_zarr(tmp_path / name, mask_and_scale=False, consolidated=False).t.values
        for name in ("d.zarr", "exact.zarr")
    )
    assert packed.dtype == np.int16
    assert np.abs(packed.astype("i8") - exact).max() <= bound
    np.testing.assert_array_equal(packed == -32768, np.isnan(ds.t))


@pytest.mark.parametrize("write_empty", [False, True])
def test_write_empty_chunks_decides_whether_fill_chunks_are_encoded(tmp_path, calls, write_empty):
    data = np.zeros((16, 16), "f4")
    data[0, 0] = 1.0
    ds = xr.Dataset({"t": (("y", "x"), data)}).chunk(y=8, x=8)
    ds.to_zarr(
        tmp_path / "d.zarr",
        encoding={"t": {"compressors": CODEC, "fill_value": 0.0}},
        write_empty_chunks=write_empty,
    )
    assert len(calls.encoded) == (4 if write_empty else 1)


# Writing again


@pytest.mark.parametrize("second", [2, 3])
@pytest.mark.parametrize("first", [2, 3])
def test_rewriting_an_opened_dataset_with_the_same_absolute_bound_changes_nothing(
    tmp_path, field, worst, first, second
):
    """Generation loss: xarray carries the codec along; on the same lattice it is harmless."""
    ds = xr.Dataset({"t": (("y", "x"), field)})
    encoding = {"t": {"compressors": FZCodec(abs=0.01), "chunks": (8, 8)}}
    ds.to_zarr(tmp_path / "0.zarr", zarr_format=first, encoding=encoding, consolidated=False)
    generations = [xr.open_zarr(tmp_path / "0.zarr", consolidated=False).load()]
    for n in (1, 2):
        opened = xr.open_zarr(tmp_path / f"{n - 1}.zarr", consolidated=False)
        if second != first and n == 1:
            opened.t.encoding.pop("serializer", None)  # v2 has none
        opened.to_zarr(tmp_path / f"{n}.zarr", zarr_format=second, consolidated=False)
        generations.append(xr.open_zarr(tmp_path / f"{n}.zarr", consolidated=False).load())
        assert generations[-1].t.encoding["compressors"] == (FZCodec(abs=0.01),)
    assert worst(generations[-1].t, field) <= 0.01
    for later in generations[1:]:
        np.testing.assert_array_equal(later.t, generations[0].t)


def test_appending_encodes_new_chunks_with_the_stored_codec(tmp_path, field, worst, zarr_format):
    ds = xr.Dataset({"t": (("y", "x"), field[:32])})
    encoding = {"t": {"compressors": FZCodec(abs=0.01), "chunks": (8, 8)}}
    ds.to_zarr(tmp_path / "d.zarr", zarr_format=zarr_format, encoding=encoding)
    ds.to_zarr(tmp_path / "d.zarr", append_dim="y")
    with xr.open_zarr(tmp_path / "d.zarr") as back:
        assert worst(back.t, np.concatenate([field[:32]] * 2)) <= 0.01


@pytest.mark.parametrize("order", "CF")
@pytest.mark.parametrize("dtype", ["<f4", ">f4"])
def test_metadata_migrated_from_v2_to_v3_reads_the_same_chunks(tmp_path, field, order, dtype):
    migrate = pytest.importorskip("zarr.metadata.migrate_v3")
    path = tmp_path / "a.zarr"
    data = field[:32, :24].astype(dtype)
    z = create(data, path, chunks=(8, 6), zarr_format=2, order=order, compressors=CODEC)
    want = z[:]
    migrate.migrate_v2_to_v3(input_store=zarr.storage.LocalStore(path))
    migrated = zarr.open_array(path, zarr_format=3, mode="r")
    assert migrated.compressors == (CODEC,)
    np.testing.assert_array_equal(migrated[:], want)
