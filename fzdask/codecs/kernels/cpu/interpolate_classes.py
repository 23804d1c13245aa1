"""One level of an interpolation that quantizes as it predicts.

A level halves a grid along some axes, which splits it by the parity of the indices into classes.
Class 0 (all even) is the next coarser grid. The others are predicted from it and from each other
in order of their number of odd axes: along each odd axis from the class that is even there, by a
spline, and over the odd axes by a weighted mean (Zhao et al. 2021, SZ3; Liu et al. 2024, HPEZ).
Classes are stored one after the other, so that every loop runs over contiguous rows.

All arithmetic is IEEE binary64 on decoded values, in a fixed order and never contracted: encoder
and decoder compute the same bits. A grid has four axes (some of length 1); class ``p`` is a bit
mask of its odd axes.
"""

import numpy as np

from fzdask.codecs.kernels.cpu.interpolate_splines import add_axis
from fzdask.jit import njit

AXES = 4
CLASSES = 1 << AXES
# By number of odd axes, then by value: a class is predicted from classes before it.
CLASS_ORDER = np.array([1, 2, 4, 8, 3, 5, 6, 9, 10, 12, 7, 11, 13, 14, 15], np.int64)
LIMIT = 2.0**30  # codes fit 32 bits and stay there when zigzagged

# Fields of a level's plan: halved axes, width of its cells in 1/16 of the full ones, spline of
# each axis, weight of each axis, way of weighting for each class.
ACTIVE, CELL, SPLINE, WEIGHT = 0, 1, 2, 6
WAY = 10
PLAN = WAY + CLASSES
# Ways to weight the odd axes of a class; ALONE + d: axis d alone.
BY_WEIGHT, BY_SQUARE, ALONE = range(3)

# Fields of a class's geometry: sizes; step and start in its level's grid; step and start in the
# array; own offset; offset and strides of the class that each odd axis is predicted from.
SIZE, STEP, START, FINE, FINE_START, OWN, SOURCE = 0, 4, 8, 9, 13, 14, 15
GEOMETRY = SOURCE + 4 * AXES
# Classes of a power of two values each would all lie alike in a cache, which keeps but few such.
APART = 80  # values between a class and the next
ROOM = APART * CLASSES
PART = 1024  # values of a row that are worked on at a time: they stay in the L1 cache


@njit(nogil=True, cache=True)
def class_length(n, active, p, axis):
    """Length of a class along an axis of length ``n``."""
    if not active >> axis & 1:
        return n
    return n >> 1 if p >> axis & 1 else (n + 1) >> 1


@njit(nogil=True, cache=True)
def class_offsets(grid, active, offsets):
    """Where each class of a level begins; class 0, the coarser grid, is first."""
    at = np.int64(1)
    for axis in range(AXES):
        at *= class_length(grid[axis], active, 0, axis)
    offsets[0] = 0
    for k in range(CLASSES - 1):
        p = CLASS_ORDER[k]
        if p & ~active == 0:
            offsets[p] = at
            size = np.int64(1)
            for axis in range(AXES):
                size *= class_length(grid[axis], active, p, axis)
            at += size


@njit(nogil=True, cache=True)
def spread(offsets, active):
    """Move the classes of a level apart, from where their codes begin."""
    for k in range(CLASSES - 1):
        if CLASS_ORDER[k] & ~active == 0:
            offsets[CLASS_ORDER[k]] += (k + 1) * APART


@njit(nogil=True, cache=True)
def set_geometry(grid, fine, active, p, offsets, geo):
    """Geometry of class ``p`` of a grid whose axes have strides ``fine`` in the whole array."""
    stride = np.int64(1)
    geo[START] = 0
    geo[FINE_START] = 0
    for axis in range(AXES - 1, -1, -1):
        geo[SIZE + axis] = class_length(grid[axis], active, p, axis)
        double = active >> axis & 1
        geo[STEP + axis] = stride << double
        geo[FINE + axis] = fine[axis] << double
        if p >> axis & 1:
            geo[START] += stride
            geo[FINE_START] += fine[axis]
        stride *= grid[axis]
    geo[OWN] = offsets[p]
    for d in range(AXES):
        if p >> d & 1:
            s = p ^ (1 << d)
            at = SOURCE + 4 * d
            geo[at] = offsets[s]
            stride = np.int64(1)
            for axis in range(AXES - 1, 0, -1):
                stride *= class_length(grid[axis], active, s, axis)
                geo[at + axis] = stride


