"""Open .npy, .nc and .zarr as raw, lazy xarray datasets and write them chunk by chunk.

Raw means undecoded: packed integers, fill values and time axes pass through as stored, with
their attributes, so that a copy made here says the same as the original.
"""

from __future__ import annotations

import contextlib
import math
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fzdask.cli.console import CommandError, progress_bar

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

__all__ = [
    "as_dataset",
    "chunk_shape",
    "dask_progress",
    "field_names",
    "fill_values",
    "load_npy",
    "open_raw",
    "select_variable",
    "uniform_chunks",
    "write_zarr",
]

CHUNK_TARGET = 16 * 1024**2  # bytes: large enough to hide per-chunk costs, small enough to stream
CHUNK_RANGE = (64 * 1024, 64 * 1024**2)  # chunks of the source outside it are cut or merged

# Attributes by which CF names helper variables (coordinates, cell bounds, ...): CF-1.12, §5, §7.
_CF_REFERENCES = ("coordinates", "bounds", "climatology", "grid_mapping", "cell_measures")


def load_npy(path: Path) -> NDArray[Any]:
    """Map a .npy file; nothing is read until it is touched.

    Raises
    ------
    CommandError
        Not a .npy file, or an array of Python objects.
    """
    try:
        # A 0-d or empty array cannot be mapped.
        mapped: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError as error:
        try:
            mapped = np.load(path, allow_pickle=False)
        except (ValueError, EOFError):
            raise CommandError(f"{path}: cannot be read as .npy: {error}") from error
    except EOFError as error:
        raise CommandError(f"{path}: cannot be read as .npy: {error}") from error
    return mapped


def open_raw(path: Path) -> xr.Dataset:
    """Open .npy, .nc or .zarr as a lazy dataset in uniform chunks.

    A bare array (.npy, or a Zarr array that is no group) becomes a variable named ``data``.

    Raises
    ------
    CommandError
        The file cannot be read as what its extension says.
    """
    import xarray as xr

    kind = path.suffix.lower()
    if kind == ".npy":
        return as_dataset(load_npy(path), "data")
    try:
        if kind == ".zarr":
            bare = _bare_zarr_array(path)
            if bare is not None:
                return bare
            with _quiet():
                dataset = xr.open_zarr(path, decode_cf=False, chunks={})
        else:
            dataset = xr.open_dataset(path, decode_cf=False, chunks={})
    except Exception as error:  # readers raise every kind; the user needs the file's name
        reason = f"{type(error).__name__}: {error}"
        raise CommandError(f"{path}: cannot be read as {kind}: {reason}") from error
    return uniform_chunks(dataset)


def as_dataset(array: NDArray[Any], name: str, chunks: Sequence[int] | None = None) -> xr.Dataset:
    """Lazy view of an array in memory or mapped; no copy is made.

    Parameters
    ----------
    array : ndarray
        Any shape.
    name : str
        Name of its variable.
    chunks : sequence of int, optional
        Chunk shape; that of `chunk_shape` by default.
    """
    import dask.array as da
    import xarray as xr

    if chunks is None:
        chunks = chunk_shape(array.shape, array.dtype)
    dims = [f"dim_{axis}" for axis in range(array.ndim)]
    # name=False: no hash over all the values.
    lazy = da.from_array(_Sliceable(array), chunks=tuple(chunks), name=False)
    return xr.Dataset({name: (dims, lazy)})


class _Sliceable:
    """An array without its ``copy``: Dask copies whatever has one, a mapped file as a whole."""

    def __init__(self, array: NDArray[Any]) -> None:
        self._array = array
        self.shape, self.dtype, self.ndim = array.shape, array.dtype, array.ndim

    def __getitem__(self, key: Any) -> NDArray[Any]:
        return np.asarray(self._array[key])


