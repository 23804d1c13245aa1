"""Zigzag codes of signed integers, all arithmetic in their own width."""

import numpy as np

from fzdask.jit import njit


@njit(nogil=True, cache=True)
def forward(lattice, codes):
    """``codes = (v << 1) ^ (v >> sign)``."""
    sign = lattice.itemsize * 8 - 1
    for i in range(lattice.size):
        v = lattice[i]
        codes[i] = (v << 1) ^ (v >> sign)


@njit(nogil=True, cache=True)
def inverse(codes, lattice):
    """Undo :func:`forward`."""
    for i in range(codes.size):
        z = np.int64(codes[i])
        lattice[i] = ((z >> 1) & np.int64(0x7FFFFFFFFFFFFFFF)) ^ -(z & 1)
