"""Many pieces of memory copied in one call."""

from fzdask.codecs.kernels.cpu import vectors
from fzdask.jit import njit


@njit(nogil=True, cache=True)
def copy_pieces(sources, targets, nbytes):
    """Copy ``nbytes`` from every address to the one at the same place; they do not overlap."""
    for i in range(sources.size):
        vectors.copy_bytes(sources[i], targets[i], nbytes)
