"""Residuals to 16-bit symbols and back on vectors, 64 at a time, at addresses."""

from functools import lru_cache

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fzdask.codecs.kernels.cpu.small_sums import adds_products, sum_words
from fzdask.codecs.kernels.cpu.symbols import SMALL_BITS, WIDE
from fzdask.codecs.kernels.cpu.vectors import (
    I8,
    I16,
    I32,
    I64,
    able,
    call,
    flags,
    fold,
    in_front,
    join,
    load,
    pick,
    running_sums,
    same,
    step,
    store,
    unzigzag,
    zero,
)

UNIT = 64
HALF = UNIT // 2
FOUR_BITS = 3  # four values of so many bits index a table as large as that of two of SMALL_BITS
# What a step finds: which pairs or fours are not small, whether a value does not fit 16 bits, and
# above these, how many places it wrote.
NOT_SMALL = (1 << HALF) - 1
SOME_WIDE = 1 << HALF
MANY_SHIFT = HALF + 1


@lru_cache(maxsize=1)
def _compresses():
    """Whether the processor moves chosen lanes of 16 bits together."""
    return able("avx512vbmi2", "avx512bw")


def _append(b, target, values, chosen):
    """Write the chosen lanes one behind the other, and anything behind them; how many these are."""
    n = values.type.count
    if _compresses():
        width = values.type.element.width
        name = f"llvm.x86.avx512.mask.compress.v{n}i{width}"
        packed = call(b, name, values.type, values, zero(values), chosen)
        store(b, target, b.trunc(packed, ir.VectorType(I16, n)) if width > 16 else packed)
        return b.ctpop(flags(b, chosen))
    many = I64(0)
    for k in range(n):
        place = b.inttoptr(b.add(target, b.shl(many, I64(1))), I16.as_pointer())
        value = b.extract_element(values, I32(k))
        b.store(value if value.type == I16 else b.trunc(value, I16), place)
        many = b.add(many, b.zext(b.extract_element(chosen, I32(k)), I64))
    return many


def _zigzagged(b, residual, z):
    """Zigzag 64 residuals into 16 bits each, at an address; their low bytes, and ``SOME_WIDE``."""
    v = load(b, residual, I32, UNIT)
    limit = same(I32, WIDE // 2, UNIT)
    most = fold(b, lambda x, y: b.select(b.icmp_unsigned(">", x, y), x, y), b.add(v, limit), 16)
    beyond = flags(b, b.icmp_unsigned(">=", most, same(I32, WIDE, 16)))
    halves = [load(b, b.add(residual, I64(64 * k)), I16, HALF) for k in range(4)]
    low = [pick(b, *halves[k : k + 2], range(0, UNIT, 2)) for k in (0, 2)]
    low = join(b, low)
    low = b.xor(b.shl(low, same(I16, 1, UNIT)), b.ashr(low, same(I16, 15, UNIT)))
    slot = cgutils.alloca_once_value(b, low)
    some_wide = b.icmp_unsigned("!=", beyond, I64(0))
    with b.if_then(some_wide, likely=False):
        u = b.xor(b.shl(v, same(I32, 1, UNIT)), b.ashr(v, same(I32, 31, UNIT)))
        most = same(I32, WIDE, UNIT)
        u = b.select(b.icmp_unsigned(">=", u, most), most, u)
        b.store(b.trunc(u, low.type), slot)
    low = b.load(slot)
    store(b, z, low)
    top = same(I16, 255, UNIT)
    low = b.select(b.icmp_unsigned(">", low, top), top, low)
    return b.trunc(low, ir.VectorType(I8, UNIT)), b.select(some_wide, I64(SOME_WIDE), I64(0))


def _index(b, joined, many, width):
    """So many bytes of this width in each lane, moved together."""
    element, lanes = joined.type.element, joined.type.count
    apart = 8
    while many > 1:
        many //= 2
        low = sum(((1 << width) - 1) << 2 * apart * k for k in range(many))
        moved = b.lshr(joined, same(element, apart - width, lanes))
        high = b.and_(moved, same(element, low << width, lanes))
        joined = b.or_(b.and_(joined, same(element, low, lanes)), high)
        apart, width = 2 * apart, 2 * width
    return joined


def _zigzag_step(many, width):
    """What counts so many values of this width together."""
    lanes = UNIT // many
    element = ir.IntType(8 * many)
    large = sum((0xFF & -(1 << width)) << 8 * k for k in range(many))

    def build(b, residual, z, places):
        low, some_wide = _zigzagged(b, residual, z)
        joined = b.bitcast(low, ir.VectorType(element, lanes))
        small = b.icmp_unsigned("==", b.and_(joined, same(element, large, lanes)), zero(joined))
        index = _index(b, joined, many, width)
        counted = b.and_(small, b.icmp_unsigned("!=", joined, zero(joined)))
        found = b.or_(some_wide, flags(b, b.not_(small)))
        return b.or_(found, b.shl(_append(b, places, index, counted), I64(MANY_SHIFT)))

    return step(build, types.int64, types.int64, types.int64, types.int64)


@intrinsic
def zigzag_step(typingctx, residual, z, places):
    """64 residuals of 32 bits, zigzagged into 16 bits each (``WIDE`` where that is too few).

    Returns what it found: ``NOT_SMALL`` bits, ``SOME_WIDE``, and, from ``MANY_SHIFT`` on, how
    many ``places`` it wrote, with room for 64 bytes: where to count every two values that are both
    small and not both 0.
    """
    return _zigzag_step(2, SMALL_BITS)


@intrinsic
def zigzag_fours_step(typingctx, residual, z, places):
    """The same, with every four values counted together, if they are below ``2**FOUR_BITS``."""
    return _zigzag_step(4, FOUR_BITS)


def _unzigzagged(b, z):
    return unzigzag(b, b.zext(load(b, z, I16, UNIT), ir.VectorType(I32, UNIT)))


@intrinsic
def unzigzag_step(typingctx, z, residual):
    """64 residuals of 32 bits of values that :func:`zigzag_step` gave, none of them ``WIDE``."""

    def build(b, z, residual):
        store(b, residual, _unzigzagged(b, z))

    return step(build, types.void, types.int64, types.int64)


@intrinsic
def unzigzag_sums(typingctx, z, sums, units):
    """Running sums of so many times 64 of these residuals, which go on from the one in front."""

    def build(b, z, sums, units):
        with cgutils.for_range(b, units) as loop:
            first = b.mul(loop.index, I64(UNIT))
            place = b.add(z, b.mul(first, I64(2)))
            target = b.add(sums, b.mul(first, I64(4)))
            before = in_front(b, target)
            if adds_products():
                half = I64(UNIT)
                halves = [load(b, at, I16, 32) for at in (place, b.add(place, half))]
                v = sum_words(b, halves, before)
            else:
                v = running_sums(b, _unzigzagged(b, place), before)
            store(b, target, v)

    return step(build, types.void, types.int64, types.int64, types.int64)


@intrinsic
def popcount(typingctx, value):
    """One bits of an integer of 64 bits."""
    return step(lambda b, value: b.ctpop(value), types.int64, types.int64)
