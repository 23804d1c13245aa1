"""Specification of ``context_mixing``: plain Python, encoder and decoder in one loop."""

from __future__ import annotations

import math
from collections import defaultdict

PLANE_2D = ((0, -1), (0, -2), (-1, 0), (-1, -1), (-1, 1), (-2, 0), (-1, 2), (-1, -2), (-2, -1),
            (-2, 1), (0, -3))  # fmt: skip
SPACE = ((0, 0, -1), (0, 0, -2), (0, -1, 0), (0, -1, -1), (0, -1, 1), (0, -2, 0), (-1, 0, 0),
         (-1, 0, -1), (-1, 0, 1), (-1, -1, 0), (-1, 1, 0), (-1, -1, -1), (-1, -1, 1), (-2, 0, 0),
         (-1, 1, 1), (-1, 1, -1))  # fmt: skip
TIME = ((-1, 0, 0, 0), (-1, 0, 0, -1), (-1, 0, 0, 1), (-1, 0, -1, 0), (-1, 0, 1, 0),
        (-1, -1, 0, 0), (-1, 1, 0, 0), (-2, 0, 0, 0))  # fmt: skip
CLIP = 2**20


def strides_of(shape):
    """Distances of neighbours along the axes, the fastest first."""
    long = [n for n in shape if n != 1]
    while len(long) > 4:
        long[:2] = [long[0] * long[1]]
    out = [1]
    for n in long[:0:-1]:
        out.append(out[-1] * n)
    return out if long else []


def neighbours(strides):
    """Distances of the neighbours of the least-squares prediction."""
    offsets = {
        1: ((-1,), (-2,), (-3,), (-4,)),
        2: PLANE_2D,
        3: SPACE,
        4: tuple((0, *o) for o in SPACE) + TIME,
    }[max(len(strides), 1)]
    out = []
    for offset in offsets:
        d = -sum(o * s for o, s in zip(reversed(offset), strides or [1], strict=True))
        if d > 0 and d not in out:
            out.append(d)
    return out


def clip(v, most):
    return min(max(v, -most), most)


def level(a):
    if a < 4:
        return a
    e = a.bit_length() - 1
    return min(2 * e + (a >> (e - 1)) % 2, 25)


def squash(dot):
    return round(65536 / (1 + math.exp(-(dot + 0.5) / 256)))


def stretch(chance):
    """Of a chance in 4096."""
    return clip(round(256 * math.log((chance + 0.5) / (4095.5 - chance))), 2047)


class Arithmetic:
    """The coder. With bytes it decodes: what is asked is then ignored."""

    def __init__(self, data=None):
        self.low, self.high = 0, 2**32 - 1
        self.data, self.out = data, bytearray()
        self.at = 4
        self.code = int.from_bytes((data or b"")[:4].ljust(4, b"\0"), "big")

    def bit(self, bit, chance=2**15):
        middle = self.low + ((self.high - self.low) * chance >> 16)
        if self.data is not None:
            bit = int(self.code <= middle)
        if bit:
            self.high = middle
        else:
            self.low = middle + 1
        while self.low >> 24 == self.high >> 24:
            self.out.append(self.low >> 24)
            self.low = self.low % 2**24 * 256
            self.high = self.high % 2**24 * 256 + 255
            if self.data is not None:
                byte = self.data[self.at] if self.at < len(self.data) else 0
                self.code = self.code % 2**24 * 256 + byte
                self.at += 1
        return bit

    def bits(self, value, width):
        """The low bits of a number at even odds."""
        out = 0
        for k in reversed(range(width)):
            out = 2 * out + self.bit(value >> k & 1)
        return out

    def finish(self):
        return bytes(self.out) + self.low.to_bytes(4, "big")


class Cell:
    """An adaptive chance, in 22 bits."""

    def __init__(self):
        self.chance, self.seen = 2**21, 0

    def learn(self, bit, most):
        rate = 2 * 65536 // (2 * self.seen + 3)
        self.chance += (bit * (2**22 - 1) - self.chance) * rate >> 16
        self.seen = min(self.seen + 1, most)


