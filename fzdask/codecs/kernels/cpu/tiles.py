"""Independent tiles of a lattice: prediction of order 0, 1 or 2 in each, with or without its mean.

An array is four lengths, the first of which is never cut; a tile is ``edges`` long along the other
three, less at the ends. Inside a tile differences begin anew, so that any tile can be decoded
alone. Tiles are numbered in C order. All arithmetic wraps in the lattice's own integer width.
"""

import numpy as np

from fzdask.codecs.kernels.cpu.symbols import exponent, zigzag
from fzdask.jit import njit

MAX_TILE_LOG2 = 12  # elements of a tile; buffers for it stay in the L1 cache
MEAN = 4  # bit of a mode beside its order, 0 to 2
MODES = (0, 1, 2, MEAN, MEAN | 1, MEAN | 2)
# A mean is stored as it is, and compressed only by a back end: what it costs beside its bits.
_MEAN_BITS = 4


@njit(nogil=True, cache=True)
def _corner(tile, lengths, edges, begin, m):
    """First index and length of a tile along each axis; returns its number of elements."""
    rest = tile
    size = 1
    for k in range(3, -1, -1):
        edge = edges[k - 1] if k else 1
        along = (lengths[k] + edge - 1) // edge
        begin[k] = rest % along * edge
        m[k] = min(edge, lengths[k] - begin[k])
        rest //= along
        size *= m[k]
    return size


@njit(nogil=True, cache=True)
def _gather(x, lengths, begin, m, buf):
    at = 0
    for i in range(m[1]):
        for j in range(m[2]):
            row = ((begin[0] * lengths[1] + begin[1] + i) * lengths[2] + begin[2] + j) * lengths[3]
            row += begin[3]
            for k in range(m[3]):
                buf[at] = x[row + k]
                at += 1


@njit(nogil=True, cache=True)
def _scatter(buf, lengths, begin, m, x):
    at = 0
    for i in range(m[1]):
        for j in range(m[2]):
            row = ((begin[0] * lengths[1] + begin[1] + i) * lengths[2] + begin[2] + j) * lengths[3]
            row += begin[3]
            for k in range(m[3]):
                x[row + k] = buf[at]
                at += 1


@njit(nogil=True, cache=True)
def _mean(buf, size):
    """Mean rounded down, from differences to the first element, so that most sums do not wrap."""
    first = np.int64(buf[0])
    total = np.int64(0)
    for i in range(size):
        buf[buf.size - 1] = buf[i] - first  # wraps in the lattice's width
        total += np.int64(buf[buf.size - 1])
    return first + total // size


@njit(nogil=True, cache=True)
def _differences(buf, m, order):
    """In place, along every axis; the second time from the second difference on."""
    stride = 1
    size = m[1] * m[2] * m[3]
    for axis in range(3, 0, -1):
        span = stride * m[axis]
        for turn in range(order):
            for start in range(0, size, span):
                for row in range(start + span - stride, start + stride * turn, -stride):
                    a = buf[row : row + stride]
                    b = buf[row - stride : row]
                    for i in range(stride):
                        a[i] -= b[i]
        stride = span


@njit(nogil=True, cache=True)
def _sums(buf, m, order):
    """Undo :func:`_differences`."""
    stride = 1
    size = m[1] * m[2] * m[3]
    for axis in range(3, 0, -1):
        span = stride * m[axis]
        for turn in range(order - 1, -1, -1):
            for start in range(0, size, span):
                for row in range(start + stride * (turn + 1), start + span, stride):
                    a = buf[row : row + stride]
                    b = buf[row - stride : row]
                    for i in range(stride):
                        a[i] += b[i]
        stride = span


@njit(nogil=True, cache=True)
def _bits(value):
    """Length of a zigzagged number."""
    z = zigzag(value)
    return exponent(z) + 1 if z else 0


@njit(nogil=True, cache=True)
def _residual(source, m, size, mode, mean, work):
    """Residual of a tile by a mode."""
    for i in range(size):
        work[i] = source[i]
    if mode & 3:
        _differences(work, m, mode & 3)
    if mode & MEAN:  # differences do not see a mean, but for the one value that they leave
        for i in range(size if mode & 3 == 0 else 1):
            work[i] -= mean


@njit(nogil=True, cache=True)
def _best_mode(source, m, size, mean, before, work):
    """The first of the modes whose residual takes the fewest bits."""
    spare = work.size - 1
    work[spare] = mean - before
    with_mean = _bits(np.int64(work[spare])) + _MEAN_BITS
    costs = np.zeros(MEAN + 3, np.int64)
    for order in range(3):
        _residual(source, m, size, order, mean, work)
        for i in range(size):
            costs[order] += _bits(np.int64(work[i]))
        costs[MEAN + order] = with_mean + (costs[order] if order else 0)
        for i in range(1 if order else size):
            work[spare] = work[i] - mean
            costs[MEAN + order] += _bits(np.int64(work[spare]))
        if order:
            costs[MEAN + order] -= _bits(np.int64(work[0]))
    best = 0
    for mode in MODES:
        best = mode if costs[mode] < costs[best] else best
    return best


@njit(nogil=True, cache=True)
def forward(x, lengths, edges, only, out, modes, means):
    """Residuals of all tiles, each by the mode of the fewest bits, or all by ``only`` (not -1).

    Returns how many means there are; ``means`` holds each less the one before.
    """
    begin = np.zeros(4, np.int64)
    m = np.zeros(4, np.int64)
    room = (1 << MAX_TILE_LOG2) + 1  # and one element to wrap in
    source = np.empty(room, x.dtype)
    work = np.empty(room, x.dtype)
    before = np.int64(0)
    used = 0
    for tile in range(modes.size):
        size = _corner(tile, lengths, edges, begin, m)
        _gather(x, lengths, begin, m, source)
        mean = _mean(source, size)
        best = only if only >= 0 else _best_mode(source, m, size, mean, before, work)
        _residual(source, m, size, best, mean, work)
        if best & MEAN:
            means[used] = mean - before
            used += 1
            before = mean
        modes[tile] = best
        _scatter(work, lengths, begin, m, out)
    return used


@njit(nogil=True, cache=True)
def inverse(residual, lengths, edges, modes, means, out):
    """Lattice of the residuals of all tiles; False where modes and means do not fit."""
    begin = np.zeros(4, np.int64)
    m = np.zeros(4, np.int64)
    work = np.empty(1 << MAX_TILE_LOG2, out.dtype)
    before = np.int64(0)
    used = 0
    for tile in range(modes.size):
        mode = np.int64(modes[tile])
        if mode & 3 == 3 or mode > (MEAN | 3):
            return False
        size = _corner(tile, lengths, edges, begin, m)
        _gather(residual, lengths, begin, m, work)
        _sums(work, m, mode & 3)
        if mode & MEAN:
            if used >= means.size:
                return False
            before += np.int64(means[used])
            used += 1
            for i in range(size):
                work[i] += before
        _scatter(work, lengths, begin, m, out)
    return used == means.size
