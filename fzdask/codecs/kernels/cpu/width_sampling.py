"""Which axes are worth differencing for blocks of bit planes: widths of a sample of blocks."""

import numpy as np

from fzdask.codecs.kernels.cpu.block_steps import (
    BLOCK,
    LIMIT,
    ask_for,
    lattice_f4,
    lattice_f8,
    magnitudes,
    subtract_from,
)
from fzdask.codecs.kernels.cpu.symbols import exponent
from fzdask.jit import njit


@njit(nogil=True, cache=True)
def narrowest_axes(x, forced, shape, inv, blocks):
    """Subset of axes whose differences need the fewest bit planes, in a sample of blocks.

    Parameters
    ----------
    x : flat array of values or lattice, C order
    forced : uint8, empty or flags of values to leave out
    shape : int64, at most 4 lengths
    inv : float
        Lattice values are ``rint(x * inv)``; blocks with others near are left out.
    blocks : int
        Blocks to look at, evenly spread with a pseudo-random offset.

    Returns
    -------
    int
        Bit k is axis k; all axes where nothing can be sampled.
    """
    nd = shape.size
    subsets = 1 << nd
    strides = np.ones(nd, np.int64)
    for k in range(nd - 2, -1, -1):
        strides[k] = strides[k + 1] * shape[k + 1]
    before = np.zeros(subsets, np.int64)
    for b in range(subsets):
        for a in range(nd):
            if (b >> a) & 1:
                before[b] += strides[a]
    first = (before[subsets - 1] + BLOCK - 1) // BLOCK
    count = x.size // BLOCK - first
    if count < 1:
        return subsets - 1
    blocks = min(blocks, count)
    q = np.empty(subsets * BLOCK, np.int32)
    planes = np.zeros(subsets, np.int64)
    base, rows = np.int64(x.ctypes.data), np.int64(q.ctypes.data)
    real = x.dtype.type(0.5) != 0  # a lattice has no halves
    places = np.empty(blocks, np.int64)
    random = np.uint64(1)
    for k in range(blocks):
        random = random * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)
        start = k * count // blocks
        room = (k + 1) * count // blocks - start
        places[k] = (first + start + np.int64((random >> np.uint64(33)) % np.uint64(room))) * BLOCK
        for b in range(subsets):  # all at once: one by one, each would be waited for
            ask_for(base + x.itemsize * (places[k] - before[b]), BLOCK * x.itemsize)
    taken = 0
    for at in places:
        good = True
        for b in range(subsets):
            place, row = at - before[b], rows + 4 * BLOCK * b
            if real and x.itemsize == 4:
                good &= lattice_f4(base + 4 * place, inv, row)
            elif real:
                good &= lattice_f8(base + 8 * place, inv, row)
            else:
                for j in range(BLOCK):
                    r = np.rint(np.float64(x[place + j]) * inv)
                    good &= np.abs(r) <= LIMIT
                    q[b * BLOCK + j] = np.int32(r)
            if forced.size:
                for j in range(BLOCK):
                    good &= forced[place + j] == 0
        if not good:
            continue
        for a in range(nd):
            bit = 1 << a
            for b in range(subsets):
                if b & bit:
                    subtract_from(rows + 4 * BLOCK * (b ^ bit), rows + 4 * BLOCK * b)
        taken += 1
        for b in range(subsets):
            planes[b] += exponent(2 * magnitudes(rows + 4 * BLOCK * b) + 1)
    if taken == 0:
        return subsets - 1
    best = 0
    for b in range(subsets):
        if planes[b] < planes[best]:
            best = b
    return best
