"""Open .npy, .nc and .zarr as raw, lazy xarray datasets in uniform chunks.

Raw means undecoded: packed integers, fill values and time axes pass through as stored, with
their attributes, so that a copy made here says the same as the original.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fzdask.cli.console import CommandError
from fzdask.cli.dask_work import quiet

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

__all__ = [
    "as_dataset",
    "chunk_shape",
    "is_scaled",
    "load_npy",
    "open_raw",
    "preserving_fills",
    "select_variable",
    "uniform_chunks",
]

CHUNK_TARGET = 16 * 1024**2  # bytes: large enough to hide per-chunk costs, small enough to stream
CHUNK_RANGE = (64 * 1024, 64 * 1024**2)  # chunks of the source outside it are cut or merged


def load_npy(path: Path) -> NDArray[Any]:
    """Map a .npy file; nothing is read until it is touched.

    Raises
    ------
    CommandError
        Not a .npy file, or an array of Python objects.
    """
    if _first_bytes(path) != b"\x93NUM":
        raise CommandError(
            f"{path}: cannot be read as .npy: it does not begin as a .npy file does."
        )
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
        The file cannot be read as what its extension says, or holds groups.
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
            with quiet():
                dataset = xr.open_zarr(path, decode_cf=False, chunks={})
        else:
            dataset = xr.open_dataset(path, decode_cf=False, chunks={})
    except Exception as error:  # readers raise every kind; the user needs the file's name
        reason = f"{type(error).__name__}: {error}"
        raise CommandError(f"{path}: cannot be read as {kind}: {reason}") from error
    _refuse_groups(path, kind)
    return uniform_chunks(dataset)


def is_scaled(variable: xr.DataArray) -> bool:
    """Whether readers of a raw variable make other numbers of the stored ones (CF-1.12, §8.1).

    Some files scale every field by 1 and add 0: no, unless that rounds to the attributes' dtype.
    """
    from fzdask.accessor.fields import is_packed

    def acts(key: str, value: Any) -> bool:
        number = np.asarray(value)
        neutral = np.array_equal(number, {"scale_factor": 1, "add_offset": 0}.get(key, np.nan))
        return not (neutral and np.can_cast(variable.dtype, number.dtype))

    return is_packed({k: v for k, v in variable.attrs.items() if acts(k, v)})


def preserving_fills(options: dict[str, Any], variable: xr.DataArray) -> dict[str, Any]:
    """Options of a codec that also preserves the fill values that the attributes name."""
    from fzdask.accessor.fields import sentinels

    kept = dict.fromkeys((*options.get("preserve", ()), *sentinels(variable.dtype, variable.attrs)))
    return {**options, "preserve": tuple(kept)}


def select_variable(dataset: xr.Dataset, name: str, path: Path) -> xr.Dataset:
    """Keep one variable with the helpers that its attributes name.

    Raises
    ------
    CommandError
        There is no such variable; the message lists those there are.
    """
    from fzdask.accessor.fields import helper_names

    if name not in dataset.variables:
        there = ", ".join(str(v) for v in dataset.data_vars) or "none"
        raise CommandError(f"{path}: no variable {name!r}; it has {there}.")
    helpers = [h for h in sorted(helper_names(dataset[name].attrs)) if h in dataset.data_vars]
    return dataset[[name, *(h for h in helpers if h != name)]]


def _refuse_groups(path: Path, kind: str) -> None:
    """Refuse a hierarchy: reading its root alone would drop the rest without a word."""
    names: list[str] = []
    if kind == ".zarr":
        import zarr

        names = sorted(zarr.open_group(path, mode="r").group_keys())
    elif _first_bytes(path) == b"\x89HDF" and importlib.util.find_spec("h5netcdf"):
        import h5netcdf

        with h5netcdf.File(path, mode="r") as file:
            names = sorted(file.groups)
    if names:
        raise CommandError(
            f"{path} holds groups ({', '.join(names)}); only flat files are converted here. "
            "Use xarray.open_datatree and FZCodec from Python."
        )


def _first_bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(4)


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
    for name, variable in list(dataset.variables.items()):
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
