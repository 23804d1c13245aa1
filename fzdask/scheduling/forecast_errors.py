"""What was predicted, what came, and the safety margins that follow from the difference."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Hashable, Iterator
from typing import NamedTuple

from fzdask.errors import ConfigError

__all__ = ["ErrorSummary", "ForecastErrors", "Miss"]


class Miss(NamedTuple):
    """One prediction and what came: the unit is that of the quantity (seconds or bytes)."""

    iteration: int
    quantity: str
    label: Hashable
    predicted: float
    actual: float
    scale: float

    @property
    def error(self) -> float:
        """Actual minus predicted: positive where the prediction was too small."""
        return self.actual - self.predicted

    @property
    def relative(self) -> float:
        """Error over the scale; infinite where the scale is zero and the error is not."""
        if self.scale == 0.0:
            return 0.0 if self.error == 0.0 else math.copysign(math.inf, self.error)
        return self.error / self.scale


class ErrorSummary(NamedTuple):
    """Errors of one quantity: relative figures, over the scale (mostly the predicted value)."""

    quantity: str
    predictions: int
    bias: float
    mean_absolute: float
    p50: float
    p90: float
    worst: float


class ForecastErrors:
    """Every prediction's error: totals over all of them, details and quantiles of the latest.

    Parameters
    ----------
    keep : int
        Predictions per quantity whose details are kept; the totals (`count`, `bias`) cover all.
    """

    def __init__(self, keep: int = 4096) -> None:
        if keep < 1:
            raise ConfigError(f"ForecastErrors: keep={keep!r} must be at least 1")
        self.keep = keep
        self._latest: dict[str, deque[Miss]] = {}
        self._count: dict[str, int] = {}
        self._actual: dict[str, float] = {}
        self._predicted: dict[str, float] = {}

    def add(
        self,
        iteration: int,
        quantity: str,
        label: Hashable,
        predicted: float,
        actual: float,
        scale: float | None = None,
    ) -> None:
        """Note one prediction and what came; `scale` (default: `predicted`) makes it relative."""
        scale = predicted if scale is None else scale
        if quantity not in self._latest:
            self._latest[quantity] = deque(maxlen=self.keep)
            self._count[quantity] = 0
            self._actual[quantity] = self._predicted[quantity] = 0.0
        self._latest[quantity].append(Miss(iteration, quantity, label, predicted, actual, scale))
        self._count[quantity] += 1
        self._actual[quantity] += actual
        self._predicted[quantity] += predicted

    def __iter__(self) -> Iterator[Miss]:
        for misses in self._latest.values():
            yield from misses

    def __len__(self) -> int:
        return sum(self._count.values())

    def of(self, quantity: str) -> tuple[Miss, ...]:
        """The latest errors of one quantity, oldest first."""
        return tuple(self._latest.get(quantity, ()))

    @property
    def quantities(self) -> tuple[str, ...]:
        """Quantities seen so far, in order of appearance."""
        return tuple(self._latest)

    def margin(
        self,
        quantity: str,
        *,
        side: str = "longer",
        coverage: float = 0.9,
        default: float = 0.1,
        limit: float = 1.0,
        need: int = 8,
    ) -> float:
        """Relative margin that would have covered a share `coverage` of the latest predictions.

        Of the n latest predictions at least ceil(coverage * n) satisfy actual <= predicted *
        (1 + margin) for `side="longer"` (durations that must fit), actual >= predicted * (1 -
        margin) for `side="shorter"` (windows that must hold), unless `limit` cuts it.

        Parameters
        ----------
        quantity : str
            Which predictions.
        side : {"longer", "shorter"}
            Which misses hurt.
        coverage : float
            Share to cover, in (0, 1].
        default : float
            Answer while fewer than `need` predictions were scored.
        limit : float
            Largest answer. A margin of 1 for "shorter" trusts no window at all.
        """
        if side not in ("longer", "shorter"):
            raise ConfigError(f"margin: side={side!r} must be 'longer' or 'shorter'")
        if not 0.0 < coverage <= 1.0:
            raise ConfigError(f"margin: coverage={coverage!r} must be in (0, 1]")
        misses = self._latest.get(quantity, ())
        if len(misses) < need:
            return default
        sign = 1.0 if side == "longer" else -1.0
        hurts = sorted(sign * m.relative for m in misses)
        rank = math.ceil(coverage * len(hurts)) - 1
        return min(max(0.0, hurts[rank]), limit)

    def summary(self) -> list[ErrorSummary]:
        """One line per quantity; quantiles and the worst are those of the latest `keep`."""
        lines = []
        for quantity, misses in self._latest.items():
            sizes = sorted(abs(m.relative) for m in misses)
            predicted = self._predicted[quantity]
            bias = (self._actual[quantity] - predicted) / predicted if predicted else 0.0
            lines.append(
                ErrorSummary(
                    quantity,
                    self._count[quantity],
                    bias,
                    sum(sizes) / len(sizes),
                    _quantile(sizes, 0.5),
                    _quantile(sizes, 0.9),
                    sizes[-1],
                )
            )
        return lines

    def __str__(self) -> str:
        head = f"{'predicted':<12}{'number':>9}{'bias':>9}{'mean |e|':>10}"
        head += f"{'median':>9}{'90 %':>9}{'worst':>9}"
        rows = [head]
        for s in self.summary():
            figures = "".join(
                f"{100 * x:>{w}.1f}%"
                for x, w in zip(
                    (s.bias, s.mean_absolute, s.p50, s.p90, s.worst), (8, 9, 8, 8, 8), strict=True
                )
            )
            rows.append(f"{s.quantity:<12}{s.predictions:>9}{figures}")
        return "\n".join(rows)


def _quantile(ordered: list[float], share: float) -> float:
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
