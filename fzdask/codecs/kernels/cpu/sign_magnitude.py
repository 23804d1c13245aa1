"""Sign and magnitude of signed integers; the lowest of all is the sign alone."""

import numpy as np

from fzdask.jit import njit


@njit(nogil=True, cache=True)
def forward(lattice, codes):
    """The magnitude below the sign bit, which the lowest integer's magnitude does not reach."""
    top = np.uint64(1) << np.uint64(8 * lattice.itemsize - 1)
    for i in range(lattice.size):
        v = np.int64(lattice[i])
        u = np.uint64(v)
        codes[i] = top | ((np.uint64(0) - u) & (top - np.uint64(1))) if v < 0 else u


@njit(nogil=True, cache=True)
def inverse(codes, lattice):
    """Undo :func:`forward`."""
    top = np.uint64(1) << np.uint64(8 * lattice.itemsize - 1)
    for i in range(codes.size):
        c = np.uint64(codes[i])
        magnitude = c & (top - np.uint64(1))
        if c < top:
            lattice[i] = np.int64(magnitude)
        else:
            lattice[i] = np.int64(np.uint64(0) - (magnitude if magnitude else top))
