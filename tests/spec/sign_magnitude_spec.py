"""Specification of ``sign_magnitude``: the sign in the highest of so many bits."""

from __future__ import annotations


def sign_magnitude(value, bits):
    """The code of an integer; the lowest one has no magnitude that fits, and is the sign alone."""
    sign = 1 << (bits - 1)
    if value >= 0:
        return value
    return sign if value == -sign else sign | -value
