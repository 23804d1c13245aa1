"""Bit planes of blocks of elements, eight bytes at a time."""

import numpy as np

from fzdask.jit import njit


@njit(nogil=True, cache=True)
def transpose_8x8(x):
    """Bit j of byte i becomes bit i of byte j (Warren, Hacker's Delight, section 7-3)."""
    t = (x ^ (x >> np.uint64(7))) & np.uint64(0x00AA00AA00AA00AA)
    x = x ^ t ^ (t << np.uint64(7))
    t = (x ^ (x >> np.uint64(14))) & np.uint64(0x0000CCCC0000CCCC)
    x = x ^ t ^ (t << np.uint64(14))
    t = (x ^ (x >> np.uint64(28))) & np.uint64(0x00000000F0F0F0F0)
    return x ^ t ^ (t << np.uint64(28))


@njit(nogil=True, cache=True)
def forward(data, size, block, out):
    """Planes of elements of ``size`` bytes in blocks of ``block`` elements."""
    n = data.size // size
    at = 0
    for start in range(0, n, block):
        m = min(block, n - start)
        plane = (m + 7) // 8
        for g in range(plane):
            first = start + 8 * g
            some = min(8, start + m - first)
            for k in range(size):
                x = np.uint64(0)
                for j in range(some):
                    x |= np.uint64(data[(first + j) * size + k]) << np.uint64(8 * j)
                x = transpose_8x8(x)
                for p in range(8):
                    out[at + (8 * k + p) * plane + g] = np.uint8(x >> np.uint64(8 * p))
        at += 8 * size * plane


@njit(nogil=True, cache=True)
def inverse(planes, size, block, out):
    """Undo :func:`forward`; ``planes`` is as long as that makes it."""
    n = out.size // size
    at = 0
    for start in range(0, n, block):
        m = min(block, n - start)
        plane = (m + 7) // 8
        for g in range(plane):
            first = start + 8 * g
            some = min(8, start + m - first)
            for k in range(size):
                x = np.uint64(0)
                for p in range(8):
                    x |= np.uint64(planes[at + (8 * k + p) * plane + g]) << np.uint64(8 * p)
                x = transpose_8x8(x)
                for j in range(some):
                    out[(first + j) * size + k] = np.uint8(x >> np.uint64(8 * j))
        at += 8 * size * plane
