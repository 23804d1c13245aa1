"""The second reader's part for `context_mixing`, from its page alone: bytes to a lattice.

The parts are named as on the page and come in its order. Python's integers have no end, so `wrap`
marks where those of the page wrap around.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from reader_back_ends import need

MOST_VALUES_PER_BYTE = 7569
FAR = 1 << 20  # to which kept differences are clipped


# Terms -----------------------------------------------------------------------------------------


def wrap(v: int) -> int:
    """Into 64 bits, two's complement."""
    return (v + (1 << 63)) % (1 << 64) - (1 << 63)


def clip(v: int, most: int) -> int:
    return min(max(v, -most), most)


def exponent(v: int) -> int:
    return v.bit_length() - 1


def level(v: int) -> int:
    return v if v < 4 else min(2 * exponent(v) + (v >> (exponent(v) - 1)) % 2, 25)


def distances_of(shape: tuple[int, ...]) -> list[int]:
    """1, R, P, V, as many as there are axes."""
    sides = [n for n in shape if n != 1]
    while len(sides) > 4:
        sides[:2] = [sides[0] * sides[1]]
    return [math.prod(sides[len(sides) - k :]) for k in range(len(sides))]


class Places:
    """Integers by place, of which those not known yet are 0."""

    def __init__(self) -> None:
        self.known: list[int] = []

    def __getitem__(self, place: int) -> int:
        return self.known[place] if 0 <= place < len(self.known) else 0


# Coder -----------------------------------------------------------------------------------------


