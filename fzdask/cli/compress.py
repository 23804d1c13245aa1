"""``fzdask compress``: a .npy file into one stream, a dataset into Zarr with FZCodec."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from fzdask.cli.console import CommandError, mebibytes, output, progress_bar
from fzdask.cli.files import atomic_output, check_output, input_kind, output_kind
from fzdask.cli.named_bounds import AbsBounds, PsnrBounds, PwRelBounds, RelBounds, named_options
from fzdask.cli.options import (
    ForceOption,
    LosslessOption,
    PipelineOption,
    PreserveOption,
    VariableOption,
    note_wide_bound,
)

__all__ = ["compress"]

# One stream is coded in memory, at a few times its size; above this a .zarr is the better home.
ONE_STREAM_HINT = 2 * 1024**3


def compress(
    source: Annotated[Path, typer.Argument(metavar="INPUT", help=".npy, .nc or .zarr")],
    target: Annotated[Path, typer.Argument(metavar="OUTPUT", help=".fz or .zarr")],
    abs_bound: AbsBounds = None,
    rel_bound: RelBounds = None,
    pw_rel_bound: PwRelBounds = None,
    psnr: PsnrBounds = None,
    lossless: LosslessOption = False,
    preserve: PreserveOption = None,
    pipeline: PipelineOption = "default",
    variable: VariableOption = None,
    force: ForceOption = False,
) -> None:
    """Compress within an error bound: `|x - x'| <= bound` for every finite value.

    A .npy file becomes one .fz stream. A .npy, .nc or .zarr input becomes a .zarr store, chunk
    by chunk, with FZCodec on every floating-point field; fill values named by the attributes
    are preserved, and coordinates, integers, text and packed numbers (those with a scale_factor
    or add_offset, which readers apply) stay lossless. Integers get the bound where they are all
    there is, as in a .npy, or where they are named. --rel and --psnr refer to the range of the
    whole array in a .fz stream, of each chunk in a .zarr store; --pw-rel to each value by itself.

    A bound may name a variable: `--abs t=0.01 --rel 1e-3` is 0.01 for t and a thousandth of the
    range for every other field; `--abs t=0.01` alone leaves the others lossless.
    """
    bounds = {"abs_bound": abs_bound, "rel_bound": rel_bound, "pw_rel_bound": pw_rel_bound}
    options, named = named_options(
        {**bounds, "psnr": psnr}, lossless, preserve=preserve, pipeline=pipeline
    )
    for one in (options, *named.values()):
        note_wide_bound(one)
    kind = input_kind(source, (".npy", ".nc", ".zarr"))
    wanted = output_kind(target, (".fz", ".zarr") if kind == ".npy" else (".zarr",))
    check_output(target, force=force)
    if (variable is not None or named) and kind == ".npy":
        raise CommandError(
            f"{source}: --variable and bounds with NAME= are for .nc and .zarr; a .npy holds one "
            "array."
        )
    if wanted == ".fz":
        _npy_to_stream(source, target, options, force=force)
    else:
        _to_zarr(source, target, options, named, variable, force=force)


def _npy_to_stream(source: Path, target: Path, options: dict[str, Any], *, force: bool) -> None:
    import fzdask
    from fzdask.cli.datasets import load_npy

    array = load_npy(source)
    console = output()
    if array.nbytes > ONE_STREAM_HINT:
        console.print(
            f"Note: {mebibytes(array.nbytes)} in one stream needs a few times that much memory; "
            "give a .zarr output to work chunk by chunk.",
            markup=False,
        )
    with progress_bar() as bar, atomic_output(target, force=force) as partial:
        bar.add_task(f"compress {source.name}", total=None)
        stream = fzdask.compress(array, **options)
        with partial.open("wb") as file:
            file.write(stream)
            file.flush()
            os.fsync(file.fileno())
    _report(source, target, array.nbytes, len(stream))


def _to_zarr(
    source: Path,
    target: Path,
    options: dict[str, Any],
    named: dict[str, dict[str, Any]],
    variable: str | None,
    *,
    force: bool,
) -> None:
    from fzdask import FZCodec
    from fzdask.accessor.fields import check_fills, field_names
    from fzdask.accessor.messages import check_names
    from fzdask.cli.dask_work import write_zarr
    from fzdask.cli.datasets import is_scaled, open_raw, preserving_fills, select_variable

    for one in filter(None, (options, *named.values())):
        FZCodec(**one)  # a wrong bound or pipeline is refused before anything is opened
    dataset = open_raw(source)
    if variable is not None:
        dataset = select_variable(dataset, variable, source)
    check_names(named, dataset.variables, "NAME", str(source))
    fields = {str(name) for name in field_names(dataset)}
    # A reader multiplies the error of a packed number by its scale_factor, and rounds once more.
    packed = [
        str(n) for n, v in dataset.data_vars.items() if v.dtype.kind in "iufc" and is_scaled(v)
    ]
    fields -= {name for name in packed if name in named or not options.get("lossless")}
    # Integers get a bound where nothing else can be meant: named, or a bare array.
    bare = list(dataset.variables) == ["data"]
    meant = {*named, variable or ("data" if bare else "")} & {str(n) for n in dataset.data_vars}
    fields |= {name for name in meant if _counts(dataset[name])}
    # A number by itself is kept exactly, which is within any bound.
    numbers = {str(n) for n, v in dataset.data_vars.items() if not v.ndim and v.dtype.kind in "fc"}
    for name in (*named, *filter(None, [variable])):
        if name not in fields | numbers:
            raise CommandError(
                f"{source}: variable {name!r} ({dataset[name].dtype}) holds no numbers as they are "
                "(text, dates, flags, packed numbers), or it locates or describes the values of "
                "others; an error bound does not apply to it."
            )
    if not fields | numbers:
        raise CommandError(
            f"{source}: no floating-point field in it{' that is not packed' if packed else ''}; "
            "there is nothing to bound. An integer variable gets a bound where --variable names "
            "it, a packed one from ds.fz.to_zarr, once the file is opened with xarray."
        )

    chosen = {name: one for name in fields if (one := named.get(name, options))}
    for name, one in chosen.items():
        if not one.get("lossless"):
            check_fills(name, (dataset[name].attrs,), str(source))

    def compressor(name: str) -> FZCodec | None:
        if name not in chosen:
            return None
        return FZCodec(**preserving_fills(chosen[name], dataset[name]))

    with atomic_output(target, force=force) as partial:
        write_zarr(dataset, partial, compressor, f"compress {source.name}")
        stored = sum(file.stat().st_size for file in partial.rglob("*") if file.is_file())
    _report(source, target, dataset.nbytes, stored)
    if packed and options and not options.get("lossless"):
        output().print(
            f"Note: packed numbers stay lossless: {', '.join(packed)}. For a bound in the unit of "
            "what they stand for, open the file with xarray and use ds.fz.to_zarr.",
            markup=False,
            soft_wrap=True,
        )


def _counts(variable: Any) -> bool:
    """Integers that are values themselves: no flags, no packed ones, no dates."""
    from fzdask.cli.datasets import is_scaled

    marks = {"flag_values", "flag_masks", "flag_meanings", "calendar"}
    dates = " since " in str(variable.attrs.get("units", ""))
    return variable.dtype.kind in "iu" and not (
        is_scaled(variable) or dates or marks & variable.attrs.keys()
    )


def _report(source: Path, target: Path, before: int, after: int) -> None:
    ratio = before / after if after else float("nan")
    output().print(
        f"{source} -> {target}: {mebibytes(before)} -> {mebibytes(after)}, ratio {ratio:.2f}",
        markup=False,
        soft_wrap=True,
    )
