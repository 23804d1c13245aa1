"""Specification of ``lz4``: a length, then a block of the LZ4 block format, decoded plainly."""

from __future__ import annotations


def decode(data):
    """The bytes of a section."""
    nbytes = int.from_bytes(data[:4], "little")
    out = bytearray()
    at = 4

    def length(nibble):
        nonlocal at
        total = nibble
        while nibble == 15:
            total += data[at]
            at += 1
            if data[at - 1] != 255:
                break
        return total

    while at < len(data):
        token = data[at]
        at += 1
        literals = length(token >> 4)
        out += data[at : at + literals]
        at += literals
        if at == len(data):
            break
        distance = int.from_bytes(data[at : at + 2], "little")
        at += 2
        for _ in range(length(token & 15) + 4):
            out.append(out[-distance])
    assert len(out) == nbytes
    return bytes(out)
