"""Datasets as climate people have them, and the bound recomputed in float64."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import fzdask  # noqa: F401 (registers the accessor)


def fields(shape=(6, 20, 30), seed=7):
    """Smooth with noise in every bit: temperatures, and winds with holes."""
    rng = np.random.default_rng(seed)
    t, y, x = np.meshgrid(*(np.arange(n) for n in shape), indexing="ij")
    noise = rng.normal(scale=0.3, size=shape)
    temperature = (275 + 20 * np.sin(y / 6) * np.cos(x / 5) + t + noise).astype("f4")
    wind = (12 * np.cos(y / 4 + t / 3) + noise).astype("f4")
    wind[:, 3:7, 5:15] = np.nan
    return temperature, wind


@pytest.fixture
def ds():
    """Two fields and one of everything that is to stay exact."""
    temperature, wind = fields()
    dims = ("time", "lat", "lon")
    found = xr.Dataset(
        {
            "t": (dims, temperature, {"units": "K"}),
            "u": (dims, wind, {"units": "m s-1"}),
            "count": (dims, np.arange(temperature.size, dtype="i4").reshape(temperature.shape)),
            "land": (("lat", "lon"), temperature[0] > 275),
            "label": ("time", np.array([f"step {i}" for i in range(6)], object)),
            "start": ("time", np.datetime64("2000-01-01", "ns") + np.arange(6) * 86400 * 10**9),
            "lat_bnds": (("lat", "edge"), np.random.default_rng(0).random((20, 2))),
        },
        coords={
            "time": np.arange(6) / 3,
            "lat": ("lat", np.linspace(-90, 90, 20), {"bounds": "lat_bnds"}),
            "lon": np.linspace(0, 360, 30, endpoint=False),
            "area": (("lat", "lon"), np.random.default_rng(1).random((20, 30))),
        },
    )
    found.u.encoding["_FillValue"] = np.float32(-999)
    return found


@pytest.fixture
def worst():
    """Return the largest error in float64; missing values must be the same ones."""

    def worst(got, want):
        a, b = np.asarray(got).astype("f8"), np.asarray(want).astype("f8")
        np.testing.assert_array_equal(np.isnan(a), np.isnan(b))
        return float(np.nanmax(np.abs(a - b), initial=0.0))

    return worst


@pytest.fixture
def span():
    """Return ``max - min`` of the finite values, in float64."""

    def span(values):
        wide = np.asarray(values).astype("f8")
        wide = wide[np.isfinite(wide)]
        return float(wide.max() - wide.min())

    return span


@pytest.fixture(autouse=True)
def _quiet_about_formats():
    """Zarr's notices on what its format 3 does not specify yet."""
    import warnings

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*[Cc]onsolidated metadata")
        warnings.filterwarnings("ignore", message=".*does not have a Zarr V3 specification")
        yield
