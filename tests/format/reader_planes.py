"""The part of the second reader that undoes `zigzag` and `fixed_length`, from their pages."""

from __future__ import annotations

import numpy as np

WIDTHS = {4: [*range(13), 16, 24, 32], 8: [*range(13), 16, 32, 64]}


class Misfit(ValueError):  # noqa: N818 - the reader turns it into its own error
    """Sections that are not as long as they say."""


def unzigzag(codes: np.ndarray, lattice_type: np.dtype) -> np.ndarray:
    """The integers 0, -1, 1, -2, 2, ... of the codes 0, 1, 2, 3, 4, ..."""
    half = codes >> codes.dtype.type(1)
    return np.where(codes & codes.dtype.type(1), ~half, half).view(lattice_type)


def unpack(
    parameters: bytes, count: int, itemsize: int, planes: bytes, sides: dict[int, bytes]
) -> np.ndarray:
    """Return `count` codes of so many bytes from the planes and sections 1 to 3."""
    flags = parameters[0]
    if flags >= 8 or flags & 3 == 3:
        raise Misfit("parameters of fixed_length that are not known")
    block, outlier = 16 << (flags & 3), bool(flags & 4)
    units = -(-count // (4 * block))
    bits = np.unpackbits(np.frombuffer(sides[1], np.uint8), bitorder="little")
    stored = int(bits.sum())
    if bits.size != -(-units // 8) * 8 or bits[units:].any():
        raise Misfit("another number of units")
    if len(sides[2]) != 2 * stored * (1 + outlier):
        raise Misfit("another number of width classes")
    heads = list(np.frombuffer(sides[2], "<u2"))
    codes = np.zeros(units * 4 * block, f"<u{itemsize}")
    firsts = sides.get(3, b"")
    at = first_at = 0
    for unit in np.flatnonzero(bits):
        classes = int(heads.pop(0))
        lengths = int(heads.pop(0)) if outlier else 0
        for k in range(4):
            start = (unit * 4 + k) * block
            for p in range(WIDTHS[itemsize][classes >> 4 * k & 15]):
                plane = np.frombuffer(planes[at : at + block // 8], np.uint8)
                if plane.size != block // 8:
                    raise Misfit("planes that end too early")
                ones = np.unpackbits(plane, bitorder="little").astype(codes.dtype)
                codes[start : start + block] |= ones << codes.dtype.type(p)
                at += block // 8
            length = lengths >> 4 * k & 15
            if length:
                if length > itemsize or first_at + length > len(firsts):
                    raise Misfit("first codes that are too long or missing")
                codes[start] = int.from_bytes(firsts[first_at : first_at + length], "little")
                first_at += length
    if at != len(planes) or first_at != len(firsts):
        raise Misfit("planes or first codes left over")
    return codes[:count]