class Coder:
    """The arithmetic decoder."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0
        self.low, self.high, self.code = 0, 2**32 - 1, 0
        for _ in range(4):
            self.code = self.code << 8 | self.byte()

    def byte(self) -> int:
        need(self.at < len(self.data), "bytes that end before the values")
        self.at += 1
        return self.data[self.at - 1]

    def decide(self, chance: int) -> int:
        cut = self.low + ((self.high - self.low) * chance >> 16)
        bit = int(self.code <= cut)
        if bit:
            self.high = cut
        else:
            self.low = cut + 1
        while self.low >> 24 == self.high >> 24:
            self.low = self.low << 8 & 0xFFFFFFFF
            self.high = self.high << 8 & 0xFFFFFFFF | 255
            self.code = self.code << 8 & 0xFFFFFFFF | self.byte()
        return bit

    def append(self, number: int, width: int) -> int:
        """The number with so many bits at even odds behind it."""
        for _ in range(width):
            number = 2 * number + self.decide(32768)
        return number


# Predictions -----------------------------------------------------------------------------------


def neighbours(unit: list[int]) -> list[int]:
    """Distances of the neighbours of least squares, in their order."""
    r, p, v = (*unit[1:], 0, 0, 0)[:3]
    found = [1, 2, 3, 4]
    if len(unit) == 2:
        found = [1, 2, r, r + 1, r - 1, 2 * r, r - 2, r + 2, 2 * r + 1, 2 * r - 1, 3]
    if len(unit) > 2:
        found = [1, 2, r, r + 1, r - 1, 2 * r, p, p + 1, p - 1, p + r, p - r]
        found += [p + r + 1, p + r - 1, 2 * p, p - r - 1, p - r + 1]
    if len(unit) == 4:
        found += [v, v + 1, v - 1, v + r, v - r, v + p, v - p, 2 * v]
    return [d for k, d in enumerate(found) if d and d not in found[:k]]


class LeastSquares:
    """Weights that are found anew every 32 values."""

    def __init__(self, m: int) -> None:
        self.a, self.b = np.zeros((m, m)), np.zeros(m)
        self.weights = [0.0] * m
        self.fresh = False

    def predict(self, x: list[float]) -> float:
        p = 0.0
        for w, v in zip(self.weights, x, strict=True):
            p += w * v
        return p if abs(p) < 2.0**52 else 0.0

    def learn(self, x: list[float], t: float) -> None:
        row = np.array(x)
        self.a += np.outer(row, row)  # the upper half is not used
        self.b += row * t
        self.fresh = True

    def rest(self) -> None:
        """After every 32nd value."""
        if self.fresh:
            self.solve(self.a.tolist(), self.b.tolist())
        self.fresh = False
        self.a *= 0.9379
        self.b *= 0.9379

    def solve(self, a: list[list[float]], b: list[float]) -> None:
        m = len(b)
        low: list[list[float]] = []
        for k in range(m):
            low.append([])
            for j in range(k + 1):
                s = a[k][j] + 10.0 if j == k else a[k][j]
                for r in range(j):
                    s -= low[k][r] * low[j][r]
                if j == k and not s > 0:
                    return
                low[k].append(math.sqrt(s) if j == k else s / low[j][j])
        y: list[float] = []
        for k in range(m):
            s = b[k]
            for r in range(k):
                s -= low[k][r] * y[r]
            y.append(s / low[k][k])
        w = [0.0] * m
        for k in reversed(range(m)):
            s = y[k]
            for r in range(k + 1, m):
                s -= low[r][k] * w[r]
            w[k] = s / low[k][k]
        self.weights = w


def corners(unit: list[int], axes: int) -> list[tuple[int, int]]:
    """Distances and signs of the Lorenzo prediction."""
    found = []
    for chosen in range(1, 1 << len(unit)):
        if chosen & axes == chosen:
            steps = [d for k, d in enumerate(unit) if chosen >> k & 1]
            found.append((sum(steps), 1 if len(steps) % 2 else -1))
    return found


def energy(h: Places, i: int, unit: list[int]) -> int:
    """E(h), the magnitudes around a place."""
    total = 2 * abs(h[i - 1]) + abs(h[i - 2])
    if len(unit) > 1:
        row = i - unit[1]
        total += 2 * abs(h[row]) + abs(h[row - 1]) + abs(h[row + 1])
    if len(unit) > 2:
        plane = i - unit[2]
        total += 2 * abs(h[plane]) + abs(h[plane + 1]) + abs(h[plane + unit[1]])
    if len(unit) > 3:
        total += 2 * abs(h[i - unit[3]])
    return total


# Decisions -------------------------------------------------------------------------------------


def read_difference(s: int, decide: Callable[[int], int], coder: Coder) -> int:
    """d, given its shift and what answers the numbered decisions."""
    if s == 0 and not decide(0):
        return 0
    negative = decide(32 if s else 1)
    first = (34 if s else 2) + 7 * negative
    m = 0
    while m < 6 and decide(first + m):
        m += 1
    large = m == 6
    if large:
        x = 2
        while x < 62 and decide((48 if s else 16) + min(x - 2, 5)):
            x += 1
        first = (54 if s else 22) + 2 * min(x - 2, 3)
        m = 2 + decide(first)
        m = 2 * m + decide(first + 1)
        m = coder.append(m, x - 2) + 2
    if not s:
        return wrap(-m - 1 if negative else m + 1)
    m = 2 * m + decide(63 if large else 62)
    m = coder.append(m, s - 1)
    return wrap(-m - 1 if negative else m)


# Models ----------------------------------------------------------------------------------------


def contexts_of(
    q: Places, e: Places, i: int, unit: list[int], base: int, other: int, z: int, a: int
) -> tuple[list[tuple], tuple | None]:
    """Those of the eight models; that of a calm place, or None."""
    axes = len(unit)
    r, p, v = (*unit[1:], 0, 0, 0)[:3]

    def around(distance: int) -> int:
        return wrap(q[i - distance] - base)

    west = around(1)
    north, north_west, north_east = around(2), 0, 0
    if axes > 1:
        north, north_west, north_east = around(r), around(r + 1), around(r - 1)
    up = around(p) if axes > 2 else north_east
    older = around(v) if axes > 3 else north_west
    w, n = e[i - 1], e[i - r] if axes > 1 else e[i - 2]
    u = e[i - p] if axes > 2 else 0
    corner, right = (e[i - r - 1], e[i - r + 1]) if axes > 1 else (0, 0)
    aside = abs(e[i - 2]) + abs(corner) + abs(right)
    behind = abs(u) + (abs(e[i - p + 1]) + abs(e[i - p + r]) if axes > 2 else 0)
    behind += abs(e[i - v]) if axes > 3 else 0
    slopes = (west - north_west, north - north_west, north - north_east, up - west)
    slope = level(sum(abs(clip(wrap(step), FAR)) for step in slopes))
    apart = wrap(other - base)
    models = [
        (level(a), z >> 1),
        (clip(w, 3), clip(n, 3), clip(u if axes > 2 else corner, 3)),
        (clip(apart, 6), clip(up, 4), (a >= 1) + (a >= 4) + (a >= 12)),
        (clip(west, 5), clip(north, 5), clip(up, 3)),
        (level(aside), clip(w + n + u, 4)),
        (z, slope),
        (level(a), slope),
        (level(behind), clip(older, 2), clip(north_east, 2)),
    ]
    if a or slope or apart:
        return models, None
    far = [3, r - 2, r + 2] if axes > 1 else [3, 4, 5]
    far += [p + r, p + 1] if axes > 2 else []
    return models, (z, clip(west, 2), *(e[i - distance] != 0 for distance in far))


# Mixing ----------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def stretches() -> list[int]:
    table = [256 * math.log((j + 0.5) / (4095.5 - j)) for j in range(4096)]
    return [clip(round(v), 2047) for v in table]


def squash(d: int) -> int:
    return round(65536 / (1 + math.exp(-(d + 0.5) / 256)))


def limited(chance: int) -> int:
    return min(max(chance, 48), 65488)


def learn(cell: list[int], bit: int, most: int) -> None:
    """Move a cell, [chance, count], towards a decision."""
    cell[0] += ((2**22 - 1) * bit - cell[0]) * (131072 // (2 * cell[1] + 3)) >> 16
    cell[1] = min(cell[1] + 1, most)


class Mixer:
    """Cells by model, context and decision, and the weights of the models."""

    def __init__(self, coder: Coder) -> None:
        self.coder = coder
        self.cells: dict[tuple, list[int]] = {}
        self.weights: dict[tuple[int, int], list[int]] = {}

    def decide(self, decision: int, models: list[tuple], loudness: int) -> int:
        cells = [
            self.cells.setdefault((k, model, decision), [2**21, 0])
            for k, model in enumerate(models)
        ]
        weights = self.weights.setdefault((loudness, decision), [2**14] * 8)
        opinions = [stretches()[chance >> 10] for chance, _ in cells]
        d = (2**15 + sum(u * o for u, o in zip(weights, opinions, strict=True))) >> 16
        chance = limited(squash(min(max(d, -2048), 2047)))
        bit = self.coder.decide(chance)
        for k, opinion in enumerate(opinions):
            weight = weights[k] + (5 * (65536 * bit - chance) * opinion + 2**15 >> 16)
            weights[k] = (weight + 2**31) % 2**32 - 2**31
            learn(cells[k], bit, 127)
        return bit

    def decide_calm(self, context: tuple) -> int:
        cell = self.cells.setdefault(("calm", context), [2**21, 0])
        bit = self.coder.decide(limited(cell[0] >> 6))
        learn(cell, bit, 1023)
        return bit


# All together ----------------------------------------------------------------------------------


def unmix(parameters: bytes, data: bytes, shape: tuple[int, ...], itemsize: int) -> np.ndarray:
    """The flat lattice of so many bytes a value."""
    unit = distances_of(shape)
    axes, count = parameters[0], math.prod(shape)
    need(axes >> len(unit) == 0, "Lorenzo along an axis that is not there")
    need(count <= MOST_VALUES_PER_BYTE * len(data), "fewer bytes than the values need")
    coder = Coder(data)
    mixer = Mixer(coder)
    around, terms = neighbours(unit)[1:], corners(unit, axes)
    least_squares = LeastSquares(len(around))
    share = (5, 5, 7, 11, 13)[len(unit)]
    q, e, to_squares, to_lorenzo = Places(), Places(), Places(), Places()
    for i in range(count):
        before = q[i - 1]
        x = [float(wrap(q[i - d] - before)) for d in around]
        p = least_squares.predict(x) if any(x) else 0.0
        squares = wrap(before + round(p))  # `round` is to nearest even
        lorenzo = wrap(sum(sign * q[i - d] for d, sign in terms))
        if energy(to_lorenzo, i, unit) < energy(to_squares, i, unit):
            base, other = lorenzo, squares
            f = min(max(p - float(wrap(lorenzo - before)), -0.5), 0.499)
        else:
            base, other = squares, lorenzo
            f = min(p - round(p), 0.499)
        z = math.floor((f + 0.5) * 16)

        a = energy(e, i, unit) + (2 * abs(e[i - 2]) if len(unit) < 2 else 0)
        mean = a // share
        models, calm = contexts_of(q, e, i, unit, base, other, z, a)
        loudness = sum(a >= least for least in (1, 3, 6, 12, 40))

        def decide(
            decision: int,
            models: list[tuple] = models,
            calm: tuple | None = calm,
            loudness: int = loudness,
        ) -> int:
            if decision == 0 and calm is not None:
                return mixer.decide_calm(calm)
            return mixer.decide(decision, models, loudness)

        d = read_difference(exponent(mean) - 1 if mean >= 4 else 0, decide, coder)
        value = wrap(base + d)
        q.known.append(value)
        e.known.append(clip(d, FAR))
        to_squares.known.append(clip(wrap(value - squares), FAR))
        to_lorenzo.known.append(clip(wrap(value - lorenzo), FAR))
        if any(x):
            least_squares.learn(x, float(wrap(value - before)))
        if i % 32 == 31:
            least_squares.rest()
    need(coder.at == len(data), "bytes behind the last value")
    return np.array(q.known, np.int64).astype(f"<i{itemsize}")
