"""Write a Dask-backed dataset with FZCodec from two worker processes, and check it there.

    python examples/dask_two_workers.py [--small]

No array is ever whole in one process: each worker makes, compresses and writes its chunks.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import dask.array as da
import numpy as np
import xarray as xr
from distributed import Client, LocalCluster

from fzdask import FZCodec

BOUND = 1e-3


def waves(edge: int, chunk: int) -> xr.Dataset:
    """Interfering waves on a cube, computed chunk by chunk on the workers."""
    axis = da.linspace(0, 6 * np.pi, edge, chunks=chunk)
    z, y, x = axis[:, None, None], axis[None, :, None], axis[None, None, :]
    pressure = da.sin(x + 2 * y) * da.cos(z) + 0.3 * da.sin(5 * x * z / 20) * da.cos(3 * y)
    return xr.Dataset({"pressure": (("z", "y", "x"), pressure.astype("f4"))})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="a 32-cube instead of a 320-cube")
    small = parser.parse_args().small
    edge, chunk = (32, 16) if small else (320, 160)

    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
        tempfile.TemporaryDirectory() as folder,
    ):
        workers = len(client.scheduler_info()["workers"])
        print(f"{workers} worker processes")
        assert workers == 2

        dataset = waves(edge, chunk)
        path = Path(folder) / "pressure.zarr"
        start = time.perf_counter()
        dataset.to_zarr(path, encoding={"pressure": {"compressors": FZCodec(abs=BOUND)}})
        seconds = time.perf_counter() - start
        stored = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
        print(f"{dataset.nbytes} bytes -> {stored}, ratio {dataset.nbytes / stored:.2f}")
        print(f"{seconds:.2f} s, computing the field and loading the kernels included")

        with xr.open_zarr(path) as decoded:
            error = np.abs(decoded.pressure.astype("f8") - dataset.pressure.astype("f8"))
            worst = float(error.max().compute())  # reduced on the workers
        print(f"worst error {worst:.6g}, bound {BOUND:g}")
        assert worst <= BOUND


if __name__ == "__main__":
    main()
