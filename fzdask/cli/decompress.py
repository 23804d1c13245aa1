"""``fzdask decompress``: a stream back into .npy, a Zarr store into netCDF or plain Zarr."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fzdask.cli.console import CommandError, mebibytes, output, progress_bar
from fzdask.cli.files import atomic_output, check_output, input_kind, naming, output_kind
from fzdask.cli.options import ForceOption, VariableOption

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["decompress"]

_OUTPUTS = {".fz": (".npy",), ".zarr": (".nc", ".zarr", ".npy")}


def decompress(
    source: Annotated[Path, typer.Argument(metavar="INPUT", help=".fz or .zarr")],
    target: Annotated[Path, typer.Argument(metavar="OUTPUT", help=".npy, .nc or .zarr")],
    variable: VariableOption = None,
    force: ForceOption = False,
) -> None:
    """Decompress: .fz to .npy; .zarr to .nc, to a .zarr that any reader opens, or to .npy.

    Everything needed is in the input: the bound, the pipeline, shape and type. A .npy gets the
    values as they are stored: fill values are numbers, and packed integers stay packed.
    """
    kind = input_kind(source, tuple(_OUTPUTS))
    wanted = output_kind(target, _OUTPUTS[kind])
    check_output(target, force=force)
    if kind == ".fz" and variable is not None:
        raise CommandError(f"{source}: --variable is for .zarr; a .fz holds one array.")
    with naming(source):
        if kind == ".fz":
            nbytes = _stream_to_npy(source, target, force=force)
        else:
            nbytes = _from_zarr(source, target, wanted, variable, force=force)
    output().print(f"{source} -> {target}: {mebibytes(nbytes)}", markup=False, soft_wrap=True)


def _stream_to_npy(source: Path, target: Path, *, force: bool) -> int:
    import numpy as np

    import fzdask

    with progress_bar() as bar, atomic_output(target, force=force) as partial:
        bar.add_task(f"decompress {source.name}", total=None)
        array = fzdask.decompress(source.read_bytes())
        with partial.open("wb") as file:
            np.save(file, array, allow_pickle=False)
            file.flush()
            os.fsync(file.fileno())
    return int(array.nbytes)


def _from_zarr(
    source: Path, target: Path, wanted: str, variable: str | None, *, force: bool
) -> int:
    from fzdask.cli.dask_work import write_zarr
    from fzdask.cli.datasets import open_raw, select_variable

    dataset = open_raw(source)
    if variable is not None:
        dataset = select_variable(dataset, variable, source)
    with atomic_output(target, force=force) as partial:
        if wanted == ".zarr":
            write_zarr(dataset, partial, lambda _name: None, f"decompress {source.name}")
        elif wanted == ".nc":
            _write_netcdf(dataset, partial, target)
        else:
            return _write_npy(dataset, partial, source, variable)
    return int(dataset.nbytes)


def _write_netcdf(dataset: xr.Dataset, partial: Path, target: Path) -> None:
    from fzdask.cli.dask_work import dask_progress

    if importlib.util.find_spec("h5netcdf") is None:
        raise CommandError(f"{target}: writing netCDF needs h5netcdf: pip install 'fzdask[netcdf]'")
    try:
        with dask_progress(f"write {target.name}"):
            dataset.to_netcdf(partial, engine="h5netcdf")
    except (TypeError, ValueError, NotImplementedError) as error:
        raise CommandError(
            f"{target}: netCDF cannot hold this dataset ({error}); give a .zarr output."
        ) from error


def _write_npy(dataset: xr.Dataset, partial: Path, source: Path, variable: str | None) -> int:
    """Decode one variable straight into a mapped .npy, chunk by chunk."""
    import dask.array as da
    import numpy as np

    from fzdask.cli.dask_work import dask_progress

    names = [variable] if variable else [str(name) for name in dataset.data_vars]
    if len(names) != 1:
        there = ", ".join(names) or "none"
        raise CommandError(
            f"{source}: .npy holds one array and the store has {len(names)} ({there}); "
            "choose with --variable."
        )
    lazy = dataset[names[0]]
    if lazy.dtype.kind == "O":
        raise CommandError(f"{source}: {names[0]} holds Python objects, which .npy cannot.")
    if lazy.size == 0 or lazy.ndim == 0:  # nothing to map
        with partial.open("wb") as file:
            np.save(file, lazy.values, allow_pickle=False)
        return int(lazy.nbytes)
    mapped = np.lib.format.open_memmap(partial, mode="w+", dtype=lazy.dtype, shape=lazy.shape)
    with dask_progress(f"decompress {source.name}"):
        # Chunks are disjoint regions of the map: no lock is needed.
        da.store(da.asarray(lazy.data), mapped, lock=False)
    mapped.flush()
    return int(lazy.nbytes)
