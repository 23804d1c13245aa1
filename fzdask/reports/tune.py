"""Search for what no codec can promise up front: a ratio, a PSNR, the smallest, the fastest."""

from __future__ import annotations

import math
import numbers
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fzdask.codecs import api
from fzdask.codecs.config import BOUND_NAMES, CodecConfig
from fzdask.codecs.prepare import check_array, is_numeric
from fzdask.codecs.presets import preset_names
from fzdask.codecs.zarr_codec import FZCodec
from fzdask.errors import ConfigError
from fzdask.metrics import psnr as psnr_of
from fzdask.metrics import value_range
from fzdask.reports.table import as_table

__all__ = ["MAIN_PRESETS", "Trial", "Tuning", "tune"]

MAIN_PRESETS = ("default", "speed", "quality", "ratio")
OBJECTIVES = ("size", "speed")
# The bound is sought between these shares of the range, until it is known to 2 %.
WIDEST, NARROWEST = 0.5, 1e-12
CLOSE = math.log(1.02)
TIMES = 3  # the fastest of so many runs counts


@dataclass(frozen=True, slots=True)
class Trial:
    """One codec that was tried.

    Attributes
    ----------
    pipeline : str
    bound : str
        Kind and value.
    ratio : float
        Bytes of the array over bytes of the stream.
    psnr : float
        In dB, over finite, non-preserved values.
    seconds : float
        To encode the array.
    """

    pipeline: str
    bound: str
    ratio: float
    psnr: float
    seconds: float


@dataclass(frozen=True)
class Tuning:
    """What :func:`tune` found; unpacks as ``codec, trials``, and ``print`` shows all trials.

    Attributes
    ----------
    codec : FZCodec
        The one to take.
    trials : tuple of Trial
        All that were tried, in order.
    best : Trial
        That of the codec.
    """

    codec: FZCodec
    trials: tuple[Trial, ...]
    best: Trial

    def __iter__(self) -> Any:
        return iter((self.codec, self.trials))

    def __str__(self) -> str:
        rows = [
            (
                "->" if trial is self.best else "",
                trial.bound,
                f"{trial.ratio:.2f}",
                f"{trial.psnr:.2f}",
                f"{1e3 * trial.seconds:.1f}",
                trial.pipeline,
            )
            for trial in self.trials
        ]
        head = ("", "bound", "ratio", "PSNR dB", "encode ms", "pipeline")
        return f"{self.codec!r}\n{as_table(head, rows)}"

    __repr__ = __str__


def tune(
    array: Any,
    *,
    ratio: float | None = None,
    psnr: float | None = None,
    objective: str = "size",
    pipelines: Iterable[str] | str | None = None,
    **config: Any,
) -> Tuning:
    """Find a codec for arrays like this one.

    Guarantees that for this array the codec reaches the ratio or the PSNR that was asked for (or
    it raises); for others like it, it keeps the bound it was given, and they will come near.

    Parameters
    ----------
    array : array_like
        A typical chunk of floats or integers; all of it is compressed at each trial.
    ratio : float, optional
        Least ratio. The narrowest absolute bound that reaches it is taken, to about 2 %.
    psnr : float, optional
        Least PSNR in dB. The widest absolute bound that reaches it is taken, to about 2 %.
    objective : str
        Which pipeline wins: ``size``, the smallest stream (with ``ratio``: the narrowest bound),
        or ``speed``, the fastest to encode.
    pipelines : str or iterable of str, optional
        Presets or texts to try; by default the main presets, or ``default`` alone where a ratio
        or a PSNR is to be searched for.
    **config
        Otherwise a bound for :class:`fzdask.FZCodec` (``abs=``, ``rel=``, ``pw_rel=``,
        ``lossless=True``), and in any case other keywords of it, such as ``preserve=``.
        ``pipeline=`` is the only one that is then tried.

    Returns
    -------
    Tuning
        The codec, and a report of what was tried.

    Raises
    ------
    ConfigError
        Not exactly one of ``ratio``, ``psnr`` and a bound; or no bound reaches the ratio.

    Examples
    --------
    >>> import numpy as np, fzdask
    >>> x = np.sin(np.arange(40_000) / 99).reshape(200, 200).astype("f4")
    >>> codec, trials = fzdask.tune(x, ratio=20)
    >>> x.nbytes / len(codec.encode(x)) >= 20
    True
    """
    plain = check_array(array)
    _check_asked(plain, ratio, psnr, objective, config)
    search = ratio is not None or psnr is not None
    names = _pipelines(pipelines, config.pop("pipeline", None)) or _usual(search)
    trials: list[Trial] = []
    found: list[tuple[float, CodecConfig, Trial]] = []
    for name in names:
        if not search:
            asked = CodecConfig.from_mapping({**config, "pipeline": name})
            trial = _try(plain, asked)
            trials.append(trial)
            rank = trial.seconds if objective == "speed" else -trial.ratio
        else:
            first = CodecConfig.from_mapping({**config, "pipeline": name, "abs": 1.0})
            asked, trial = _bisect(plain, first, ratio, psnr, trials)
            narrow = asked.abs if ratio is not None else -trial.ratio
            rank = trial.seconds if objective == "speed" else float(narrow or 0.0)
        found.append((rank, asked, trial))
    _, config_of_best, best = min(found, key=lambda entry: entry[0])
    return Tuning(FZCodec(**config_of_best.to_dict()), tuple(trials), best)


