"""Lifting of the biorthogonal 9/7 wavelet (Cohen, Daubechies and Feauveau), level upon level.

Four steps and a scaling (Daubechies and Sweldens 1998, "Factoring wavelet transforms into lifting
steps", section 7.4): ends are mirrored, the low half comes first. All is IEEE binary64 without
contraction, so that every machine gives the same coefficients and the same values.
"""

import numpy as np

from fzdask.codecs.kernels.cpu.outliers import _put_varint
from fzdask.jit import njit

AXES = 4
ALPHA, BETA = -1.586134342059924, -0.052980118572961
GAMMA, DELTA = 0.882911075530934, 0.443506852043971
# The low half gets the gain sqrt(2), which makes one step of quantization right for all levels.
LOW, HIGH = 1.149604398860241, 1.0 / 1.149604398860241
PANEL = 32  # columns that are lifted together: whole vectors, and a panel stays in the cache
MOST_UNITS = 3


@njit(nogil=True, cache=True)
def _predict(odd, even, rows, factor, width):
    """Add to each odd row the weighted sum of the even rows beside it."""
    inner = min(rows, (even.size - width) // width) * width
    for i in range(inner):
        odd[i] += factor * (even[i] + even[i + width])
    for i in range(inner, rows * width):
        odd[i] += factor * (even[i] + even[i])


@njit(nogil=True, cache=True)
def _update(even, odd, rows, factor, width):
    """Add to each even row the weighted sum of the odd rows beside it."""
    for i in range(width):
        even[i] += factor * (odd[i] + odd[i])
    inner = min(rows * width, odd.size)
    for i in range(width, inner):
        even[i] += factor * (odd[i - width] + odd[i])
    for i in range(inner, rows * width):
        even[i] += factor * (odd[i - width] + odd[i - width])


@njit(nogil=True, cache=True)
def _lift(work, start, stride, n, width, even, odd):
    """One level of ``n`` rows of a panel, in place: low rows first."""
    m = (n + 1) // 2
    low, high = even[: m * width], odd[: (n - m) * width]
    for k in range(n):
        rows = odd if k & 1 else even
        at = (k >> 1) * width
        for j in range(width):
            rows[at + j] = work[start + k * stride + j]
    _predict(high, low, n - m, ALPHA, width)
    _update(low, high, m, BETA, width)
    _predict(high, low, n - m, GAMMA, width)
    _update(low, high, m, DELTA, width)
    for k in range(n):
        rows = high if k >= m else low
        at = (k - m if k >= m else k) * width
        factor = HIGH if k >= m else LOW
        for j in range(width):
            work[start + k * stride + j] = rows[at + j] * factor


@njit(nogil=True, cache=True)
def _unlift(work, start, stride, n, width, even, odd):
    """Undo :func:`_lift`."""
    m = (n + 1) // 2
    low, high = even[: m * width], odd[: (n - m) * width]
    for k in range(n):
        rows = high if k >= m else low
        at = (k - m if k >= m else k) * width
        factor = LOW if k >= m else HIGH
        for j in range(width):
            rows[at + j] = work[start + k * stride + j] * factor
    _update(low, high, m, -DELTA, width)
    _predict(high, low, n - m, -GAMMA, width)
    _update(low, high, m, -BETA, width)
    _predict(high, low, n - m, -ALPHA, width)
    for k in range(n):
        rows = odd if k & 1 else even
        at = (k >> 1) * width
        for j in range(width):
            work[start + k * stride + j] = rows[at + j]


@njit(nogil=True, cache=True)
def _axis(work, grid, box, axis, forward, even, odd):
    """One level along one axis of a box at the origin of the grid."""
    sides = box.copy()
    sides[axis] = 1
    strides = np.ones(AXES, np.int64)
    for d in range(AXES - 2, -1, -1):
        strides[d] = strides[d + 1] * grid[d + 1]
    most = PANEL if axis < AXES - 1 else 1
    for i in range(sides[0]):
        for j in range(sides[1]):
            for k in range(sides[2]):
                row = i * strides[0] + j * strides[1] + k * strides[2]
                for column in range(0, sides[3], most):
                    width = min(most, sides[3] - column)
                    if forward:
                        _lift(work, row + column, strides[axis], box[axis], width, even, odd)
                    else:
                        _unlift(work, row + column, strides[axis], box[axis], width, even, odd)


@njit(nogil=True, cache=True)
def transform(work, grid, turns, forward):
    """Halve a flat array of four axes in place, turn after turn, or undo all of them.

    A turn is a box at the origin of the grid and the axis along which it is halved; the box must
    be two long there.
    """
    room = 1
    for t in range(turns.shape[0]):
        axis = turns[t, AXES]
        room = max(room, (turns[t, axis] + 1) // 2 * (PANEL if axis < AXES - 1 else 1))
    even, odd = np.empty(room), np.empty(room)
    for k in range(turns.shape[0]):
        turn = turns[k if forward else turns.shape[0] - 1 - k]
        _axis(work, grid, turn[:AXES], turn[AXES], forward, even, odd)


@njit(nogil=True, cache=True)
def put_corrections(places, units, out):
    """Write corrections of -3 to 3 units, places ascending; how many bytes they take."""
    at = 0
    last = np.int64(0)
    for k in range(places.size):
        code = (places[k] - last) << 1 | np.int64(units[k] < 0)
        for _ in range(abs(units[k])):
            at = _put_varint(out, at, code)
            code &= 1  # once more at the same place
        last = places[k]
    return at


@njit(nogil=True, cache=True)
def correct(corrections, unit, values):
    """Apply them; False where they do not fit the array."""
    at = 0
    place = np.int64(0)
    while at < corrections.size:
        code = np.int64(0)
        shift = 0
        while True:
            if at >= corrections.size or shift > 56:
                return False
            byte = np.int64(corrections[at])
            at += 1
            code |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                break
        if code >> 1 >= values.size - place:
            return False
        place += code >> 1
        values[place] += -unit if code & 1 else unit
    return True
