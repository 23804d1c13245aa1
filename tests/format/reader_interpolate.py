"""The second reader's part for `interpolate`, from the stage's page alone: codes to values."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np


class MisfitError(ValueError):
    """The levels do not fit the array."""


@dataclass
class Level:
    """A record of the section `levels`, and the distances of its grid's points."""

    halved: list[int]
    sixteenths: int
    splines: list[int]
    weights: list[int]
    ways: dict[tuple[int, ...], int]
    apart: list[int]

    def classes(self) -> list[tuple[int, ...]]:
        """The classes in the order of coding."""
        sets = []
        for mask in range(1, 16):
            odd = tuple(d for d in range(4) if mask >> d & 1)
            if set(odd) <= set(self.halved):
                sets.append((len(odd), mask, odd))
        return [odd for _, _, odd in sorted(sets)]


def grid_of(shape: tuple[int, ...]) -> tuple[list[int], list[int], int]:
    """Four lengths, the array's lengths before its axes change places, and the axis moved or -1."""
    sides = [n for n in shape if n != 1]
    while len(sides) > 4:
        sides = [sides[0] * sides[1], *sides[2:]]
    before = list(sides)
    moved = -1
    if len(sides) >= 2 and sides[-1] < 16 and sides[-1] < max(sides):
        moved = sides.index(max(sides))
        sides = [*sides[:moved], *sides[moved + 1 :], sides[moved]]
    return [1] * (4 - len(sides)) + sides, before, moved


def stored_shape(shape: tuple[int, ...], innermost: bytes) -> tuple[int, ...] | None:
    """Shape in which differences are stored, given the fourth byte or none; None if it is wrong."""
    if not innermost:
        return shape
    sides = [n for n in shape if n != 1]
    while len(sides) > 4:
        sides = [sides[0] * sides[1], *sides[2:]]
    axis = innermost[0]
    if len(innermost) > 1 or axis + 1 >= len(sides):
        return None
    return (*sides[:axis], *sides[axis + 1 :], sides[axis])


def in_array_order(data: np.ndarray, stored: tuple[int, ...], innermost: bytes) -> np.ndarray:
    """The differences in the order of the array."""
    if not innermost:
        return data
    return np.moveaxis(data.reshape(stored), -1, innermost[0]).reshape(-1)


