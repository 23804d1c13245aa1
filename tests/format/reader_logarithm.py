"""The second reader's part for `logarithm`, from the stage's page alone: integers to floats."""

from __future__ import annotations

import math

import numpy as np

SMOOTH, ALL_NEGATIVE, SIGNS, ALL_ZERO, ZEROS, LONG = 1, 2, 4, 8, 16, 32
MANTISSA = {2: 10, 4: 23, 8: 52}
BIAS = {2: 15, 4: 127, 8: 1023}


def power(k: int) -> int:
    """floor(2**52 * 2**(k / 1024)): the root of 1024 as ten square roots."""
    root = 1 << (52 * 1024 + k)
    for _ in range(10):
        root = math.isqrt(root)
    return root


def magnitude(t: int, scale: int, smooth: bool, itemsize: int) -> int:
    """Bits of the positive float that an integer logarithm stands for."""
    mantissa, bias = MANTISSA[itemsize], BIAS[itemsize]
    e, f = t // 2**scale + bias, t % 2**scale
    m = f
    if smooth:
        k, g = divmod(f, 2 ** (scale - 10))
        low, high = power(k), power(k + 1)
        m = (low - 2**52 + g * (high - low) // 2 ** (scale - 10)) // 2 ** (52 - mantissa)
    if e > 2 * bias:
        return ((2 * bias + 1) << mantissa) - 1
    return (e << mantissa) + m if e >= 1 else ((1 << mantissa) + m) >> (1 - e)


def from_logarithms(
    logarithms: np.ndarray, itemsize: int, scale: int, flags: int, signs: bytes, zeros: bytes
) -> np.ndarray:
    """Floats of `itemsize` bytes, before what is exact is put back."""
    out = np.empty(logarithms.size, f"<u{itemsize}")
    seen: dict[int, int] = {}
    for i, t in enumerate(logarithms.tolist()):
        if t not in seen:
            seen[t] = magnitude(t, scale, bool(flags & SMOOTH), itemsize)
        bits = seen[t]
        if flags & ALL_ZERO or (flags & ZEROS and zeros[i // 8] >> i % 8 & 1):
            bits = 0
        if flags & ALL_NEGATIVE or (flags & SIGNS and signs[i // 8] >> i % 8 & 1):
            bits += 1 << (8 * itemsize - 1)
        out[i] = bits
    return out.view(f"<f{itemsize}")