class Mixer:
    """Eight models joined by weights that learn."""

    def __init__(self, coder):
        self.coder = coder
        self.cells = defaultdict(Cell)
        self.weights = defaultdict(lambda: [2**14] * 8)

    def decide(self, bit, decision, contexts, strong):
        cells = [self.cells[k, context, decision] for k, context in enumerate(contexts)]
        weights = self.weights[strong, decision]
        inputs = [stretch(cell.chance >> 10) for cell in cells]
        dot = sum(w * x for w, x in zip(weights, inputs, strict=True)) + 0x8000 >> 16
        chance = min(max(squash(min(max(dot, -2048), 2047)), 48), 65536 - 48)
        bit = self.coder.bit(bit, chance)
        error = (bit * 65536 - chance) * 5
        for k in range(8):
            weights[k] += inputs[k] * error + 0x8000 >> 16
            cells[k].learn(bit, 127)
        return bit

    def decide_calm(self, bit, context):
        cell = self.cells["calm", context]
        bit = self.coder.bit(bit, min(max(cell.chance >> 6, 48), 65536 - 48))
        cell.learn(bit, 1023)
        return bit


class LeastSquares:
    """Weights of neighbours, solved for again every 32 values."""

    def __init__(self, m):
        self.products = [[0.0] * m for _ in range(m)]
        self.targets, self.weights = [0.0] * m, [0.0] * m
        self.fresh = False

    def predict(self, x):
        p = 0.0
        for w, v in zip(self.weights, x, strict=True):
            p += w * v
        return p if abs(p) < 2.0**52 else 0.0

    def learn(self, x, t):
        for k, xk in enumerate(x):
            for j in range(k + 1):
                self.products[k][j] += xk * x[j]
            self.targets[k] += xk * t
        self.fresh = True

    def pause(self):
        if self.fresh:
            self.solve()
        self.fresh = False
        self.products = [[v * 0.9379 for v in row] for row in self.products]
        self.targets = [v * 0.9379 for v in self.targets]

    def solve(self):
        m = len(self.targets)
        lower = [[0.0] * m for _ in range(m)]
        for k in range(m):
            for j in range(k + 1):
                s = self.products[k][j] + (10.0 if j == k else 0.0)
                for r in range(j):
                    s -= lower[k][r] * lower[j][r]
                if j == k and not s > 0:
                    return
                lower[k][j] = math.sqrt(s) if j == k else s / lower[j][j]
        y = []
        for k in range(m):
            s = self.targets[k]
            for r in range(k):
                s -= lower[k][r] * y[r]
            y.append(s / lower[k][k])
        for k in reversed(range(m)):
            s = y[k]
            for r in range(k + 1, m):
                s -= lower[r][k] * y[r]
            y[k] = s / lower[k][k]
        self.weights = y


class History:
    """Numbers by place; 0 before the first."""

    def __init__(self, values=()):
        self.values = list(values)

    def __getitem__(self, k):
        return self.values[k] if 0 <= k < len(self.values) else 0


def energy_of(past, i, row, plane, volume, *, lead=False):
    """The weighted magnitudes around; without the plane's row where there is none."""

    def size(distance):
        return abs(past[i - distance])

    total = 2 * size(1) + size(2)
    if row:
        total += 2 * size(row) + size(row + 1) + size(row - 1)
    elif not lead:
        total += 2 * size(2)
    if plane:
        total += 2 * size(plane) + size(plane - 1) + size(plane - row)
    return total + 2 * size(volume) if volume else total


