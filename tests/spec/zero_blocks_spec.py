"""Specification of ``zero_blocks``: blocks of zeros become a bit each."""

from __future__ import annotations

import numpy as np


def zero_blocks(data, block):
    """The stored form of ``data`` (bytes)."""
    parts = [data[k : k + block] for k in range(0, len(data), block)]
    some = [any(part) for part in parts]
    bits = np.packbits(np.array(some, bool), bitorder="little").tobytes()
    log2 = block.bit_length() - 1
    return bytes([log2]) + bits + b"".join(p for p, s in zip(parts, some, strict=True) if s)
