"""Tables of the integer logarithm, and how far its values may be moved: a proof in numbers.

An integer logarithm counts ``2**scale`` units to the octave. In *smooth* form a table of ``2**f``
at 1025 places of an octave, joined by straight lines, leads back from it; another of ``log2``
leads to it, and neither is the exact inverse of the other. :func:`budget` measures them against
each other at every place where the distance can be least, so that a bound on the logarithm gives
a point-wise relative bound for certain. In *plain* form the logarithm is the bit pattern itself.
"""

from __future__ import annotations

from functools import lru_cache
from math import ceil, isqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "CELLS_LOG2",
    "EXP_BITS",
    "LOG_BITS",
    "Budget",
    "Layout",
    "budget",
    "exp_table",
    "first_safe_exponent",
    "layout",
    "log_table",
]

CELLS_LOG2 = 10  # straight lines to the octave: off by 2**-22.5 octaves at most
CELLS = 1 << CELLS_LOG2
EXP_BITS = 52  # of a table entry: as many as binary64 keeps
LOG_BITS = 40
_WORK = 128  # bits in which tables are computed
# Binary64 arithmetic on logarithms below 2**37 units errs by less.
_MARGIN = 2.0**-10
# The table's form needs cells wide enough for its two small errors, in units of the last place.
_SMOOTH_ABOVE = 5
_MOST_SMOOTH_BITS = 25  # below 2**-20 the distance of the two tables would cost more than it gives
_LONG_SCALE = 30


class Layout(NamedTuple):
    """How logarithms of a float format are laid out for a bound.

    Attributes
    ----------
    mantissa : int
        Explicit mantissa bits of the format.
    bias : int
        Exponent field of 1.
    scale : int
        log2 of the units per octave.
    smooth : bool
        Whether the tables are used.
    width : int
        Bytes of a logarithm.
    """

    mantissa: int
    bias: int
    scale: int
    smooth: bool
    width: int


class Budget(NamedTuple):
    """Any ``t'`` with ``|t' - (t - shift)| <= bound`` stands for a value within the bound."""

    bound: int
    shift: int


def layout(itemsize: int, rel: float) -> Layout:
    """The layout that the encoder uses for floats of 2, 4 or 8 bytes and a bound."""
    mantissa = {2: 10, 4: 23, 8: 52}[itemsize]
    bias = {2: 15, 4: 127, 8: 1023}[itemsize]
    if rel < 2.0 ** (_SMOOTH_ABOVE - min(mantissa, _MOST_SMOOTH_BITS)):
        return Layout(mantissa, bias, mantissa, False, 8 if itemsize == 8 else 4)
    if itemsize < 8:
        return Layout(mantissa, bias, 22, True, 4)
    # 1074 octaves of 2**19 units leave room in 30 bits; below 2**-13 the units would be coarse.
    return Layout(mantissa, bias, *((19, True, 4) if rel >= 2.0**-13 else (_LONG_SCALE, True, 8)))


@lru_cache(maxsize=1)
def exp_table() -> NDArray[np.int64]:
    """``floor(2**52 * 2**(k / 1024))`` for k from 0 to 1024."""
    root = 1 << (_WORK + 1)
    for _ in range(CELLS_LOG2):
        root = isqrt(root << _WORK)
    table = np.empty(CELLS + 1, np.int64)
    power = 1 << _WORK
    for k in range(CELLS):
        table[k] = power >> (_WORK - EXP_BITS)
        power = (power * root) >> _WORK
    table[CELLS] = 1 << (EXP_BITS + 1)
    table.setflags(write=False)  # shared by all who ask
    return table


@lru_cache(maxsize=1)
def log_table() -> NDArray[np.int64]:
    """``floor(2**40 * log2(1 + k / 1024))`` for k from 0 to 1024, by repeated squaring."""
    table = np.empty(CELLS + 1, np.int64)
    for k in range(CELLS):
        power = (CELLS + k) << (_WORK - CELLS_LOG2)
        log = 0
        for _ in range(LOG_BITS):
            power = (power * power) >> _WORK
            carry = power >> (_WORK + 1)
            power >>= carry
            log = log << 1 | carry
        table[k] = log
    table[CELLS] = 1 << LOG_BITS
    table.setflags(write=False)  # shared by all who ask
    return table


@lru_cache(maxsize=256)
def budget(form: Layout, rel: float) -> Budget:
    """The widest bound on logarithms that keeps ``|x - x'| <= rel * |x|``, 0 < rel < 1.

    Both tables are piecewise linear, so the distance between the logarithm of ``x`` and that of
    ``(1 + rel) x`` is least where one of the two is at a table's entry. Results hold for values
    and results that are normal numbers; the encoder looks at any other one by one.
    """
    if not form.smooth:
        return Budget(int(rel * 2.0**form.mantissa), 0)  # exact: a product with a power of two
    # A decoded value is rounded down, by less than 2**-mantissa of itself.
    ulp = 2.0**-form.mantissa
    up = _least_distance(1.0 + rel, form.scale)
    down = _least_distance((1.0 - rel) / (1.0 - ulp), form.scale)
    # A logarithm is rounded down, by less than two units (its own and the table's).
    room_up, room_down = int(up - _MARGIN), int(down - _MARGIN) - 2
    bound = (room_up + room_down) // 2
    return Budget(bound, bound - room_up)


def _least_distance(factor: float, scale: int) -> float:
    """Least ``|log(factor * x) - log(x)|``, the first by the one table, the second by the other."""
    entries = np.arange(CELLS) / CELLS + 1.0
    powers = exp_table()[:CELLS] * 2.0**-EXP_BITS
    mantissas, _ = np.frexp(powers / factor)
    x = np.concatenate([entries, 2.0 * mantissas])
    unit = 2.0**scale
    distance = _by_powers(x * factor) - _by_entries(x)
    return float(np.abs(distance).min() * unit)


def _by_entries(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """The logarithm of x in [1, 2] as the encoder takes it, in octaves and not rounded."""
    return _joined(x, np.arange(CELLS + 1) / CELLS + 1.0, log_table() * 2.0**-LOG_BITS)


def _by_powers(y: NDArray[np.float64]) -> NDArray[np.float64]:
    """The logarithm that the decoder takes to y, in octaves and not rounded."""
    mantissa, exponent = np.frexp(y)
    powers = exp_table() * 2.0**-EXP_BITS
    return _joined(2.0 * mantissa, powers, np.arange(CELLS + 1) / CELLS) + (exponent - 1)


def _joined(
    x: NDArray[np.float64], places: NDArray[np.float64], values: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Straight lines between the values; NumPy's own may contract, and differ by machine."""
    k = np.clip(np.searchsorted(places, x, side="right") - 1, 0, CELLS - 1)
    slopes = np.diff(values) / np.diff(places)
    joined: NDArray[np.float64] = values[k] + (x - places[k]) * slopes[k]
    return joined


def first_safe_exponent(form: Layout, room: Budget) -> int:
    """Exponent fields from here on stay normal whatever is done to the logarithm."""
    return 1 + ceil((abs(room.shift) + room.bound + 2) / (1 << form.scale))
