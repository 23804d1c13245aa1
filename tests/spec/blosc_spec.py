"""Specification of ``blosc``: frames of Blosc 1 of 256 KiB each, one block to a frame."""

from __future__ import annotations

from numcodecs import blosc


def frames(data):
    """The frames of a section."""
    out = []
    while data:
        size = int.from_bytes(data[12:16], "little")
        out.append(data[:size])
        data = data[size:]
    return out


def decode(data):
    """The bytes of a section."""
    return b"".join(blosc.decompress(frame) for frame in frames(data))