def contexts_of(q, e, i, base, other, sixteenth, row, plane, volume):
    """Contexts of the eight models, and that of the calm one or None."""

    def value(distance, there=True):
        return q[i - distance] - base if there else 0

    def diff(distance, there=True):
        return e[i - distance] if there else 0

    west = value(1)
    north = value(row) if row else value(2)
    north_west, north_east = value(row + 1, row), value(row - 1, row)
    up = value(plane) if plane else north_east
    older = value(volume) if volume else north_west
    w, nn, u = diff(1), diff(row) if row else diff(2), diff(plane, plane)
    aside = abs(diff(2)) + abs(diff(row + 1, row)) + abs(diff(row - 1, row))
    behind = abs(u) + abs(diff(plane - 1, plane)) + abs(diff(plane - row, plane))
    behind += abs(diff(volume, volume))
    a = energy_of(e, i, row, plane, volume)
    slopes = (west - north_west, north - north_west, north - north_east, up - west)
    slope = level(sum(min(abs(s), CLIP) for s in slopes))
    strength = sum(a >= least for least in (1, 4, 12))
    models = (
        (level(a), sixteenth // 2),
        (clip(w, 3), clip(nn, 3), clip(u if plane else diff(row + 1, row), 3)),
        (clip(other - base, 6), clip(up, 4), strength),
        (clip(west, 5), clip(north, 5), clip(up, 3)),
        (level(aside), clip(w + nn + u, 4)),
        (sixteenth, slope),
        (level(a), slope),
        (level(behind), clip(older, 2), clip(north_east, 2)),
    )
    if a or slope or other != base:
        return models, None
    far = (3, row - 2, row + 2) if row else (3, 4, 5)
    far += (plane + row, plane + 1) if plane else ()
    return models, (sixteenth, clip(west, 2), *(e[i - distance] != 0 for distance in far))


def code_difference(d, shift, mixer, contexts, strong, calm):
    """Code a difference; returns it."""

    def decide(bit, decision):
        return mixer.decide(int(bit), decision, contexts, strong)

    if not shift:
        some = mixer.decide_calm(int(d != 0), calm) if calm else decide(d != 0, 0)
        if not some:
            return 0
    negative = decide(d < 0, 32 if shift else 1)
    whole = (-d - 1 if d < 0 else d) if shift else abs(d) - 1
    m = whole >> shift
    count = 0
    first = (34 if shift else 2) + 7 * negative
    while count < 6 and decide(m > count, first + count):
        count += 1
    got = count
    if count == 6:
        rest = m - 2
        length = 2
        first = 48 if shift else 16
        while decide(rest.bit_length() - 1 > length, first + min(length - 2, 5)):
            length += 1
            if length == 62:
                break
        first = (54 if shift else 22) + 2 * min(length - 2, 3)
        got = 1
        for k in range(2):
            got = 2 * got + decide(rest >> (length - 1 - k) & 1, first + k)
        got = (got << (length - 2)) + mixer.coder.bits(rest, length - 2) + 2
    if not shift:
        return -got - 1 if negative else got + 1
    got = 2 * got + decide(whole >> (shift - 1) & 1, 63 if count == 6 else 62)
    got = (got << (shift - 1)) + mixer.coder.bits(whole, shift - 1)
    return -got - 1 if negative else got


def run(shape, axes, values=None, data=None):
    """The bytes of some values, or the values of some bytes."""
    size = math.prod(shape)
    strides = strides_of(shape)
    row, plane, volume = (*strides[1:], 0, 0, 0)[:3]
    around = neighbours(strides)
    corners = []
    for mask in range(1, 1 << len(strides)):
        if not mask & ~axes:
            chosen = [s for k, s in enumerate(strides) if mask >> k & 1]
            corners.append((sum(chosen), 1 if len(chosen) % 2 else -1))
    coder = Arithmetic(data)
    mixer = Mixer(coder)
    squares_of = LeastSquares(len(around) - 1)
    q, e, to_squares, to_lorenzo = History(), History(), History(), History()
    share = 5 + 2 * (row > 0) + 4 * (plane > 0) + 2 * (volume > 0)
    for i in range(size):
        before = q[i - 1]
        x = [float(q[i - d] - before) for d in around[1:]]
        p = squares_of.predict(x) if any(x) else 0.0
        squares = before + round(p)
        lorenzo = sum(sign * q[i - d] for d, sign in corners)
        errors = [energy_of(h, i, row, plane, volume, lead=True) for h in (to_squares, to_lorenzo)]
        if errors[0] > errors[1]:
            base, other = lorenzo, squares
            fraction = min(max(p - float(lorenzo - before), -0.5), 0.499)
        else:
            base, other = squares, lorenzo
            fraction = min(p - round(p), 0.499)
        sixteenth = math.floor((fraction + 0.5) * 16)
        contexts, calm = contexts_of(q, e, i, base, other, sixteenth, row, plane, volume)
        a = energy_of(e, i, row, plane, volume)
        strong = sum(a >= least for least in (1, 3, 6, 12, 40))
        mean = a // share
        shift = mean.bit_length() - 2 if mean >= 4 else 0
        d = values[i] - base if values is not None else 0
        d = code_difference(d, shift, mixer, contexts, strong, calm)
        value = base + d
        q.values.append(value)
        e.values.append(clip(d, CLIP))
        to_squares.values.append(clip(value - squares, CLIP))
        to_lorenzo.values.append(clip(value - lorenzo, CLIP))
        if any(x):
            squares_of.learn(x, float(value - before))
        if i % 32 == 31:
            squares_of.pause()
    return coder.finish() if data is None else q.values


def encode(values, shape, axes):
    """The main section."""
    return run(shape, axes, values=[int(v) for v in values])


def decode(data, shape, axes):
    """The values."""
    return run(shape, axes, data=bytes(data))
