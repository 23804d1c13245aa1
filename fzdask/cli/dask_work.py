"""Dask computations of the command line: progress shown, no thread left behind, Zarr written."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fzdask.cli.console import progress_bar

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["dask_progress", "quiet", "write_zarr"]


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence notices on Zarr metadata that a command-line user can do nothing about."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*[Cc]onsolidated metadata")
        warnings.filterwarnings("ignore", message=".*does not have a Zarr V3 specification")
        yield


@contextlib.contextmanager
def dask_progress(description: str) -> Iterator[None]:
    """Run the Dask computations of the block on threads of its own, with a progress bar.

    No task is left running when the block ends, by an error or Ctrl-C as well: whoever then
    removes a half-written store does not race against a writer.
    """
    import dask
    from dask.callbacks import Callback

    threads = os.cpu_count() or 1
    with progress_bar() as bar, ThreadPoolExecutor(threads) as pool:
        task = bar.add_task(description, total=None)

        def start(_graph: Any, state: Mapping[str, Any]) -> None:
            total = sum(len(state[k]) for k in ("ready", "waiting", "running", "finished"))
            bar.reset(task, total=total)

        def after(*_: Any) -> None:
            bar.advance(task)

        with (
            dask.config.set(scheduler="threads", pool=pool),
            Callback(start_state=start, posttask=after),
        ):
            try:
                yield
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise


def write_zarr(
    dataset: xr.Dataset,
    path: Path,
    compressor: Callable[[str], Any | None],
    description: str,
) -> None:
    """Write a dataset chunk by chunk; no variable is held whole.

    Parameters
    ----------
    dataset : xarray.Dataset
        As `open_raw` gives it.
    path : Path
        New Zarr store.
    compressor : callable
        Compressor for a variable's name, or None for Zarr's own default.
    description : str
        Text of the progress bar.
    """
    encoding: dict[str, dict[str, Any]] = {}
    for name, variable in dataset.variables.items():
        entry: dict[str, Any] = {}
        if variable.chunks is not None and variable.dtype.kind != "O" and variable.size:
            entry["chunks"] = tuple(sizes[0] for sizes in variable.chunks)
        chosen = compressor(str(name))
        if chosen is not None:
            entry["compressors"] = chosen
        if entry:
            encoding[str(name)] = entry
    with quiet(), dask_progress(description):
        dataset.to_zarr(path, mode="w", encoding=encoding)
