"""How long each slice of a field's encoder takes."""

from __future__ import annotations

__all__ = ["SliceTimes"]

WEIGHT = 0.2  # of the newest observation
MOST = 64  # slices told apart; later ones of a block count as the last


class SliceTimes:
    """Exponential averages by field and position in the block; used by one thread only."""

    def __init__(self) -> None:
        self._mean: dict[tuple[str, int], float] = {}

    def expected(self, field: str, index: int) -> float:
        """Seconds expected of a slice; 0 if none like it was seen."""
        return self._mean.get((field, min(index, MOST)), 0.0)

    def update(self, field: str, index: int, seconds: float) -> None:
        """Take in one observation."""
        key = (field, min(index, MOST))
        mean = self._mean.get(key)
        self._mean[key] = seconds if mean is None else mean + WEIGHT * (seconds - mean)
