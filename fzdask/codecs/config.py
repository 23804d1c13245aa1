"""What a user asks of a codec: one bound, the values to preserve, a pipeline; checked at once."""

from __future__ import annotations

import difflib
import math
import numbers
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from fzdask.errors import ConfigError

__all__ = ["BOUND_NAMES", "CodecConfig", "refuse_positional"]

MOST_PSNR = 3000.0  # dB; beyond it the bound leaves binary64

NUMBERS = ("abs", "rel", "pw_rel", "psnr")
BOUND_NAMES = (*NUMBERS, "lossless")


@dataclass(frozen=True, slots=True)
class CodecConfig:
    """One error bound, values to preserve and a pipeline; immutable, hashable, JSON-ready.

    Parameters
    ----------
    abs : float, optional
        Absolute bound in the unit of the data: ``|x - x'| <= abs`` for every finite value.
    rel : float, optional
        Bound relative to ``max - min`` of the finite, non-preserved values of the chunk.
    pw_rel : float, optional
        Point-wise relative bound, below 1: ``|x - x'| <= pw_rel * |x|`` for every finite value,
        zeros and signs exact. Integers are kept exactly.
    psnr : float, optional
        Least peak signal-to-noise ratio in dB, ``20 log10((max - min) / RMSE)``, of the finite,
        non-preserved values of the chunk.
    lossless : bool
        Every bit comes back.
    preserve : iterable of float
        Values (fill values, sentinels) kept bit for bit and left out of ranges; no other value
        comes back as one of them. Values within the bound of one are therefore kept exactly
        too, which costs their size. NaN and infinities always are bit for bit, and need not be
        listed.
    pipeline : str
        A preset name or a pipeline in text form.
    codebook : str
        Where Huffman codebooks come from: ``own`` (each chunk its own; the bytes depend on the
        chunk alone), ``shared`` (from earlier chunks of this process with an equal
        configuration and dtype; the bytes depend on history), or
        a fitted one, the text that ``FZCodec.fit`` makes (kept in the configuration, not in
        the streams).

    Raises
    ------
    ConfigError
        No bound, two bounds, or a bound that is negative, not finite or out of range.
    """

    abs: float | None = None
    rel: float | None = None
    pw_rel: float | None = None
    psnr: float | None = None
    lossless: bool = False
    preserve: tuple[float, ...] = ()
    pipeline: str = "default"
    codebook: str = "own"

    def __post_init__(self) -> None:
        # By identity: a bound of 0 is a bound, though it equals False.
        given = [n for n in NUMBERS if getattr(self, n) is not None]
        given += ["lossless"] if self.lossless is not False else []
        if len(given) != 1:
            found = "none" if not given else " and ".join(given)
            raise ConfigError(
                f"FZCodec takes exactly one bound of {', '.join(BOUND_NAMES)}; got {found}. "
                "Give one, for example FZCodec(abs=1e-3)."
            )
        for name in NUMBERS:
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, _bound_value(name, value))
        if not isinstance(self.lossless, bool):
            raise ConfigError(f"FZCodec: lossless must be True or False; got {self.lossless!r}.")
        object.__setattr__(self, "preserve", _preserve_values(self.preserve))
        pipeline: Any = self.pipeline
        if not isinstance(pipeline, str) and not hasattr(pipeline, "stages"):
            raise ConfigError(
                f"FZCodec: pipeline={pipeline!r} must be a preset's name, a text such as "
                "'quantize | lorenzo | huffman | zstd', or a fzdask.Pipeline."
            )
        object.__setattr__(self, "pipeline", str(pipeline))
        if self.codebook not in ("own", "shared") and not str(self.codebook).startswith("fitted:"):
            raise ConfigError(
                f"FZCodec: codebook={self.codebook!r} must be 'own', 'shared' or what "
                "FZCodec.fit gave."
            )

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

    @classmethod
    def of(cls, given: Any) -> CodecConfig:
        """That of a codec, of a mapping of keywords, or the configuration itself."""
        if isinstance(given, cls):
            return given
        if isinstance(given, Mapping):
            return cls.from_mapping(given)
        if not hasattr(given, "_encoding_config"):
            raise ConfigError(
                f"fzdask: {given!r} is no configuration; give an FZCodec, or its keywords, as in "
                "{'abs': 1e-3}."
            )
        own: CodecConfig = given._encoding_config()
        return own

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; what equals its default is left out."""
        out: dict[str, Any] = {}
        for name in BOUND_NAMES:
            value = getattr(self, name)
            if value is not None and value is not False:
                out[name] = value
        if self.preserve:
            out["preserve"] = list(self.preserve)
        if self.pipeline != "default":
            out["pipeline"] = self.pipeline
        if self.codebook != "own":
            out["codebook"] = self.codebook
        return out

    @property
    def bound(self) -> tuple[str, float]:
        """Name and value of the one bound that was given (``("lossless", 0.0)`` for lossless)."""
        for name in NUMBERS:
            value = getattr(self, name)
            if value is not None:
                return name, value
        return "lossless", 0.0


def refuse_positional(given: tuple[Any, ...], who: str, before: str = "") -> None:
    """Raise TypeError for a bound without a name; ``before`` is what does go by position."""
    if given:
        value = given[0] if isinstance(given[0], numbers.Real | Mapping) else 1e-3
        raise TypeError(
            f"{who} takes no {'further ' if before else ''}positional arguments, and a bound goes "
            f"by its kind: {who}({before}abs={value!r}) or {who}({before}rel={value!r})"
        )


def _bound_value(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        example = "60" if name == "psnr" else "1e-3"
        raise ConfigError(
            f"FZCodec: {name} must be a real number, as in {name}={example}; got {value!r}."
        )
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number) or number < 0:
        raise ConfigError(
            f"FZCodec: {name}={value!r} must be finite in float64 and not negative; "
            "use lossless=True for a bit-exact result."
        )
    if name == "pw_rel" and number >= 1:
        raise ConfigError(
            f"FZCodec: pw_rel={value!r} must be below 1: signs are exact, so no value moves by "
            "its own size. Did you mean rel, which is relative to the range?"
        )
    if name == "psnr":
        if number > MOST_PSNR:
            raise ConfigError(
                f"FZCodec: psnr={value!r} dB must be at most {MOST_PSNR:g}; use lossless=True for "
                "a bit-exact result."
            )
        return number if number >= value else math.nextafter(number, math.inf)
    # Fractions, wide integers and long doubles round to binary64; a bound may only round down.
    return math.nextafter(number, 0.0) if number > value else number


def _preserve_values(values: Iterable[Any] | Any) -> tuple[float, ...]:
    if isinstance(values, numbers.Real):
        values = (values,)
    try:
        listed = list(values)
    except TypeError as error:
        raise ConfigError(
            f"FZCodec: preserve={values!r} must be a number or a sequence of numbers, "
            "as in preserve=(-999.0,)."
        ) from error
    kept: dict[float, None] = {}
    for value in listed:
        if isinstance(value, bool) or not isinstance(value, numbers.Real):
            raise ConfigError(
                f"FZCodec: preserve takes real numbers, as in preserve=(-999.0,); got {value!r}."
            )
        try:
            finite = math.isfinite(value)
        except OverflowError:  # beyond binary64, hence equal to no value of any array
            continue
        if finite:  # NaN and infinities are kept bit for bit anyway
            kept[int(value) if isinstance(value, numbers.Integral) else float(value)] = None
    return tuple(kept)
