"""``fzdask explain``: what each stage does to a field, and a picture of how chunks overlap."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fzdask.cli.console import output
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

    import numpy as np

    import fzdask
    from fzdask.cli.field import one_field

    field, options = one_field(source, kind, variable, options)
    array = np.asarray(field)

    with naming(source):
        report = fzdask.explain(array, **options)
    output().print(str(report), markup=False, soft_wrap=True)
    if timeline is not None:
        report.save_timeline(timeline)
        output().print(f"timeline: {timeline}", markup=False, soft_wrap=True)
