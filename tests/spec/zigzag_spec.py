"""Specification of ``zigzag``: 0, -1, 1, -2, 2, ... become 0, 1, 2, 3, 4, ..."""

from __future__ import annotations


def zigzag(value):
    """The code of an integer."""
    return 2 * value if value >= 0 else -2 * value - 1
