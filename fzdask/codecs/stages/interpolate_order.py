"""In which order ``interpolate`` stores differences: along which axis they repeat most."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from fzdask.codecs.kernels.cpu.interpolate_order import costs_after
from fzdask.codecs.stages.interpolate_levels import Layout, spread

__all__ = ["choose_innermost", "order_of"]

PIECE = 16  # neighbours in memory that a sample takes at most
SAMPLE = 8192  # values
BACK = (1, 2, 4, 8, 16, 32)  # how far before a value a sample looks
RUNS_PAY = 1.5  # they are coded as such if that is so much better than a prefix code
# Another order must save a 40th of the sample's bits, as decoding takes longer by a third, and more
# than chance does in a sample that is hardly anything but zeros. Its unit is 2**-8 bit.
PART_SAVED = 40
BITS_SAVED = 128 << 8

Take = Callable[[NDArray[np.int64], int], NDArray[np.int64]]


def order_of(folded: tuple[int, ...], innermost: int) -> Layout:
    """The order with this folded axis as the last one, the others as they were.

    Its ``grid`` is the shape in that order.
    """
    sides = list(folded)
    sides.append(sides.pop(innermost))
    return Layout(folded, innermost, tuple(sides))


def choose_innermost(take: Take, folded: tuple[int, ...]) -> int:
    """The folded axis along which the values are best stored; the last one if none is better.

    Parameters
    ----------
    take : function
        Gives, for an array of starts and a length, so many neighbours of the residual from each
        start on: int64, with an axis more.
    folded : tuple of int
        Its shape, as :func:`~fzdask.codecs.stages.lorenzo.folded_shape` gives it.
    """
    last = len(folded) - 1
    if last < 1:
        return last
    length = min(PIECE, folded[-1])
    starts = _starts(folded, length)
    places = [_places_before(starts, folded, axis) for axis in range(last + 1)]
    codes = take(np.concatenate([starts[None], *places]), length)
    codes = codes.reshape(codes.shape[0], -1)
    several = len(BACK)
    plain, by_runs, by_matches = zip(
        *(
            costs_after(codes[0], codes[1 + several * axis : 1 + several * (axis + 1)])
            for axis in range(last + 1)
        ),
        strict=True,
    )
    costs = by_runs if RUNS_PAY * by_runs[last] < plain[last] else by_matches
    best = int(np.argmin(costs))
    saved = int(costs[last] - costs[best])
    return best if saved > max(BITS_SAVED, int(costs[last]) // PART_SAVED) else last


def _starts(folded: tuple[int, ...], length: int) -> NDArray[np.int64]:
    """Where pieces of rows begin, spread over the array."""
    row = folded[-1]
    in_row = row // length
    pieces = math.prod(folded[:-1]) * in_row
    at = spread(pieces, max(SAMPLE // length, 1))
    starts: NDArray[np.int64] = at // in_row * row + at % in_row * length
    return starts


def _places_before(
    starts: NDArray[np.int64], folded: tuple[int, ...], axis: int
) -> NDArray[np.int64]:
    """Where the values so many places back would be with this axis innermost, a row for each.

    Behind the beginning of a line comes the end of the line before (beside a wall of the array
    only about there, which is good enough for a sample).
    """
    back = np.array(BACK, np.int64)[:, None]
    stride = math.prod(folded[axis + 1 :])
    places = starts - back * stride
    if axis < len(folded) - 1:  # along the last one, lines go on in the next as they are
        n = folded[axis]
        lines = -((starts // stride % n - back) // n)
        places += lines * (n * stride - 1)
    clipped: NDArray[np.int64] = np.maximum(places, 0)
    return clipped
