"""What a user asks of a codec: one bound, the values to preserve, a pipeline; checked at once."""

from __future__ import annotations

import difflib
import math
import numbers
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from fzdask.errors import ConfigError

__all__ = ["BOUND_NAMES", "CodecConfig"]

BOUND_NAMES = ("abs", "rel", "lossless")


@dataclass(frozen=True, slots=True)
class CodecConfig:
    """One error bound, values to preserve and a pipeline; immutable, hashable, JSON-ready.

    Parameters
    ----------
    abs : float, optional
        Absolute bound in the unit of the data: ``|x - x'| <= abs`` for every finite value.
    rel : float, optional
        Bound relative to ``max - min`` of the finite, non-preserved values of the chunk.
    lossless : bool
        Every bit comes back.
    preserve : iterable of float
        Values (fill values, sentinels) kept bit for bit and left out of ranges. NaN and
        infinities always are, and need not be listed.
    pipeline : str
        A preset name or a pipeline in text form.

    Raises
    ------
    ConfigError
        No bound, two bounds, or a bound that is negative or not finite.
    """

    abs: float | None = None
    rel: float | None = None
    lossless: bool = False
    preserve: tuple[float, ...] = ()
    pipeline: str = "default"

    def __post_init__(self) -> None:
        given = [n for n in BOUND_NAMES if getattr(self, n) not in (None, False)]
        if len(given) != 1:
            found = "none" if not given else " and ".join(given)
            raise ConfigError(
                f"FZCodec takes exactly one bound of {', '.join(BOUND_NAMES)}; got {found}. "
                "Give one, for example FZCodec(abs=1e-3)."
            )
        for name in ("abs", "rel"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, _bound_value(name, value))
        if not isinstance(self.lossless, bool):
            raise ConfigError(f"FZCodec: lossless must be True or False; got {self.lossless!r}.")
        object.__setattr__(self, "preserve", _preserve_values(self.preserve))
        object.__setattr__(self, "pipeline", str(self.pipeline))

    @classmethod
    def from_mapping(cls, given: Mapping[str, Any]) -> CodecConfig:
        """Build from keywords; an unknown one is refused with the nearest valid name."""
        known = tuple(cls.__dataclass_fields__)
        for name in given:
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
                hint = f"; did you mean {near[0]!r}?" if near else "."
                raise ConfigError(
                    f"FZCodec has no parameter {name!r}{hint} Valid ones: {', '.join(known)}."
                )
        return cls(**given)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; what equals its default is left out."""
        out: dict[str, Any] = {}
        for name in BOUND_NAMES:
            value = getattr(self, name)
            if value not in (None, False):
                out[name] = value
        if self.preserve:
            out["preserve"] = list(self.preserve)
        if self.pipeline != "default":
            out["pipeline"] = self.pipeline
        return out

    @property
    def bound(self) -> tuple[str, float]:
        """Name and value of the one bound that was given (``("lossless", 0.0)`` for lossless)."""
        if self.abs is not None:
            return "abs", self.abs
        if self.rel is not None:
            return "rel", self.rel
        return "lossless", 0.0


def _bound_value(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise ConfigError(f"FZCodec: {name} must be a real number; got {value!r}.")
    number = float(value)
    if not math.isfinite(number) or number < 0:
        raise ConfigError(
            f"FZCodec: {name}={value!r} must be finite and not negative; "
            "use lossless=True for a bit-exact result."
        )
    return number


def _preserve_values(values: Iterable[Any] | Any) -> tuple[float, ...]:
    if isinstance(values, numbers.Real):
        values = (values,)
    kept: dict[float, None] = {}
    for value in values:
        if isinstance(value, bool) or not isinstance(value, numbers.Real):
            raise ConfigError(f"FZCodec: preserve takes real numbers; got {value!r}.")
        number = int(value) if isinstance(value, numbers.Integral) else float(value)
        if math.isfinite(number):  # NaN and infinities are kept bit for bit anyway
            kept[number] = None
    return tuple(kept)
