"""``quantize | lorenzo | zigzag | fixed_length`` in one pass, in tiles that stay in the L1 cache.

What each stage does is said by its own kernel; this one gives their bytes, and is made of vector
steps. Axes of long strides keep the row before in a ring, those of short ones a few values in
front of the tile. Differences along several axes may be taken, and undone, in any order.
"""

import numpy as np
from numba import njit

from fzdask.codecs.kernels.cpu import lattice_vectors, vectors
from fzdask.codecs.kernels.cpu.bit_planes import UNIT
from fzdask.codecs.kernels.cpu.fixed_length import pack_units, unpack_units
from fzdask.codecs.kernels.cpu.outliers import collect, finish

TILE = 2048  # values: two tiles, the input and the output take 32 KiB
HALO = 64  # strides below this need no ring
ROOM = 64  # lanes past the end that a vector may touch
LANES = lattice_vectors.LANES
ALL = np.uint64(lattice_vectors.ALL)


def new_buffers(strides):
    """Two tiles, the rings of long strides and the last values of short ones."""
    rings = sum(int(s) + ROOM for s in strides if s >= HALO)
    return (
        aligned(2 * (HALO + TILE + ROOM)).reshape(2, HALO + TILE + ROOM),
        aligned(rings),
        np.zeros((max(len(strides), 1), HALO), np.int32),
    )


def aligned(size):
    """Zeros that begin at a cache line: a vector across two costs twice."""
    raw = np.zeros(4 * size + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + 4 * size].view(np.int32)