def read_levels(data: bytes, grid: list[int]) -> list[Level]:
    """The records of `levels`, finest first."""
    levels: list[Level] = []
    left, apart = list(grid), [1, 1, 1, 1]
    while data:
        halved = [d for d in range(4) if data[0] & 1 << d]
        if not halved or any(left[d] < 2 for d in halved):
            raise MisfitError("a level that halves nothing, or an axis of one point")
        level = Level(halved, 16 - data[0] // 16, [], [], {}, list(apart))
        several = [odd for odd in level.classes() if len(odd) > 1]
        nbytes = 2 + math.ceil((4 + len(several)) / 2)
        if len(data) < nbytes:
            raise MisfitError("a level that ends too early")
        level.splines = [data[1] // 4**d % 4 for d in range(4)]
        halves = [half for byte in data[2:nbytes] for half in (byte % 16, byte // 16)]
        level.weights = halves[:4]
        level.ways = dict(zip(several, halves[4:], strict=False))
        if any(way > 5 for way in level.ways.values()):
            raise MisfitError("an unknown way of weighting")
        levels.append(level)
        data = data[nbytes:]
        for d in halved:
            left[d] = math.ceil(left[d] / 2)
            apart[d] *= 2
    return levels


def spline_weights(spline: int, left: int, right: int) -> tuple[list[float], int]:
    """Weights of the nearest even points, and how many of them are on the left."""
    if right == 0:
        return ([1.0], 1) if left == 1 else ([-1 / 2, 3 / 2], 2)
    if spline == 0 or left == right == 1:
        return [1 / 2, 1 / 2], 1
    if right == 1:
        return [-1 / 8, 3 / 4, 3 / 8], 2
    if left == 1:
        return [3 / 8, 3 / 4, -1 / 8], 1
    if spline == 2:
        return [-0.075, 0.575, 0.575, -0.075], 2
    if spline == 3 and left > 2 and right > 2:
        return [n / 256 for n in (3, -25, 150, 150, -25, 3)], 3
    return [-1 / 16, 9 / 16, 9 / 16, -1 / 16], 2


def shares(level: Level, odd: tuple[int, ...]) -> list[tuple[int, float]]:
    """Odd axes that count, with their shares."""
    way = level.ways.get(odd, 0)
    if way < 2:
        weights = [float(level.weights[d] ** (way + 1)) for d in odd]
    else:
        weights = [float(way - 2 == d) for d in odd]
    total = sum(weights)
    if total == 0:
        return [(odd[0], 1.0)]
    return [(d, w / total) for d, w in zip(odd, weights, strict=True) if w]


def has_cells(bound: float, whole: bool, most: int) -> bool:
    """Whether a bound is one that values, or whole numbers, can be coded within."""
    if whole:
        return 0 <= bound <= most and bound == int(bound)
    return bound > 0 and 2 * bound < math.inf


def values_of(
    codes: np.ndarray, shape: tuple[int, ...], dtype: np.dtype, bound: float, packed: bytes
) -> np.ndarray:
    """The flat array of `dtype` that the codes stand for, before outliers are put back."""
    grid, before, moved = grid_of(shape)
    levels = read_levels(packed, grid)
    whole = dtype.kind in "iu"
    if not has_cells(bound, whole, 2**53 - 1):
        raise MisfitError("a bound without cells")
    limit = 2.0**52 if whole else float(np.finfo(dtype).max)
    y = np.zeros(grid, np.float64 if whole else dtype)
    upcoming = iter(codes.tolist())

    def put(place: tuple[int, ...], p: float, sixteenths: int) -> None:
        p = float(np.rint(p)) if whole else p
        p = p if abs(p) <= limit else 0.0
        cell = 2.0 * bound * (sixteenths / 16)
        if whole:
            cell = float(2 * (int(bound) * sixteenths // 16) + 1)
        with np.errstate(all="ignore"):  # an overflow gives an infinity
            y[place] = p + next(upcoming) * cell

    coarsest = [1, 1, 1, 1]
    for level in levels:
        for d in level.halved:
            coarsest[d] *= 2
    p = 0.0
    for place in itertools.product(*(range(0, grid[d], coarsest[d]) for d in range(4))):
        put(place, p, levels[-1].sixteenths if levels else 16)
        p = float(y[place])
    for level in reversed(levels):
        for odd in level.classes():
            ranges = []
            for d in range(4):
                step = level.apart[d] * (2 if d in level.halved else 1)
                ranges.append(range(level.apart[d] if d in odd else 0, grid[d], step))
            for place in itertools.product(*ranges):
                put(place, predicted(y, level, shares(level, odd), place), level.sixteenths)
    if moved >= 0:
        rest = [n for axis, n in enumerate(before) if axis != moved]
        y = np.moveaxis(y.reshape(*rest, before[moved]), -1, moved)
    flat = np.ascontiguousarray(y).reshape(-1)
    if not whole:
        return flat
    info = np.iinfo(dtype)
    return np.clip(flat, float(info.min), float(info.max)).astype(dtype)


def predicted(
    y: np.ndarray, level: Level, odd: list[tuple[int, float]], place: tuple[int, ...]
) -> float:
    """The weighted mean of the splines along the odd axes."""
    p = 0.0
    for d, share in odd:
        far = level.apart[d]
        evens = range(0, y.shape[d], 2 * far)
        left = sum(at < place[d] for at in evens)
        weights, lefts = spline_weights(level.splines[d], left, len(evens) - left)
        terms = []
        for weight, at in zip(weights, evens[left - lefts :], strict=False):
            terms.append(weight * share * float(y[(*place[:d], at, *place[d + 1 :])]))
        while len(terms) > 1:
            p += terms.pop(0) + terms.pop(0)
        p += terms.pop() if terms else 0.0
    return p
