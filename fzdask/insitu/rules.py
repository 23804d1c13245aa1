"""How an engine works off its blocks: the settings that tell the project's way from its rivals."""

from __future__ import annotations

import numbers
import re
from dataclasses import dataclass
from typing import Any

from fzdask.errors import ConfigError
from fzdask.insitu.gate import Windows
from fzdask.scheduling.planner import METHODS

__all__ = ["Rules", "check_count", "check_seconds", "parse_bytes"]

_UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}
_UNITS |= {"kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40}
_SIZE = re.compile(r"\s*([0-9]*\.?[0-9]+)\s*([a-z]*)\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Rules:
    """Settings of an engine; the defaults are what `InSituWriter` uses.

    Parameters
    ----------
    windows : {"auto", "marked", "watched", "priority", "always"}
        When compression may run: see `fzdask.insitu.gate.Gate`.
    order : str
        A method of `fzdask.scheduling.plan`, or "fifo". "auto" searches for a plan only from a
        load of `search_from` on, below which Johnson's order does as well.
    slices : bool
        Pause within a block when the gate closes. False: a block that has begun is finished.
    skip : bool
        Start the first block in the order that fits what is left of a window. False: wait for
        the very first.
    gate_writes : bool
        Start a write only if it is expected to end before the next core task.
    deadline : float, optional
        Seconds after which a snapshot is worked off whether or not there are windows. Default:
        twice the mean time between snapshots for each that may be outstanding, at least 0.5 s;
        30 s where that time is not known yet.
    search_from : float
        See `order`.
    budget : float
        Of the search, in nominal seconds.

    Raises
    ------
    ConfigError
        An unknown order, a deadline that is not positive, a negative budget.
    """

    windows: Windows = "auto"
    order: str = "auto"
    slices: bool = True
    skip: bool = True
    gate_writes: bool = True
    deadline: float | None = None
    search_from: float = 0.6
    budget: float = 0.01

    def __post_init__(self) -> None:
        if self.order not in METHODS:
            raise ConfigError(f"Rules: order={self.order!r} must be one of {', '.join(METHODS)}")
        if self.deadline is not None and not self.deadline > 0.0:
            raise ConfigError(f"Rules: deadline={self.deadline!r} must be positive seconds")
        if not self.budget >= 0.0:
            raise ConfigError(f"Rules: budget={self.budget!r} must not be negative")


def check_count(value: Any, who: str) -> None:
    """Refuse what is no number of things from 1 on; `ConfigError`."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < 1:
        raise ConfigError(f"{who}={value!r} must be a whole number, at least 1")


def check_seconds(value: Any, who: str) -> None:
    """Refuse what is no time to wait; `ConfigError`."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not float(value) >= 0:
        raise ConfigError(f"{who}={value!r} must be a number of seconds, not negative")


def parse_bytes(size: int | str, who: str) -> int:
    """A number of bytes from a number or from text such as "256MiB" or "1.5 GB".

    Raises
    ------
    ConfigError
        It is neither, or not positive.
    """
    number = 0.0
    if isinstance(size, str):
        match = _SIZE.fullmatch(size)
        if match and match[2].lower() in _UNITS:
            number = float(match[1]) * _UNITS[match[2].lower()]
    elif isinstance(size, int):
        number = size
    if not number >= 1:
        raise ConfigError(
            f"{who}={size!r} must be a positive number of bytes, or text such as '256MiB'"
        )
    return int(number)
