"""Splines through the even points of an axis, added to a prediction row by row.

A rule is a row of weights for the nearest even points on either side of an odd one: linear, cubic
(not-a-knot), natural cubic and sextic in the middle of an axis, fewer points towards its ends
(Zhao et al. 2021, "Optimizing error-bounded lossy compression for scientific data by dynamic
spline interpolation"; Liu et al. 2022, QoZ, for the natural one).
"""

import numpy as np
from numba import njit

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
    """``acc[i] += sum over t of (WEIGHTS[rule, t] * weight) * source[at + t * stride + i]``."""
    n = acc.size
    taps = TAPS[rule]
    c0 = WEIGHTS[rule, 0] * weight
    s0 = source[at : at + n]
    if taps == 1:
        for i in range(n):
            acc[i] += c0 * np.float64(s0[i])
        return
    c1 = WEIGHTS[rule, 1] * weight
    s1 = source[at + stride : at + stride + n]
    if taps == 2:
        for i in range(n):
            acc[i] += c0 * np.float64(s0[i]) + c1 * np.float64(s1[i])
        return
    c2 = WEIGHTS[rule, 2] * weight
    s2 = source[at + 2 * stride : at + 2 * stride + n]
    if taps == 3:
        for i in range(n):
            acc[i] += (c0 * np.float64(s0[i]) + c1 * np.float64(s1[i])) + c2 * np.float64(s2[i])
        return
    c3 = WEIGHTS[rule, 3] * weight
    s3 = source[at + 3 * stride : at + 3 * stride + n]
    if taps == 4:
        for i in range(n):
            acc[i] += (
                (c0 * np.float64(s0[i]) + c1 * np.float64(s1[i])) + c2 * np.float64(s2[i])
            ) + c3 * np.float64(s3[i])
        return
    c4 = WEIGHTS[rule, 4] * weight
    c5 = WEIGHTS[rule, 5] * weight
    s4 = source[at + 4 * stride : at + 4 * stride + n]
    s5 = source[at + 5 * stride : at + 5 * stride + n]
    for i in range(n):
        acc[i] += (
            (
                ((c0 * np.float64(s0[i]) + c1 * np.float64(s1[i])) + c2 * np.float64(s2[i]))
                + c3 * np.float64(s3[i])
            )
            + c4 * np.float64(s4[i])
        ) + c5 * np.float64(s5[i])


@njit(nogil=True, cache=True)
def add_across(source, base, stride, spline, evens, j, rows, weight, acc):
    """Add the prediction of consecutive rows ``j``, ... along the axis that counts them."""
    n = acc.size // rows
    at = 0
    while at < rows:
        rule = rule_of(spline, j + at, evens)
        end = at + 1
        while end < rows and rule_of(spline, j + end, evens) == rule:
            end += 1
        start = base + (j + at + 1 - LEFT[rule]) * stride
        _add_taps(source, start, stride, rule, weight, acc[at * n : end * n])
        at = end


@njit(nogil=True, cache=True)
def add_along(source, base, stride, spline, evens, weight, first, rows, acc):
    """Add the prediction along the rows themselves, of each the part from ``first`` on."""
    n = acc.size // rows
    if spline == LINEAR:
        rule, low, high = MIDDLE, 0, evens - 1
    elif spline == SEXTIC:
        rule, low, high = SIX, 2, evens - 3
    else:
        rule, low, high = FOUR_NATURAL if spline == NATURAL else FOUR, 1, evens - 2
    low = min(max(low - first, 0), n)
    high = max(min(high - first, n), low)
    for row in range(rows):
        at = base + row * stride + first + 1
        to = row * n
        if high > low:
            _add_taps(source, at + low - LEFT[rule], 1, rule, weight, acc[to + low : to + high])
        for i in range(n - (high - low)):
            i = i if i < low else i + high - low
            r = rule_of(spline, first + i, evens)
            total = 0.0
            for t in range(TAPS[r]):
                total += (WEIGHTS[r, t] * weight) * np.float64(source[at + i - LEFT[r] + t])
            acc[to + i] += total