@njit(nogil=True, cache=True)
def set_weights(plan, p, way, weights):
    """Share of each odd axis of class ``p`` in its prediction; 0: not used."""
    total = 0.0
    for d in range(AXES):
        w = 0.0
        if p >> d & 1:
            if way >= ALONE:
                w = 1.0 if way == ALONE + d else 0.0
            else:
                w = np.float64(plan[WEIGHT + d])
                if way == BY_SQUARE:
                    w *= w
        weights[d] = w
        total += w
    for d in range(AXES):
        if total > 0.0:
            weights[d] /= total
        elif p >> d & 1:  # nothing to go by: any odd axis will do
            weights[d] = 1.0
            total = 1.0


@njit(nogil=True, cache=True)
def predict(work, grid, geo, plan, weights, i0, i1, i2, rows, first, acc):
    """Prediction of consecutive rows of a class, or (``rows`` 1) of a part of one."""
    acc[:] = 0.0
    for d in range(AXES):
        if weights[d] == 0.0:
            continue
        at = SOURCE + 4 * d
        t0, t1, t2 = geo[at + 1], geo[at + 2], geo[at + 3]
        base = geo[at] + i0 * t0 + i1 * t1 + i2 * t2
        along = d == AXES - 1
        j, stride, count = i2, t2, rows
        if d == 0:
            j, stride, count = i0, t0, np.int64(1)
        elif d == 1:
            j, stride, count = i1, t1, np.int64(1)
        if not along:
            base += first - j * stride
        evens = (grid[d] + 1) >> 1
        spline = plan[SPLINE + d]
        add_axis(work, base, stride, along, spline, evens, j, count, first, weights[d], acc)


@njit(nogil=True, cache=True)
def gather(x, start, row_step, step, rows, out):
    """Rows of every ``step``-th value (1 or 2) of the grid."""
    n = out.size // rows
    for row in range(rows):
        to = out[row * n : row * n + n]
        at = start + row * row_step
        if step == 1:
            source = x[at : at + n]
            for i in range(n):
                to[i] = np.float64(source[i])
        else:
            source = x[at : at + 2 * n - 1]
            for i in range(n):
                to[i] = np.float64(source[2 * i])


@njit(nogil=True, cache=True)
def beyond(v, y, bound):
    """Whether two numbers are farther apart than the bound, or one of them is NaN; not rounded.

    Where their difference rounds to the bound, what rounding took away decides: it is itself a
    number of binary64 (Knuth 1997, The Art of Computer Programming, vol. 2, 4.2.2, theorem B).
    """
    difference = v - y
    distance = np.abs(difference)
    if distance != bound:
        return not distance < bound
    moved = difference - v
    rest = (v - (difference - moved)) - (y + moved)
    return rest > 0.0 if difference > 0.0 else difference < 0.0 and rest < 0.0


@njit(nogil=True, cache=True)
def quantize(x, acc, cell, inv, bound, largest, whole, codes, decoded):
    """Codes and decoded values for given predictions; returns how many values miss the bound.

    Where a prediction is out of the dtype's range, 0 takes its place: what follows stays finite.
    With ``whole`` (integers) predictions are rounded.
    """
    missed = 0
    for i in range(x.size):
        p = np.rint(acc[i]) if whole else acc[i]
        p = p if np.abs(p) <= largest else 0.0
        v = x[i]
        r = np.rint((v - p) * inv)
        r = r if np.abs(r) <= LIMIT else 0.0  # NaN is not, so the conversion is always defined
        y = decoded.dtype.type(p + r * cell)
        decoded[i] = y
        codes[i] = np.int32(r)
        missed += np.int64(beyond(v, np.float64(y), bound))
    return missed


