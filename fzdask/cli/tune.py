"""``fzdask tune``: the bound and the pipeline that reach a ratio or a PSNR on a field."""

from __future__ import annotations

import math
import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from fzdask.cli.console import CommandError, mebibytes, output
from fzdask.cli.files import input_kind, naming
from fzdask.cli.options import (
    AbsOption,
    LosslessOption,
    PreserveOption,
    PwRelOption,
    RelOption,
    VariableOption,
    codec_options,
)

__all__ = ["tune"]

SAMPLE = 32.0  # MiB: some dozens of trials take seconds


def tune(
    source: Annotated[Path, typer.Argument(metavar="INPUT", help=".npy, .nc or .zarr")],
    ratio: Annotated[
        float | None,
        typer.Option(metavar="R", help="Least ratio; the narrowest bound that reaches it."),
    ] = None,
    psnr: Annotated[
        float | None,
        typer.Option(metavar="DB", help="Least PSNR; the widest bound that reaches it."),
    ] = None,
    abs_bound: AbsOption = None,
    rel_bound: RelOption = None,
    pw_rel_bound: PwRelOption = None,
    lossless: LosslessOption = False,
    objective: Annotated[
        str, typer.Option(metavar="NAME", help="Which pipeline wins: size, or speed.")
    ] = "size",
    pipeline: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Preset or text to try (repeatable); by default the main presets, with --ratio "
            "or --psnr the preset default.",
        ),
    ] = None,
    preserve: PreserveOption = None,
    variable: VariableOption = None,
    sample: Annotated[
        float, typer.Option(metavar="MIB", help="Most of the field to try, from its middle.")
    ] = SAMPLE,
) -> None:
    """Search for the bound that reaches a ratio or a PSNR, or for the best pipeline for a bound.

    Every trial compresses a block from the middle of the field, the whole field where it is small.
    What it finds holds for that block; on the rest of the field the bound is kept, and ratio and
    PSNR come near.
    """
    goals = {"--ratio": ratio, "--psnr": psnr}
    given = [name for name, value in goals.items() if value is not None]
    bounds = [abs_bound, rel_bound, pw_rel_bound, lossless or None]
    if len(given) + sum(bound is not None for bound in bounds) != 1:
        raise CommandError(
            "exactly one is needed of --ratio, --psnr and the bounds --abs, --rel, --pw-rel, "
            "--lossless. For example --ratio 20."
        )
    if not sample > 0:
        raise CommandError(f"--sample {sample:g} must be above 0; it is in MiB.")
    options: dict[str, Any] = {"preserve": tuple(preserve or ())}
    if not given:
        asked = codec_options(
            abs_bound=abs_bound,
            rel_bound=rel_bound,
            pw_rel_bound=pw_rel_bound,
            lossless=lossless,
            preserve=preserve,
        )
        options |= {name: value for name, value in asked.items() if name != "pipeline"}
    kind = input_kind(source, (".npy", ".nc", ".zarr"))

    import numpy as np

    import fzdask
    from fzdask.cli.field import one_field

    field, options = one_field(source, kind, variable, options)
    block = np.asarray(field[_middle(field.shape, int(sample * 2**20 / field.dtype.itemsize))])
    if block.size < field.size:
        output().print(
            f"Trying {mebibytes(block.nbytes)} of {mebibytes(field.nbytes)} from the middle.",
            markup=False,
            soft_wrap=True,
        )

    with naming(source):
        found = fzdask.tune(
            block, ratio=ratio, psnr=psnr, objective=objective, pipelines=pipeline, **options
        )
    output().print(str(found), markup=False, soft_wrap=True)
    name = getattr(field, "name", None)
    words = ["fzdask", "compress", str(source), "OUTPUT", *_bound(found.codec.get_config(), name)]
    words += [f"--preserve={value}" for value in preserve or ()]
    words += [] if found.best.pipeline == "default" else ["--pipeline", found.best.pipeline]
    output().print(shlex.join(words), markup=False, highlight=False, soft_wrap=True)


def _bound(config: dict[str, Any], name: object) -> list[str]:
    """Options of ``fzdask compress`` for the bound of a codec, of a variable if there is a name."""
    if config.get("lossless"):
        return ["--lossless"]
    kind = next(kind for kind in ("abs", "rel", "pw_rel") if kind in config)
    value = repr(float(config[kind]))
    return [f"--{kind.replace('_', '-')}", value if name is None else f"{name}={value}"]


def _middle(shape: tuple[int, ...], elements: int) -> tuple[slice, ...]:
    """A block of at most so many elements (or one), whose longest axes were cut."""
    lengths = list(shape)
    while math.prod(lengths) > max(elements, 1):
        longest = lengths.index(max(lengths))
        others = math.prod(lengths) // lengths[longest]
        lengths[longest] = max(elements // others, lengths[longest] // 2, 1)
    starts = [(whole - length) // 2 for whole, length in zip(shape, lengths, strict=True)]
    return tuple(slice(s, s + length) for s, length in zip(starts, lengths, strict=True))
