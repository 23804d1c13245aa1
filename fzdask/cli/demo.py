"""``fzdask demo``: one field through xarray, Zarr and Dask, beside zstd, SZ3 and ZFP."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fzdask.cli.console import CommandError, mebibytes, output, progress_bar
from fzdask.cli.files import atomic_output, check_output, input_kind, output_kind
from fzdask.cli.options import (
    AbsOption,
    ForceOption,
    PreserveOption,
    RelOption,
    VariableOption,
    codec_options,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["demo"]

DEFAULT_REL = 1e-3
CHUNK_BYTES = 8 * 1024**2
FIELD_LIMIT = 512 * 1024**2  # bytes; a larger file is shown by its first part


@dataclass(frozen=True, slots=True)
class Field:
    """An array with a name and the values that mark missing data in it."""

    name: str
    values: NDArray[Any]
    preserve: tuple[float, ...] = ()
    note: str = ""


def demo(
    source: Annotated[
        Path | None,
        typer.Argument(metavar="[FIELD]", help=".npy, .nc or .zarr; turbulence if not given"),
    ] = None,
    abs_bound: AbsOption = None,
    rel_bound: RelOption = None,
    preserve: PreserveOption = None,
    size: Annotated[
        int, typer.Option("--size", min=8, max=1024, help="Edge of the generated cube.")
    ] = 256,
    chunk: Annotated[
        int | None, typer.Option("--chunk", min=1, help="Edge of a chunk; about 8 MiB by default.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the generated field.")] = 0,
    keep: Annotated[
        Path | None, typer.Option("--keep", metavar="PATH", help="Also write the .zarr store here.")
    ] = None,
    variable: VariableOption = None,
    force: ForceOption = False,
) -> None:
    """Compress a field into Zarr through xarray, read it back with Dask, and compare.

    All compressors get the same field, the same absolute bound (--rel is resolved once, over
    the whole field; 1e-3 unless given) and the same chunks, in the same run.
    """
    from fzdask.cli.demo_table import caption, measure, table

    if abs_bound is None and rel_bound is None:
        rel_bound = DEFAULT_REL
    options = codec_options(abs_bound=abs_bound, rel_bound=rel_bound)
    if keep is not None:
        output_kind(keep, (".zarr",))
        check_output(keep, force=force)
    field = _load(source, variable) if source else _generate(size, seed)
    if preserve:
        kept = dict.fromkeys((*field.preserve, *preserve))
        field = replace(field, preserve=tuple(kept))
    bound = _absolute_bound(options, field)
    chunks = _chunks(field.values, chunk)
    rows = measure(field.values, bound, chunks, field.preserve)
    console = output()
    console.print(_describe(field, options, bound, chunks), markup=False)
    console.print()
    console.print(table(rows, field.values.nbytes))
    console.print()
    console.print(caption(rows), style="dim", markup=False)
    if keep is not None:
        _keep(field, bound, chunks, keep, force=force)


def _generate(size: int, seed: int) -> Field:
    from fzdask.metrics.fields import turbulence

    with progress_bar() as bar:
        bar.add_task(f"generate {size}³ turbulence", total=None)
        values = turbulence((size, size, size), seed=seed)
    return Field("turbulence", values)


def _load(path: Path, name: str | None) -> Field:
    """Read one floating-point field of a file into memory; its first part if it is very large."""
    from fzdask.accessor.fields import field_names, sentinels
    from fzdask.cli.dask_work import dask_progress
    from fzdask.cli.datasets import open_raw

    input_kind(path, (".npy", ".nc", ".zarr"))
    dataset = open_raw(path)
    names = [str(each) for each in field_names(dataset)]
    if not names:
        raise CommandError(f"{path}: no floating-point field in it; the demo needs one.")
    if name is None:
        name = max(names, key=lambda n: dataset[n].nbytes)
    if name not in names:
        raise CommandError(f"{path}: no floating-point field {name!r}; it has {', '.join(names)}.")
    lazy = dataset[name]
    if lazy.size == 0 or lazy.ndim == 0 or lazy.dtype.kind != "f":
        raise CommandError(
            f"{path}: {name} has shape {lazy.shape} and type {lazy.dtype}; "
            "the demo needs a real floating-point array."
        )
    note = ""
    if lazy.nbytes > FIELD_LIMIT:
        lengths = lazy.shape[0]
        part = max(1, int(lengths * FIELD_LIMIT / lazy.nbytes))
        lazy = lazy[:part]
        note = f"first {part} of {lengths} along the first axis"
    with dask_progress(f"read {path.name}"):
        values = lazy.data.compute() if lazy.chunks is not None else lazy.values
    label = path.name if path.suffix.lower() == ".npy" else f"{path.name}:{name}"
    return Field(label, values, sentinels(lazy.dtype, lazy.attrs), note)


def _absolute_bound(options: dict[str, Any], field: Field) -> float:
    """Resolve the bound over the whole field, so that every compressor gets the same one."""
    if "abs" in options:
        return float(options["abs"])
    from fzdask.metrics import value_range

    return float(options["rel"]) * value_range(field.values, preserve=field.preserve)


def _chunks(values: NDArray[Any], edge: int | None) -> tuple[int, ...]:
    from fzdask.cli.datasets import chunk_shape

    if edge is None:
        return chunk_shape(values.shape, values.dtype, CHUNK_BYTES)
    return tuple(min(edge, length) for length in values.shape)


def _describe(field: Field, options: dict[str, Any], bound: float, chunks: tuple[int, ...]) -> str:
    shape = " x ".join(str(length) for length in field.values.shape)
    chunk = " x ".join(str(length) for length in chunks)
    lines = [
        f"{field.name}: {shape} {field.values.dtype}, {mebibytes(field.values.nbytes)}"
        + (f" ({field.note})" if field.note else ""),
        f"chunks {chunk}; bound |x - x'| <= {bound:.6g}"
        + (f" ({options['rel']:g} of the range)" if "rel" in options else ""),
    ]
    if field.preserve:
        kept = ", ".join(f"{value:g}" for value in field.preserve)
        lines.append(f"kept bit for bit and left out of errors: {kept}")
    return "\n".join(lines)


def _keep(field: Field, bound: float, chunks: tuple[int, ...], path: Path, *, force: bool) -> None:
    from fzdask import FZCodec
    from fzdask.cli.dask_work import write_zarr
    from fzdask.cli.datasets import as_dataset
    from fzdask.cli.round_trips import VARIABLE

    codec = FZCodec(abs=bound, preserve=field.preserve)
    with atomic_output(path, force=force) as partial:
        write_zarr(
            as_dataset(field.values, VARIABLE, chunks),
            partial,
            lambda name: codec if name == VARIABLE else None,
            f"write {path.name}",
        )
    output().print(f'kept: xarray.open_zarr("{path}")["{VARIABLE}"]', markup=False, soft_wrap=True)
