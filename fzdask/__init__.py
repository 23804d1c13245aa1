"""fzdask: error-bounded compression for scientific arrays in NumPy, Zarr, xarray and Dask.

Everything public is imported on first use, so that ``import fzdask`` stays fast.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from fzdask.accessor import registration as _registration
from fzdask.errors import ConfigError, FormatError, FZError, UnsupportedDtypeError

if TYPE_CHECKING:
    from fzdask.cluster.overlapping import overlap
    from fzdask.codecs.api import StreamInfo, compress, decompress, inspect
    from fzdask.codecs.compiling import compile_kernels
    from fzdask.codecs.pipeline import Pipeline
    from fzdask.codecs.zarr_codec import FZArrayCodec, FZCodec
    from fzdask.insitu.writer import InSituWriter
    from fzdask.reports.explain import explain
    from fzdask.reports.tune import tune

__version__ = "0.1.0"

_LAZY = {
    "FZArrayCodec": "fzdask.codecs.zarr_codec",
    "FZCodec": "fzdask.codecs.zarr_codec",
    "InSituWriter": "fzdask.insitu.writer",
    "Pipeline": "fzdask.codecs.pipeline",
    "StreamInfo": "fzdask.codecs.api",
    "compile_kernels": "fzdask.codecs.compiling",
    "compress": "fzdask.codecs.api",
    "decompress": "fzdask.codecs.api",
    "explain": "fzdask.reports.explain",
    "inspect": "fzdask.codecs.api",
    "overlap": "fzdask.cluster",
    "tune": "fzdask.reports.tune",
}

__all__ = [
    "ConfigError",
    "FZArrayCodec",
    "FZCodec",
    "FZError",
    "FormatError",
    "InSituWriter",
    "Pipeline",
    "StreamInfo",
    "UnsupportedDtypeError",
    "__version__",
    "compile_kernels",
    "compress",
    "decompress",
    "explain",
    "inspect",
    "overlap",
    "tune",
]


def __getattr__(name: str) -> Any:
    module = _LAZY.get(name)
    if module is None:
        raise AttributeError(f"module 'fzdask' has no attribute {name!r}")
    value = getattr(importlib.import_module(module), name)
    globals()[name] = value
    _registration.arm()  # again, for an xarray that was half imported when fzdask was
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


_registration.arm()
