"""Resolving what was asked of a chunk into one absolute bound."""

from __future__ import annotations

import decimal
import math
import sys
from functools import lru_cache

__all__ = [
    "COMPONENT",
    "component_bound",
    "integer_bound",
    "lattice_bound",
    "psnr_error",
    "psnr_factor",
    "relative_bound",
]

# |z - z'| <= b holds if both components are within b / sqrt(2); the factor is a little less, so
# that no rounding on the way can exceed b.
COMPONENT = 0.7071067
LARGEST_INTEGER_BOUND = 2**53  # beyond it binary64, which carries the bound, skips integers


def relative_bound(rel: float, low: float, high: float) -> float:
    """``rel * (high - low)`` in binary64, at most the largest finite number.

    Integers are to be given as such: in binary64, 2**60 and 2**60 + 200 are 256 apart.
    """
    span = float(high - low)
    bound = rel * span if math.isfinite(span) else rel * high - rel * low
    return min(bound, sys.float_info.max)


@lru_cache(maxsize=64)
def psnr_factor(psnr: float) -> float:
    """``10 ** (-psnr / 20)``, rounded down: the root mean square error over the range.

    In decimal arithmetic, which is alike on every machine; the bound is written to the stream.
    """
    with decimal.localcontext() as context:
        context.prec = 60
        context.Emin = decimal.MIN_EMIN
        exact = decimal.Decimal(10) ** (-decimal.Decimal(psnr) / 20)
        near = float(exact)
        return math.nextafter(near, 0.0) if decimal.Decimal(near) > exact else near


def psnr_error(psnr: float, low: float, high: float) -> float:
    """Greatest root mean square error over the range that keeps this PSNR, rounded down.

    An absolute bound of that size is always enough.
    """
    return math.nextafter(relative_bound(psnr_factor(psnr), low, high), 0.0)


def integer_bound(bound: float, magnitude: int) -> int:
    """The greatest whole number not above a bound that keeps 64-bit arithmetic exact."""
    if magnitude >= 2**62:
        return 0
    return min(math.floor(min(bound, float(LARGEST_INTEGER_BOUND))), LARGEST_INTEGER_BOUND)


def component_bound(bound: float) -> float:
    """Bound of each component of a complex number whose distance is to stay within ``bound``."""
    return bound * COMPONENT


def lattice_bound(bound: float) -> float | None:
    """A bound that has a lattice and is not above the given one, or None if all are too narrow."""
    bound = min(bound, 2.0**1020)
    usable = bound > 0 and math.isfinite(1.0 / (2.0 * bound)) if 2.0 * bound > 0 else False
    return bound if usable else None
