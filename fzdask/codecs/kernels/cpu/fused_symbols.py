"""``quantize | lorenzo`` on to an entropy coder's symbols and their counts, and back.

Tiles stay near; lattices are of 32 bits. What each stage does is said by its own
kernel; this one gives the same, and is made of steps on vectors.
"""

import numpy as np

from fzdask.codecs.kernels.cpu import lattice_vectors, row_steps, tile_differences
from fzdask.codecs.kernels.cpu.lanes import trailing_zeros
from fzdask.codecs.kernels.cpu.outliers import OVER, finish
from fzdask.codecs.kernels.cpu.residual_tiles import new_flags, residual_of
from fzdask.codecs.kernels.cpu.symbol_steps import (
    HALF,
    MANY_SHIFT,
    NOT_SMALL,
    SOME_WIDE,
    UNIT,
    popcount,
    unzigzag_step,
    unzigzag_sums,
    zigzag_fours_step,
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
_TILES = 63 * 8192 // TILE  # the counts of a pair in one table then fit 16 bits
_MANY = TILE // 16  # pairs of a tile that are not small: the next is counted value by value
_MANY_FOURS = TILE // 128  # fours of a tile that are not small: it is counted by pairs
_AGAIN = 64  # tiles until fours are tried again
SINGLY, BY_PAIRS, BY_FOURS = 0, 1, 2  # how the values of a tile are counted


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
    fours = np.zeros((TABLES, PAIRS + 1), np.uint16)
    places = np.empty(TILE // 2 + HALF, np.uint16)
    found = np.empty(TILE // UNIT, np.int64)
    seen = np.zeros(BY_FOURS + 1, np.int64)
    used = 0
    way = BY_FOURS
    for tile in range((n + TILE - 1) // TILE):
        pos = tile * TILE
        m = min(TILE, n - pos)
        which = residual_of(
            source, pos, m, part, bits, minus_zero, forced, inv, cell, bound, limit, below, high,
            low, near, strides, spans, tiles, rings, lasts, leads, plan, walk, exact, lost, state,
            runs, values,
        )  # fmt: skip
        if state[OVER]:
            return -1
        used, way = _symbols(
            tiles[which, HALO:], m, z, pos, wide, used, way, seen, places, found, pairs, fours,
            tables,
        )  # fmt: skip
        if tile % _AGAIN == _AGAIN - 1 and way == BY_PAIRS:
            way = BY_FOURS
        if tile % _TILES == _TILES - 1:
            _add_joint(seen, pairs, fours, tables)
    _add_joint(seen, pairs, fours, tables)
    finish(state, runs)
    return used


@njit(nogil=True, cache=True)
def _symbols(residual, m, z, pos, wide, used, way, seen, places, found, pairs, fours, tables):
    """Symbols of a tile, counted in one of the ways; which is the best for the next one, too."""
    a = residual.ctypes.data
    target = z.ctypes.data + 2 * pos
    where = places.ctypes.data
    units = (m + UNIT - 1) // UNIT
    first = used
    large = 0
    some_wide = np.int64(0)
    # Apart from counting: a load soon after a wider store waits for it.
    some = np.int64(0)
    if way == BY_FOURS:
        for g in range(units):
            what = zigzag_fours_step(a + 4 * UNIT * g, target + 2 * UNIT * g, where + 2 * some)
            found[g] = what & NOT_SMALL
            large += popcount(what & NOT_SMALL)
            some_wide |= what & SOME_WIDE
            some += what >> MANY_SHIFT
        if large > _MANY_FOURS:
            way = BY_PAIRS
    following = way
    if way != BY_FOURS:
        large = 0
        some = np.int64(0)
        for g in range(units):
            what = zigzag_step(a + 4 * UNIT * g, target + 2 * UNIT * g, where + 2 * some)
            found[g] = what & NOT_SMALL
            large += popcount(what & NOT_SMALL)
            some_wide |= what & SOME_WIDE
            some += what >> MANY_SHIFT
        following = SINGLY if large > _MANY else BY_PAIRS
    if some_wide:
        for j in range(m):
            if z[pos + j] == WIDE:
                wide[used] = zigzag(residual[j])
                used += 1
    seen[way] += 1
    if way == SINGLY:
        count_symbols(z[pos : pos + m], wide, first, tables)
        return used, following
    rest = tables[0]
    many = 4 if way == BY_FOURS else 2
    joint = fours if way == BY_FOURS else pairs
    _count(z, pos, found[:units], many, places, some, joint, rest)
    for j in range(first, used):
        rest[symbol_of(wide[j])] += 1
    zeros = UNIT * units - many * (some + large)
    rest[0] += zeros - (-m % UNIT)  # what pads the last unit is not counted
    return used, following


@njit(nogil=True, cache=True)
def _count(z, pos, found, many, places, some, joint, rest):
    """Count the values of a tile, ``many`` at a time, but for those that are all 0."""
    p0, p1, p2, p3 = joint[0], joint[1], joint[2], joint[3]
    one = np.uint16(1)
    for k in range(some, some + TABLES):
        places[k] = PAIRS  # of which nothing is made
    for k in range(0, some, TABLES):
        p0[places[k]] += one
        p1[places[k + 1]] += one
        p2[places[k + 2]] += one
        p3[places[k + 3]] += one
    for g in range(found.size):
        others = found[g]
        while others:
            j = pos + UNIT * g + many * trailing_zeros(np.uint64(others))
            others &= others - 1
            for i in range(j, j + many):
                u = z[i]
                if u != WIDE:
                    rest[symbol_of(np.uint64(u))] += 1


@njit(nogil=True, cache=True)
def _add_joint(seen, pairs, fours, tables):
    """Turn counts of several values into those of one, and begin anew."""
    if seen[BY_PAIRS]:
        _add(pairs, tables[0], 1)
    if seen[BY_FOURS]:
        _add(fours, tables[0], 2)
    seen[:] = 0


@njit(nogil=True, cache=True)
def _add(joint, counts, many):
    """Turn these into counts of values, of which ``many`` are in either half of an index."""
    half = 1 << SMALL_BITS
    found = np.zeros(half, np.uint32)  # of one half or the other; some tiles do not fill it
    for b in range(half):
        first = b << SMALL_BITS
        p0, p1 = joint[0, first : first + half], joint[1, first : first + half]
        p2, p3 = joint[2, first : first + half], joint[3, first : first + half]
        row = np.uint32(0)
        for a in range(half):
            c = np.uint32(p0[a]) + np.uint32(p1[a]) + np.uint32(p2[a]) + np.uint32(p3[a])
            found[a] += c
            row += c
        found[b] += row
    width = SMALL_BITS // many
    for i in range(half):
        for k in range(0, SMALL_BITS, width):
            counts[(i >> k) & ((1 << width) - 1)] += found[i]
    joint[:] = 0


@njit(nogil=True, cache=True)
def decode(
    z, wide, places, cell, strides, spans, tiles, rings, lasts, leads, plan, walk, out
):  # fmt: skip
    """Undo :func:`encode`, outliers apart.

    ``z`` has ``ROOM`` more entries than there are values; ``wide`` are those of its entries that
    do not fit it, by ``places``, which ascend.
    """
    n = out.size
    rest = np.empty(TILE + LANES, out.dtype)
    size = out.itemsize
    used = 0
    summed = tile_differences.sums_first(plan)
    for pos in range(0, n, TILE):
        m = min(TILE, n - pos)
        a = z.ctypes.data + 2 * pos
        target = tiles.ctypes.data + 4 * HALO
        units = (m + UNIT - 1) // UNIT
        some_wide = used < wide.size and places[used] < pos + m
        if summed and not some_wide:
            tile_differences.begin_sums(tiles, lasts, pos)
            unzigzag_sums(a, target, units)
        else:
            for g in range(units):
                unzigzag_step(a + 2 * UNIT * g, target + 4 * UNIT * g)
        while used < wide.size and places[used] < pos + m:
            tiles[0, HALO + places[used] - pos] = unzigzag(wide[used])
            used += 1
        if summed and some_wide:
            tile_differences.begin_sums(tiles, lasts, pos)
            row_steps.sum_flat(target, units)
        last = n - pos < TILE + LANES
        y = np.int64(rest.ctypes.data) if last else np.int64(out.ctypes.data + size * pos)
        tile_differences.inverse(
            tiles,
            rings,
            lasts,
            leads,
            plan,
            walk,
            strides,
            spans,
            pos,
            m,
            y,
            size == 8,
            cell,
            summed,
            n,
        )
        if last:
            for i in range(m):
                out[pos + i] = rest[i]
