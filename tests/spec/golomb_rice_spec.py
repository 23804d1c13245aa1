"""Golomb-Rice codes, bit by bit in texts of 0 and 1."""

from __future__ import annotations

import numpy as np

LONGEST_UNARY = 24


def code(value, k, width):
    """The bits of one value."""
    quotient = value >> k
    if quotient < LONGEST_UNARY:
        return "1" * quotient + "0" + (format(value & ((1 << k) - 1), f"0{k}b") if k else "")
    return "1" * LONGEST_UNARY + format(value, f"0{width}b")


def parameter(values, width):
    """The best (of equals the least) of three parameters about the logarithm of the mean."""
    mean = sum(min(v, 1 << 48) for v in values) // len(values)
    middle = max(mean.bit_length() - 1, 0)
    tries = range(max(middle - 1, 0), min(middle + 2, width))
    return min(tries, key=lambda k: sum(len(code(v, k, width)) for v in values))


def encode(codes, block):
    """Main section and side sections."""
    width = 8 * codes.itemsize
    parameters, sizes, main = [], [], b""
    for start in range(0, codes.size, block):
        values = codes[start : start + block].tolist()
        k = parameter(values, width)
        text = "".join(code(v, k, width) for v in values)
        text += "0" * (-len(text) % 8)
        packed = int(text, 2).to_bytes(len(text) // 8, "big")
        parameters.append(k)
        sizes.append(len(packed))
        main += packed
    sides = {
        "parameters": bytes(parameters),
        "block_sizes": np.array(sizes, "<u2").tobytes(),
    }
    return main, sides