def _bare_zarr_array(path: Path) -> xr.Dataset | None:
    """Dataset of a Zarr array at ``path`` itself, or None where a group is."""
    import dask.array as da
    import xarray as xr
    import zarr

    node = zarr.open(path, mode="r")
    if not isinstance(node, zarr.Array):
        return None
    names = getattr(node.metadata, "dimension_names", None) or [None] * node.ndim
    dims = [name or f"dim_{axis}" for axis, name in enumerate(names)]
    dataset = xr.Dataset({"data": (dims, da.from_zarr(node), dict(node.attrs))})
    return uniform_chunks(dataset)


def chunk_shape(
    shape: tuple[int, ...], dtype: np.dtype[Any], target: int = CHUNK_TARGET
) -> tuple[int, ...]:
    """Chunk of at most ``target`` bytes, by halving the longest axis as often as needed.

    Halves rounded up leave edge chunks nearly full; Zarr and HDF5 pad those that are not.
    """
    chunk = list(shape)
    while math.prod(chunk) * dtype.itemsize > target and max(chunk) > 1:
        longest = chunk.index(max(chunk))
        chunk[longest] = -(-chunk[longest] // 2)
    return tuple(chunk)


def uniform_chunks(dataset: xr.Dataset) -> xr.Dataset:
    """Rechunk every lazy variable to one chunk shape that Zarr can hold.

    The chunks of the source are kept where their size is sensible; encodings of the source
    (compressors, chunk sizes) are dropped, attributes stay.
    """
    dataset = dataset.copy()
    for name, variable in dataset.variables.items():
        variable.encoding = {}
        if variable.chunks is None or variable.dtype.kind == "O":
            continue
        chunk = tuple(max(sizes, default=1) for sizes in variable.chunks)
        nbytes = math.prod(chunk) * variable.dtype.itemsize
        if not CHUNK_RANGE[0] <= nbytes <= CHUNK_RANGE[1]:
            chunk = chunk_shape(variable.shape, variable.dtype)
        sizes = dict(zip(variable.dims, chunk, strict=True))
        if name in dataset.coords:
            dataset = dataset.assign_coords({name: dataset[name].chunk(sizes)})
        else:
            dataset[name] = dataset[name].chunk(sizes)
    return dataset


def _referenced(attributes: Mapping[Any, Any]) -> set[str]:
    """Names of variables that CF attributes point to."""
    words: set[str] = set()
    for key in _CF_REFERENCES:
        words.update(str(attributes.get(key, "")).replace(":", " ").split())
    return words


def field_names(dataset: xr.Dataset) -> list[str]:
    """Names of the fields: floating-point or complex variables that hold data.

    Coordinates, cell bounds and what else CF attributes name as helpers are left out: they are
    small, and an error in them would shift every value that they locate.
    """
    helpers = _referenced(dataset.attrs)
    for variable in dataset.variables.values():
        helpers |= _referenced(variable.attrs)
    return [
        str(name)
        for name, variable in dataset.data_vars.items()
        if variable.dtype.kind in "fc" and str(name) not in helpers
    ]


def select_variable(dataset: xr.Dataset, name: str, path: Path) -> xr.Dataset:
    """Keep one variable with the helpers that its attributes name.

    Raises
    ------
    CommandError
        There is no such variable; the message lists those there are.
    """
    if name not in dataset.variables:
        there = ", ".join(str(v) for v in dataset.data_vars) or "none"
        raise CommandError(f"{path}: no variable {name!r}; it has {there}.")
    helpers = [h for h in sorted(_referenced(dataset[name].attrs)) if h in dataset.data_vars]
    return dataset[[name, *(h for h in helpers if h != name)]]


def fill_values(variable: xr.DataArray) -> tuple[float, ...]:
    """Values that mark missing data, from ``_FillValue`` and ``missing_value``."""
    values: list[float] = []
    for key in ("_FillValue", "missing_value"):
        value = variable.attrs.get(key)
        if value is not None:
            numbers = np.atleast_1d(np.asarray(value))
            if numbers.dtype.kind in "iuf":
                values.extend(float(number) for number in numbers)
    return tuple(dict.fromkeys(v for v in values if math.isfinite(v)))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
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
    with _quiet(), dask_progress(description):
        dataset.to_zarr(path, mode="w", encoding=encoding)
