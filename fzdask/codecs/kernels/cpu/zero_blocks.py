"""Elimination of blocks of zero bytes, with a bit for each block."""

import numpy as np

from fzdask.jit import njit


@njit(nogil=True, cache=True)
def forward(data, block, bits, kept):
    """Set the bits of blocks with a byte that is not 0, and collect them; returns their bytes."""
    at = 0
    for b in range((data.size + block - 1) // block):
        part = data[b * block : (b + 1) * block]
        some = np.uint8(0)
        for i in range(part.size):
            some |= part[i]
        if some:
            bits[b >> 3] |= np.uint8(1 << (b & 7))
            for i in range(part.size):
                kept[at + i] = part[i]
            at += part.size
    return at


@njit(nogil=True, cache=True)
def kept_nbytes(bits, block, nbytes):
    """Bytes in the blocks whose bits are set; -1 if there are bits of no block."""
    blocks = (nbytes + block - 1) // block
    total = 0
    for b in range(8 * bits.size):
        if (bits[b >> 3] >> (b & 7)) & 1:
            if b >= blocks:
                return -1
            total += min(block, nbytes - b * block)
    return total


@njit(nogil=True, cache=True)
def inverse(bits, kept, block, out):
    """Undo :func:`forward`; the bits have been checked."""
    at = 0
    for b in range((out.size + block - 1) // block):
        part = out[b * block : (b + 1) * block]
        if (bits[b >> 3] >> (b & 7)) & 1:
            for i in range(part.size):
                part[i] = kept[at + i]
            at += part.size
        else:
            for i in range(part.size):
                part[i] = 0
