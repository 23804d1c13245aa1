"""inspect, --version, --help and how the program starts."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import fzdask

Run = Callable[..., None]


def test_inspect_a_stream(
    run: Run, tmp_path: Path, field: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    run("compress", tmp_path / "field.npy", tmp_path / "field.fz", "--abs", "1e-3")
    capsys.readouterr()
    run("inspect", tmp_path / "field.fz")
    shown = capsys.readouterr().out
    assert shown.strip() == str(fzdask.inspect((tmp_path / "field.fz").read_bytes())).strip()
    assert "40" in shown
    assert "float32" in shown


def test_inspect_a_store(
    run: Run, tmp_path: Path, netcdf: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("compress", netcdf, tmp_path / "out.zarr", "--abs", "0.01")
    capsys.readouterr()
    run("inspect", tmp_path / "out.zarr")
    shown = capsys.readouterr().out
    assert "t: shape (6, 20, 30), float32" in shown
    assert "FZCodec(abs=0.01" in shown
    assert "first chunk:" in shown
    assert "packed: shape (20, 30), int16" in shown


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_inspect_stores_made_otherwise(
    run: Run, tmp_path: Path, zarr_format: int, capsys: pytest.CaptureFixture[str]
) -> None:
    values = np.arange(64, dtype="f4").reshape(8, 8)
    dataset = xr.Dataset({"v": (("y", "x"), values), "empty": (("y", "x"), values * np.nan)})
    encoding = {
        "v": {"compressors": fzdask.FZCodec(abs=0.1), "chunks": (4, 4)},
        "empty": {"compressors": fzdask.FZCodec(abs=0.1), "chunks": (4, 4)},
    }
    if zarr_format == 3:
        encoding["v"]["shards"] = (8, 8)
    dataset.to_zarr(tmp_path / "a.zarr", zarr_format=zarr_format, encoding=encoding)
    run("inspect", tmp_path / "a.zarr")
    shown = capsys.readouterr().out
    assert ("inside shards" in shown) == (zarr_format == 3)
    assert "first chunk: not stored" in shown


def test_version_and_help_in_a_process_of_their_own(
    run: Run,
) -> None:
    command = [sys.executable, "-c", "from fzdask.cli import main; main()"]
    version = subprocess.run([*command, "--version"], capture_output=True, text=True, check=True)
    assert version.stdout == f"fzdask {fzdask.__version__}\n"
    usage = subprocess.run([*command, "--help"], capture_output=True, text=True, check=True)
    for name in ("demo", "compress", "decompress", "inspect"):
        assert name in usage.stdout


def test_the_commands_start_without_the_heavy_imports(
    run: Run,
) -> None:
    code = (
        "import sys, fzdask.cli;"
        "print([m for m in ('numba', 'zarr', 'xarray', 'dask', 'numpy') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_every_damaged_chunk_is_named(
    run: Run,
    refused: Callable[..., str],
    tmp_path: Path,
    zarr_format: int,
    capsys: pytest.CaptureFixture[str],
) -> None:
    values = np.random.default_rng(1).random((10, 12)).astype("f4")
    dataset = xr.Dataset({"v": (("y", "x"), values), "w": (("y", "x"), values)})
    encoding: dict[str, dict[str, object]] = {
        name: {"compressors": fzdask.FZCodec(abs=0.1), "chunks": (4, 5)} for name in "vw"
    }
    if zarr_format == 3:
        encoding["w"] |= {"shards": (8, 10)}
    store = tmp_path / "a.zarr"
    dataset.to_zarr(store, zarr_format=zarr_format, encoding=encoding)
    run("inspect", store, "--check")
    assert "checked: 18 chunks, all intact" in capsys.readouterr().out
    chunks = {2: ["v/1.2", "w/0.1"], 3: ["v/c/1/2", "w/c/0/0"]}[zarr_format]
    for chunk in chunks:
        stored = bytearray((store / chunk).read_bytes())
        stored[60] ^= 1
        (store / chunk).write_bytes(stored)
    said = refused("inspect", store, "--check")
    assert "2 of 18 chunks cannot be read" in said
    assert "v, chunk (1, 2): FormatError:" in said
    assert said.count("w, chunk (") == 1  # of a shard, one of the first in Zarr's order


def test_a_damaged_stream_is_found(
    run: Run, refused: Callable[..., str], tmp_path: Path, field: np.ndarray
) -> None:
    stream = fzdask.compress(field, abs=1e-3)
    (tmp_path / "a.fz").write_bytes(stream)
    run("inspect", tmp_path / "a.fz", "--check")
    (tmp_path / "a.fz").write_bytes(stream[:-9] + bytes([stream[-9] ^ 4]) + stream[-8:])
    run("inspect", tmp_path / "a.fz")
    assert "a.fz: fzdask stream" in refused("inspect", tmp_path / "a.fz", "--check")
