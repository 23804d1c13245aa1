"""Codes of 32 symbols at once, joined to words of four, eight and sixteen codes, on vectors."""

import platform
from functools import lru_cache

from llvmlite import binding, ir
from numba import types
from numba.core import config
from numba.extending import intrinsic

from fzdask.codecs.kernels.cpu.vectors import (
    I16,
    I32,
    I64,
    call,
    flags,
    load,
    pick,
    same,
    step,
    store,
    zero,
)

UNIT = 32
NEAR, FAR = 64, 256  # symbols below are looked up
JOINED = 28  # words of 64 bits that a step writes: sums of 4, 8 and 16 codes and their lengths
FOURS, EIGHTS, SIXTEENS = 0, 16, 24  # where they begin, each followed by the lengths
LONG_EIGHT = 1 << 32  # some eight codes do not fit 64 bits
LONG_SIXTEEN = 2 << 32  # some sixteen do not


@lru_cache(maxsize=8)
def has(feature: str) -> bool:
    """Whether the processor is an x86 one with this set of instructions."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return False
    if config.CPU_NAME or config.CPU_FEATURES:  # kernels are compiled for another one
        return f"+{feature}" in (config.CPU_FEATURES or "")
    return bool(binding.get_host_cpu_features().get(feature))


def _look_up(b, table, z, size):
    """Entries of 16 bits, for symbols below ``size``; anything for others."""
    if not has("avx512bw"):  # 64 entries of 16 bits in one instruction
        out = ir.Constant(z.type, ir.Undefined)
        inside = b.and_(z, same(I16, size - 1, UNIT))
        for k in range(UNIT):
            at = b.zext(b.extract_element(inside, I32(k)), I64)
            pointer = b.inttoptr(b.add(table, b.shl(at, I64(1))), I16.as_pointer())
            out = b.insert_element(out, b.load(pointer, align=2), I32(k))
        return out
    parts = [load(b, b.add(table, I64(64 * k)), I16, UNIT) for k in range(size // UNIT)]
    name = "llvm.x86.avx512.vpermi2var.hi.512"
    found = [call(b, name, z.type, parts[k], z, parts[k + 1]) for k in range(0, len(parts), 2)]
    bit = 64
    while len(found) > 1:
        high = b.icmp_unsigned("!=", b.and_(z, same(I16, bit, UNIT)), zero(z))
        found = [b.select(high, found[k + 1], found[k]) for k in range(0, len(found), 2)]
        bit *= 2
    return found[0]


def _join(b, codes, lengths, width):
    """Codes in the halves of lanes of this width, the first in the low one, as one code."""
    n = codes.type.count // 2
    element = ir.IntType(width)
    vector = ir.VectorType(element, n)
    half = same(element, width // 2, n)
    low = same(element, (1 << width // 2) - 1, n)
    both, sizes = b.bitcast(codes, vector), b.bitcast(lengths, vector)
    size = b.lshr(sizes, half)
    joined = b.or_(b.shl(b.and_(both, low), size), b.lshr(both, half))
    return joined, b.add(b.and_(sizes, low), size)


def _join_neighbours(b, codes, lengths):
    """As :func:`_join` of lanes of 64 bits; only where they fit."""
    n = codes.type.count
    even, odd = range(0, n, 2), range(1, n, 2)
    size = pick(b, lengths, lengths, odd)
    first, second = pick(b, codes, codes, even), pick(b, codes, codes, odd)
    shift = b.and_(size, same(I64, 63, n // 2))
    return b.or_(b.shl(first, shift), second), b.add(pick(b, lengths, lengths, even), size)


def _too_long(b, lengths, flag):
    over = flags(b, b.icmp_unsigned(">", lengths, same(I64, 64, lengths.type.count)))
    return b.select(b.icmp_unsigned("!=", over, I64(0)), I64(flag), I64(0))


def _codes(size):
    def build(b, z, table, out):
        v = load(b, z, I16, UNIT)
        codes = _look_up(b, table, v, size)
        lengths = _look_up(b, b.add(table, I64(2 * FAR)), v, size)
        above = b.icmp_unsigned(">=", v, same(I16, size, UNIT))
        without = b.icmp_unsigned(">", lengths, same(I16, 16, UNIT))
        found = flags(b, b.or_(above, without))
        fours = _join(b, *_join(b, codes, lengths, 32), 64)
        eights = _join_neighbours(b, *fours)
        sixteens = _join_neighbours(b, *eights)
        for at, (joined, many) in ((FOURS, fours), (EIGHTS, eights), (SIXTEENS, sixteens)):
            store(b, b.add(out, I64(8 * at)), joined)
            store(b, b.add(out, I64(8 * (at + joined.type.count))), many)
        found = b.or_(found, _too_long(b, eights[1], LONG_EIGHT))
        return b.or_(found, _too_long(b, sixteens[1], LONG_SIXTEEN))

    return step(build, types.int64, types.int64, types.int64, types.int64)


@intrinsic
def codes_near(typingctx, z, table, out):
    """Joined codes of 32 symbols.

    ``table`` is ``FAR`` codes and ``FAR`` lengths of 16 bits each; ``out`` gets ``JOINED`` words.
    Returns as bits which symbols are not below ``NEAR`` or have no code, with ``LONG_EIGHT`` and
    ``LONG_SIXTEEN``.
    """
    return _codes(NEAR)


@intrinsic
def codes_far(typingctx, z, table, out):
    """As :func:`codes_near` for symbols below ``FAR``."""
    return _codes(FAR)


@intrinsic
def store_words(typingctx, words, bits):
    """Two words of 32 bits from one of 64, the upper half first."""

    def build(b, words, bits):
        turned = b.or_(b.shl(bits, I64(32)), b.lshr(bits, I64(32)))
        b.store(turned, b.inttoptr(words, I64.as_pointer()), align=4)

    return step(build, types.void, types.int64, types.uint64)
