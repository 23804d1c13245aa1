"""The second reader's part for `logarithm`, from the stage's page alone: integers to floats."""

from __future__ import annotations

import math
from functools import cache

import numpy as np

SMOOTH, ALL_NEGATIVE, ALL_ZERO = 1, 2, 8  # of the flags; the reader looks at the others
MANTISSA = {2: 10, 4: 23, 8: 52}
BIAS = {2: 15, 4: 127, 8: 1023}


@cache
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


def read_bits(
    data: bytes, shape: tuple[int, ...], coded: int, hint: list[int] | None = None
) -> list[int] | None:
    """One bit for each value, or None where the section is not as long as they need."""
    count = math.prod(shape)
    if not coded:
        bits = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little").tolist()
        return bits[:count] if len(data) == -(-count // 8) else None
    folded = [length for length in shape if length != 1]
    while len(folded) > 4:
        folded[:2] = [folded[0] * folded[1]]
    row = folded[-1] if len(folded) >= 2 else 0
    plane = folded[-1] * folded[-2] if len(folded) >= 3 else 0
    decisions = Decisions(data)
    b: list[int] = []

    def bit(k: int) -> int:
        return b[k] if k >= 0 else 0

    while len(b) < count:
        i = len(b)
        m = min(16, count - i, max(row - 1, 1) if row else 16)
        around = {bit(i - 2), bit(i - 1)}
        around |= {bit(k) for k in range(i - row - 1, i - row + m + 1)} if row else set()
        around |= {bit(k) for k in range(i - plane, i - plane + m)} if plane else set()
        if m > 1 and len(around) == 1:
            value = around.pop()
            if decisions.next(256 + value):
                b += [value] * m
                continue
        for k in range(i, i + m):
            number = bit(k - 2) + 2 * bit(k - 1)
            if row:
                number += 4 * bit(k - row - 1) + 8 * bit(k - row) + 16 * bit(k - row + 1)
            if plane:
                number += 32 * bit(k - plane) + 64 * bit(k - plane - row)
            b.append(decisions.next(number + (128 * hint[k] if hint is not None else 0)))
    return b if decisions.at == len(data) + 3 else None


def count_exact(pairs) -> int:
    """How many elements the runs name; `pairs` is a cursor of varints."""
    named = 0
    while not pairs.finished:
        pairs.varint()
        named += pairs.varint()
    return named


class Decisions:
    """The arithmetic decoder."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 4
        self.low, self.high = 0, 2**32 - 1
        self.code = int.from_bytes((data + bytes(4))[:4], "big")
        self.p = [2**15] * 258

    def next(self, number: int) -> int:
        p = self.p[number]
        middle = self.low + (self.high - self.low) * p // 2**16
        decision = int(self.code <= middle)
        if decision:
            self.high = middle
            self.p[number] = p + (2**16 - p) // 32
        else:
            self.low = middle + 1
            self.p[number] = p - p // 32
        while self.low // 2**24 == self.high // 2**24:
            behind = self.data[self.at] if self.at < len(self.data) else 0
            self.at += 1
            self.low = self.low * 256 % 2**32
            self.high = self.high * 256 % 2**32 + 255
            self.code = self.code * 256 % 2**32 + behind
        return decision


def from_logarithms(
    logarithms: np.ndarray,
    itemsize: int,
    scale: int,
    flags: int,
    signs: list[int] | None,
    zeros: list[int] | None,
) -> np.ndarray:
    """Floats of `itemsize` bytes, before what is exact is put back."""
    out = np.empty(logarithms.size, f"<u{itemsize}")
    seen: dict[int, int] = {}
    for i, t in enumerate(logarithms.tolist()):
        if t not in seen:
            seen[t] = magnitude(t, scale, bool(flags & SMOOTH), itemsize)
        bits = seen[t]
        if flags & ALL_ZERO or (zeros is not None and zeros[i]):
            bits = 0
        if flags & ALL_NEGATIVE or (signs is not None and signs[i]):
            bits += 1 << (8 * itemsize - 1)
        out[i] = bits
    return out.view(f"<f{itemsize}")
