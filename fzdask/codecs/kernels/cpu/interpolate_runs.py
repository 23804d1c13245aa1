"""All values of a class of an interpolated grid, in runs of values with neighbours alike."""

import numpy as np

from fzdask.codecs.kernels.cpu.interpolate_classes import (
    AXES,
    FINE,
    FINE_START,
    OWN,
    PART,
    SIZE,
    SOURCE,
    SPLINE,
    START,
    STEP,
    flag,
    gather,
    predict,
)
from fzdask.codecs.kernels.cpu.interpolate_splines import LEFT, TAPS, WEIGHTS, rule_of
from fzdask.codecs.kernels.cpu.interpolate_vectors import (
    MOST_PAIRS,
    decode_rows,
    encode_rows,
)
from fzdask.jit import njit

LAST = AXES - 1
ALONG = SOURCE + 4 * LAST


@njit(nogil=True, cache=True)
def _put(rule, share, at, stride, taps, weights, pairs):
    """Append the neighbours of a rule in pairs; the first is at an address, others follow it."""
    count = TAPS[rule]
    for t in range(0, count, 2):
        k = 2 * pairs
        taps[k] = at
        weights[k] = WEIGHTS[rule, t] * share
        if t + 1 < count:
            taps[k + 1] = at + stride
            weights[k + 1] = WEIGHTS[rule, t + 1] * share
        else:  # one that is left adds nothing by its other half
            taps[k + 1] = at
            weights[k + 1] = 0.0
        at += 2 * stride
        pairs += 1
    return pairs


@njit(nogil=True, cache=True)
def _put_across(base, size, grid, geo, plan, shares, i0, i1, i2, taps, weights):
    """Neighbours of the first value of a row along the axes that lie across it."""
    pairs = np.int64(0)
    for d in range(LAST):
        if shares[d] == 0.0:
            continue
        at = SOURCE + 4 * d
        j = i0 if d == 0 else i1 if d == 1 else i2
        stride = geo[at + 1 + d]
        rule = rule_of(plan[SPLINE + d], j, (grid[d] + 1) >> 1)
        place = geo[at] + i0 * geo[at + 1] + i1 * geo[at + 2] + i2 * geo[at + 3]
        place += (1 - LEFT[rule]) * stride
        pairs = _put(rule, shares[d], base + size * place, size * stride, taps, weights, pairs)
    return pairs


@njit(nogil=True, cache=True)
def _rows_alike(grid, geo, plan, shares, i2):
    """How many rows from this one on have their neighbours at the same distances."""
    rows = geo[SIZE + 2] - i2
    if shares[2] == 0.0:
        return rows
    evens = (grid[2] + 1) >> 1
    spline = plan[SPLINE + 2]
    rule = rule_of(spline, i2, evens)
    alike = 1
    while alike < rows and rule_of(spline, i2 + alike, evens) == rule:
        alike += 1
    return alike


@njit(nogil=True, cache=True)
def _middle(grid, geo, plan):
    """Rule of the middle of a row along itself, and from where to where it holds."""
    m = geo[SIZE + LAST]
    evens = (grid[LAST] + 1) >> 1
    rule = rule_of(plan[SPLINE + LAST], 4, 9)
    low = min(LEFT[rule] - 1, m)
    return rule, low, max(min(evens - TAPS[rule] + LEFT[rule], m), low)


@njit(nogil=True, cache=True)
def _set_pitches(pitches, across, pairs, pitch, pitch_along):
    """From one row's neighbours to the next row's: those across, then those along the rows."""
    for k in range(2 * pairs):
        pitches[k] = pitch if k < 2 * across else pitch_along


@njit(nogil=True, cache=True)
def decode_class(
    codes, first, grid, geo, plan, shares, cell, largest, whole, work, begin, end, taps, pitches,
    weights,
):  # fmt: skip
    """Decoded values of a class from its codes (int32), from the first on.

    Only those from ``begin[0]`` to before ``end[0]`` along the first axis, and so along the
    second; ``taps``, ``pitches`` and ``weights`` are room for ``2 * MOST_PAIRS`` numbers each.
    """
    t, d, w = taps.ctypes.data, pitches.ctypes.data, weights.ctypes.data
    size = work.itemsize
    width = codes.itemsize
    base = work.ctypes.data
    m = geo[SIZE + LAST]
    evens = (grid[LAST] + 1) >> 1
    spline = plan[SPLINE + LAST]
    share = shares[LAST]
    rule, low, high = _middle(grid, geo, plan)
    for i0 in range(begin[0], end[0]):
        for i1 in range(begin[1], end[1]):
            done = (i0 * geo[SIZE + 1] + i1) * geo[SIZE + 2] * m
            to = base + size * (geo[OWN] + done)
            code = codes.ctypes.data + width * (first + done)
            i2 = 0
            while i2 < geo[SIZE + 2]:
                rows = _rows_alike(grid, geo, plan, shares, i2)
                across = _put_across(
                    base, size, grid, geo, plan, shares, i0, i1, i2, taps, weights
                )  # fmt: skip
                if share == 0.0:  # one row after the other is one long row
                    decode_rows(
                        work, code, to, 1, rows * m, 0, rows * m, t, d, w, across, cell, largest,
                        whole,
                    )  # fmt: skip
                else:
                    place = geo[ALONG] + i0 * geo[ALONG + 1] + i1 * geo[ALONG + 2]
                    pitch = size * geo[ALONG + 3]
                    source = base + size * (place + 1) + pitch * i2
                    for k in range(m - (high - low) + 1):  # the middle of all rows, then the ends
                        i = k - 1 if k <= low else k - 1 + high - low
                        r = rule_of(spline, i, evens) if k else rule
                        at = source - size * LEFT[r]
                        pairs = _put(r, share, at, size, taps, weights, across)
                        _set_pitches(pitches, across, pairs, size * m, pitch)
                        start, stop = (i, i + 1) if k else (low, high)
                        decode_rows(
                            work, code, to, rows, m, start, stop, t, d, w, pairs, cell, largest,
                            whole,
                        )  # fmt: skip
                to += size * rows * m
                code += width * rows * m
                i2 += rows


