"""``quantize | lorenzo | zigzag | fixed_length`` in one pass, in tiles that stay in the L1 cache.

What each stage does is said by its own kernel; this one gives their bytes, and is made of steps
on vectors.
"""

import numpy as np
from numba import njit

from fzdask.codecs.kernels.cpu import lattice_vectors, tile_differences, vectors
from fzdask.codecs.kernels.cpu.bit_planes import UNIT
from fzdask.codecs.kernels.cpu.fixed_length import (
    SLACK,
    pack_units,
    unpack_units,
    with_slack,
)
from fzdask.codecs.kernels.cpu.outliers import collect, finish
from fzdask.codecs.kernels.cpu.tile_differences import HALO, TILE

LANES = lattice_vectors.LANES


@njit(nogil=True, cache=True)
def encode(
    source, n, part, bits, minus_zero, forced, inv, cell, bound, limit, below, high, low, near,
    strides, spans, tiles, rings, lasts, leads, plan, walk, out, heads, present, state, runs,
    values,
):  # fmt: skip
    """Compress flat floats; returns bytes of planes and number of width entries.

    ``source`` is the address of n values (an array that may not be written to would be another
    type, compiled again); ``part`` has room for a tile of them, and ``bits`` is a view of it as
    integers. ``below``, ``high``, ``low`` and ``near`` belong to the cheap rules of
    :mod:`~fzdask.codecs.kernels.cpu.lattice_vectors`; ``state``, ``runs`` and ``values`` to the
    outliers.
    """
    exact = np.zeros(TILE, np.uint8)
    lost = np.empty(TILE // LANES, np.uint64)
    size = part.itemsize
    at = np.int64(0)
    used = np.int64(0)
    for pos in range(0, n, TILE):
        m = min(TILE, n - pos)
        x = np.int64(source + size * pos)
        if m < TILE:
            for i in range(m, TILE):
                part[i] = 0
            vectors.copy_bytes(x, part.ctypes.data, size * m)
            x = np.int64(part.ctypes.data)
        count = lattice_vectors.quantize_groups(
            x, size == 8, (m + LANES - 1) // LANES, tiles.ctypes.data + 4 * HALO, inv, cell, bound,
            below, high, low, near, lost,
        )  # fmt: skip
        here = tiles[0, HALO : HALO + m]
        if count or forced.size:
            if m == TILE:
                vectors.copy_bytes(x, part.ctypes.data, size * m)
            lattice_vectors.take_outliers(
                part[:m], bits[:m], minus_zero, forced[pos : pos + m], inv, cell, bound, limit,
                lost, here, exact, state, runs, values,
            )  # fmt: skip
        else:
            collect(0, exact, bits, here, state, runs, values)
        which = tile_differences.forward(
            tiles, rings, lasts, leads, plan, walk, strides, spans, pos, m
        )
        row = tiles[which]
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
    """Undo :func:`encode` of planes at an address, outliers apart; the sections were checked."""
    n = out.size
    ends = np.zeros(2 * SLACK, np.uint8)
    planes = with_slack(address, nbytes, ends)
    rest = np.zeros(TILE + LANES, out.dtype)
    at = np.int64(0)
    used = np.int64(0)
    for pos in range(0, n, TILE):
        m = min(TILE, n - pos)
        units = (m + UNIT - 1) // UNIT
        at, used = unpack_units(
            planes, at, heads, used, present, pos // UNIT, units, False,
            tiles.ctypes.data + 4 * HALO,
        )  # fmt: skip
        last = n - pos < TILE + LANES
        target = rest.ctypes.data if last else out.ctypes.data + out.itemsize * pos
        tile_differences.inverse(
            tiles, rings, lasts, leads, plan, walk, strides, spans, pos, m, target,
            out.itemsize == 8, cell,
        )  # fmt: skip
        if last:
            for i in range(m):
                out[pos + i] = rest[i]
