"""Messages to the user of the accessor: names and keywords that are none, and warnings."""

from __future__ import annotations

import difflib
import sys
import warnings
from collections.abc import Hashable, Iterable

from fzdask.errors import ConfigError

__all__ = ["check_keywords", "check_names", "warn"]


def check_names(
    named: Iterable[Hashable], known: Iterable[Hashable], keyword: str, who: str
) -> None:
    """Raise `ConfigError` if a mapping names variables that there are not."""
    known = tuple(known)
    unknown = [name for name in named if name not in known]
    if unknown:
        texts = [str(name) for name in known]
        near = difflib.get_close_matches(str(unknown[0]), texts, n=1, cutoff=0.6)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ConfigError(
            f"{who}: {keyword}= names {', '.join(map(repr, unknown))}, which the dataset does not "
            f"have; its variables are {', '.join(map(repr, known)) or 'none'}.{hint}"
        )


def check_keywords(unknown: Iterable[str], valid: Iterable[str], who: str) -> None:
    """Raise `ConfigError` for the first keyword that is none, with the nearest valid one."""
    valid = tuple(valid)
    for name in unknown:
        near = difflib.get_close_matches(name, valid, n=1, cutoff=0.4)
        hint = f"; did you mean {near[0]!r}?" if near else "."
        raise ConfigError(f"{who} has no keyword {name!r}{hint} Valid ones: {', '.join(valid)}.")


def warn(message: str) -> None:
    """Warn, at the line outside this package that called it."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and str(frame.f_globals.get("__name__")).startswith("fzdask."):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, UserWarning, stacklevel=level)
