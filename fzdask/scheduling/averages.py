"""Exponential averages that reject outliers, and notice when the outliers are the new normal."""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass, field

from fzdask.errors import ConfigError

__all__ = ["Average", "LabelledAverages"]

_TINY = 1e-12  # seconds: below any clock's resolution, keeps a zero scale from rejecting all


@dataclass(slots=True)
class Average:
    """Exponentially weighted mean of one quantity, deaf to isolated outliers.

    An observation further than `reject` mean absolute deviations from the mean (and further than
    `floor` times the mean) leaves mean and deviation untouched. After `shift` such observations
    in a row on the same side, they are no outliers but a new level: the average restarts from
    their mean. The deviation is averaged in the same way as the mean.

    Parameters
    ----------
    alpha : float
        Weight of the newest observation, in (0, 1]. While few were seen the plain mean is used:
        the weight of the k-th is max(alpha, 1/k).
    reject : float
        Distance, in mean absolute deviations, from which an observation is an outlier. 6 mean
        absolute deviations are about 4.8 standard deviations of a normal distribution.
    floor : float
        Relative distance below which nothing is an outlier, however steady the past was.
    shift : int
        So many outliers in a row, all above or all below, are a shift of level.

    Notes
    -----
    The deviation is that of the *forecast* (observation minus the mean before it), the scale
    that Holt-Winters practice uses for outliers (Gelper, Fried and Croux, "Robust forecasting
    with exponential and Holt-Winters smoothing", 2010).
    """

    alpha: float = 0.3
    reject: float = 6.0
    floor: float = 0.25
    shift: int = 3
    count: int = 0
    mean: float = math.nan
    deviation: float = 0.0
    rejected: int = 0
    shifts: int = 0
    _suspects: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not 0.0 < self.alpha <= 1.0:
            raise ConfigError(f"Average: alpha={self.alpha!r} must be in (0, 1]")
        if self.reject <= 0 or self.floor < 0 or self.shift < 1:
            raise ConfigError(
                f"Average: reject={self.reject!r} must be positive, floor={self.floor!r} not "
                f"negative and shift={self.shift!r} at least 1"
            )

    def is_outlier(self, value: float) -> bool:
        """Whether `value` would be rejected now (False until two values were seen)."""
        if self.count < 2:
            return False
        limit = max(self.reject * self.deviation, self.floor * abs(self.mean), _TINY)
        return abs(value - self.mean) > limit

    def update(self, value: float) -> bool:
        """Take in one observation; True if it moved the average, False if it was rejected.

        Raises
        ------
        ConfigError
            The value is NaN or infinite.
        """
        if not math.isfinite(value):
            raise ConfigError(f"Average: observation {value!r} must be finite")
        if self.is_outlier(value):
            above = value > self.mean
            if self._suspects and (self._suspects[-1] > self.mean) != above:
                self._suspects.clear()
            self._suspects.append(value)
            if len(self._suspects) < self.shift:
                self.rejected += 1
                return False
            self.rejected -= len(self._suspects) - 1  # they were the new level after all
            level = sum(self._suspects) / len(self._suspects)
            spread = sum(abs(v - level) for v in self._suspects) / len(self._suspects)
            self.count, self.mean, self.deviation = len(self._suspects), level, spread
            self.shifts += 1
            self._suspects.clear()
            return True
        self._suspects.clear()
        self.count += 1
        if self.count == 1:
            self.mean = value
            return True
        error = value - self.mean
        # The first forecast error is the first measure of the deviation.
        weight = max(self.alpha, 1.0 / (self.count - 1))
        self.deviation += weight * (abs(error) - self.deviation)
        self.mean += max(self.alpha, 1.0 / self.count) * error
        return True


class LabelledAverages:
    """One `Average` per label, made on first use with common settings."""

    def __init__(self, **settings: float) -> None:
        self._settings = settings
        self._series: dict[Hashable, Average] = {}
        self._new()  # reject bad settings now

    def _new(self) -> Average:
        return Average(**self._settings)  # type: ignore[arg-type]

    def update(self, label: Hashable, value: float) -> bool:
        """Take in one observation of `label`; False if it was rejected as an outlier."""
        series = self._series.get(label)
        if series is None:
            series = self._series[label] = self._new()
        return series.update(value)

    def get(self, label: Hashable) -> float | None:
        """The average of `label`, or None if it was never seen."""
        series = self._series.get(label)
        return None if series is None else series.mean

    def series(self, label: Hashable) -> Average | None:
        """The `Average` of `label` itself, or None."""
        return self._series.get(label)

    def forget(self, label: Hashable) -> None:
        """Drop what is known of `label`."""
        self._series.pop(label, None)

    def __len__(self) -> int:
        return len(self._series)

    def __contains__(self, label: Hashable) -> bool:
        return label in self._series
