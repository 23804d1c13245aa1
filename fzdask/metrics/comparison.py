"""An original beside its decoded copy: every figure of one comparison, readable at a glance."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from fzdask.metrics.distortion import measure
from fzdask.metrics.rate import bit_rate, compression_ratio

__all__ = ["Comparison", "compare"]


@dataclass(frozen=True, slots=True, repr=False)
class Comparison:
    """Figures of one comparison; made by :func:`compare`.

    Attributes
    ----------
    dtype : str
        dtype of both arrays.
    shape : tuple of int
        Shape of both arrays.
    bound : float or None
        Absolute bound on every component (a complex number has two: real and imaginary).
    max_error : float or int
        Largest ``|x - x'|`` of a finite, non-preserved component.
    worst : tuple of int or None
        Where that error is; None for an array without such components.
    max_error_over_bound : float
        At most 1 if and only if `violations` is 0; NaN without a bound.
    violations : int
        Components whose error exceeds the bound, decided without rounding.
    exact, exact_changed : int
        Components that must come back bit for bit (NaN, infinities, -0.0, preserved values),
        and how many of them did not.
    rmse : float
        Root-mean-square error, in the unit of the data.
    psnr : float
        ``20 log10(value_range / rmse)`` in dB.
    value_range : float
        ``max - min`` of the original's finite, non-preserved components.
    nbytes, ratio, bit_rate : int or float, or None
        Stored bytes, original bytes over stored bytes, stored bits per value; None where the
        stored size was not given.
    """

    dtype: str
    shape: tuple[int, ...]
    bound: float | int | None
    max_error: float | int
    worst: tuple[int, ...] | None
    max_error_over_bound: float
    violations: int
    components: int
    exact: int
    exact_changed: int
    rmse: float
    psnr: float
    value_range: float
    nbytes: int | None = None
    ratio: float | None = None
    bit_rate: float | None = None

    @property
    def ok(self) -> bool:
        """Every error is within the bound, and all that must be exact is."""
        return self.violations == 0 and self.exact_changed == 0

    def to_dict(self) -> dict[str, Any]:
        """All figures as plain Python values, for a JSON file."""
        return asdict(self) | {"shape": list(self.shape), "ok": self.ok}

    def __repr__(self) -> str:
        title = f"<Comparison of {self.dtype} {self.shape}"
        if self.bound is None:
            lines = [f"{title}: no bound given"]
            lines.append(f"  worst error   {self.max_error:.6g}{self._place()}")
        else:
            lines = [f"{title}: {'within the bound' if self.ok else 'BOUND BROKEN'}"]
            over = _beside_one(self.max_error_over_bound)
            lines.append(
                f"  worst error   {self.max_error:.6g} = {over} of the bound "
                f"{self.bound:.6g}{self._place()}"
            )
            lines.append(f"  violations    {self.violations} of {self.components}")
        if self.exact:
            kept = self.exact - self.exact_changed
            lines.append(f"  exact values  {kept} of {self.exact} (NaN, inf, -0.0, preserved)")
        lines.append(f"  RMSE          {self.rmse:.6g} on a range of {self.value_range:.6g}")
        lines.append(f"  PSNR          {self.psnr:.2f} dB")
        if self.ratio is not None and self.bit_rate is not None:
            lines.append(f"  ratio         {self.ratio:.2f} ({self.bit_rate:.3g} bits a value)")
        return "\n".join(lines) + ">"

    def _place(self) -> str:
        return f" at {self.worst}" if self.worst and self.max_error else ""


def compare(
    original: Any,
    decoded: Any,
    bound: float | None = None,
    *,
    preserve: Iterable[float] = (),
    nbytes: int | None = None,
) -> Comparison:
    """Compare an original with its decoded copy; exact in counting violations.

    A violation is counted if and only if the real-number difference of two components exceeds
    the bound: no tolerance, and no rounding hides one. Memory use does not grow with the
    arrays.

    Parameters
    ----------
    original, decoded : array_like
        Same shape and dtype (numbers, bools, complex numbers, times).
    bound : float, optional
        Absolute bound; for a relative one pass ``rel * value_range(original)``.
    preserve : iterable of float
        Values that must come back bit for bit and count for no range.
    nbytes : int, optional
        Size of the compressed form, for the ratio and the bit rate.

    Raises
    ------
    ValueError
        Shapes or dtypes differ, or the bound is negative or NaN.
    UnsupportedDtypeError
        The dtype has no notion of distance.

    Examples
    --------
    >>> import numpy as np
    >>> found = compare(np.array([0.0, 1.0, 2.0]), np.array([0.0, 1.25, 2.0]), bound=0.5)
    >>> found.ok, found.max_error, found.max_error_over_bound
    (True, 0.25, 0.5)
    """
    a = np.asarray(original)
    found = measure(a, decoded, bound, preserve)
    worst = None
    if found.worst is not None:
        worst = tuple(int(i) for i in np.unravel_index(found.worst, a.shape))
    return Comparison(
        dtype=str(a.dtype),
        shape=a.shape,
        bound=found.bound,
        max_error=found.max_error,
        worst=worst,
        max_error_over_bound=found.max_error_over_bound,
        violations=found.violations,
        components=found.components,
        exact=found.exact,
        exact_changed=found.exact_changed,
        rmse=found.rmse,
        psnr=found.psnr,
        value_range=found.value_range,
        nbytes=nbytes,
        ratio=None if nbytes is None else compression_ratio(a, nbytes),
        bit_rate=None if nbytes is None else bit_rate(a, nbytes),
    )


def _beside_one(over: float) -> str:
    """Short, but never rounded across 1: 1.00000001 must not read as 1."""
    for digits in range(4, 17):
        text = f"{over:.{digits}g}"
        if not math.isfinite(over) or (over > 1) == (float(text) > 1):
            return text
    return repr(over)
