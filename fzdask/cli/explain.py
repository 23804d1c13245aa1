"""``fzdask explain``: what each stage does to a field, and a picture of how chunks overlap."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fzdask.cli.console import CommandError, output
from fzdask.cli.files import check_output, input_kind, naming, output_kind
from fzdask.cli.options import (
    AbsOption,
    ForceOption,
    LosslessOption,
    PipelineOption,
    PreserveOption,
    PsnrOption,
    PwRelOption,
    RelOption,
    VariableOption,
    codec_options,
    note_wide_bound,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["explain"]


def explain(
    source: Annotated[Path, typer.Argument(metavar="INPUT", help=".npy, .nc or .zarr")],
    abs_bound: AbsOption = None,
    rel_bound: RelOption = None,
    pw_rel_bound: PwRelOption = None,
    psnr: PsnrOption = None,
    lossless: LosslessOption = False,
    preserve: PreserveOption = None,
    pipeline: PipelineOption = "default",
    variable: VariableOption = None,
    timeline: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Picture (.svg, .png, .pdf) of chunks in work at once."),
    ] = None,
    force: ForceOption = False,
) -> None:
    """Show what each stage of a pipeline does to a field: time, bytes, entropy, outliers.

    The field is read into memory as a whole; fill values named by its attributes are preserved, as
    ``fzdask compress`` does. Packed numbers (those with a scale_factor or add_offset) are taken as
    they are stored, and so is the bound. --timeline encodes it in chunks on all processors and
    draws what ran where and when.
    """
    options = codec_options(
        abs_bound=abs_bound,
        rel_bound=rel_bound,
        pw_rel_bound=pw_rel_bound,
        psnr=psnr,
        lossless=lossless,
        preserve=preserve,
        pipeline=pipeline,
    )
    note_wide_bound(options)
    kind = input_kind(source, (".npy", ".nc", ".zarr"))
    if timeline is not None:
        output_kind(timeline, (".svg", ".png", ".pdf"))
        check_output(timeline, force=force)
    array, options = _field(source, kind, variable, options)

    import fzdask

    with naming(source):
        report = fzdask.explain(array, **options)
    output().print(str(report), markup=False, soft_wrap=True)
    if timeline is not None:
        report.save_timeline(timeline)
        output().print(f"timeline: {timeline}", markup=False, soft_wrap=True)


def _field(
    source: Path, kind: str, variable: str | None, options: dict[str, Any]
) -> tuple[NDArray[Any], dict[str, Any]]:
    """The one field of a file, or the one that is named, and the options with its fill values."""
    from fzdask.accessor.fields import field_names
    from fzdask.cli.datasets import is_scaled, load_npy, open_raw, preserving_fills

    if kind == ".npy":
        if variable is not None:
            raise CommandError(f"{source}: --variable is for .nc and .zarr; a .npy is one array.")
        return load_npy(source), options
    dataset = open_raw(source)
    there = ", ".join(str(name) for name in dataset.data_vars) or "none"
    if variable is None:
        fields = field_names(dataset)
        if len(fields) != 1:
            raise CommandError(
                f"{source}: it has {len(fields)} fields; choose one with --variable of {there}."
            )
        variable = str(fields[0])
    if variable not in dataset.variables:
        raise CommandError(f"{source}: no variable {variable!r}; it has {there}.")
    found = dataset[variable]
    if is_scaled(found):
        output().print(
            f"Note: {variable} is packed (scale_factor, add_offset); bound and figures are in the "
            "unit of the stored numbers, not of what they stand for.",
            markup=False,
            soft_wrap=True,
        )
    return found.to_numpy(), preserving_fills(options, found)
