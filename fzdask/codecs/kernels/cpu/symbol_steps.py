"""Residuals to 16-bit symbols and back on vectors, 64 at a time, at addresses."""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fzdask.codecs.kernels.cpu.small_sums import adds_products, sum_words
from fzdask.codecs.kernels.cpu.symbols import PAIRS, SMALL_BITS, WIDE
from fzdask.codecs.kernels.cpu.vectors import (
    I16,
    I32,
    I64,
    flags,
    load,
    running_sums,
    same,
    step,
    store,
    zero,
)

UNIT = 64
HALF, QUARTER = UNIT // 2, UNIT // 4
FOUR_BITS = 3  # four values of so many bits index a table as large as that of two of SMALL_BITS
# What a step finds: which pairs or fours are not small, whether a value does not fit 16 bits, and
# whether there is any but 0.
NOT_SMALL = (1 << HALF) - 1
SOME_WIDE = 1 << HALF
SOME = 2 << HALF


def _zigzag_step(many, width):
    """What counts so many values of this width together."""
    lanes = UNIT // many
    element = ir.IntType(16 * many)
    large = sum((0xFFFF & -(1 << width)) << 16 * k for k in range(many))

    def build(b, residual, z, places):
        v = load(b, residual, I32, UNIT)
        u = b.xor(b.shl(v, same(I32, 1, UNIT)), b.ashr(v, same(I32, 31, UNIT)))
        wide = b.icmp_unsigned(">=", u, same(I32, WIDE, UNIT))
        low = b.trunc(b.select(wide, same(I32, WIDE, UNIT), u), ir.VectorType(I16, UNIT))
        store(b, z, low)
        joined = b.bitcast(low, ir.VectorType(element, lanes))
        small = b.icmp_unsigned("==", b.and_(joined, same(element, large, lanes)), zero(joined))
        index = joined
        for k in range(1, many):
            index = b.or_(index, b.lshr(joined, same(element, (16 - width) * k, lanes)))
        index = b.and_(index, same(element, PAIRS - 1, lanes))
        index = b.select(small, index, same(element, PAIRS, lanes))
        store(b, places, b.trunc(index, ir.VectorType(I16, lanes)))
        others = flags(b, b.icmp_unsigned("!=", joined, zero(joined)))
        some = b.select(b.icmp_unsigned("!=", others, I64(0)), I64(SOME), I64(0))
        some_wide = b.select(b.icmp_unsigned("!=", flags(b, wide), I64(0)), I64(SOME_WIDE), I64(0))
        return b.or_(b.or_(some, some_wide), flags(b, b.not_(small)))

    return step(build, types.int64, types.int64, types.int64, types.int64)


@intrinsic
def zigzag_step(typingctx, residual, z, places):
    """64 residuals of 32 bits, zigzagged into 16 bits each (``WIDE`` where that is too few).

    Returns what it found: ``NOT_SMALL`` bits, ``SOME_WIDE`` and ``SOME``. ``places`` gets for
    every two values where they are counted, if both are small, and otherwise ``PAIRS``.
    """
    return _zigzag_step(2, SMALL_BITS)


@intrinsic
def zigzag_fours_step(typingctx, residual, z, places):
    """The same, with every four values counted together, if they are below ``2**FOUR_BITS``."""
    return _zigzag_step(4, FOUR_BITS)


def _unzigzagged(b, z):
    u = b.zext(load(b, z, I16, UNIT), ir.VectorType(I32, UNIT))
    one = same(I32, 1, UNIT)
    sign = b.sub(zero(u), b.and_(u, one))
    return b.xor(b.lshr(u, one), sign)


@intrinsic
def unzigzag_step(typingctx, z, residual):
    """64 residuals of 32 bits of values that :func:`zigzag_step` gave, none of them ``WIDE``."""

    def build(b, z, residual):
        store(b, residual, _unzigzagged(b, z))

    return step(build, types.void, types.int64, types.int64)


@intrinsic
def unzigzag_sums(typingctx, z, sums, units, before):
    """The running sums of so many times 64 of these residuals, which go on from ``before``."""

    def build(b, z, sums, units, before):
        total = cgutils.alloca_once_value(b, before)
        with cgutils.for_range(b, units) as loop:
            first = b.mul(loop.index, I64(UNIT))
            place = b.add(z, b.mul(first, I64(2)))
            if adds_products():
                half = I64(UNIT)
                halves = [load(b, at, I16, 32) for at in (place, b.add(place, half))]
                v, last = sum_words(b, halves, b.load(total))
            else:
                v, last = running_sums(b, _unzigzagged(b, place), b.load(total))
            b.store(last, total)
            store(b, b.add(sums, b.mul(first, I64(4))), v)

    words = [types.int64] * 3
    return step(build, types.void, *words, types.int32)


@intrinsic
def popcount(typingctx, value):
    """One bits of an integer of 64 bits."""
    return step(lambda b, value: b.ctpop(value), types.int64, types.int64)
