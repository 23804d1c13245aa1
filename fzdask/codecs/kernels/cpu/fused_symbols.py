"""``quantize | lorenzo`` on to an entropy coder's symbols and their counts, and back.

Tiles stay near; lattices are of 32 bits. What each stage does is said by its own
kernel; this one gives the same, and is made of steps on vectors.
"""

import numpy as np

from fzdask.codecs.kernels.cpu import lattice_vectors, tile_differences
from fzdask.codecs.kernels.cpu.lanes import trailing_zeros
from fzdask.codecs.kernels.cpu.outliers import OVER, finish
from fzdask.codecs.kernels.cpu.residual_tiles import new_flags, residual_of
from fzdask.codecs.kernels.cpu.symbol_steps import (
    HALF,
    NOT_SMALL,
    SOME_WIDE,
    UNIT,
    popcount,
    unzigzag_step,
    zigzag_step,
)
from fzdask.codecs.kernels.cpu.symbols import (
    PAIRS,
    SMALL_BITS,
    WIDE,
    count_symbols,
    symbol_of,
    unzigzag,
    zigzag,
)
from fzdask.codecs.kernels.cpu.tile_differences import HALO, TILE
from fzdask.jit import njit

ROOM = UNIT  # values past the end of the symbols that a vector may touch
LANES = lattice_vectors.LANES
TABLES = 4  # of pairs, taken in turn: equal neighbours then do not wait for each other
_TILES = (1 << 18) // TILE  # the counts of a pair in one table then fit 16 bits
_MANY = TILE // 16  # pairs of a tile that are not small: the next is counted value by value


@njit(nogil=True, cache=True)
def encode(
    source, n, part, bits, minus_zero, forced, inv, cell, bound, limit, below, high, low, near,
    strides, spans, tiles, rings, lasts, leads, plan, walk, z, wide, tables, state, runs, values,
):  # fmt: skip
    """Symbols of flat floats; returns how many entries of ``wide`` are used.

    That is -1 where a finite value that is not forced is beyond the limit; the rest is then not
    looked at.

    ``z`` has ``ROOM`` more entries than there are values; ``tables`` are four rows of counts.
    Others are as of :func:`~fzdask.codecs.kernels.cpu.residual_tiles.residual_of`.
    """
    exact, lost = new_flags()
    pairs = np.zeros((TABLES, PAIRS + 1), np.uint16)
    places = np.empty(TILE // 2, np.uint16)
    found = np.empty(TILE // UNIT, np.int64)
    used = 0
    large = 0
    since = 0
    for pos in range(0, n, TILE):
        m = min(TILE, n - pos)
        which = residual_of(
            source, pos, m, part, bits, minus_zero, forced, inv, cell, bound, limit, below, high,
            low, near, strides, spans, tiles, rings, lasts, leads, plan, walk, exact, lost, state,
            runs, values,
        )  # fmt: skip
        if state[OVER]:
            return -1
        singly = large > _MANY
        used, large = _symbols(
            tiles[which, HALO:], m, z, pos, wide, used, singly, places, found, pairs, tables
        )  # fmt: skip
        since += 1
        if since == _TILES:
            _add_pairs(pairs, tables)
            since = 0
    _add_pairs(pairs, tables)
    finish(state, runs)
    return used


@njit(nogil=True, cache=True)
def _symbols(residual, m, z, pos, wide, used, singly, places, found, pairs, tables):
    """Symbols of a tile, counted by pairs or ``singly``; how many pairs are not small, too."""
    a = residual.ctypes.data
    target = z.ctypes.data + 2 * pos
    where = places.ctypes.data
    units = (m + UNIT - 1) // UNIT
    first = used
    large = 0
    some_wide = np.int64(0)
    for g in range(units):  # apart from counting: a load soon after a wider store waits for it
        what = zigzag_step(a + 4 * UNIT * g, target + 2 * UNIT * g, where + UNIT * g)
        found[g] = what
        large += popcount(what & NOT_SMALL)
        some_wide |= what
    if some_wide & SOME_WIDE:
        for j in range(m):
            if z[pos + j] == WIDE:
                wide[used] = zigzag(residual[j])
                used += 1
    if singly:
        count_symbols(z[pos : pos + m], wide, first, tables)
        return used, large
    p0, p1, p2, p3 = pairs[0], pairs[1], pairs[2], pairs[3]
    one = np.uint16(1)
    rest = tables[0]
    zeros = 0
    for g in range(units):
        if found[g] == 0:
            zeros += UNIT
            continue
        here = places[HALF * g : HALF * g + HALF]
        for k in range(0, HALF, TABLES):
            p0[here[k]] += one
            p1[here[k + 1]] += one
            p2[here[k + 2]] += one
            p3[here[k + 3]] += one
        others = found[g] & NOT_SMALL
        while others:
            j = UNIT * g + 2 * trailing_zeros(np.uint64(others))
            others &= others - 1
            for u in (z[pos + j], z[pos + j + 1]):
                if u != WIDE:
                    rest[symbol_of(np.uint64(u))] += 1
    for j in range(first, used):
        rest[symbol_of(wide[j])] += 1
    rest[0] += zeros - (-m % UNIT)  # what pads the last unit is not counted
    return used, large


@njit(nogil=True, cache=True)
def _add_pairs(pairs, tables):
    """Turn counts of pairs into those of values, and begin anew."""
    counts = tables[0]
    p0, p1, p2, p3 = pairs[0], pairs[1], pairs[2], pairs[3]
    for b in range(1 << SMALL_BITS):
        row = np.int64(0)
        for a in range(1 << SMALL_BITS):
            i = (b << SMALL_BITS) | a
            c = np.int64(p0[i]) + np.int64(p1[i]) + np.int64(p2[i]) + np.int64(p3[i])
            counts[a] += c
            row += c
        counts[b] += row
    pairs[:] = 0


@njit(nogil=True, cache=True)
def decode(
    z, wide, places, cell, strides, spans, tiles, rings, lasts, leads, plan, walk, out
):  # fmt: skip
    """Undo :func:`encode`, outliers apart.

    ``z`` has ``ROOM`` more entries than there are values; ``wide`` are those of its entries that
    do not fit it, by ``places``, which ascend.
    """
    n = out.size
    rest = np.zeros(TILE + LANES, out.dtype)
    size = out.itemsize
    used = 0
    for pos in range(0, n, TILE):
        m = min(TILE, n - pos)
        a = z.ctypes.data + 2 * pos
        target = tiles.ctypes.data + 4 * HALO
        for i in range(0, m, UNIT):
            unzigzag_step(a + 2 * i, target + 4 * i)
        while used < wide.size and places[used] < pos + m:
            tiles[0, HALO + places[used] - pos] = unzigzag(wide[used])
            used += 1
        last = n - pos < TILE + LANES
        y = rest.ctypes.data if last else out.ctypes.data + size * pos
        tile_differences.inverse(
            tiles, rings, lasts, leads, plan, walk, strides, spans, pos, m, y, size == 8, cell
        )
        if last:
            for i in range(m):
                out[pos + i] = rest[i]
