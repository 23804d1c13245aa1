"""Specification of ``run_length``: runs of four and more equal bytes, and the bytes between."""

from __future__ import annotations

from itertools import groupby


def varint(value):
    """Seven bits a byte, least significant first."""
    out = b""
    while value >= 128:
        out += bytes([value % 128 + 128])
        value //= 128
    return out + bytes([value])


def encode(data):
    """The section of some bytes."""
    out = b""
    plain = b""

    def flush():
        nonlocal out, plain
        if plain:
            out += varint(2 * (len(plain) - 1)) + plain
        plain = b""

    for value, run in groupby(data):
        length = len(list(run))
        if length < 4:
            plain += bytes([value]) * length
        else:
            flush()
            out += varint(2 * (length - 4) + 1) + bytes([value])
    flush()
    return out
