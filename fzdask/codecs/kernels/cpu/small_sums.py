"""Running sums of 64 small integers: products with ones and zeros add those that are neighbours.

So only every fourth or second of them takes part in the steps that move sums along a vector, and
none is widened first. Where the processor has no such products, :func:`adds_products` says so.
"""

from functools import lru_cache

from llvmlite import ir

from fzdask.codecs.kernels.cpu.vectors import (
    I32,
    able,
    call,
    join,
    pick,
    running,
    unzigzag,
    zero,
)
from fzdask.codecs.kernels.cpu.vectors import constant as values

__all__ = ["adds_products", "sum_bytes", "sum_words"]


@lru_cache(maxsize=1)
def adds_products():
    """Whether the processor adds two or four products of small integers to one at once."""
    return able("avx512vnni", "avx512bw")


def sum_bytes(b, t, total):
    """Running sums of 64 signed bytes, on top of a total in 16 lanes: by fours, then within."""
    v = b.bitcast(t, ir.VectorType(I32, 16))

    def add(sums, weights, v):
        weights = values(I32, weights)
        return call(b, "llvm.x86.avx512.vpdpbusd.512", v.type, sums, weights, v)

    fours = add(zero(v), [0x01010101] * 16, v)
    sums = running(b, fours)
    before = b.add(b.sub(sums, fours), total)
    parts = []
    for k in range(0, 16, 4):
        lanes = [k + j // 4 for j in range(16)]
        weights = [0x01010101 >> (8 * (3 - j % 4)) for j in range(16)]
        parts.append(add(pick(b, before, before, lanes), weights, pick(b, v, v, lanes)))
    return join(b, parts)


def sum_words(b, halves, total):
    """Running sums of 64 signed integers of 16 bits, given zigzagged, 32 at a time.

    They are on top of a total in 16 lanes.
    """
    ones = [0x00010001] * 16

    def add(sums, weights, v):
        return call(b, "llvm.x86.avx512.vpdpwssd.512", v.type, sums, values(I32, weights), v)

    parts = []
    for z in halves:
        v = b.bitcast(unzigzag(b, z), total.type)
        twos = add(zero(v), ones, v)
        sums = running(b, twos)
        before = b.add(b.sub(sums, twos), total)
        for k in (0, 8):
            lanes = [k + j // 2 for j in range(16)]
            weights = [0x00010001 if j % 2 else 1 for j in range(16)]
            parts.append(add(pick(b, before, before, lanes), weights, pick(b, v, v, lanes)))
        total = b.add(total, pick(b, sums, sums, [15] * 16))
    return join(b, parts)
