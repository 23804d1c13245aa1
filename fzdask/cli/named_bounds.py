"""Bounds by the names of variables, as ``ds.fz`` has them: ``--abs t=0.01 --rel 1e-3``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NamedTuple

import typer

from fzdask.cli.console import CommandError
from fzdask.cli.options import codec_options

__all__ = ["AbsBounds", "NamedBound", "PsnrBounds", "PwRelBounds", "RelBounds", "named_options"]


class NamedBound(NamedTuple):
    """A bound of one variable; without a name, of all that have none of their own."""

    name: str | None
    value: float


def _read(text: str) -> NamedBound:
    name, equals, value = text.rpartition("=")
    return NamedBound(name if equals else None, float(value))


def _option(name: str, unit: str, text: str) -> Any:
    text += " NAME=: of that variable (repeatable)."
    return typer.Option(name, metavar=f"[NAME=]{unit}", parser=_read, help=text)


_Bounds = list[NamedBound] | None
AbsBounds = Annotated[_Bounds, _option("--abs", "EB", "Absolute bound, in the unit of the data.")]
RelBounds = Annotated[_Bounds, _option("--rel", "EB", "Bound relative to max - min.")]
PwRelBounds = Annotated[_Bounds, _option("--pw-rel", "EB", "Bound relative to each, below 1.")]
PsnrBounds = Annotated[_Bounds, _option("--psnr", "DB", "Least PSNR of a chunk, in dB.")]


def named_options(
    given: Mapping[str, Sequence[NamedBound] | None], lossless: bool, **others: Any
) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """`codec_options` for the variables that no bound names (empty: no bound), and by name.

    Raises
    ------
    CommandError
        No bound, or two for all variables or for one.
    """
    asked: dict[str | None, dict[str, Any]] = {}
    for keyword, bounds in given.items():
        for name, value in bounds or ():
            if keyword in asked.setdefault(name, {}):
                what = "all variables" if name is None else f"variable {name!r}"
                option = keyword.removesuffix("_bound").replace("_", "-")
                raise CommandError(f"two values of --{option} for {what}; give one of them.")
            asked[name][keyword] = value
    rest = asked.pop(None, {})
    options, named = {}, {}
    if rest or lossless or not asked:
        options = codec_options(**rest, lossless=lossless, **others)
    for name, one in asked.items():
        try:
            named[str(name)] = codec_options(**one, **others)
        except CommandError as error:
            raise CommandError(f"variable {name!r}: {error}") from error
    return options, named
