"""Errors of a decoded variable, block by block, put together over all blocks."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fzdask.accessor.bounds import Bound
from fzdask.accessor.ranges import finite_range
from fzdask.bounds import relative_bound
from fzdask.codecs.psnr import keeps_psnr
from fzdask.metrics.distortion import measure

__all__ = ["Found", "measure_block", "merged"]

EDGE = 2.0**-50  # of a bound; nearer to it the rounding of binary64 could decide


@dataclass(slots=True)
class Found:
    """What was found in one block or in several.

    Attributes
    ----------
    ordinary : int
        Values that a bound is for: finite and no sentinels (parts of complex numbers count).
    max_error : float
        Largest ``|x - x'|`` of these.
    violations : int
        Those beyond the bound, decided without rounding.
    changed : int
        Values that must come back exactly (missing ones, infinities, -0.0, sentinels, and all
        where there is no distance) and did not.
    bound : float or None
        The absolute bound, the largest of the blocks'; None where it is none.
    low, high : float
        Range of the ordinary values of the original.
    squares : float
        Sum of squared errors.
    """

    ordinary: int = 0
    max_error: float = 0.0
    violations: int = 0
    changed: int = 0
    bound: float | None = None
    low: float = math.inf
    high: float = -math.inf
    squares: float = 0.0

    @property
    def psnr(self) -> float:
        """In dB; ``inf`` where nothing changed, NaN where there is nothing to measure."""
        if not self.ordinary:
            return math.nan
        error, span = math.sqrt(self.squares / self.ordinary), self.high - self.low
        if error == 0:
            return math.inf
        return 20 * (math.log10(span) - math.log10(error)) if span > 0 else -math.inf


def merged(parts: Iterable[Found]) -> Found:
    """All blocks as one."""
    total = Found()
    for part in parts:
        total.ordinary += part.ordinary
        total.violations += part.violations
        total.changed += part.changed
        total.squares += part.squares
        total.max_error = max(total.max_error, part.max_error)
        total.low, total.high = min(total.low, part.low), max(total.high, part.high)
        if part.bound is not None:
            total.bound = part.bound if total.bound is None else max(total.bound, part.bound)
    return total


def measure_block(
    original: NDArray[Any],
    decoded: NDArray[Any],
    bound: Bound | None,
    sentinels: tuple[float, ...] = (),
) -> Found:
    """Compare one block with its decoded copy.

    Parameters
    ----------
    original, decoded : ndarray
        Same shape. Where dtypes differ, both are widened to one that holds both.
    bound : Bound, optional
        ``rel`` and ``psnr`` are those of this block.
    sentinels : tuple of float
        Values of the original that mark missing ones: they must come back bit for bit, or as NaN,
        which is what a reader that knows them makes of them.
    """
    if original.dtype.kind not in "iufcbmM" or decoded.dtype.kind not in "iufcbmM":
        return Found(changed=_unequal(original, decoded))
    if original.dtype != decoded.dtype:
        common = np.result_type(original.dtype, decoded.dtype)
        original, decoded = original.astype(common), decoded.astype(common)
    x, y = _missing_alike(original), _missing_alike(decoded)
    if x.dtype.kind == "f" and sentinels:
        x[np.isin(x, np.asarray(sentinels, x.dtype)) & np.isnan(y)] = np.nan
    kind, value = bound or ("", 0.0)
    limit: float | None = None
    if kind in ("abs", "lossless"):
        limit = value
    elif kind == "rel":
        low, high = finite_range(x, sentinels)
        limit = relative_bound(value, low, high) if low <= high else 0.0
    plain = measure(x, y, limit, sentinels)
    found = Found(
        ordinary=plain.ordinary,
        max_error=float(plain.max_error),
        violations=plain.violations,
        changed=plain.exact_changed,
        bound=limit,
        low=float(plain.lowest),
        high=float(plain.highest),
        squares=plain.rmse**2 * plain.ordinary,
    )
    if x.dtype.kind == "c":
        _in_the_plane(found, x, y)
    if kind == "pw_rel":
        found.violations = _beyond_pointwise(x, y, value, sentinels)
    elif kind == "psnr" and found.ordinary and found.squares:
        low, high = finite_range(x, sentinels)
        found.violations = 0 if keeps_psnr(x, y, value, low, high, sentinels) else found.ordinary
    return found


def _missing_alike(values: NDArray[Any]) -> NDArray[Any]:
    """A copy in which all NaN are the same NaN: masking makes new ones, on either side."""
    if values.dtype.kind not in "fc":
        return values
    copy = np.ascontiguousarray(values).astype(values.dtype.newbyteorder("="))
    parts = copy.view(copy.real.dtype) if copy.ndim else copy.reshape(1).view(copy.real.dtype)
    parts[np.isnan(parts)] = np.nan
    return copy if copy.ndim else parts.view(copy.dtype).reshape(())


def _unequal(original: NDArray[Any], decoded: NDArray[Any]) -> int:
    """How many texts or objects differ; missing ones are alike."""
    a, b = original.astype(object).ravel().tolist(), decoded.astype(object).ravel().tolist()
    missing = (None, "")  # xarray reads a missing text as one of them or as NaN
    return sum(
        not (x == y or ((x != x or x in missing) and (y != y or y in missing)))
        for x, y in zip(a, b, strict=True)
    )


def _in_the_plane(found: Found, x: NDArray[Any], y: NDArray[Any]) -> None:
    """Of complex numbers the distance counts, not that of the parts."""
    finite = np.isfinite(x)
    wide = np.complex128 if x.dtype.itemsize <= 16 else x.dtype
    with np.errstate(invalid="ignore", over="ignore"):
        error = np.abs(x[finite].astype(wide) - y[finite].astype(wide))
    error[np.isnan(error)] = np.inf
    found.max_error = float(error.max(initial=0.0))
    if found.bound is not None:
        found.violations = max(found.violations, int(np.count_nonzero(error > found.bound)))


def _beyond_pointwise(
    x: NDArray[Any], y: NDArray[Any], value: float, sentinels: tuple[float, ...]
) -> int:
    """How many values moved by more than this share of themselves, or changed sign."""
    kept = np.isfinite(x)
    for sentinel in sentinels:
        kept &= x != sentinel
    a, b = x[kept], y[kept]
    if x.dtype.kind != "f":
        wide = np.complex128 if x.dtype.kind == "c" else np.float64
        error = np.abs(a.astype(wide) - b.astype(wide))
        return int(np.count_nonzero(error > value * np.abs(a.astype(wide))))
    a, b = a.astype(np.float64), b.astype(np.float64)
    error, limit = np.abs(a - b), value * np.abs(a)
    beyond = ~(error <= limit) | (np.signbit(a) != np.signbit(b))
    share = Fraction(value)
    for i in np.flatnonzero(np.abs(error - limit) <= EDGE * limit):
        if np.isfinite(b[i]) and limit[i] > 0:
            p, q = Fraction(float(a[i])), Fraction(float(b[i]))
            beyond[i] = abs(p - q) > share * abs(p) or np.signbit(a[i]) != np.signbit(b[i])
    return int(np.count_nonzero(beyond))
