"""Fields and checks that the tests of the writer share."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

BOUND = 1e-2


def smooth(step: int, shape: tuple[int, ...] = (12, 16, 20), dtype: str = "f4") -> NDArray[Any]:
    """A field that compresses, another one for every step."""
    rng = np.random.default_rng(step)
    noise = rng.normal(0.0, 0.1, shape)
    for axis in range(len(shape)):
        noise = np.cumsum(noise, axis=axis)
    return (noise + step).astype(dtype)


def opened(target: Any, **kwargs: Any) -> xr.Dataset:
    """The store as xarray sees it now."""
    return xr.open_zarr(target, chunks=None, **kwargs)


def assert_within(decoded: Any, original: Any, bound: float = BOUND) -> None:
    """Every value within the bound, recomputed in float64 or wider."""
    wide = np.longdouble if np.asarray(original).dtype.itemsize > 4 else np.float64
    error = np.abs(np.asarray(decoded).astype(wide) - np.asarray(original).astype(wide))
    assert error.max() <= bound