@njit(nogil=True, cache=True)
def flag(x, acc, bound, largest, whole, codes, decoded, flags, start, row_step, step, rows):
    """Turn what misses the bound into outliers: code 0, the prediction as the value; how many."""
    n = x.size // rows
    count = 0
    for i in range(x.size):
        if beyond(np.float64(x[i]), np.float64(decoded[i]), bound):
            count += 1
            p = np.rint(acc[i]) if whole else acc[i]
            p = p if np.abs(p) <= largest else 0.0
            decoded[i] = decoded.dtype.type(p)
            codes[i] = 0
            flags[start + i // n * row_step + i % n * step] = 1
    return count


@njit(nogil=True, cache=True)
def dequantize(codes, acc, cell, largest, whole, decoded):
    """The decoded values of :func:`quantize`."""
    for i in range(codes.size):
        p = np.rint(acc[i]) if whole else acc[i]
        p = p if np.abs(p) <= largest else 0.0
        decoded[i] = decoded.dtype.type(p + np.float64(codes[i]) * cell)


@njit(nogil=True, cache=True)
def copy_class(x, geo, out):
    """The values of a class of grid ``x``, one after the other."""
    m = geo[SIZE + 3]
    step = geo[STEP + 3]
    at = 0
    for i0 in range(geo[SIZE]):
        for i1 in range(geo[SIZE + 1]):
            start = geo[START] + i0 * geo[STEP] + i1 * geo[STEP + 1]
            for _ in range(geo[SIZE + 2]):
                to = out[at : at + m]
                if step == 1:
                    source = x[start : start + m]
                    for i in range(m):
                        to[i] = source[i]
                else:
                    source = x[start : start + 2 * m - 1]
                    for i in range(m):
                        to[i] = source[2 * i]
                at += m
                start += geo[STEP + 2]


@njit(nogil=True, cache=True)
def merge(work, grid, active, offsets, out):
    """Put the classes of a level back together into its grid."""
    begin = np.zeros(2, np.int64)
    for p in range(CLASSES >> 1):
        if p & ~active == 0:
            merge_class(work, grid, active, p, offsets, begin, grid, out)


@njit(nogil=True, cache=True)
def merge_class(work, grid, active, p, offsets, begin, end, out):
    """Put a class and the one that is odd along the last axis too back into the grid.

    Only what is from ``begin[0]`` to before ``end[0]``, or its end, along the class's first axis,
    and so along its second.
    """
    last = active >> (AXES - 1) & 1
    n3 = grid[3]
    m = (n3 + 1) >> 1 if last else n3
    n = n3 >> 1
    strides = (grid[1] * grid[2] * n3, grid[2] * n3, n3)
    n0, n1 = class_length(grid[0], active, p, 0), class_length(grid[1], active, p, 1)
    rows = class_length(grid[2], active, p, 2)
    a0, a1, a2 = active & 1, active >> 1 & 1, active >> 2 & 1
    origin = (p & 1) * strides[0] + (p >> 1 & 1) * strides[1] + (p >> 2 & 1) * strides[2]
    for i0 in range(begin[0], min(end[0], n0)):
        for i1 in range(begin[1], min(end[1], n1)):
            start = origin + (i0 << a0) * strides[0] + (i1 << a1) * strides[1]
            done = (i0 * n1 + i1) * rows
            at = offsets[p] + done * m
            at_odd = offsets[p | 8] + done * n
            for _ in range(rows):
                to = out[start : start + n3]
                source = work[at : at + m]
                if last:
                    odd = work[at_odd : at_odd + n]
                    for i in range(n):
                        to[2 * i] = source[i]
                        to[2 * i + 1] = odd[i]
                    if m > n:
                        to[2 * n] = source[n]
                    at_odd += n
                else:
                    for i in range(m):
                        to[i] = source[i]
                at += m
                start += strides[2] << a2
