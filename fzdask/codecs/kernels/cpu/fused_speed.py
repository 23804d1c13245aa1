"""``quantize | lorenzo | zigzag | fixed_length`` in one pass, in tiles that stay in the L1 cache.

What each stage does is said by its own kernel; this one gives their bytes, and is made of steps
on vectors.
"""

import numpy as np

from fzdask.codecs.kernels.cpu import lattice_vectors, tile_differences
from fzdask.codecs.kernels.cpu.bit_planes import UNIT
from fzdask.codecs.kernels.cpu.fixed_length import (
    SLACK,
    pack_units,
    unpack_sums,
    unpack_units,
    with_slack,
)
from fzdask.codecs.kernels.cpu.outliers import OVER, finish
from fzdask.codecs.kernels.cpu.residual_tiles import new_flags, residual_of
from fzdask.codecs.kernels.cpu.tile_differences import HALO, TILE
from fzdask.jit import njit

LANES = lattice_vectors.LANES


@njit(nogil=True, cache=True)
def encode(
    source, n, part, bits, minus_zero, forced, inv, cell, bound, limit, below, high, low, near,
    strides, spans, tiles, rings, lasts, leads, plan, walk, out, heads, present, state, runs,
    values,
):  # fmt: skip
    """Compress flat floats; returns bytes of planes and number of width entries.

    The bytes are -1 where a finite value that is not forced is beyond the limit; the rest is then
    not looked at. Arguments are as of
    :func:`~fzdask.codecs.kernels.cpu.residual_tiles.residual_of`.
    """
    exact, lost = new_flags()
    at = np.int64(0)
    used = np.int64(0)
    for pos in range(0, n, TILE):
        m = min(TILE, n - pos)
        which = residual_of(
            source, pos, m, part, bits, minus_zero, forced, inv, cell, bound, limit, below, high,
            low, near, strides, spans, tiles, rings, lasts, leads, plan, walk, exact, lost, state,
            runs, values,
        )  # fmt: skip
        if state[OVER]:
            return np.int64(-1), used
        at, used = pack_units(
            tiles[which].ctypes.data + 4 * HALO, (m + UNIT - 1) // UNIT, False, out.ctypes.data,
            at, heads, used, present, pos // UNIT,
        )  # fmt: skip
    finish(state, runs)
    return at, used


@njit(nogil=True, cache=True)
def decode(
    address,
    nbytes,
    heads,
    present,
    cell,
    strides,
    spans,
    tiles,
    rings,
    lasts,
    leads,
    plan,
    walk,
    out,
):
    """Undo :func:`encode` of planes at an address, outliers apart; the bytes that they should be.

    The sections were checked, but not that the widths fit the planes: where the result is not
    ``nbytes`` they do not, and there is anything in ``out``.
    """
    n = out.size
    ends = np.zeros(2 * SLACK, np.uint8)
    planes = with_slack(address, nbytes, ends)
    rest = np.empty(TILE + LANES, out.dtype)
    at = np.int64(0)
    used = np.int64(0)
    summed = tile_differences.sums_first(plan)
    for pos in range(0, n, TILE):
        m = min(TILE, n - pos)
        units = (m + UNIT - 1) // UNIT
        a, room = tiles.ctypes.data + 4 * HALO, np.int64(out.ctypes.data + out.itemsize * pos)
        if summed:
            tile_differences.begin_sums(tiles, lasts, pos)
            at, used = unpack_sums(
                planes, at, heads, used, present, pos // UNIT, units, a, room, out.itemsize
            )
        else:
            at, used = unpack_units(
                planes, at, heads, used, present, pos // UNIT, units, False, a, room, out.itemsize
            )
        if at < 0:
            return at
        last = n - pos < TILE + LANES
        target = np.int64(rest.ctypes.data) if last else room
        tile_differences.inverse(
            tiles, rings, lasts, leads, plan, walk, strides, spans, pos, m, target,
            out.itemsize == 8, cell, summed, n,
        )  # fmt: skip
        if last:
            for i in range(m):
                out[pos + i] = rest[i]
    return at
