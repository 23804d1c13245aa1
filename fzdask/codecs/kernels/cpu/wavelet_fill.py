"""Values for the places where an array has none, so smooth that wavelets hardly see them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["fill_holes"]

PASSES = 4  # of smoothing in each grid; more changed the size by less than 1 in 1000
Values = NDArray[np.float64]


def fill_holes(values: Values, known: NDArray[np.bool_]) -> Values:
    """Return the array with other values where it is not known; those that are known stay.

    Means over ever coarser grids fill the holes, smoothed in each grid on the way back.
    """
    if known.all():
        return values
    filled = _filled(np.where(known, values, 0.0), known)
    return np.where(known, values, filled)


def _filled(values: Values, known: NDArray[np.bool_]) -> Values:
    """The pyramid from this grid on; ``values`` is 0 where it is not known."""
    if known.all() or values.size == 1:
        return values
    weights = known.astype(np.float64)
    sums = values
    for axis in range(values.ndim):
        sums, weights = _pairs(sums, axis), _pairs(weights, axis)
    there = weights > 0
    coarse = _filled(np.divide(sums, weights, out=np.zeros_like(sums), where=there), there)
    for axis, n in enumerate(values.shape):
        coarse = np.repeat(coarse, 2 if n > 1 else 1, axis=axis)
    fine = coarse[tuple(slice(n) for n in values.shape)]
    out = np.where(known, values, fine)
    for _ in range(PASSES):
        out = np.where(known, values, _smoothed(out))
    return out


def _pairs(values: Values, axis: int) -> Values:
    """Sums of pairs along an axis (the last one of an odd length is alone)."""
    n = values.shape[axis]
    if n == 1:
        return values
    sums: Values = np.add.reduceat(values, np.arange(0, n, 2), axis=axis)
    return sums


def _smoothed(values: Values) -> Values:
    for axis in range(values.ndim):
        if values.shape[axis] > 1:
            ends: Any = np.take(values, [0, -1], axis=axis)
            first, last = np.split(ends, 2, axis=axis)
            wide = np.moveaxis(np.concatenate([first, values, last], axis=axis), axis, 0)
            mean = 0.25 * wide[:-2] + 0.5 * wide[1:-1] + 0.25 * wide[2:]
            values = np.moveaxis(mean, 0, axis)
    return values