@njit(nogil=True, cache=True)
def _quantize(x, wide, m, q, inv, cell, bound, below, high, low, near, unsure):
    """Lattice of a tile at addresses; how many groups of 32 may hold outliers, and which."""
    count = 0
    for g in range((m + LANES - 1) // LANES):
        i = np.int64(g * LANES)
        got = np.uint64(0)
        if wide:
            got = lattice_vectors.quantize_f8(x + 8 * i, q + 4 * i, inv, cell, bound)
        else:
            if near:
                got = lattice_vectors.quantize_near(x + 4 * i, q + 4 * i, high, low)
            if got != ALL:
                got = lattice_vectors.quantize_f4(x + 4 * i, q + 4 * i, inv, cell, below)
        unsure[g] = np.uint8(got != ALL)
        count += np.int64(got != ALL)
    return count


@njit(nogil=True, cache=True)
def _take_outliers(
    x, bits, minus_zero, forced, inv, cell, bound, limit, unsure, q, exact, state, runs, values
):  # fmt: skip
    """Outliers of a tile, by the exact rule where a vector could not exclude them."""
    m = x.size
    groups = (m + LANES - 1) // LANES
    g = 0
    while g < groups:
        start = g * LANES
        likely = unsure[g] == 0 and forced.size == 0
        while g < groups and (unsure[g] == 0 and forced.size == 0) == likely:
            g += 1
        end = min(g * LANES, m)
        count = 0
        if not likely:
            count = lattice_vectors.flag_outliers(
                x[start:end], bits[start:end], minus_zero, forced[start:end], inv, cell, bound,
                limit, q[start:end], exact,
            )  # fmt: skip
        collect(count, exact, bits[start:end], q[start:end], state, runs, values)


@njit(nogil=True, cache=True)
def _subtract_rows(a, ring, s, span, pos, m):
    """Difference along an axis of long stride, in place, at addresses."""
    i = np.int64(0)
    p = pos % s
    r = pos % span
    while i < m:
        n = min(m - i, s - p)
        v = a + 4 * i
        h = ring + 4 * p
        j = np.int64(0)
        if r < s:
            while n - j >= 32:
                vectors.set_history(v + 4 * j, h + 4 * j)
                j += 32
            while j < n:
                vectors.set_history_part(v + 4 * j, h + 4 * j, n - j)
                j += 16
        else:
            while n - j >= 32:
                vectors.subtract_history(v + 4 * j, h + 4 * j)
                j += 32
            while j < n:
                vectors.subtract_history_part(v + 4 * j, h + 4 * j, n - j)
                j += 16
        i += n
        p = p + n if p + n < s else np.int64(0)
        r = r + n if r + n < span else np.int64(0)


@njit(nogil=True, cache=True)
def _add_rows(a, ring, s, span, pos, m):
    """Undo :func:`_subtract_rows`."""
    i = np.int64(0)
    p = pos % s
    r = pos % span
    while i < m:
        n = min(m - i, s - p)
        v = a + 4 * i
        h = ring + 4 * p
        j = np.int64(0)
        if r < s:
            while n - j >= 32:
                vectors.set_history(v + 4 * j, h + 4 * j)
                j += 32
            while j < n:
                vectors.set_history_part(v + 4 * j, h + 4 * j, n - j)
                j += 16
        else:
            while n - j >= 32:
                vectors.add_history(v + 4 * j, h + 4 * j)
                j += 32
            while j < n:
                vectors.add_history_part(v + 4 * j, h + 4 * j, n - j)
                j += 16
        i += n
        p = p + n if p + n < s else np.int64(0)
        r = r + n if r + n < span else np.int64(0)


@njit(nogil=True, cache=True)
def _subtract_near(source, target, last, s, span, pos, m):
    """Difference along an axis of short stride from one tile into the other."""
    for j in range(s):
        source[HALO - s + j] = last[j]
        last[j] = source[max(HALO + m - s + j, 0)]
    a = source.ctypes.data + 4 * HALO
    d = target.ctypes.data + 4 * HALO
    for i in range(0, m, 32):
        vectors.subtract_lag(a + 4 * i, a + 4 * (i - s), d + 4 * i)
    start = -(pos % span)
    while start < m:
        for i in range(max(start, 0), min(start + s, m)):
            target[HALO + i] = source[HALO + i]
        start += span


@njit(nogil=True, cache=True)
def _add_near(row, last, s, span, pos, m):
    """Undo :func:`_subtract_near`, in place."""
    r = pos % span
    i = np.int64(0)
    if s == 1:
        a = row.ctypes.data + 4 * HALO
        carry = last[0]
        while i < m:
            if r == 0:
                carry = np.int32(0)
            n = min(m - i, span - r)
            j = np.int64(0)
            while n - j >= 64:
                carry = vectors.running_sums(a + 4 * (i + j), carry)
                j += 64
            while j < n:
                carry = vectors.running_sums_part(a + 4 * (i + j), carry, n - j)
                j += 16
            i += n
            r = r + n if r + n < span else np.int64(0)
        last[0] = carry
        return
    for j in range(s):
        row[HALO - s + j] = last[j]
    while i < m:
        n = min(m - i, span - r)
        for j in range(i + max(min(s - r, n), 0), i + n):
            row[HALO + j] += row[HALO + j - s]
        i += n
        r = r + n if r + n < span else np.int64(0)
    for j in range(s):
        last[j] = row[max(HALO + m - s + j, 0)]


@njit(nogil=True, cache=True)
def _differences(tiles, rings, lasts, strides, spans, pos, m):
    """Difference the tile in the first row along every axis; which row the residual is in."""
    ring = rings.ctypes.data
    a = tiles.ctypes.data + 4 * HALO
    for k in range(strides.size):
        s = strides[k]
        if s >= HALO:
            _subtract_rows(a, ring, s, spans[k], pos, m)
            ring += 4 * (s + ROOM)
    which = 0
    for k in range(strides.size):
        s = strides[k]
        if s < HALO:
            _subtract_near(tiles[which], tiles[1 - which], lasts[k], s, spans[k], pos, m)
            which = 1 - which
    return which


@njit(nogil=True, cache=True)
def _sums(tiles, rings, lasts, strides, spans, pos, m):
    """Undo :func:`_differences` of the residual in the first row."""
    for k in range(strides.size):
        s = strides[k]
        if s < HALO:
            _add_near(tiles[0], lasts[k], s, spans[k], pos, m)
    ring = rings.ctypes.data
    a = tiles.ctypes.data + 4 * HALO
    for k in range(strides.size):
        s = strides[k]
        if s >= HALO:
            _add_rows(a, ring, s, spans[k], pos, m)
            ring += 4 * (s + ROOM)


@njit(nogil=True, cache=True)
def encode(
    source, n, part, bits, minus_zero, forced, inv, cell, bound, limit, below, high, low, near,
    strides, spans, tiles, rings, lasts, out, heads, present, state, runs, values,
):  # fmt: skip
    """Compress flat floats; returns bytes of planes and number of width entries.

    ``source`` is the address of n values (an array that may not be written to would be another
    type, compiled again); ``part`` has room for a tile of them, and ``bits`` is a view of it as
    integers. ``below``, ``high``, ``low`` and ``near`` belong to the cheap rules of
    :mod:`~fzdask.codecs.kernels.cpu.lattice_vectors`; ``state``, ``runs`` and ``values`` to the
    outliers.
    """
    exact = np.zeros(TILE, np.uint8)
    unsure = np.zeros(TILE // LANES, np.uint8)
    size = part.itemsize
    at = np.int64(0)
    used = np.int64(0)
    for pos in range(0, n, TILE):
        m = min(TILE, n - pos)
        x = np.int64(source + size * pos)
        if m < TILE:
            part[:] = 0
            vectors.copy_bytes(x, part.ctypes.data, size * m)
            x = np.int64(part.ctypes.data)
        count = _quantize(
            x, size == 8, m, tiles.ctypes.data + 4 * HALO, inv, cell, bound, below, high, low,
            near, unsure,
        )  # fmt: skip
        here = tiles[0, HALO : HALO + m]
        if count or forced.size:
            if m == TILE:
                vectors.copy_bytes(x, part.ctypes.data, size * m)
            _take_outliers(
                part[:m], bits[:m], minus_zero, forced[pos : pos + m], inv, cell, bound, limit,
                unsure, here, exact, state, runs, values,
            )  # fmt: skip
        else:
            collect(0, exact, bits, here, state, runs, values)
        row = tiles[_differences(tiles, rings, lasts, strides, spans, pos, m)]
        units = (m + UNIT - 1) // UNIT
        for i in range(m, units * UNIT):
            row[HALO + i] = 0
        at, used = pack_units(
            row.ctypes.data + 4 * HALO, units, False, out.ctypes.data, at, heads, used, present,
            pos // UNIT,
        )  # fmt: skip
    finish(state, runs)
    return at, used


@njit(nogil=True, cache=True)
def decode(planes, heads, present, cell, strides, spans, tiles, rings, lasts, out):
    """Undo :func:`encode`, outliers apart; sections were checked and have room behind them."""
    n = out.size
    rest = np.zeros(TILE, out.dtype)
    source = planes.ctypes.data
    at = np.int64(0)
    used = np.int64(0)
    a = tiles.ctypes.data + 4 * HALO
    for pos in range(0, n, TILE):
        m = min(TILE, n - pos)
        units = (m + UNIT - 1) // UNIT
        at, used = unpack_units(source, at, heads, used, present, pos // UNIT, units, False, a)
        _sums(tiles, rings, lasts, strides, spans, pos, m)
        target = out.ctypes.data + out.itemsize * pos
        if m < TILE:
            target = rest.ctypes.data
        if out.itemsize == 8:
            for i in range(0, m, LANES):
                lattice_vectors.dequantize_f8(a + 4 * i, target + 8 * i, cell)
        else:
            for i in range(0, m, LANES):
                lattice_vectors.dequantize_f4(a + 4 * i, target + 4 * i, cell)
        if m < TILE:
            for i in range(m):
                out[pos + i] = rest[i]
