"""Rate models: seconds as a fixed cost plus a cost per byte, for blocks that were never seen."""

from __future__ import annotations

import math
from dataclasses import dataclass

from fzdask.errors import ConfigError

__all__ = ["Rate"]


@dataclass(slots=True)
class Rate:
    """seconds = latency + nbytes / bandwidth, fitted by exponentially weighted least squares.

    Both coefficients are never negative: where the free fit has a negative one, the other is
    fitted alone (the non-negative least-squares solution in two variables). With observations
    of one size only, latency and bandwidth cannot be told apart: the model is then proportional.

    Parameters
    ----------
    forget : float
        Weight of everything before a new observation, in (0, 1]: 0.98 forgets half in 34.
    """

    forget: float = 0.98
    count: int = 0
    _w: float = 0.0
    _wx: float = 0.0
    _wy: float = 0.0
    _wxx: float = 0.0
    _wxy: float = 0.0

    def __post_init__(self) -> None:
        if not 0.0 < self.forget <= 1.0:
            raise ConfigError(f"Rate: forget={self.forget!r} must be in (0, 1]")

    def update(self, nbytes: float, seconds: float) -> None:
        """Take in one observation.

        Raises
        ------
        ConfigError
            Size or seconds negative, NaN or infinite.
        """
        if not (0.0 <= nbytes < math.inf and 0.0 <= seconds < math.inf):
            raise ConfigError(
                f"Rate: nbytes={nbytes!r} and seconds={seconds!r} must be finite, not negative"
            )
        f = self.forget
        self._w = f * self._w + 1.0
        self._wx = f * self._wx + nbytes
        self._wy = f * self._wy + seconds
        self._wxx = f * self._wxx + nbytes * nbytes
        self._wxy = f * self._wxy + nbytes * seconds
        self.count += 1

    def coefficients(self) -> tuple[float, float] | None:
        """(latency in seconds, seconds per byte), or None before the first observation."""
        if self.count == 0:
            return None
        if self._wxx == 0.0:  # only empty blocks so far
            return self._wy / self._w, 0.0
        proportional = (0.0, self._wxy / self._wxx)
        mean_x = self._wx / self._w
        variance = self._wxx / self._w - mean_x * mean_x
        # Sizes that differ by less than a thousandth say nothing about the latency.
        if self.count < 2 or variance <= 1e-6 * mean_x * mean_x:
            return proportional
        slope = (self._wxy / self._w - mean_x * self._wy / self._w) / variance
        latency = self._wy / self._w - slope * mean_x
        if latency < 0.0:
            return proportional
        if slope < 0.0:
            return self._wy / self._w, 0.0
        return latency, slope

    def predict(self, nbytes: float) -> float | None:
        """Seconds expected for `nbytes`, or None before the first observation."""
        fit = self.coefficients()
        return None if fit is None else fit[0] + fit[1] * nbytes