@njit(nogil=True, cache=True)
def encode_class(
    x, grid, geo, plan, shares, cell, bound, largest, whole, work, codes, first, flags, acc, values
):  # fmt: skip
    """Codes of a class of grid ``x``, from the first on, and its decoded values.

    Values that miss the bound are flagged; how many they are is returned.
    """
    taps = np.empty(2 * MOST_PAIRS, np.int64)
    pitches = np.empty(2 * MOST_PAIRS, np.int64)
    weights = np.empty(2 * MOST_PAIRS)
    marks = np.zeros(geo[SIZE + 2], np.uint8)
    t, d, w = taps.ctypes.data, pitches.ctypes.data, weights.ctypes.data
    marked = marks.ctypes.data
    size = work.itemsize
    width = codes.itemsize
    base = work.ctypes.data
    inv = 1.0 / cell
    m = geo[SIZE + LAST]
    step = geo[STEP + LAST]
    x_pitch = size * geo[STEP + 2]
    done = 0
    evens = (grid[LAST] + 1) >> 1
    spline = plan[SPLINE + LAST]
    share = shares[LAST]
    rule, low, high = _middle(grid, geo, plan)
    if share == 0.0:
        low, high = 0, m
    missed = 0
    for i0 in range(geo[SIZE]):
        for i1 in range(geo[SIZE + 1]):
            i2 = 0
            while i2 < geo[SIZE + 2]:
                rows = _rows_alike(grid, geo, plan, shares, i2)
                across = _put_across(
                    base, size, grid, geo, plan, shares, i0, i1, i2, taps, weights
                )  # fmt: skip
                place = geo[START] + i0 * geo[STEP] + i1 * geo[STEP + 1] + i2 * geo[STEP + 2]
                given = x.ctypes.data + size * place
                to = base + size * (geo[OWN] + done)
                code = codes.ctypes.data + width * (first + done)
                place = geo[ALONG] + i0 * geo[ALONG + 1] + i1 * geo[ALONG + 2]
                pitch = size * geo[ALONG + 3]
                source = base + size * (place + 1) + pitch * i2
                for k in range(m - (high - low) + 1):
                    i = k - 1 if k <= low else k - 1 + high - low
                    r = rule_of(spline, i, evens) if k else rule
                    pairs = across
                    if share != 0.0:
                        at = source - size * LEFT[r]
                        pairs = _put(r, share, at, size, taps, weights, across)
                    _set_pitches(pitches, across, pairs, size * m, pitch)
                    start, stop = (i, i + 1) if k else (low, high)
                    encode_rows(
                        work, given, x_pitch, step, code, to, rows, m, start, stop, marked, t, d, w,
                        pairs, cell, inv, bound, largest, whole,
                    )  # fmt: skip
                for row in range(rows):
                    if marks[row]:
                        marks[row] = 0
                        missed += _flag_row(
                            x, grid, geo, plan, shares, bound, largest, whole, work, codes, flags,
                            acc, values, i0, i1, i2 + row, geo[OWN] + done, first + done,
                        )  # fmt: skip
                    done += m
                i2 += rows
    return missed


@njit(nogil=True, cache=True)
def _flag_row(
    x, grid, geo, plan, shares, bound, largest, whole, work, codes, flags, acc, values, i0, i1, i2,
    at, code,
):  # fmt: skip
    """Turn those of a row that miss the bound into outliers; how many."""
    m = geo[SIZE + LAST]
    step = geo[STEP + LAST]
    start = geo[START] + i0 * geo[STEP] + i1 * geo[STEP + 1] + i2 * geo[STEP + 2]
    fine = geo[FINE_START] + i0 * geo[FINE] + i1 * geo[FINE + 1] + i2 * geo[FINE + 2]
    count = 0
    for first in range(0, m, PART):
        n = min(PART, m - first)
        a, v = acc[:n], values[:n]
        c, y = codes[code + first : code + first + n], work[at + first : at + first + n]
        predict(work, grid, geo, plan, shares, i0, i1, i2, 1, first, a)
        gather(x, start + first * step, 0, step, 1, v)
        place = fine + first * geo[FINE + LAST]
        count += flag(
            v, a, bound, largest, whole, c, y, flags, place, 0, geo[FINE + LAST], 1
        )  # fmt: skip
    return count
