"""Specification of ``bitshuffle``: bit planes of blocks of elements."""

from __future__ import annotations

import numpy as np


def bitshuffle(data, itemsize, block):
    """Planes of the elements in ``data`` (bytes), block by block."""
    elements = np.frombuffer(data, np.uint8).reshape(-1, itemsize)
    out = b""
    for start in range(0, len(elements), block):
        bits = np.unpackbits(elements[start : start + block], axis=1, bitorder="little")
        out += np.packbits(bits.T, axis=1, bitorder="little").tobytes()
    return out
