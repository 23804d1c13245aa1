"""The bound options shared by the commands, and their translation into a codec configuration."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from fzdask.cli.console import CommandError, output

__all__ = [
    "AbsOption",
    "ForceOption",
    "LosslessOption",
    "PipelineOption",
    "PreserveOption",
    "PsnrOption",
    "PwRelOption",
    "RelOption",
    "VariableOption",
    "codec_options",
    "note_wide_bound",
]

AbsOption = Annotated[
    float | None,
    typer.Option("--abs", metavar="EB", help="Absolute bound, in the unit of the data."),
]
RelOption = Annotated[
    float | None,
    typer.Option("--rel", metavar="EB", help="Bound relative to max - min."),
]
PwRelOption = Annotated[
    float | None,
    typer.Option("--pw-rel", metavar="EB", help="Bound relative to each value, below 1."),
]
PsnrOption = Annotated[
    float | None,
    typer.Option("--psnr", metavar="DB", help="Least PSNR of a chunk, in dB."),
]
LosslessOption = Annotated[bool, typer.Option("--lossless", help="Every bit comes back.")]
PreserveOption = Annotated[
    list[float] | None,
    typer.Option(
        "--preserve", metavar="VALUE", help="Value kept bit for bit, such as -999 (repeatable)."
    ),
]
PipelineOption = Annotated[
    str,
    typer.Option("--pipeline", metavar="NAME", help="Preset, or a pipeline in text form."),
]
VariableOption = Annotated[
    str | None,
    typer.Option("--variable", metavar="NAME", help="Variable of a .nc or .zarr input."),
]
ForceOption = Annotated[bool, typer.Option("--force", help="Replace an output that exists.")]


def codec_options(
    *,
    abs_bound: float | None = None,
    rel_bound: float | None = None,
    pw_rel_bound: float | None = None,
    psnr: float | None = None,
    lossless: bool = False,
    preserve: Sequence[float] | None = None,
    pipeline: str = "default",
) -> dict[str, Any]:
    """Keywords for `fzdask.compress` and `fzdask.FZCodec`, checked.

    Raises
    ------
    CommandError
        Not exactly one of the bounds.
    fzdask.ConfigError
        A bound that is negative or not finite, or a pipeline that does not exist.
    """
    given = {
        "--abs": abs_bound,
        "--rel": rel_bound,
        "--pw-rel": pw_rel_bound,
        "--psnr": psnr,
        "--lossless": lossless or None,
    }
    names = [name for name, value in given.items() if value is not None]
    if len(names) != 1:
        got = " and ".join(names) if names else "none"
        raise CommandError(
            f"exactly one bound is needed of {', '.join(given)}; got {got}. "
            "Give one, for example --rel 1e-3."
        )
    # An option is named as the codec's keyword is.
    keyword = names[0].removeprefix("--").replace("-", "_")
    options: dict[str, Any] = {keyword: given[names[0]]}
    if preserve:
        options["preserve"] = tuple(preserve)
    options["pipeline"] = pipeline
    return options


def note_wide_bound(options: dict[str, Any]) -> None:
    """Say so where a relative bound allows errors of the whole range, which is legal."""
    if 1 <= options.get("rel", 0.0) < math.inf:
        output().print(
            f"Note: --rel {options['rel']:g} allows errors as large as the range of the values; "
            "--rel 0.01 is one percent of it.",
            markup=False,
            soft_wrap=True,
        )
