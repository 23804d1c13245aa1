"""How far off: worst error, violations of a bound, RMSE and PSNR, decided exactly.

Differences of floating-point numbers are rounded, and a rounded difference can hide an error
that is a hair above the bound. Here the rounding error of each difference that meets the bound
is recovered (TwoSum: Knuth, *The Art of Computer Programming*, vol. 2, 1969; Møller 1965),
so a violation is counted if and only if the real-number difference exceeds the bound.
Differences of integers are taken in unsigned 64-bit arithmetic, which is exact.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fzdask.metrics.blocks import (
    as_components,
    checked_array,
    checked_pair,
    memory_order,
    walk_blocks,
)

__all__ = ["Distortion", "max_error", "max_error_over_bound", "measure", "psnr", "rmse"]
__all__ += ["value_range"]

_NAT = np.iinfo(np.int64).min  # "not a time", in the integers behind datetime64


@dataclass(slots=True)
class Distortion:
    """What one pass over an original and its decoded copy finds.

    *Ordinary* components are finite and not preserved; they count for every error and for the
    range. *Exact* components are those that must come back bit for bit: NaN, infinities, -0.0,
    NaT and preserved values. A complex number has two components, any other number one.

    Attributes
    ----------
    bound : float or int or None
        Absolute bound on every component.
    components, ordinary, exact : int
        How many there are (-0.0 is both ordinary and exact).
    exact_changed : int
        Exact components whose bits differ.
    violations : int
        Ordinary components whose error exceeds the bound, decided without rounding; one that
        came back as NaN or infinite is a violation. 0 without a bound.
    max_error : float or int
        Largest error of an ordinary component, rounded to nearest (an exact int for integers).
    worst : int or None
        C-order position, in values, of the largest error.
    lowest, highest : float or int
        Smallest and largest ordinary component (``inf`` and ``-inf`` where there is none).
    """

    bound: float | int | None = None
    components: int = 0
    ordinary: int = 0
    exact: int = 0
    exact_changed: int = 0
    violations: int = 0
    max_error: float | int = 0
    worst: int | None = None
    lowest: float | int = math.inf
    highest: float | int = -math.inf
    # The sum of squared errors is scale**2 * squares, so that tiny errors do not vanish and
    # huge ones do not overflow (LAPACK's xLASSQ does the same).
    _scale: float = field(default=0.0, repr=False)
    _squares: float = field(default=0.0, repr=False)

    @property
    def value_range(self) -> float:
        """Largest minus smallest ordinary component; 0 where there is none."""
        return float(self.highest - self.lowest) if self.ordinary else 0.0

    @property
    def rmse(self) -> float:
        """Root of the mean squared error over ordinary components; 0 where there is none."""
        return self._scale * math.sqrt(self._squares / self.ordinary) if self.ordinary else 0.0

    @property
    def psnr(self) -> float:
        """20 log10(range / RMSE) in dB; ``inf`` for no error, else ``-inf`` for a range of 0."""
        error, span = self.rmse, self.value_range
        if error == 0.0:
            return math.inf
        if span == 0.0 or math.isinf(error):
            return -math.inf
        return 20.0 * (math.log10(span) - math.log10(error))

    @property
    def max_error_over_bound(self) -> float:
        """Largest error over the bound: at most 1 if and only if there is no violation."""
        if self.bound is None:
            return math.nan
        if self.max_error == 0:
            return 0.0
        if self.bound == 0:
            return math.inf
        over = self.max_error / self.bound
        return max(over, math.nextafter(1.0, 2.0)) if self.violations else min(over, 1.0)

    def add_errors(self, error: NDArray[Any], at: int, kept: NDArray[np.bool_] | None) -> None:
        """Count the magnitudes of one block's errors; ``kept`` says which components they are."""
        top = int(np.argmax(error))
        worst = int(error[top]) if error.dtype.kind == "u" else float(error[top])
        if self.worst is None or worst > self.max_error:
            self.max_error = worst
            self.worst = at + (top if kept is None else int(np.flatnonzero(kept)[top]))
        scale = float(worst)
        if scale == 0.0:
            return
        if math.isinf(scale) or math.isinf(self._scale):
            self._scale, self._squares = math.inf, 1.0
            return
        if scale > self._scale:
            self._squares *= (self._scale / scale) ** 2
            self._scale = scale
        scaled = error.astype(np.float64) / self._scale
        # Not np.dot: a threaded BLAS spends milliseconds waking its threads for each block.
        self._squares += float(np.square(scaled, out=scaled).sum())


