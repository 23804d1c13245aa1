"""Splines through the even points of an axis, added to a prediction row by row.

A rule is a row of weights for the nearest even points on either side of an odd one: linear, cubic
(not-a-knot), natural cubic and sextic in the middle of an axis, fewer points towards its ends
(Zhao et al. 2021, "Optimizing error-bounded lossy compression for scientific data by dynamic
spline interpolation"; Liu et al. 2022, QoZ, for the natural one).
"""

import numpy as np

from fzdask.jit import njit

LINEAR, CUBIC, NATURAL, SEXTIC = range(4)
SPLINES = 4
# A rule is a row of weights for neighbours at odd distances; LEFT of them are on the left.
COPY, EXTEND, MIDDLE, LEFT_QUADRATIC, RIGHT_QUADRATIC, FOUR, FOUR_NATURAL, SIX = range(8)
TAPS = np.array([1, 2, 2, 3, 3, 4, 4, 6], np.int64)
LEFT = np.array([1, 2, 1, 2, 1, 2, 2, 3], np.int64)
WEIGHTS = np.array(
    [
        [1.0, 0.0, 0.0, 0.0, 0.0, 0.0],
        [-0.5, 1.5, 0.0, 0.0, 0.0, 0.0],
        [0.5, 0.5, 0.0, 0.0, 0.0, 0.0],
        [-0.125, 0.75, 0.375, 0.0, 0.0, 0.0],
        [0.375, 0.75, -0.125, 0.0, 0.0, 0.0],
        [-0.0625, 0.5625, 0.5625, -0.0625, 0.0, 0.0],
        [-0.075, 0.575, 0.575, -0.075, 0.0, 0.0],
        [3 / 256, -25 / 256, 150 / 256, 150 / 256, -25 / 256, 3 / 256],
    ]
)


@njit(nogil=True, cache=True)
def rule_of(spline, j, evens):
    """Rule for the odd point between even points ``j`` and ``j + 1`` of that many."""
    right = min(evens - 1 - j, 3)
    left = min(j + 1, 3)
    if right == 0:
        return EXTEND if left > 1 else COPY
    if spline == LINEAR:
        return MIDDLE
    if right == 1:
        return LEFT_QUADRATIC if left > 1 else MIDDLE
    if left == 1:
        return RIGHT_QUADRATIC
    if spline == NATURAL:
        return FOUR_NATURAL
    return SIX if spline == SEXTIC and right > 2 and left > 2 else FOUR


@njit(nogil=True, cache=True)
def _add_taps(source, at, stride, rule, weight, acc):
    """Add a rule's neighbours, at ``source[at + t * stride + i]`` for ``acc[i]``, in pairs.

    ``acc + (c[0] * s[0] + c[1] * s[1])`` and so on, then one that is left; ``c`` is the product
    of the rule's weight and the given one.
    """
    n = acc.size
    taps = TAPS[rule]
    for t in range(0, taps - 1, 2):
        c0 = WEIGHTS[rule, t] * weight
        c1 = WEIGHTS[rule, t + 1] * weight
        s0 = source[at : at + n]
        s1 = source[at + stride : at + stride + n]
        for i in range(n):
            acc[i] += c0 * np.float64(s0[i]) + c1 * np.float64(s1[i])
        at += 2 * stride
    if taps & 1:
        c0 = WEIGHTS[rule, taps - 1] * weight
        s0 = source[at : at + n]
        for i in range(n):
            acc[i] += c0 * np.float64(s0[i])


@njit(nogil=True, cache=True)
def _add_point(source, at, rule, weight, acc, i):
    """As :func:`_add_taps` for one value and neighbours side by side."""
    taps = TAPS[rule]
    for t in range(0, taps - 1, 2):
        c0 = WEIGHTS[rule, t] * weight
        c1 = WEIGHTS[rule, t + 1] * weight
        acc[i] += c0 * np.float64(source[at + t]) + c1 * np.float64(source[at + t + 1])
    if taps & 1:
        acc[i] += (WEIGHTS[rule, taps - 1] * weight) * np.float64(source[at + taps - 1])


@njit(nogil=True, cache=True)
def add_axis(source, base, stride, along, spline, evens, j, rows, first, weight, acc):
    """Add the prediction of some rows along one axis to ``acc``.

    Parameters
    ----------
    source, base, stride
        The class that is even along the axis; where row 0 of it, or the row that is to be
        predicted from (``along``), begins; from one row to the next.
    along : bool
        The axis is that of the rows, of which ``first`` is where they begin. Otherwise it counts
        the rows from ``j`` on; rows that lie across it (``rows`` 1) have the same ``j``.
    spline, evens
        The kind of spline, and how many even points the axis has.
    """
    n = acc.size // rows
    if not along:
        at = 0
        while at < rows:
            rule = rule_of(spline, j + at, evens)
            end = at + 1
            while end < rows and rule_of(spline, j + end, evens) == rule:
                end += 1
            start = base + (j + at + 1 - LEFT[rule]) * stride
            _add_taps(source, start, stride, rule, weight, acc[at * n : end * n])
            at = end
        return
    rule = rule_of(spline, 4, 9)  # the one in the middle
    low = min(max(LEFT[rule] - 1 - first, 0), n)
    high = max(min(evens - TAPS[rule] + LEFT[rule] - first, n), low)
    for row in range(rows):
        at = base + row * stride + first + 1
        to = row * n
        if high > low:
            _add_taps(source, at + low - LEFT[rule], 1, rule, weight, acc[to + low : to + high])
        for k in range(n - (high - low)):
            i = k if k < low else k + high - low
            r = rule_of(spline, first + i, evens)
            _add_point(source, at + i - LEFT[r], r, weight, acc, to + i)