def _pipelines(several: Iterable[Any] | str | None, one: Any) -> tuple[Any, ...]:
    """Those that were asked for, of which one may be given as a codec's keyword is."""
    if several is not None and one is not None:
        raise ConfigError("fzdask.tune: give pipelines= to choose among, or pipeline=, not both.")
    given = one if several is None else several
    if given is None:
        return ()
    return (given,) if isinstance(given, str) or hasattr(given, "stages") else tuple(given)


def _usual(search: bool) -> tuple[str, ...]:
    return ("default",) if search else tuple(n for n in MAIN_PRESETS if n in preset_names())


def _check_asked(
    array: NDArray[Any],
    ratio: float | None,
    psnr: float | None,
    objective: str,
    config: dict[str, Any],
) -> None:
    given = [n for n, v in (("ratio", ratio), ("psnr", psnr)) if v is not None]
    given += [n for n in BOUND_NAMES if config.get(n) not in (None, False)]
    if len(given) != 1:
        raise ConfigError(
            "fzdask.tune takes exactly one of ratio=, psnr= and a bound such as abs=; got "
            f"{' and '.join(given) or 'none'}. For example tune(x, ratio=20)."
        )
    if objective not in OBJECTIVES:
        raise ConfigError(
            f"fzdask.tune: objective={objective!r} must be {' or '.join(map(repr, OBJECTIVES))}."
        )
    goals: dict[str, Any] = {"ratio": ratio, "psnr": psnr}
    for name, value in goals.items():
        if value is not None and (isinstance(value, bool) or not isinstance(value, numbers.Real)):
            raise ConfigError(f"fzdask.tune: {name}={value!r} must be a number, as in {name}=60.")
    if ratio is not None and not (math.isfinite(ratio) and ratio > 0):
        raise ConfigError(f"fzdask.tune: ratio={ratio!r} must be a positive number.")
    if psnr is not None and not (math.isfinite(psnr) and psnr >= 0):
        raise ConfigError(f"fzdask.tune: psnr={psnr!r} dB must be finite and not negative.")
    if not array.size or not is_numeric(array.dtype):
        raise ConfigError(
            f"fzdask.tune: an array of {array.dtype} and shape {array.shape} has no bound to "
            "tune; give numbers."
        )


def _try(array: NDArray[Any], config: CodecConfig) -> Trial:
    """Encode (several times, for the clock) and decode."""
    seconds = math.inf
    for _ in range(TIMES):
        start = time.perf_counter()
        stream = api.encode(array, config)
        seconds = min(seconds, time.perf_counter() - start)
    decoded = api.decode(stream, config.codebook)
    kind, value = config.bound
    bound = f"{kind}={value:.4g}" if kind != "lossless" else kind
    reached = psnr_of(array, decoded, config.preserve)
    return Trial(config.pipeline, bound, array.nbytes / len(stream), reached, seconds)


def _bisect(
    array: NDArray[Any],
    config: CodecConfig,
    ratio: float | None,
    psnr: float | None,
    trials: list[Trial],
) -> tuple[CodecConfig, Trial]:
    """The best absolute bound on the right side of the goal; both ends are tried first."""
    span = value_range(array, config.preserve)
    span = span if np.isfinite(span) else float(np.finfo("f8").max)
    span = span or 1.0
    if array.dtype.kind in "iu":
        low, high = math.log(0.9), math.log(max(WIDEST * span, 1.0))
    else:
        low, high = math.log(NARROWEST) + math.log(span), math.log(WIDEST) + math.log(span)

    def attempt(log_bound: float) -> tuple[CodecConfig, Trial, bool]:
        asked = replace(config, abs=math.exp(log_bound))
        trial = _try(array, asked)
        trials.append(trial)
        met = trial.ratio >= ratio if ratio is not None else trial.psnr >= (psnr or 0.0)
        return asked, trial, met

    # A wider bound has a higher ratio and a lower PSNR: the goal is met on one side of a place.
    sure, other = (high, low) if ratio is not None else (low, high)
    asked, trial, met = attempt(sure)
    if not met:
        if psnr is not None:
            asked = replace(config, abs=0.0)
            trial = _try(array, asked)
            trials.append(trial)
            return asked, trial
        raise ConfigError(
            f"fzdask.tune: no bound up to half the range of this {array.dtype} array reaches a "
            f"ratio of {ratio:g} with {config.pipeline!r}; the widest gives {trial.ratio:.2f}. "
            "Ask for less, or try another pipeline."
        )
    best = asked, trial
    asked, trial, met = attempt(other)
    if met:
        return asked, trial
    while abs(sure - other) > CLOSE:
        middle = (sure + other) / 2
        asked, trial, met = attempt(middle)
        if met:
            sure, best = middle, (asked, trial)
        else:
            other = middle
    return best
