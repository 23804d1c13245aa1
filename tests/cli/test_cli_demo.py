"""The demo on generated and on given fields."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import zarr

Run = Callable[..., None]


def worst(decoded: np.ndarray, original: np.ndarray) -> float:
    return float(np.abs(decoded.astype("f8") - original.astype("f8")).max())


def test_demo_on_a_generated_field(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("demo", "--size", "24", "--chunk", "16", "--keep", tmp_path / "kept.zarr")
    shown = capsys.readouterr().out
    assert "24 x 24 x 24 float32" in shown
    for name in ("fzdask", "zstd (lossless)", "worst error"):
        assert name in shown
    kept = zarr.open_group(tmp_path / "kept.zarr", mode="r")["field"]
    assert kept.chunks == (16, 16, 16)
    from fzdask.metrics.fields import turbulence

    field = turbulence((24, 24, 24), seed=0)
    bound = 1e-3 * (float(field.max()) - float(field.min()))
    assert worst(kept[...], field) <= bound
    fzdask_line = next(line for line in shown.splitlines() if line.strip().startswith("fzdask"))
    assert float(fzdask_line.replace("│", "|").split("|")[2]) <= 1.0


@pytest.mark.parametrize("kind", ["npy", "nc", "zarr"])
def test_demo_on_a_file(
    run: Run,
    tmp_path: Path,
    netcdf: Path,
    dataset: xr.Dataset,
    kind: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / f"input.{kind}"
    if kind == "npy":
        np.save(path, dataset.t.values)
    elif kind == "zarr":
        dataset.to_zarr(path)
    run("demo", path, "--abs", "0.01")
    shown = capsys.readouterr().out
    assert "6 x 20 x 30 float32" in shown
    assert ("kept bit for bit" in shown) == (kind != "npy")


def test_demo_without_the_peers(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("fzdask.cli.round_trips.importlib.util.find_spec", lambda name: None)
    run("demo", "--size", "16")
    assert "SZ3 and ZFP are left out" in " ".join(capsys.readouterr().out.split())


def test_demo_with_a_value_that_marks_missing_data(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values = np.linspace(0, 1, 5000, dtype="f4")
    values[::9] = 1e20
    np.save(tmp_path / "a.npy", values)
    run("demo", tmp_path / "a.npy", "--preserve", "1e20", "--keep", tmp_path / "kept.zarr")
    shown = capsys.readouterr().out
    assert "0.001 of the range" in shown
    assert "kept bit for bit and left out of errors: 1e+20" in shown
    back = zarr.open_group(tmp_path / "kept.zarr", mode="r")["field"][...]
    assert np.array_equal(back[::9], values[::9])
    assert worst(back, values) <= 1e-3 * float(values[values < 2].max())