def measure(
    original: Any,
    decoded: Any,
    bound: float | None = None,
    preserve: Iterable[float] = (),
) -> Distortion:
    """Distortion of `decoded`, in one pass over both arrays, a block at a time.

    Parameters
    ----------
    original, decoded : array_like
        Same shape and dtype; any memory order, byte order or stride. A memory map is read
        block by block.
    bound : float, optional
        Absolute bound on each component, 0 or more.
    preserve : iterable of float
        Values that must come back bit for bit and count for no range.

    Raises
    ------
    ValueError
        Shapes or dtypes differ, or the bound is negative or NaN.
    UnsupportedDtypeError
        Strings, objects and records have no distance.
    """
    a, b = checked_pair(original, decoded)
    found = Distortion(bound=_checked_bound(bound))
    sentinels = tuple(preserve)
    axes = memory_order(a)
    per_value = 2 if a.dtype.kind == "c" else 1
    is_time = a.dtype.kind in "mM"
    walked = a.transpose(axes)
    for start, (x, y) in walk_blocks(walked, b.transpose(axes)):
        _add_block(found, as_components(x), as_components(y), start * per_value, sentinels, is_time)
    if found.worst is not None:
        place = np.unravel_index(found.worst // per_value, walked.shape)
        home = np.empty(a.ndim, dtype=np.intp)
        home[list(axes)] = place
        found.worst = int(np.ravel_multi_index(tuple(home), a.shape)) if a.ndim else 0
    return found


def max_error(original: Any, decoded: Any, preserve: Iterable[float] = ()) -> float | int:
    """Largest ``|x - x'|`` over finite, non-preserved components; an exact int for integers."""
    return measure(original, decoded, preserve=preserve).max_error


def max_error_over_bound(
    original: Any, decoded: Any, bound: float, preserve: Iterable[float] = ()
) -> float:
    """Largest ``|x - x'| / bound``: above 1 if and only if some error exceeds the bound.

    For a bound of 0 it is 0 where nothing changed and infinite otherwise.
    """
    return measure(original, decoded, bound, preserve).max_error_over_bound


def rmse(original: Any, decoded: Any, preserve: Iterable[float] = ()) -> float:
    """Root-mean-square error over finite, non-preserved components, in the unit of the data."""
    return measure(original, decoded, preserve=preserve).rmse


def psnr(original: Any, decoded: Any, preserve: Iterable[float] = ()) -> float:
    """Peak signal-to-noise ratio in dB: ``20 log10((max - min) / RMSE)``.

    The range is that of the original's finite, non-preserved components, as is customary for
    scientific data (Tao et al., Z-checker, 2019). Infinite where nothing changed.
    """
    return measure(original, decoded, preserve=preserve).psnr


def value_range(array: Any, preserve: Iterable[float] = ()) -> float:
    """``max - min`` of the finite, non-preserved components, in float64; 0 where there is none."""
    a = checked_array(array)
    found = Distortion()
    sentinels = tuple(preserve)
    is_time = a.dtype.kind in "mM"
    for _, (x,) in walk_blocks(a.transpose(memory_order(a))):
        components = as_components(x)
        _add_range(found, components, _ordinary(components, sentinels, is_time))
    return found.value_range


def _checked_bound(bound: float | None) -> float | int | None:
    if bound is None:
        return None
    number: float | int = int(bound) if isinstance(bound, int | np.integer) else float(bound)
    if not number >= 0:
        raise ValueError(
            f"fzdask.metrics: bound={bound!r} must be 0 or more, in the unit of the data; "
            "for a relative bound pass rel * value_range(original)."
        )
    return number


def _ordinary(
    x: NDArray[Any], preserve: tuple[float, ...], is_time: bool
) -> NDArray[np.bool_] | None:
    """Which components are finite and not preserved; None where all are."""
    kept: NDArray[np.bool_] | None = None
    if x.dtype.kind == "f":
        finite = np.isfinite(x)
        kept = None if finite.all() else finite
    elif is_time:
        kept = x != _NAT
    for value in preserve:
        if x.dtype.kind == "f":
            with np.errstate(over="ignore"):
                other = x != x.dtype.type(value)
        elif float(value).is_integer() and _fits(value, x.dtype):
            other = x != x.dtype.type(int(value))
        else:
            continue
        kept = other if kept is None else kept & other
    return kept


def _fits(value: float, dtype: np.dtype[Any]) -> bool:
    info = np.iinfo(dtype)
    return info.min <= value <= info.max


def _add_range(found: Distortion, x: NDArray[Any], kept: NDArray[np.bool_] | None) -> NDArray[Any]:
    chosen = x if kept is None else x[kept]
    if chosen.size:
        low, high = chosen.min(), chosen.max()
        as_number = float if x.dtype.kind == "f" else int
        found.lowest = min(found.lowest, as_number(low))
        found.highest = max(found.highest, as_number(high))
    found.components += x.size
    found.ordinary += chosen.size
    return chosen


def _add_block(
    found: Distortion,
    x: NDArray[Any],
    y: NDArray[Any],
    at: int,
    preserve: tuple[float, ...],
    is_time: bool,
) -> None:
    kept = _ordinary(x, preserve, is_time)
    ours = _add_range(found, x, kept)
    theirs = y if kept is None else y[kept]
    exact = _exact(x, kept)
    if exact is not None:
        found.exact += int(np.count_nonzero(exact))
        found.exact_changed += int(np.count_nonzero(_bits_differ(x[exact], y[exact])))
    if ours.size == 0:
        return
    if x.dtype.kind == "f":
        error, above = _float_errors(ours, theirs, found.bound)
    else:
        error, above = _integer_errors(ours, theirs, found.bound)
    found.violations += above
    found.add_errors(error, at, kept)


def _exact(x: NDArray[Any], kept: NDArray[np.bool_] | None) -> NDArray[np.bool_] | None:
    exact = None if kept is None else ~kept
    if x.dtype.kind == "f":
        negative_zero = (x == 0) & np.signbit(x)
        exact = negative_zero if exact is None else exact | negative_zero
    return exact


def _bits_differ(x: NDArray[Any], y: NDArray[Any]) -> NDArray[np.bool_]:
    if x.dtype.kind != "f":
        return np.asarray(x != y)
    if x.dtype.itemsize > 8:  # long double has padding bytes that mean nothing
        same = (x == y) & (np.signbit(x) == np.signbit(y)) | (np.isnan(x) & np.isnan(y))
        return np.asarray(~same)
    bits = f"u{x.dtype.itemsize}"
    return np.asarray(x.view(bits) != y.view(bits))


def _float_errors(
    x: NDArray[Any], y: NDArray[Any], bound: float | int | None
) -> tuple[NDArray[Any], int]:
    wide = np.result_type(x.dtype, np.float64)
    a, b = x.astype(wide), y.astype(wide)
    with np.errstate(over="ignore", invalid="ignore"):
        error = np.abs(a - b)
    error[np.isnan(error)] = np.inf  # a finite value that came back as NaN
    if bound is None:
        return error, 0
    limit = wide.type(bound)
    # No bound, not even an infinite one, lets a finite value come back as none.
    above = int(np.count_nonzero((error > limit) | ~np.isfinite(b)))
    edge = np.flatnonzero(error == limit) if np.isfinite(limit) else ()
    if len(edge):
        above += int(np.count_nonzero(_rounded_down(a[edge], -b[edge])))
    return error, above


def _rounded_down(a: NDArray[Any], c: NDArray[Any]) -> NDArray[np.bool_]:
    """Where ``|a + c|`` in real numbers is larger than its rounded value (TwoSum)."""
    total = a + c
    c_part = total - a
    rest = (a - (total - c_part)) + (c - c_part)  # a + c == total + rest, exactly
    return np.asarray((rest != 0) & (np.signbit(rest) == np.signbit(total)))


def _integer_errors(
    x: NDArray[Any], y: NDArray[Any], bound: float | int | None
) -> tuple[NDArray[np.uint64], int]:
    # Wrapping to unsigned 64 bits and subtracting the smaller from the larger is exact for
    # every integer dtype, up to a distance of 2**64 - 1.
    u, v = x.astype(np.uint64), y.astype(np.uint64)
    error: NDArray[np.uint64] = np.where(x > y, u - v, v - u)
    if bound is None or bound >= 2**64 - 1:
        return error, 0
    return error, int(np.count_nonzero(error > np.uint64(math.floor(bound))))
