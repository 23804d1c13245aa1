"""What an interpolation decides for itself: axes, splines, weights and cells of each level.

All choices are made on samples, in integers or in IEEE additions of a fixed order, so that every
machine makes the same ones. They are written to the stream; decoding does not need this module.
"""

import numpy as np

from fzdask.codecs.kernels.cpu.interpolate_classes import (
    ACTIVE,
    ALONE,
    AXES,
    BY_SQUARE,
    BY_WEIGHT,
    CLASSES,
    GEOMETRY,
    SIZE,
    SPLINE,
    START,
    STEP,
    WAY,
    WEIGHT,
    class_length,
    class_offsets,
    copy_class,
    gather,
    predict,
    set_geometry,
    set_weights,
)
from fzdask.codecs.kernels.cpu.interpolate_splines import CUBIC, LINEAR, NATURAL, SEXTIC
from fzdask.codecs.kernels.cpu.sampling import log2_fixed
from fzdask.codecs.kernels.cpu.symbols import ALPHABET, extra_bits, symbol_of, zigzag
from fzdask.jit import njit

PIECE = 64  # longest part of a row that a sample takes
SAMPLE = 1024  # values per look at a spline or a way to weight
AXIS_SAMPLE = 2048  # values per look at an axis, at most
AXIS_RUN = 8  # of which so many lie side by side
MULTIPLIER, INCREMENT = np.uint64(6364136223846793005), np.uint64(1442695040888963407)
IN_TURN = np.array([CUBIC, LINEAR, NATURAL, SEXTIC], np.int64)  # the first of equals wins
FAR = 2.0**40  # errors of more cells than that all count alike


@njit(nogil=True, cache=True)
def code_bits(codes, length, counts):
    """Entropy of integers with their raw bits, in units of 2**-8 bit each.

    They come in pieces of this length; within a piece, whether the one before is 0 is known: that
    is what runs and the back end make use of. ``counts`` has two rows.
    """
    counts[:] = 0
    raw = np.int64(0)
    top = 0
    totals = np.zeros(2, np.int64)
    context = 0
    for i in range(codes.size):
        if i % length == 0 and i > 0:
            context = np.int64(totals[1] > totals[0])
        s = symbol_of(zigzag(codes[i]))
        counts[context, s] += 1
        totals[context] += 1
        top = max(top, s)
        raw += extra_bits(s)
        context = np.int64(s == 0)
    if codes.size == 0:
        return np.int64(0)
    bits = raw << 8
    for context in range(2):
        if totals[context]:
            whole = log2_fixed(totals[context])
            for s in range(top + 1):
                c = counts[context, s]
                if c > 0:
                    # 184 / 256 = 1 / (2 ln 2): so much too low is the entropy of a sample
                    bits += c * (whole - log2_fixed(c)) + 184
    return bits // codes.size


