"""Whether a decoded chunk has the PSNR that was asked for."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fzdask.bounds import psnr_factor
from fzdask.codecs.prepare import flatten, memory_order, preserved_ranges

__all__ = ["SLACK", "keeps_psnr"]

# Errors spread evenly over a lattice cell have a root mean square of bound / sqrt(3): a bound this
# much wider than the one that is always enough mostly keeps the PSNR, and is tried first.
SLACK = 1.73
# Sums of up to 2**63 squares in pairwise binary64 are off by far less than this.
ROUNDING = 1 - 2.0**-40
BLOCK = 1 << 16  # elements


def keeps_psnr(
    array: NDArray[Any],
    decoded: NDArray[Any],
    psnr: float,
    low: Any,
    high: Any,
    preserve: tuple[float, ...],
) -> bool:
    """Whether the root mean square error is at most ``range * 10 ** (-psnr / 20)``.

    Over the finite values that are not preserved, whose range is ``high - low``; of complex
    numbers over the squared distances.
    """
    order = memory_order(array)  # of one array for both, or other values would be compared
    x, y = flatten(array, order), flatten(decoded, order)
    native = x.dtype.newbyteorder("=")
    marks = [low for low, _, _ in preserved_ranges(native, preserve, 0.0, False)]
    span = float(high - low)
    if not (span > 0 and np.isfinite(span)):
        return False
    count = 0
    total = 0.0
    wide = np.complex128 if x.dtype.kind == "c" else np.float64
    for start in range(0, x.size, BLOCK):
        a = x[start : start + BLOCK]
        kept = np.isfinite(a)
        with np.errstate(invalid="ignore"):  # signalling NaN
            for mark in marks:
                kept &= a != mark
        b = y[start : start + BLOCK]
        if x.dtype.kind in "iu":  # exact where the numbers themselves are no binary64
            error = (a[kept].astype("i8") - b[kept].astype("i8")).astype("f8") / span
        else:
            error = np.abs(a[kept].astype(wide) - b[kept].astype(wide)) / span
        count += error.size
        total += float(error @ error)
    allowed = psnr_factor(psnr) ** 2 * ROUNDING
    return count == 0 or total / count <= allowed
