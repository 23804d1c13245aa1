"""Specification of ``zero_bytes``: zero bytes become a bit, and repeated bytes of those bits."""

from __future__ import annotations

import numpy as np


def zero_bytes(data):
    """The stored form of ``data`` (bytes)."""
    level = np.frombuffer(data, np.uint8)
    before = np.zeros_like(level)
    stored = b""
    while True:
        keep = level != before
        stored = level[keep].tobytes() + stored
        level = np.packbits(keep, bitorder="little")
        if level.size <= 8:
            return level.tobytes() + stored
        before = np.concatenate([[0], level[:-1]])
