"""A climate-like dataset with missing values through xarray and Zarr, masks kept.

    python examples/xarray_roundtrip.py [--small]

On disk, missing values are a number (here -999). A lossy codec would turn it into a number
*near* -999, and xarray would no longer mask it; ``preserve=`` keeps it bit for bit.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import xarray as xr

from fzdask import FZCodec

FILL = -999.0
TEMPERATURE_BOUND = 0.01  # kelvin
PRECIPITATION_BOUND = 1e-3  # of each chunk's range


def climate(days: int, latitudes: int, longitudes: int) -> xr.Dataset:
    """Sea-surface temperature with land masked, and precipitation with many zeros."""
    rng = np.random.default_rng(7)
    lat = np.linspace(-89, 89, latitudes)
    lon = np.linspace(0, 360, longitudes, endpoint=False)
    x, y = np.radians(lon), np.radians(lat)[:, None]
    day = np.arange(days)[:, None, None]
    season = 4 * np.sin(2 * np.pi * day / 365) * np.sin(y)
    weather = np.cumsum(rng.normal(0, 0.05, (days, latitudes, longitudes)), axis=2)
    temperature = 273 + 27 * np.cos(y) ** 2 + season + np.sin(3 * x) + weather
    land = np.sin(2 * x) * np.cos(3 * y) > 0.5
    rain = np.maximum(rng.gamma(0.4, 6.0, weather.shape) - 4 * np.abs(np.sin(2 * y)), 0)
    dims = ("time", "lat", "lon")
    return xr.Dataset(
        {
            "sst": (dims, np.where(land, np.nan, temperature).astype("f4"), {"units": "K"}),
            "precipitation": (dims, rain.astype("f4"), {"units": "mm day-1"}),
        },
        coords={"time": day[:, 0, 0], "lat": lat, "lon": lon},
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="4 days on a coarse grid")
    small = parser.parse_args().small
    dataset = climate(4, 24, 36) if small else climate(60, 180, 360)

    chunks = (2, 24, 36) if small else (15, 180, 360)
    encoding = {
        "sst": {
            "_FillValue": np.float32(FILL),
            "compressors": FZCodec(abs=TEMPERATURE_BOUND, preserve=(FILL,)),
            "chunks": chunks,
        },
        "precipitation": {"compressors": FZCodec(rel=PRECIPITATION_BOUND), "chunks": chunks},
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "climate.zarr"
        dataset.to_zarr(path, encoding=encoding)
        stored = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
        print(f"{dataset.nbytes} bytes -> {stored}, ratio {dataset.nbytes / stored:.2f}")

        with xr.open_zarr(path) as opened:
            decoded = opened.load()

    np.testing.assert_array_equal(np.isnan(decoded.sst), np.isnan(dataset.sst))
    print(f"land mask unchanged: {int(np.isnan(dataset.sst).sum())} missing values")

    # Recomputed in float64; NaN (land) is skipped by max().
    worst = float(np.abs(decoded.sst.astype("f8") - dataset.sst.astype("f8")).max())
    print(f"sst: worst error {worst:.6g} K, bound {TEMPERATURE_BOUND:g} K")
    assert worst <= TEMPERATURE_BOUND

    rain, decoded_rain = dataset.precipitation.astype("f8"), decoded.precipitation.astype("f8")
    for start in range(0, dataset.sizes["time"], chunks[0]):
        chunk = slice(start, start + chunks[0])
        error = float(np.abs(decoded_rain[chunk] - rain[chunk]).max())
        bound = PRECIPITATION_BOUND * float(rain[chunk].max() - rain[chunk].min())
        print(f"precipitation, days {start}..: worst error {error:.6g}, bound {bound:.6g}")
        assert error <= bound


if __name__ == "__main__":
    main()
