"""asv suite of the codec: speed, size, error over bound, memory, and to_zarr end to end.

    asv run --quick -E existing

Sizes are small, so that a run over many commits stays affordable; benchmarks/peers.py measures
real fields. `VALUES` may be raised for a closer look: FZDASK_BENCH_VALUES=16777216 asv run.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import warnings
from pathlib import Path

import numpy as np

import fzdask
from fzdask.metrics import compare, compression_ratio, fields, value_range

VALUES = int(os.environ.get("FZDASK_BENCH_VALUES", 1 << 19))
DTYPES = ["float32", "float64"]
BOUNDS = [1e-2, 1e-4]
FIELDS = ["turbulence", "density", "climate", "nearly_constant", "particles"]
SENTINEL = fields.FILL_VALUE


class Codec:
    """`fzdask.compress` and `fzdask.decompress` under a bound relative to the range."""

    params = (DTYPES, BOUNDS, FIELDS)
    param_names = ("dtype", "rel", "field")

    def setup(self, dtype, rel, field):
        self.array = fields.generate(field, VALUES, dtype=dtype)
        self.bound = rel * value_range(self.array)
        self.stream = fzdask.compress(self.array, abs=self.bound)  # also loads the kernels
        self.decoded = fzdask.decompress(self.stream)

    def time_encode(self, dtype, rel, field):
        fzdask.compress(self.array, abs=self.bound)

    def time_decode(self, dtype, rel, field):
        fzdask.decompress(self.stream)

    def track_ratio(self, dtype, rel, field):
        return compression_ratio(self.array, len(self.stream))

    track_ratio.unit = "original bytes / stored byte"

    def track_max_error_over_bound(self, dtype, rel, field):
        return compare(self.array, self.decoded, self.bound).max_error_over_bound

    track_max_error_over_bound.unit = "1 is the bound"

    def track_psnr(self, dtype, rel, field):
        return compare(self.array, self.decoded).psnr

    track_psnr.unit = "dB"


class Masked:
    """NaN and a preserved fill value: outliers cost time, not correctness."""

    params = (DTYPES,)
    param_names = ("dtype",)

    def setup(self, dtype):
        self.array = fields.generate("masked", VALUES, dtype=dtype)
        self.bound = 1e-3 * value_range(self.array, preserve=(SENTINEL,))
        self.stream = fzdask.compress(self.array, abs=self.bound, preserve=(SENTINEL,))
        self.decoded = fzdask.decompress(self.stream)

    def time_encode(self, dtype):
        fzdask.compress(self.array, abs=self.bound, preserve=(SENTINEL,))

    def time_decode(self, dtype):
        fzdask.decompress(self.stream)

    def track_ratio(self, dtype):
        return compression_ratio(self.array, len(self.stream))

    track_ratio.unit = "original bytes / stored byte"

    def track_exact_changed(self, dtype):
        return compare(self.array, self.decoded, self.bound, preserve=(SENTINEL,)).exact_changed

    track_exact_changed.unit = "values"


class Memory:
    """Peak memory of a whole process that encodes once; less the baseline, what encode needs."""

    params = (["nothing", "encode", "decode"],)
    param_names = ("done",)

    def setup(self, done):
        self.array = fields.generate("turbulence", 8 * VALUES)
        self.bound = 1e-3 * value_range(self.array)
        small = np.ascontiguousarray(self.array[:8, :8, :8])
        fzdask.decompress(fzdask.compress(small, abs=self.bound))
        self.stream = fzdask.compress(self.array, abs=self.bound) if done == "decode" else b""

    def peakmem_process(self, done):
        if done == "encode":
            fzdask.compress(self.array, abs=self.bound)
        elif done == "decode":
            fzdask.decompress(self.stream)


class ToZarr:
    """`xarray.Dataset.to_zarr` with FZCodec and the lazy read back, on Dask's threads."""

    params = ([2, 3],)
    param_names = ("zarr_format",)

    def setup(self, zarr_format):
        import xarray as xr

        array = fields.generate("climate", VALUES)
        dataset = xr.Dataset({"t": (("time", "lat", "lon"), array)})
        self.data = dataset.chunk({"time": max(1, array.shape[0] // 4)})
        self.encoding = {"t": {"compressors": fzdask.FZCodec(rel=1e-3)}}
        self.folder = tempfile.mkdtemp(prefix="fzdask-bench-")
        self.path = str(Path(self.folder, "t.zarr"))
        self.time_to_zarr(zarr_format)

    def teardown(self, zarr_format):
        shutil.rmtree(self.folder)

    def time_to_zarr(self, zarr_format):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Consolidated metadata")
            self.data.to_zarr(self.path, mode="w", encoding=self.encoding, zarr_format=zarr_format)

    def time_open_and_load(self, zarr_format):
        import xarray as xr

        with xr.open_zarr(self.path, consolidated=None) as back:
            back.load()

    def track_ratio(self, zarr_format):
        stored = sum(p.stat().st_size for p in Path(self.path).rglob("*") if p.is_file())
        return self.data.nbytes / stored

    track_ratio.unit = "original bytes / stored byte, metadata included"


class Import:
    """`import fzdask` in a process that has imported nothing."""

    def timeraw_import(self):
        return "import fzdask"
