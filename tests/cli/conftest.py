"""A field and a dataset on disk, and the command line called in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from fzdask.cli import main

FILL = np.float32(-999)


@pytest.fixture
def run() -> Callable[..., None]:
    """Run a command that must succeed."""

    def run_command(*arguments: object) -> None:
        with pytest.raises(SystemExit) as stop:
            main([str(argument) for argument in arguments])
        assert stop.value.code in (0, None)

    return run_command


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run a command that must end with status 2; return what it said on standard error."""

    def run_command(*arguments: object) -> str:
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            main([str(argument) for argument in arguments])
        said = capsys.readouterr().err
        assert stop.value.code == 2
        assert said.strip()
        return " ".join(said.split())

    return run_command


@pytest.fixture
def field(tmp_path: Path) -> np.ndarray:
    """A smooth float32 field, also in field.npy."""
    axis = np.linspace(0, 7, 40)
    values = (np.sin(axis)[:, None, None] * np.cos(axis)[:, None] + axis).astype("f4")[:, :, :25]
    np.save(tmp_path / "field.npy", values)
    return np.load(tmp_path / "field.npy")


@pytest.fixture
def dataset() -> xr.Dataset:
    """What a netCDF file may hold: fields, packed integers, cell bounds, fill values, text."""
    rng = np.random.default_rng(0)
    t = np.cumsum(rng.normal(size=(6, 20, 30)), axis=2).astype("f4")
    t[:, :5, :5] = FILL
    lat = np.linspace(-80, 80, 20)
    return xr.Dataset(
        {
            "t": (
                ("time", "lat", "lon"),
                t,
                {"_FillValue": FILL, "units": "K", "coordinates": "cell_lon"},
            ),
            "p": (("lat", "lon"), rng.normal(size=(20, 30)), {"missing_value": 1e20}),
            "packed": (
                ("lat", "lon"),
                rng.integers(-99, 99, (20, 30)).astype("i2"),
                {"scale_factor": 0.01, "add_offset": 3.0, "_FillValue": np.int16(-99)},
            ),
            "lat_bounds": (("lat", "side"), np.stack([lat - 4, lat + 4], axis=1)),
            "cell_lon": (("lat", "lon"), rng.normal(size=(20, 30))),
        },
        coords={
            "time": ("time", np.arange(6), {"units": "days since 2000-01-01"}),
            "lat": ("lat", lat, {"bounds": "lat_bounds"}),
        },
        attrs={"title": "made for a test"},
    )


@pytest.fixture
def netcdf(tmp_path: Path, dataset: xr.Dataset) -> Path:
    path = tmp_path / "input.nc"
    dataset.to_netcdf(path, engine="h5netcdf")
    return path
