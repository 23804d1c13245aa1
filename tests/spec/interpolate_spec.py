"""Specification of the interpolating part of ``interpolate``, on an array of four axes, in place.

A level is a dict: ``active`` (set of the axes it halves), ``cell`` (sixteenths of the full cell),
``spline`` and ``weight`` (for each axis), ``way`` (for each class with several odd axes: how its
axes are weighted). Levels come finest first.
"""

import math
from fractions import Fraction
from itertools import combinations, product

import numpy as np

LINEAR, CUBIC, NATURAL, SEXTIC = range(4)
BY_WEIGHT, BY_SQUARE, ALONE = range(3)
# Weights of the even points on the left (nearest last) and on the right of an odd one.
MIDDLES = {
    LINEAR: ([1 / 2], [1 / 2]),
    CUBIC: ([-1 / 16, 9 / 16], [9 / 16, -1 / 16]),
    NATURAL: ([-0.075, 0.575], [0.575, -0.075]),
    SEXTIC: ([3 / 256, -25 / 256, 150 / 256], [150 / 256, -25 / 256, 3 / 256]),
}


def rule(spline, left, right):
    """Weights for an odd point with that many even points on either side."""
    if right == 0:
        return ([-1 / 2, 3 / 2], []) if left > 1 else ([1.0], [])
    if spline != LINEAR:
        if right == 1:
            return ([-1 / 8, 3 / 4], [3 / 8]) if left > 1 else MIDDLES[LINEAR]
        if left == 1:
            return ([3 / 8], [3 / 4, -1 / 8])
        if spline == SEXTIC and min(left, right) < 3:
            return MIDDLES[CUBIC]
    return MIDDLES[spline]


def classes(active):
    """Sets of odd axes, in the order of coding."""
    axes = sorted(active)
    found = [p for k in range(1, len(axes) + 1) for p in combinations(axes, k)]
    return sorted(found, key=lambda p: (len(p), sum(1 << d for d in p)))


def points(shape, strides, active, odd):
    """Indices along each axis of the points of a class."""
    indices = []
    for d, n in enumerate(shape):
        start = strides[d] if d in odd else 0
        indices.append(range(start, n, strides[d] * (2 if d in active else 1)))
    return indices


def shares(level, odd):
    """Share of each odd axis in the prediction of a class."""
    way = level["way"].get(odd, BY_WEIGHT)
    weights = {}
    for d in odd:
        if way >= ALONE:
            weights[d] = 1.0 if way == ALONE + d else 0.0
        else:
            weights[d] = float(level["weight"][d]) ** (2 if way == BY_SQUARE else 1)
    total = sum(weights.values())
    if total == 0:
        return {odd[0]: 1.0}
    return {d: w / total for d, w in weights.items() if w > 0}


def prediction(y, strides, level, odd, at):
    """The prediction of one point from decoded values in their places."""
    total = 0.0
    for d, share in shares(level, odd).items():
        s = strides[d]
        left = at[d] // (2 * s) + 1
        right = (y.shape[d] - 1 - at[d] + s) // (2 * s)
        lefts, rights = rule(level["spline"][d], left, right)
        taps = [*lefts, *rights]
        places = [at[d] + s * (2 * k - 2 * len(lefts) + 1) for k in range(len(taps))]
        terms = [
            (c * share) * float(y[(*at[:d], place, *at[d + 1 :])])
            for c, place in zip(taps, places, strict=True)
        ]
        for k in range(0, len(terms) - 1, 2):
            total += terms[k] + terms[k + 1]
        if len(terms) % 2:
            total += terms[-1]
    return total


def walk(shape, levels):
    """Every point in the order of coding: (index of its level or None, strides, class, place)."""
    strides = [1, 1, 1, 1]
    all_strides = []
    for level in levels:
        all_strides.append(list(strides))
        strides = [s * 2 if d in level["active"] else s for d, s in enumerate(strides)]
    for at in product(*points(shape, strides, (), ())):
        yield None, strides, (), at
    for k in range(len(levels) - 1, -1, -1):
        for odd in classes(levels[k]["active"]):
            for at in product(*points(shape, all_strides[k], levels[k]["active"], odd)):
                yield k, all_strides[k], odd, at


def width(bound, sixteenths, whole):
    """Width of a cell."""
    if whole:
        return float(2 * (int(bound) * sixteenths // 16) + 1)
    return 2 * bound * (sixteenths / 16)


def predictions(y, levels, bound, whole):
    """Place, prediction and width of the cell of each point; ``y`` is filled in meanwhile."""
    largest = 2.0**52 if whole else float(np.finfo(y.dtype).max)
    before = 0.0
    for k, strides, odd, at in walk(y.shape, levels):
        if k is None:
            p = before
            cell = width(bound, levels[-1]["cell"] if levels else 16, whole)
        else:
            p = prediction(y, strides, levels[k], odd, at)
            cell = width(bound, levels[k]["cell"], whole)
        if whole:
            p = float(np.rint(p))
        yield at, p if abs(p) <= largest else 0.0, cell
        before = float(y[at])


def within(x, y, bound):
    """Whether two numbers are at most ``bound`` apart, without rounding; NaN is not."""
    finite = math.isfinite(x) and math.isfinite(y)
    return finite and abs(Fraction(x) - Fraction(y)) <= Fraction(bound)


def encode(x, levels, bound, whole=False):
    """Codes, decoded values, and where a value misses the bound (NaN always does)."""
    y = np.zeros(x.shape, np.float64 if whole else x.dtype)
    missed = np.zeros(x.shape, bool)
    codes = []
    with np.errstate(all="ignore"):
        for at, p, cell in predictions(y, levels, bound, whole):
            code = float(np.rint((float(x[at]) - p) * (1.0 / cell)))
            if not abs(code) <= 2.0**30:
                code = 0.0
            y[at] = p + code * cell
            if not within(float(x[at]), float(y[at]), bound):
                missed[at] = True
                code = 0.0
                y[at] = p
            codes.append(int(code))
    return np.array(codes, np.int32), y, missed


def decode(codes, shape, dtype, levels, bound, whole=False):
    """The decoded values of :func:`encode`."""
    y = np.zeros(shape, np.float64 if whole else dtype)
    for (at, p, cell), code in zip(predictions(y, levels, bound, whole), codes, strict=True):
        with np.errstate(all="ignore"):
            y[at] = p + float(code) * cell
    if not whole:
        return y
    info = np.iinfo(dtype)
    return np.clip(y, float(info.min), float(info.max)).astype(dtype)


def read_levels(packed):
    """The levels of the section ``levels``."""
    levels = []
    at = 0
    while at < len(packed):
        active = tuple(d for d in range(4) if packed[at] >> d & 1)
        several = [p for p in classes(active) if len(p) > 1]
        count = (4 + len(several) + 1) // 2
        nibbles = [k for b in packed[at + 2 : at + 2 + count] for k in (b & 15, b >> 4)]
        levels.append(
            {
                "active": active,
                "cell": 16 - (packed[at] >> 4),
                "spline": [packed[at + 1] >> 2 * d & 3 for d in range(4)],
                "weight": nibbles[:4],
                "way": dict(zip(several, nibbles[4:], strict=False)),
            }
        )
        at += 2 + count
    return levels
