"""What cannot be done ends with status 2, one message with the remedy, and nothing written."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import zarr

import fzdask

Run = Callable[..., None]
Refused = Callable[..., str]


def worst(decoded: np.ndarray, original: np.ndarray) -> float:
    return float(np.abs(decoded.astype("f8") - original.astype("f8")).max())


def test_missing_input(refused: Refused, tmp_path: Path) -> None:
    said = refused("compress", tmp_path / "no.npy", tmp_path / "o.fz", "--abs", "1")
    assert "no.npy" in said
    assert "no such file" in said
    assert "no such file" in refused("inspect", tmp_path / "no.fz")
    assert "no such file" in refused("demo", tmp_path / "no.nc")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], "got none"),
        (["--abs", "1", "--rel", "1e-3"], "--abs and --rel"),
        (["--rel", "1e-3", "--lossless"], "--rel and --lossless"),
        (["--abs", "-1"], "abs=-1.0"),
        (["--abs", "nan"], "abs=nan"),
        (["--abs", "many"], "--abs"),
    ],
)
def test_bounds(
    refused: Refused,
    tmp_path: Path,
    field: np.ndarray,
    options: list[str],
    expected: str,
) -> None:
    for target in ("o.fz", "o.zarr"):
        said = refused("compress", tmp_path / "field.npy", tmp_path / target, *options)
        assert expected in said
    assert os.listdir(tmp_path) == ["field.npy"]


def test_two_bounds_for_the_demo(refused: Refused) -> None:
    assert "--abs and --rel" in refused("demo", "--abs", "1", "--rel", "1")


@pytest.mark.parametrize(
    ("command", "source", "target"),
    [
        ("compress", "field.txt", "o.fz"),
        ("compress", "field.npy", "o.gz"),
        ("compress", "field.npy", "o"),
        ("compress", "field.zarr", "o.fz"),
        ("decompress", "field.npy", "o.npy"),
        ("decompress", "field.fz", "o.nc"),
    ],
)
def test_unknown_extensions(
    refused: Refused,
    tmp_path: Path,
    command: str,
    source: str,
    target: str,
) -> None:
    (tmp_path / source).touch()
    bound = ["--abs", "1"] if command == "compress" else []
    said = refused(command, tmp_path / source, tmp_path / target, *bound)
    assert "extension" in said
    assert "use one of ." in said
    assert os.listdir(tmp_path) == [source]


def test_existing_output_stays_as_it_was(
    refused: Refused, run: Run, tmp_path: Path, field: np.ndarray
) -> None:
    target = tmp_path / "o.fz"
    target.write_bytes(b"precious")
    command = ["compress", tmp_path / "field.npy", target, "--abs", "1e-3"]
    assert "--force" in refused(*command)
    assert target.read_bytes() == b"precious"
    run(*command, "--force")
    assert worst(fzdask.decompress(target.read_bytes()), field) <= 1e-3


def test_force_replaces_a_store_but_no_other_directory(
    refused: Refused, run: Run, tmp_path: Path, field: np.ndarray
) -> None:
    store = tmp_path / "o.zarr"
    command = ["compress", tmp_path / "field.npy", store, "--force"]
    run(*command, "--abs", "1")
    run(*command, "--abs", "1e-3")
    assert worst(zarr.open_group(store, mode="r")["data"][...], field) <= 1e-3
    other = tmp_path / "thesis.zarr"
    other.mkdir()
    (other / "chapter1.tex").write_text("years of work")
    said = refused("compress", tmp_path / "field.npy", other, "--abs", "1", "--force")
    assert "no Zarr store" in said
    assert (other / "chapter1.tex").read_text() == "years of work"


def test_output_in_a_missing_directory(refused: Refused, tmp_path: Path, field: np.ndarray) -> None:
    target = tmp_path / "no" / "o.fz"
    said = refused("compress", tmp_path / "field.npy", target, "--abs", "1")
    assert "does not exist" in said


def test_damaged_inputs(refused: Refused, run: Run, tmp_path: Path, field: np.ndarray) -> None:
    run("compress", tmp_path / "field.npy", tmp_path / "a.fz", "--abs", "1e-3")
    data = (tmp_path / "a.fz").read_bytes()
    for damaged in (b"", data[: len(data) // 2], b"not a stream" * 9):
        (tmp_path / "a.fz").write_bytes(damaged)
        assert "a.fz" in refused("decompress", tmp_path / "a.fz", tmp_path / "o.npy")
        assert "a.fz" in refused("inspect", tmp_path / "a.fz")
    for name, content in {"a.npy": b"", "b.npy": b"\x93NUMPY...", "c.nc": b"CDF?"}.items():
        (tmp_path / name).write_bytes(content)
        said = refused("compress", tmp_path / name, tmp_path / "o.zarr", "--abs", "1")
        assert name in said
    (tmp_path / "d.zarr").mkdir()
    said = refused("inspect", tmp_path / "d.zarr")
    assert "d.zarr" in said
    assert not list(tmp_path.glob("*partial*"))
    assert not (tmp_path / "o.npy").exists()
    assert not (tmp_path / "o.zarr").exists()


def test_fill_values_that_no_bound_can_keep(refused: Refused, run: Run, tmp_path: Path) -> None:
    fill = np.complex64(1e20 + 1e20j)
    values = xr.DataArray(np.full(9, fill), dims="x", attrs={"_FillValue": fill})
    xr.Dataset({"psi": values}).to_zarr(tmp_path / "in.zarr")
    command = ["compress", tmp_path / "in.zarr", tmp_path / "o.zarr"]
    said = refused(*command, "--abs", "1")
    assert "in.zarr: variable 'psi' has _FillValue" in said
    assert not (tmp_path / "o.zarr").exists()
    run(*command, "--lossless")
    assert (zarr.open_group(tmp_path / "o.zarr", mode="r")["psi"][...] == fill).all()


@pytest.mark.parametrize("kind", ["nc", "zarr"])
def test_hierarchies_are_not_cut_to_their_root(refused: Refused, tmp_path: Path, kind: str) -> None:
    values = xr.Dataset({"t": ("x", np.ones(5))})
    tree = xr.DataTree.from_dict({"/": values, "/inner": values})
    source = tmp_path / f"tree.{kind}"
    if kind == "nc":
        tree.to_netcdf(source, engine="h5netcdf")
    else:
        tree.to_zarr(source)
    said = refused("compress", source, tmp_path / "o.zarr", "--abs", "1")
    assert "inner" in said
    assert not (tmp_path / "o.zarr").exists()


def test_arrays_of_objects(refused: Refused, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([{}, None]), allow_pickle=True)
    said = refused("compress", tmp_path / "a.npy", tmp_path / "o.fz", "--abs", "1")
    assert "a.npy" in said


def test_variables(refused: Refused, run: Run, tmp_path: Path, netcdf: Path) -> None:
    command = ["compress", netcdf, tmp_path / "o.zarr", "--abs", "1", "--variable"]
    assert "it has t, p, packed" in refused(*command, "temperature")
    assert "packed numbers" in refused(*command, "packed")
    assert "locates or describes" in refused(*command, "time")
    run("compress", netcdf, tmp_path / "o.zarr", "--abs", "1")
    said = refused("decompress", tmp_path / "o.zarr", tmp_path / "o.npy")
    assert "--variable" in said


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        (["--abs", "temp=1"], "'temp', which the dataset does not have; its variables are 't', "),
        (["--abs", "=1"], "names ''"),
        (["--abs", "1", "--rel", "packd=1"], "Did you mean 'packed'?"),
        (["--abs", "t=1", "--rel", "t=1"], "variable 't': exactly one bound"),
        (["--abs", "t=1", "--abs", "t=2"], "two values of --abs for variable 't'"),
        (["--pw-rel", "0.1", "--pw-rel", "0.2"], "two values of --pw-rel for all variables"),
        (["--abs", "t=much"], "--abs"),
        (["--abs", "t=-1"], "abs=-1.0"),
        (["--abs", "lat=1"], "variable 'lat' (float64)"),
        (["--lossless", "--abs", "packed=1"], "variable 'packed' (int16)"),
        (["--variable", "p", "--abs", "t=1"], "names 't'"),
    ],
)
def test_bounds_by_name(
    refused: Refused, tmp_path: Path, netcdf: Path, bounds: list[str], expected: str
) -> None:
    assert expected in refused("compress", netcdf, tmp_path / "o.zarr", *bounds)
    assert not (tmp_path / "o.zarr").exists()


def test_a_bound_by_name_is_for_files_with_names(
    refused: Refused, tmp_path: Path, field: np.ndarray
) -> None:
    said = refused("compress", tmp_path / "field.npy", tmp_path / "o.fz", "--abs", "t=1")
    assert "a .npy holds one array" in said


def test_a_dataset_without_fields(refused: Refused, tmp_path: Path) -> None:
    xr.Dataset({"n": ("x", np.arange(5))}).to_zarr(tmp_path / "ints.zarr")
    said = refused("compress", tmp_path / "ints.zarr", tmp_path / "o.zarr", "--abs", "1")
    assert "nothing to bound" in said
    assert "where --variable names it" in said
    assert "demo needs one" in refused("demo", tmp_path / "ints.zarr")
