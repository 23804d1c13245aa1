"""compress and decompress: bounds kept, everything else copied as it was."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import zarr

import fzdask

Run = Callable[..., None]
Refused = Callable[..., str]
FILL = np.float32(-999)


def worst(decoded: np.ndarray, original: np.ndarray) -> float:
    return float(np.abs(decoded.astype("f8") - original.astype("f8")).max())


@pytest.mark.parametrize("bound", [("--abs", "1e-3"), ("--rel", "1e-4"), ("--lossless",)])
def test_npy_to_stream_and_back_keeps_the_bound(
    run: Run, tmp_path: Path, field: np.ndarray, bound: tuple[str, ...]
) -> None:
    run("compress", tmp_path / "field.npy", tmp_path / "field.fz", *bound)
    run("decompress", tmp_path / "field.fz", tmp_path / "back.npy")
    back = np.load(tmp_path / "back.npy")
    span = float(field.max()) - float(field.min())
    allowed = {"--abs": 1e-3, "--rel": 1e-4 * span, "--lossless": 0.0}[bound[0]]
    assert back.dtype == field.dtype
    assert back.shape == field.shape
    assert worst(back, field) <= allowed


def test_a_stream_file_is_what_the_library_reads_and_writes(
    run: Run, tmp_path: Path, field: np.ndarray
) -> None:
    run("compress", tmp_path / "field.npy", tmp_path / "field.fz", "--abs", "1e-3")
    data = (tmp_path / "field.fz").read_bytes()
    assert data == bytes(fzdask.compress(field, abs=1e-3))
    assert worst(fzdask.decompress(data), field) <= 1e-3


def test_preserved_values_come_back_bit_for_bit(run: Run, tmp_path: Path) -> None:
    values = np.linspace(0, 1, 5000, dtype="f4")
    values[::7] = FILL
    np.save(tmp_path / "a.npy", values)
    run("compress", tmp_path / "a.npy", tmp_path / "a.fz", "--abs", "0.1", "--preserve", "-999")
    run("decompress", tmp_path / "a.fz", tmp_path / "b.npy")
    back = np.load(tmp_path / "b.npy")
    assert np.all(back[::7] == FILL)
    assert worst(back, values) <= 0.1


@pytest.mark.parametrize("shape", [(), (0,), (1,), (3, 0, 2)])
def test_empty_and_scalar_arrays(run: Run, tmp_path: Path, shape: tuple[int, ...]) -> None:
    values = np.full(shape, 2.5)
    np.save(tmp_path / "a.npy", values)
    run("compress", tmp_path / "a.npy", tmp_path / "a.fz", "--abs", "0.1")
    run("decompress", tmp_path / "a.fz", tmp_path / "b.npy")
    back = np.load(tmp_path / "b.npy")
    assert back.shape == shape
    assert back.dtype == values.dtype
    assert np.all(np.abs(back - values) <= 0.1)


def test_npy_through_zarr_and_back(run: Run, tmp_path: Path, field: np.ndarray) -> None:
    run("compress", tmp_path / "field.npy", tmp_path / "field.zarr", "--abs", "1e-3")
    run("decompress", tmp_path / "field.zarr", tmp_path / "back.npy")
    assert worst(np.load(tmp_path / "back.npy"), field) <= 1e-3


@pytest.mark.parametrize("dtype", ["u2", "i4"])
def test_frames_of_counts_get_the_bound_that_was_asked_for(
    run: Run, tmp_path: Path, dtype: str
) -> None:
    frames = np.random.default_rng(0).poisson(9, (3, 40, 50)).astype(dtype)
    frames[:, 7] = 65535
    np.save(tmp_path / "frames.npy", frames)
    xr.Dataset({"frames": (("n", "y", "x"), frames), "n": np.arange(3)}).to_netcdf(
        tmp_path / "frames.nc"
    )
    zarr.save_array(tmp_path / "frames.zarr", frames)
    keep = ("--abs", "2", "--preserve", "65535")
    for source in ("frames.npy", "frames.zarr", "frames.nc"):
        one = ("--variable", "frames") if source == "frames.nc" else ()
        run("compress", tmp_path / source, tmp_path / "out.zarr", *keep, *one, "--force")
        stored = xr.open_zarr(tmp_path / "out.zarr", decode_cf=False).load()
        got = stored["frames" if one else "data"].values
        assert got.dtype == frames.dtype
        assert 0 < worst(got, frames) <= 2
        assert np.array_equal(got == 65535, frames == 65535)


def test_netcdf_to_zarr_bounds_the_fields_and_copies_the_rest(
    run: Run, tmp_path: Path, netcdf: Path, dataset: xr.Dataset
) -> None:
    target = tmp_path / "out.zarr"
    run("compress", netcdf, target, "--abs", "0.01")
    raw = xr.open_zarr(target, decode_cf=False).load()
    fill = dataset.t.values == FILL
    assert np.array_equal(raw.t.values == FILL, fill)
    assert worst(raw.t.values, dataset.t.values) <= 0.01
    assert worst(raw.p.values, dataset.p.values) <= 0.01
    for name in ("packed", "lat_bounds", "cell_lon", "lat", "time"):
        assert raw[name].dtype == dataset[name].dtype
        assert raw[name].values.tobytes() == dataset[name].values.tobytes()
    assert raw.attrs["title"] == "made for a test"
    assert raw.t.attrs["coordinates"] == "cell_lon"
    assert raw.packed.attrs["scale_factor"] == 0.01

    decoded = xr.open_zarr(target).load()  # as a user opens it
    assert np.array_equal(np.isnan(decoded.t.values), fill)
    assert decoded.time.dtype.kind == "M"

    codec = zarr.open_group(target, mode="r")["t"].compressors[0]
    assert codec == fzdask.FZCodec(abs=0.01, preserve=(float(FILL),))


def test_packed_numbers_are_not_left_out_without_a_word(
    run: Run, tmp_path: Path, netcdf: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("compress", netcdf, tmp_path / "out.zarr", "--abs", "0.01")
    assert "packed numbers stay lossless: packed." in capsys.readouterr().out
    run("compress", netcdf, tmp_path / "exact.zarr", "--lossless")
    run("compress", netcdf, tmp_path / "t.zarr", "--abs", "0.01", "--variable", "t")
    assert "stay lossless" not in capsys.readouterr().out


def test_a_bound_holds_for_what_readers_make_of_scaled_floats(
    run: Run, refused: Refused, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values = np.random.default_rng(0).normal(size=(20, 30)).astype("f4")
    attributes = {
        "scaled": {"scale_factor": 100.0, "add_offset": 273.15},
        "shifted": {"add_offset": np.float32(1000)},
        "neutral": {"scale_factor": np.float32(1), "add_offset": np.float32(0)},
    }
    dataset = xr.Dataset({n: (("y", "x"), values, a) for n, a in attributes.items()})
    dataset["rounding"] = dataset.neutral.astype("f8", keep_attrs=True)  # to float32, by a reader
    source, target = tmp_path / "in.nc", tmp_path / "out.zarr"
    dataset.to_netcdf(source)
    run("compress", source, target, "--abs", "0.1")
    assert "stay lossless: scaled, shifted, rounding." in capsys.readouterr().out
    with xr.open_dataset(source) as before, xr.open_zarr(target) as after:
        for name in dataset:
            assert worst(after[name].values, before[name].values) <= 0.1
        assert worst(after.neutral.values, before.neutral.values) > 0
    command = ["compress", source, tmp_path / "o.zarr", "--abs", "0.1", "--variable"]
    assert "packed numbers" in refused(*command, "scaled")
    dataset[["scaled"]].to_netcdf(tmp_path / "alone.nc")
    said = refused("compress", tmp_path / "alone.nc", tmp_path / "o.zarr", "--rel", "0.1")
    assert "no floating-point field in it that is not packed" in said
    run("compress", tmp_path / "alone.nc", tmp_path / "o.zarr", "--lossless")
    codec = zarr.open_group(tmp_path / "o.zarr", mode="r")["scaled"].compressors[0]
    assert codec.lossless


def test_bounds_by_the_names_of_variables(
    run: Run, tmp_path: Path, netcdf: Path, dataset: xr.Dataset
) -> None:
    dataset["n"] = ("lon", np.arange(30, dtype="i4") ** 3)
    source, target = tmp_path / "named.nc", tmp_path / "o.zarr"
    dataset.to_netcdf(source, engine="h5netcdf")

    def codecs(*bounds: str) -> dict[str, fzdask.FZCodec]:
        run("compress", source, target, "--force", *bounds)
        found = {n: a.compressors[:1] for n, a in zarr.open_group(target, mode="r").arrays()}
        return {n: c[0] for n, c in found.items() if c and isinstance(c[0], fzdask.FZCodec)}

    t, p = {"preserve": (float(FILL),)}, {"preserve": (1e20,)}
    assert codecs("--abs", "t=0.01", "--rel", "1e-3", "--abs", "n=5") == {
        "t": fzdask.FZCodec(abs=0.01, **t),
        "p": fzdask.FZCodec(rel=1e-3, **p),
        "n": fzdask.FZCodec(abs=5),
    }
    raw = xr.open_zarr(target, decode_cf=False)
    assert worst(raw.n.values, dataset.n.values) <= 5
    assert worst(raw.t.values, dataset.t.values) <= 0.01
    assert codecs("--pw-rel", "p=0.1") == {"p": fzdask.FZCodec(pw_rel=0.1, **p)}
    assert codecs("--lossless", "--psnr", "t=60") == {
        "t": fzdask.FZCodec(psnr=60, **t),
        "p": fzdask.FZCodec(lossless=True, **p),
    }


def test_zarr_back_to_netcdf(run: Run, tmp_path: Path, netcdf: Path, dataset: xr.Dataset) -> None:
    run("compress", netcdf, tmp_path / "out.zarr", "--lossless")
    run("decompress", tmp_path / "out.zarr", tmp_path / "back.nc")
    with (
        xr.open_dataset(netcdf, engine="h5netcdf") as before,
        xr.open_dataset(tmp_path / "back.nc", engine="h5netcdf") as after,
    ):
        xr.testing.assert_equal(before.load(), after.load())


def test_zarr_to_plain_zarr_needs_no_fzdask_to_read(run: Run, tmp_path: Path, netcdf: Path) -> None:
    run("compress", netcdf, tmp_path / "out.zarr", "--abs", "0.01")
    run("decompress", tmp_path / "out.zarr", tmp_path / "plain.zarr")
    metadata = [json.loads(f.read_text()) for f in (tmp_path / "plain.zarr").rglob("zarr.json")]
    assert len(metadata) > 5
    assert "fzdask" not in json.dumps(metadata)
    xr.testing.assert_identical(
        xr.open_zarr(tmp_path / "out.zarr").load(), xr.open_zarr(tmp_path / "plain.zarr").load()
    )


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_zarr_input_of_both_formats_keeps_its_chunks(
    run: Run, tmp_path: Path, zarr_format: int
) -> None:
    values = np.random.default_rng(1).normal(size=(256, 300)).astype("f4")
    xr.Dataset({"v": (("y", "x"), values)}).to_zarr(
        tmp_path / "in.zarr", zarr_format=zarr_format, encoding={"v": {"chunks": (128, 200)}}
    )
    run("compress", tmp_path / "in.zarr", tmp_path / "out.zarr", "--abs", "0.01")
    stored = zarr.open_group(tmp_path / "out.zarr", mode="r")["v"]
    assert stored.chunks == (128, 200)
    assert worst(stored[...], values) <= 0.01


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_complex_fill_values_stay_missing(run: Run, tmp_path: Path, zarr_format: int) -> None:
    fill = np.complex64(1e20)
    rng = np.random.default_rng(2)
    values = (rng.normal(size=(40, 50)) + 1j * rng.normal(size=(40, 50))).astype("c8")
    values[::3] = fill
    before = xr.Dataset({"psi": (("y", "x"), values, {"_FillValue": fill})})
    before.to_zarr(tmp_path / "in.zarr", zarr_format=zarr_format)
    run("compress", tmp_path / "in.zarr", tmp_path / "out.zarr", "--abs", "0.01")
    stored = zarr.open_group(tmp_path / "out.zarr", mode="r")["psi"]
    assert stored.compressors[0].preserve == (float(np.float32(1e20)),)
    after = xr.open_zarr(tmp_path / "out.zarr", decode_cf=False).psi
    assert after.attrs["_FillValue"] == fill
    back = after.values
    assert (back[::3] == fill).all()
    for part in ("real", "imag"):
        assert worst(getattr(back, part), getattr(values, part)) <= 0.01


def test_numbers_that_describe_others_stay_exact(run: Run, tmp_path: Path) -> None:
    """Coefficients of a vertical coordinate, flags and single numbers are no fields."""
    rng = np.random.default_rng(3)
    before = xr.Dataset(
        {
            "t": (("lev", "x"), rng.normal(size=(6, 500))),
            "a": ("lev", rng.normal(size=6)),
            "flag": (("lev", "x"), rng.integers(0, 3, (6, 500)) * 1.5, {"flag_values": [0, 1.5]}),
            "p0": ((), 101325.03, {"units": "Pa"}),
        },
        coords={"lev": ("lev", np.arange(6.0), {"formula_terms": "a: a p0: p0"})},
    )
    before.to_netcdf(tmp_path / "in.nc", engine="h5netcdf")
    run("compress", tmp_path / "in.nc", tmp_path / "out.zarr", "--abs", "0.3")
    after = xr.open_zarr(tmp_path / "out.zarr").load()
    for name in ("a", "flag", "p0"):
        np.testing.assert_array_equal(after[name], before[name])
    assert 0 < worst(after.t.values, before.t.values) <= 0.3
    run("compress", tmp_path / "in.nc", tmp_path / "p0.zarr", "--abs", "9", "--variable", "p0")
    assert xr.open_zarr(tmp_path / "p0.zarr").p0.item() == 101325.03


def test_one_variable_with_its_helpers(run: Run, tmp_path: Path, netcdf: Path) -> None:
    run("compress", netcdf, tmp_path / "t.zarr", "--abs", "0.01", "--variable", "t")
    assert set(xr.open_zarr(tmp_path / "t.zarr", decode_cf=False).data_vars) == {"t", "cell_lon"}


def test_a_bare_zarr_array(run: Run, tmp_path: Path, field: np.ndarray) -> None:
    zarr.save_array(tmp_path / "bare.zarr", field)
    run("compress", tmp_path / "bare.zarr", tmp_path / "out.zarr", "--rel", "1e-3")
    run("decompress", tmp_path / "out.zarr", tmp_path / "back.npy")
    span = float(field.max()) - float(field.min())
    assert worst(np.load(tmp_path / "back.npy"), field) <= 1e-3 * span
