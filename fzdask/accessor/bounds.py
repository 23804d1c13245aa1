"""Which bound each variable was asked to keep: keywords of one value, or of one per variable."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from fzdask.accessor.messages import check_names
from fzdask.codecs.config import BOUND_NAMES, CodecConfig
from fzdask.errors import ConfigError

__all__ = ["Asked", "Bound", "asked_bounds", "of_variable"]

Bound = tuple[str, float]
"""Kind and value, as `CodecConfig.bound` gives them."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Bounds by the names of variables, and the one for all others (None: leave them alone)."""

    named: Mapping[Hashable, Bound]
    rest: Bound | None


def asked_bounds(given: Mapping[str, Any], known: Iterable[Hashable], who: str) -> Asked:
    """Read the bound keywords.

    Parameters
    ----------
    given : mapping
        The keywords ``abs``, ``rel``, ``pw_rel``, ``psnr`` and ``lossless``: each None, a value
        for all variables that no mapping names, or a mapping from names to values.
    known : iterable
        Names of the variables that there are.
    who : str
        The method, for messages.

    Raises
    ------
    ConfigError
        Two bounds for all, two for one variable, an unknown variable, a value out of range.
    """
    known = tuple(known)
    named: dict[Hashable, Bound] = {}
    rest: Bound | None = None
    for kind in BOUND_NAMES:
        value = given.get(kind)
        if isinstance(value, Mapping):
            check_names(value, known, kind, who)
            for name, one in value.items():
                if one is False and kind == "lossless":
                    continue
                if name in named:
                    raise ConfigError(
                        f"{who}: variable {name!r} has two bounds, {named[name][0]} and {kind}; "
                        "name it in one mapping only."
                    )
                named[name] = _checked(kind, one, f"{who}: variable {name!r}")
        elif value is not None and value is not False:
            if rest is not None:
                raise ConfigError(
                    f"{who}: two bounds for all variables, {rest[0]}={rest[1]:g} and "
                    f"{kind}={value!r}; give one of them, or per variable as in "
                    f"{kind}={{'name': {value!r}}}."
                )
            rest = _checked(kind, value, who)
    return Asked(named, rest)


def _checked(kind: str, value: Any, where: str) -> Bound:
    try:
        return CodecConfig(**{kind: value}).bound
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error


def of_variable(option: Any, name: Hashable, default: Any) -> Any:
    """What an option says for one variable: itself, or its entry where it is a mapping."""
    return option.get(name, default) if isinstance(option, Mapping) else option
