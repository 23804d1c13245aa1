"""Elimination of zero bytes, and of repeated bytes, with a bit for each byte."""

import numpy as np

from fzdask.jit import njit


@njit(nogil=True, cache=True)
def forward(data, repeats, bits, kept):
    """Set the bits of bytes to keep, and collect those; returns how many.

    A byte is left out if it is 0; with ``repeats``, if it equals the one before it (the first:
    0).
    """
    at = 0
    before = np.uint8(0)
    for g in range(bits.size):
        byte = np.uint8(0)
        for j in range(min(8, data.size - 8 * g)):
            v = data[8 * g + j]
            if v != before:
                byte |= np.uint8(1 << j)
                kept[at] = v
                at += 1
            if repeats:
                before = v
        bits[g] = byte
    return at


@njit(nogil=True, cache=True)
def count(bits, size):
    """How many of the bits are set; -1 if one is at ``size`` or beyond."""
    total = 0
    for g in range(bits.size):
        byte = bits[g]
        while byte:
            total += 1
            byte &= np.uint8(byte - 1)
    rest = size - 8 * (bits.size - 1)
    if bits.size and rest < 8 and bits[bits.size - 1] >> rest:
        return -1
    return total


@njit(nogil=True, cache=True)
def inverse(bits, kept, repeats, out):
    """Undo :func:`forward`; the bits have been counted."""
    at = 0
    before = np.uint8(0)
    for i in range(out.size):
        if (bits[i >> 3] >> (i & 7)) & 1:
            out[i] = kept[at]
            at += 1
        else:
            out[i] = before
        if repeats:
            before = out[i]
