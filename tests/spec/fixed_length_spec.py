"""Specification of ``fixed_length``: bit planes of blocks, four blocks to a unit."""

from __future__ import annotations

import numpy as np

WIDE = {32: (16, 24, 32), 64: (16, 32, 64)}


def fixed_length(codes, block, outlier):
    """Main section and side sections of unsigned codes of 32 or 64 bits."""
    bits = 8 * codes.itemsize
    planes = firsts = widths = b""
    present = []
    for start in range(0, len(codes), 4 * block):
        classes = lengths = 0
        unit_planes = unit_firsts = b""
        for k in range(4):
            part = [int(c) for c in codes[start + k * block : start + (k + 1) * block]]
            part += [0] * (block - len(part))
            if outlier:
                nbytes = -(-part[0].bit_length() // 8)
                unit_firsts += part[0].to_bytes(nbytes, "little")
                lengths |= nbytes << (4 * k)
                part[0] = 0
            code, width = width_class(max(part).bit_length(), bits)
            classes |= code << (4 * k)
            for p in range(width):
                plane = [c >> p & 1 for c in part]
                unit_planes += np.packbits(plane, bitorder="little").tobytes()
        present.append(classes != 0 or lengths != 0)
        if present[-1]:
            widths += classes.to_bytes(2, "little")
            widths += lengths.to_bytes(2, "little") if outlier else b""
            planes += unit_planes
            firsts += unit_firsts
    units = np.packbits(np.array(present, bool), bitorder="little").tobytes()
    return planes, {"units": units, "widths": widths} | ({"firsts": firsts} if outlier else {})


def width_class(width, bits):
    """Four bits for a width, and the width that they stand for."""
    if width <= 12:
        return width, width
    wide = next(w for w in WIDE[bits] if w >= width)
    return 13 + WIDE[bits].index(wide), wide