@njit(nogil=True, cache=True)
def _axis_codes(x, grid, axis, apart, cell, codes):
    """Errors, in cells, of interpolating between points ``2 * apart`` apart along an axis.

    They are looked at in runs of neighbours in memory.
    """
    stride = np.int64(1)
    for d in range(axis + 1, AXES):
        stride *= grid[d]
    n = grid[axis]
    per_line = (n - 1) // (2 * apart)  # odd multiples of `apart` with a neighbour on both sides
    points = x.size // n * per_line
    places = min(max(codes.size // AXIS_RUN, 1), points)
    near, far = apart * stride, 3 * apart * stride
    used = 0
    random = np.uint64(1)
    for k in range(places):
        low = k * points // places
        random = random * MULTIPLIER + INCREMENT
        room = np.uint64((k + 1) * points // places - low)
        at = low + np.int64((random >> np.uint64(33)) % room)
        line = at // per_line
        i = apart * (2 * (at % per_line) + 1)
        inner = line % stride
        place = (line - inner) * n + inner + i * stride
        run = min(per_line - at % per_line if axis == AXES - 1 else stride - inner, AXIS_RUN)
        for _ in range(run):
            p = 0.5 * (np.float64(x[place - near]) + np.float64(x[place + near]))
            if i >= 3 * apart and i + 3 * apart < n:
                p = 1.125 * p - 0.0625 * (np.float64(x[place - far]) + np.float64(x[place + far]))
            r = np.rint((np.float64(x[place]) - p) / cell)
            if np.abs(r) <= FAR:  # False for NaN
                codes[used] = np.int64(r)
                used += 1
            if axis == AXES - 1:
                i += 2 * apart
                place += 2 * apart
            else:
                place += 1
    return used


@njit(nogil=True, cache=True)
def choose_active(x, grid, cell, codes, counts):
    """Axes to halve: the one that interpolates best, and those that are no worse now than
    the others will be on a grid twice as wide (semi-coarsening)."""
    near = np.zeros(AXES, np.int64)
    wide = np.zeros(AXES, np.int64)
    best = -1
    for d in range(AXES):
        if grid[d] < 2:
            continue
        wide[d] = np.int64(1) << 60
        for apart in range(1, 3):
            if grid[d] > 2 * apart:
                used = _axis_codes(x, grid, d, apart, cell, codes)
                bits = code_bits(codes[:used], 1, counts)
                if apart == 1:
                    near[d] = bits
                else:
                    wide[d] = bits
        if best < 0 or near[d] < near[best]:
            best = d
    active = 0
    for d in range(AXES):
        if grid[d] < 2:
            continue
        others = np.int64(1) << 60
        for e in range(AXES):
            if e != d and grid[e] >= 2:
                others = min(others, wide[e])
        if d == best or near[d] <= others + 13:  # a twentieth of a bit
            active |= 1 << d
    return active


def axis_samples(size: int) -> int:
    """How many values a look at an axis takes of an array of this size, on all its levels."""
    return min(max(size // 512, 256), AXIS_SAMPLE)


@njit(nogil=True, cache=True)
def plan_grids(x, cell, samples, grids, plans, coarser, starts):
    """Choose the axes of every level and make the grids; returns the number of levels.

    A look at an axis takes so many ``samples``. ``coarser`` gets the values of all grids but the
    first, from ``starts[level]`` on.
    """
    codes = np.empty(samples, np.int64)
    counts = np.empty((2, ALPHABET), np.int64)
    offsets = np.zeros(CLASSES, np.int64)
    geo = np.empty(GEOMETRY, np.int64)
    level = 0
    used = np.int64(0)
    current = x
    while level < plans.shape[0]:
        grid = grids[level]
        active = choose_active(current, grid, cell, codes, counts)
        if active == 0:
            break
        plans[level, ACTIVE] = active
        class_offsets(grid, active, offsets)
        set_geometry(grid, grid, active, 0, offsets, geo)
        size = np.int64(1)
        for d in range(AXES):
            grids[level + 1, d] = class_length(grid[d], active, 0, d)
            size *= grids[level + 1, d]
        level += 1
        starts[level] = used
        copy_class(current, geo, coarser[used : used + size])
        current = coarser[used : used + size]
        used += size
    return level


@njit(nogil=True, cache=True)
def _sample_class(x, grid, geo, plan, weights, work, acc, values, errors):
    """Prediction errors of some parts of rows of a class; returns how many."""
    m = geo[SIZE + 3]
    rows = geo[SIZE] * geo[SIZE + 1] * geo[SIZE + 2]
    n = min(m, PIECE)
    pieces = max(m // n, 1)
    all_pieces = rows * pieces
    wanted = min(max(errors.size // n, 1), all_pieces)
    used = 0
    step = geo[STEP + 3]
    random = np.uint64(1)
    for k in range(wanted):
        low = k * all_pieces // wanted
        random = random * MULTIPLIER + INCREMENT
        room = np.uint64((k + 1) * all_pieces // wanted - low)
        at = low + np.int64((random >> np.uint64(33)) % room)
        row = at // pieces
        first = at % pieces * n
        i2 = row % geo[SIZE + 2]
        i1 = row // geo[SIZE + 2] % geo[SIZE + 1]
        i0 = row // (geo[SIZE + 2] * geo[SIZE + 1])
        predict(work, grid, geo, plan, weights, i0, i1, i2, 1, first, acc[:n])
        start = geo[START] + i0 * geo[STEP] + i1 * geo[STEP + 1] + i2 * geo[STEP + 2]
        gather(x, start + first * step, 0, step, 1, values[:n])
        for i in range(n):
            e = values[i] - acc[i]
            if np.abs(e) < np.inf and used < errors.size:
                errors[used] = e
                used += 1
    return used


@njit(nogil=True, cache=True)
def _mean_size(errors):
    total = 0.0
    for i in range(errors.size):
        total += np.abs(errors[i])
    return total / max(errors.size, 1)


@njit(nogil=True, cache=True)
def tune_axes(
    x, grid, plan, cell, offsets, work, geo, acc, values, errors, codes, counts, known, axis_bits
):  # fmt: skip
    """Choose the spline of each halved axis and the weights of the axes, unless they are known.

    With room for codes ``axis_bits`` gets the size of those of each axis, estimated from so many.
    """
    weights = np.empty(AXES)
    means = np.zeros(AXES)
    active = plan[ACTIVE]
    best = np.inf
    for d in range(AXES):
        if not active >> d & 1:
            continue
        set_geometry(grid, grid, active, 1 << d, offsets, geo)
        set_weights(plan, 1 << d, ALONE + d, weights)
        means[d] = np.inf
        chosen = plan[SPLINE + d] if known else IN_TURN[0]
        splines = IN_TURN.size if grid[d] > 6 else 1  # with few points they are all one
        if known:
            splines = 0
        for k in range(splines + 1):
            again = k == splines  # the chosen one, for its size
            if again and codes.size == 0:
                break
            plan[SPLINE + d] = chosen if again else IN_TURN[k]
            room = errors[: max(codes.size, 1)] if again else errors[:SAMPLE]
            used = _sample_class(x, grid, geo, plan, weights, work, acc, values, room)
            if again:
                many = 0
                for i in range(used):
                    r = np.rint(errors[i] / cell)
                    if np.abs(r) <= FAR:
                        codes[many] = np.int64(r)
                        many += 1
                axis_bits[d] = code_bits(codes[:many], PIECE, counts)
                continue
            mean = _mean_size(errors[:used])
            if mean < means[d]:
                means[d] = mean
                chosen = IN_TURN[k]
        plan[SPLINE + d] = chosen
        best = min(best, means[d])
    for d in range(AXES):
        if active >> d & 1 and not known:
            share = 1.0 if means[d] <= best else best / means[d]
            plan[WEIGHT + d] = max(np.int64(np.rint(15.0 * share * share)), 1)


@njit(nogil=True, cache=True)
def tune_way(x, grid, plan, p, work, geo, acc, values, errors):
    """Choose how the axes of a class with several odd ones are weighted."""
    weights = np.empty(AXES)
    alone = -1
    for d in range(AXES):
        if p >> d & 1 and (alone < 0 or plan[WEIGHT + d] > plan[WEIGHT + alone]):
            alone = d
    least = np.inf
    for k in range(3):
        way = BY_WEIGHT if k == 0 else BY_SQUARE if k == 1 else ALONE + alone
        set_weights(plan, p, way, weights)
        used = _sample_class(x, grid, geo, plan, weights, work, acc, values, errors)
        mean = _mean_size(errors[:used])
        if mean < least:
            least = mean
            plan[WAY + p] = way


@njit(nogil=True, cache=True)
def level_bits(grid, plan, axis_bits):
    """Estimated bits of a level, in units of 2**-8.

    A class of several odd axes is taken to cost what the best of them costs alone.
    """
    bits = np.int64(0)
    for p in range(1, CLASSES):
        if p & ~plan[ACTIVE]:
            continue
        least = np.int64(1) << 60
        size = np.int64(1)
        for d in range(AXES):
            size *= class_length(grid[d], plan[ACTIVE], p, d)
            if p >> d & 1:
                least = min(least, axis_bits[d])
        bits += size * least
    return bits


@njit(nogil=True, cache=True)
def estimate_differences(x, grid, axes, inv, limit, samples):
    """Bits of the lattice differenced along some axes, in units of 2**-8, from a sample."""
    codes = np.empty(samples, np.int64)
    counts = np.empty((2, ALPHABET), np.int64)
    strides = np.ones(AXES, np.int64)
    for d in range(AXES - 2, -1, -1):
        strides[d] = strides[d + 1] * grid[d + 1]
    row = grid[AXES - 1]
    in_row = (row + PIECE - 1) // PIECE
    n = row // in_row
    pieces = x.size // row * in_row
    wanted = min(samples // n, pieces)
    used = 0
    random = np.uint64(1)
    for k in range(wanted):
        low = k * pieces // wanted
        random = random * MULTIPLIER + INCREMENT
        room = np.uint64((k + 1) * pieces // wanted - low)
        piece = low + np.int64((random >> np.uint64(33)) % room)
        at = piece // in_row * row + piece % in_row * n
        outside = 0  # axes along which the piece lies at the edge
        for d in range(AXES - 1):
            if at // strides[d] % grid[d] == 0:
                outside |= 1 << d
        for i in range(at, at + n):
            edge = outside | (8 if i % row == 0 else 0)
            total = 0.0
            for p in range(CLASSES):
                if p & ~axes or p & edge:
                    continue
                place = i
                sign = 1.0
                for d in range(AXES):
                    if p >> d & 1:
                        place -= strides[d]
                        sign = -sign
                total += sign * np.rint(np.float64(x[place]) * inv)
            if np.abs(total) <= limit:  # False for NaN
                codes[used] = np.int64(total)
                used += 1
    return code_bits(codes[:used], n, counts) * x.size
