"""Negabinary codes of signed integers, all arithmetic in their own width."""

import numpy as np

from fzdask.jit import njit

_ODD_BITS = np.uint64(0xAAAAAAAAAAAAAAAA)


@njit(nogil=True, cache=True)
def forward(lattice, codes):
    """``codes = (v + 0b1010...) ^ 0b1010...``, of which narrower ones keep the low bits."""
    for i in range(lattice.size):
        codes[i] = (np.uint64(np.int64(lattice[i])) + _ODD_BITS) ^ _ODD_BITS


@njit(nogil=True, cache=True)
def inverse(codes, lattice):
    """Undo :func:`forward`."""
    for i in range(codes.size):
        lattice[i] = np.int64((np.uint64(codes[i]) ^ _ODD_BITS) - _ODD_BITS)
