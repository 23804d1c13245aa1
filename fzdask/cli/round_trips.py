"""One round trip per compressor on the same field, bound and chunks, timed for the demo.

Everybody works in memory, so that no disk is part of a speed: Zarr in a ``MemoryStore``, written
by ``xarray.to_zarr`` and read back lazily by Dask; the peers' HDF5 filters in the core driver.
"""

from __future__ import annotations

import contextlib
import importlib.util
import math
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fzdask.cli.datasets import as_dataset

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["RoundTrip", "hdf5_filters", "hdf5_round_trip", "zarr_round_trip"]

VARIABLE = "field"


@dataclass(frozen=True, slots=True)
class RoundTrip:
    """One write and one read.

    Attributes
    ----------
    decoded : ndarray
        What was read back.
    stored : int
        Bytes of the compressed chunks; metadata is left out, for Zarr and HDF5 alike.
    write_seconds, read_seconds : float
        Wall-clock times of one write and one read.
    """

    decoded: NDArray[Any]
    stored: int
    write_seconds: float
    read_seconds: float


@contextlib.contextmanager
def _scheduler(threads: int) -> Iterator[None]:
    """Dask on that many threads of this process."""
    import dask

    if threads == 1:
        with dask.config.set(scheduler="synchronous"):
            yield
    else:
        with dask.config.set(scheduler="threads", num_workers=threads):
            yield


def zarr_round_trip(
    field: NDArray[Any], chunks: tuple[int, ...], compressor: Any, threads: int = 1
) -> RoundTrip:
    """Write with ``xarray.to_zarr``, read back lazily with Dask.

    Parameters
    ----------
    field : ndarray
        Array in memory.
    chunks : tuple of int
        Chunk shape, of Dask and of Zarr.
    compressor : codec
        Goes into ``encoding={...: {"compressors": compressor}}``.
    threads : int
        Dask threads.
    """
    import xarray as xr
    import zarr

    store = zarr.storage.MemoryStore()
    dataset = as_dataset(field, VARIABLE, chunks)
    encoding = {VARIABLE: {"compressors": compressor, "chunks": chunks}}
    with warnings.catch_warnings(), _scheduler(threads):
        warnings.filterwarnings("ignore", message=".*[Cc]onsolidated metadata")
        start = time.perf_counter()
        # write_empty_chunks: otherwise every chunk is compared with the fill value first.
        dataset.to_zarr(store, encoding=encoding, write_empty_chunks=True)
        written = time.perf_counter()
        lazy = xr.open_zarr(store)
        decoded = lazy[VARIABLE].data.compute()
        end = time.perf_counter()
    array = zarr.open_group(store, mode="r")[VARIABLE]
    assert isinstance(array, zarr.Array)
    return RoundTrip(decoded, array.nbytes_stored(), written - start, end - written)


def hdf5_filters(bound: float) -> dict[str, Any]:
    """SZ3 and ZFP filters at an absolute bound; empty where hdf5plugin or h5py is missing.

    A bound of 0 has no meaning for either of them: then too there is none.
    """
    missing = any(importlib.util.find_spec(name) is None for name in ("h5py", "hdf5plugin"))
    if missing or not (math.isfinite(bound) and bound > 0):
        return {}
    import hdf5plugin

    return {"SZ3": hdf5plugin.SZ3(absolute=bound), "ZFP": hdf5plugin.Zfp(accuracy=bound)}


def hdf5_round_trip(field: NDArray[Any], chunks: tuple[int, ...], compressor: Any) -> RoundTrip:
    """Write and read one chunked HDF5 dataset in memory, on one thread (all HDF5 has)."""
    import h5py

    # rdcc_nbytes=0: a chunk cache would answer the read without decoding.
    with h5py.File(
        "demo.h5", "w", driver="core", backing_store=False, block_size=1 << 24, rdcc_nbytes=0
    ) as file:
        start = time.perf_counter()
        dataset = file.create_dataset(
            VARIABLE, shape=field.shape, dtype=field.dtype, chunks=chunks, compression=compressor
        )
        dataset[...] = field
        file.flush()
        written = time.perf_counter()
        decoded = np.empty_like(field)
        dataset.read_direct(decoded)
        end = time.perf_counter()
        return RoundTrip(decoded, dataset.id.get_storage_size(), written - start, end - written)
