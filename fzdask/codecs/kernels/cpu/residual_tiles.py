"""Lorenzo residuals of floats on a lattice of 32 bits, tile by tile, for kernels that code them."""

import numpy as np

from fzdask.codecs.kernels.cpu import lattice_vectors, tile_differences, vectors
from fzdask.codecs.kernels.cpu.outliers import collect
from fzdask.codecs.kernels.cpu.tile_differences import HALO, TILE
from fzdask.jit import njit

__all__ = ["UNIT", "new_flags", "residual_of"]

UNIT = 64  # a tile is filled up with zeros to a multiple of so many
LANES = lattice_vectors.LANES


@njit(nogil=True, cache=True)
def new_flags():
    """Room of :func:`residual_of`: flags of outliers, and of lanes in doubt."""
    return np.zeros(TILE, np.uint8), np.empty(TILE // LANES, np.uint64)


@njit(nogil=True, inline="always")  # a call of so many arrays would take as long as the tile
def residual_of(
    source, pos, m, part, bits, minus_zero, forced, inv, cell, bound, limit, below, high, low,
    near, strides, spans, tiles, rings, lasts, leads, plan, walk, exact, lost, state, runs, values,
):  # fmt: skip
    """Residual of the m values from ``pos`` on; the number of the row of ``tiles`` that it is in.

    ``source`` is the address of all values (an array that may not be written to would be another
    type, compiled again); ``part`` has room for a tile of them, and ``bits`` is a view of it as
    integers. ``below``, ``high``, ``low`` and ``near`` belong to the cheap rules of
    :mod:`~fzdask.codecs.kernels.cpu.lattice_vectors`; ``state``, ``runs`` and ``values`` to the
    outliers.
    """
    size = part.itemsize
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
        lattice_vectors.take_outliers(
            x, part[:m], bits[:m], minus_zero, forced[pos : pos + m], inv, cell, bound, limit, lost,
            here, exact, state, runs, values,
        )  # fmt: skip
    else:
        collect(0, exact, bits, here, state, runs, values)
    which = tile_differences.forward(tiles, rings, lasts, leads, plan, walk, strides, spans, pos, m)
    for i in range(m, (m + UNIT - 1) // UNIT * UNIT):
        tiles[which, HALO + i] = 0
    return which
