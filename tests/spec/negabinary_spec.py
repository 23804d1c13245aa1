"""Specification of ``negabinary``: digits to the base -2."""

from __future__ import annotations


def negabinary(value, bits):
    """The code of an integer, from its digits; digits beyond ``bits`` are dropped."""
    code = 0
    for place in range(bits):
        digit = value % 2
        code |= digit << place
        value = (value - digit) // -2
    return code
