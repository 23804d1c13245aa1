"""Specification of the coded bitmaps: lists of bits, and decisions one after the other."""

from __future__ import annotations

HIGHEST = 2**32 - 1


class Encoder:
    """Decisions to bytes."""

    def __init__(self):
        self.low, self.high = 0, HIGHEST
        self.p = [2**15] * 258
        self.out = []

    def decide(self, bit, context):
        p = self.p[context]
        middle = self.low + (self.high - self.low) * p // 2**16
        if bit:
            self.high = middle
            self.p[context] += (2**16 - p) // 32
        else:
            self.low = middle + 1
            self.p[context] -= p // 32
        while self.low >> 24 == self.high >> 24:
            self.out.append(self.high >> 24)
            self.low = self.low % 2**24 * 256
            self.high = self.high % 2**24 * 256 + 255
        return bit

    def finish(self):
        return bytes([*self.out, self.high >> 24])


class Decoder(Encoder):
    """Bytes to decisions."""

    def __init__(self, data):
        super().__init__()
        self.data = data

    def decide(self, bit, context):
        middle = self.low + (self.high - self.low) * self.p[context] // 2**16
        used = len(self.out)
        code = int.from_bytes((self.data[used:] + bytes(4))[:4], "big")
        return super().decide(int(code <= middle), context)


def code(bits, n, row, plane, hint, coder):
    """Pass n bits through a coder; an encoder takes them from `bits`, a decoder gives them."""
    b = []

    def at(k):
        return b[k] if k >= 0 else 0

    while len(b) < n:
        i = len(b)
        m = min(16, n - i)
        if row:
            m = min(m, max(row - 1, 1))
        mine = bits[i : i + m] if bits is not None else [0] * m
        around = [at(i - 2), at(i - 1)]
        if row:
            around += [at(k) for k in range(i - row - 1, i - row + m + 1)]
        if plane:
            around += [at(k) for k in range(i - plane, i - plane + m)]
        alike = len(set(around)) == 1 and m > 1
        if alike and coder.decide(int(set(mine) == {around[0]}), 256 + around[0]):
            b += [around[0]] * m
            continue
        for k in range(i, i + m):
            context = at(k - 2) + 2 * at(k - 1)
            if row:
                context += 4 * at(k - row - 1) + 8 * at(k - row) + 16 * at(k - row + 1)
            if plane:
                context += 32 * at(k - plane) + 64 * at(k - plane - row)
            context += 128 * hint[k] if hint is not None else 0
            b.append(coder.decide(mine[k - i], context))
    return b


def encode(bits, row, plane, hint=None):
    coder = Encoder()
    code(bits, len(bits), row, plane, hint, coder)
    return coder.finish()


def decode(data, n, row, plane, hint=None):
    return code(None, n, row, plane, hint, Decoder(data))
