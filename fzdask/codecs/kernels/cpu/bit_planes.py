"""Bit planes of four blocks of 16 residuals at once, on vectors: the unit of ``fixed_length``.

Eight bytes are an 8 x 8 matrix of bits, which three exchanges transpose (Warren, Hacker's
Delight, section 7-3); eight such matrices fill a vector. Wider residuals are two or four vectors
of bytes. Stores of one block run over into the room of the next, which then overwrites it.
"""

from functools import lru_cache

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from fzdask.codecs.kernels.cpu.small_sums import adds_products, sum_bytes, sum_words
from fzdask.codecs.kernels.cpu.vectors import (
    I1,
    I8,
    I16,
    I32,
    I64,
    LINE,
    able,
    call,
    fetch,
    flags,
    fold,
    in_front,
    join,
    load,
    pick,
    running_sums,
    same,
    splat,
    step,
    store,
    unzigzag,
    zero,
)
from fzdask.codecs.kernels.cpu.vectors import constant as values

UNIT = 64
# Bytes ahead at which room for planes is fetched into the second cache: a line is read before it
# is written, and comes from memory where it was not used of late.
AHEAD = 4096
ROOM = 256  # bytes that are fetched at once where values will be written
# Two matrices of 8 x 8 bits, side by side: from planes of 8 bits each to planes of 16, and back.
_PAIR = [16 * k + 8 * (j & 1) + (j >> 1) for k in range(4) for j in range(16)]
_UNPAIR = [16 * k + 2 * (j & 7) + (j >> 3) for k in range(4) for j in range(16)]
# The matrix that moves all bits of a byte down by one, and exchanges them if the last is set.
_UNZIGZAG = [1, 0x81, 0x41, 0x21, 0x11, 0x09, 0x05, 0x03]
_EXCHANGES = ((7, 0x00AA00AA00AA00AA), (14, 0x0000CCCC0000CCCC), (28, 0x00000000F0F0F0F0))


@lru_cache(maxsize=1)
def _multiplies_matrices():
    """Whether the processor multiplies matrices of 8 x 8 bits, which transposes them at once."""
    return able("gfni", "avx512bw")


@lru_cache(maxsize=1)
def _expands():
    """Whether the processor moves consecutive words to chosen lanes."""
    return able("avx512vbmi2", "avx512bw")


def _rows(lanes):
    """The lanes in the order in which :func:`_transpose` takes the rows of a matrix."""
    if _multiplies_matrices():  # from the last
        return [lanes[k ^ 7] for k in range(len(lanes))]
    return lanes


def _transpose(b, v):
    """The 8 x 8 bits of every eight bytes, transposed."""
    n = v.type.count // 8
    if _multiplies_matrices():
        unit = values(I8, [1 << j for j in range(8)] * n)
        return call(b, "llvm.x86.vgf2p8affineqb.512", v.type, unit, v, I8(0))
    x = b.bitcast(v, ir.VectorType(I64, n))
    for distance, mask in _EXCHANGES:
        shift = same(I64, distance, n)
        t = b.and_(b.xor(x, b.lshr(x, shift)), same(I64, mask, n))
        x = b.xor(b.xor(x, t), b.shl(t, shift))
    return b.bitcast(x, v.type)


def _zigzag(b, v, element, bits):
    one, sign = same(element, 1, UNIT), same(element, bits - 1, UNIT)
    return b.xor(b.shl(v, one), b.ashr(v, sign))


def _widest(zigzagged, bits):
    def build(b, a):
        v = load(b, a, I32, UNIT)
        if not zigzagged:  # those that fit become 0 to 2**bits - 1
            v = b.add(v, same(I32, 1 << (bits - 1), UNIT))
        over = b.lshr(fold(b, b.or_, v, 16), same(I32, bits, 16))
        return flags(b, b.icmp_unsigned("!=", over, zero(over)))

    return step(build, types.int64, types.int64)


@intrinsic
def wide_codes(typingctx, a):
    """Whether one of 64 codes exceeds 8 bits."""
    return _widest(True, 8)


@intrinsic
def very_wide_codes(typingctx, a):
    """Whether one of 64 codes exceeds 16 bits."""
    return _widest(True, 16)


@intrinsic
def wide_residuals(typingctx, a):
    """Whether one of 64 residuals exceeds 8 bits."""
    return _widest(False, 8)


@intrinsic
def very_wide_residuals(typingctx, a):
    """Whether one of 64 residuals exceeds 16 bits."""
    return _widest(False, 16)


def _class(b, w):
    """Four bits for a width, and the width that they stand for, where 12 may be exceeded."""
    steps = [(12, 13, 16), (16, 14, 24), (24, 15, 32)]
    code, width = w, w
    for above, c, wide in steps:
        more = b.icmp_unsigned(">", w, I64(above))
        code, width = b.select(more, I64(c), code), b.select(more, I64(wide), width)
    return code, width


def _low_bytes(b, a):
    """The low bytes of 64 integers, as rows: halves of two vectors at a time beat truncation."""
    parts = [load(b, b.add(a, I64(64 * k)), I8, 64) for k in range(4)]
    pairs = [
        pick(b, parts[k], parts[k + 1], [j for i in range(32) for j in (4 * i, 4 * i + 1)])
        for k in (0, 2)
    ]
    return pick(b, *pairs, _rows(range(0, 128, 2)))


def _pack(zigzagged, levels):
    """Planes of the low ``levels`` bytes; returns bytes written << 16 | four width classes."""

    def build(b, a, out):
        for place in range(AHEAD, AHEAD + UNIT * levels, LINE):
            fetch(b, b.add(out, I64(place)), 2)
        if levels == 1:
            low = _low_bytes(b, a)
            parts = [low if zigzagged else _zigzag(b, low, I8, 8)]
        else:
            v = load(b, a, I32, UNIT)
            z = v if zigzagged else _zigzag(b, v, I32, 32)
            parts = [
                b.trunc(b.lshr(z, same(I32, 8 * k, UNIT)) if k else z, ir.VectorType(I8, UNIT))
                for k in range(levels)
            ]
            parts = [pick(b, part, part, _rows(range(UNIT))) for part in parts]
        planes = []
        used = []
        for part in parts:
            t = _transpose(b, part)
            planes.append(pick(b, t, t, _PAIR))
            words = b.bitcast(planes[-1], ir.VectorType(I16, 32))
            used.append(flags(b, b.icmp_unsigned("!=", words, same(I16, 0, 32))))
        at, head = I64(0), I64(0)
        for k in range(4):
            mine = I64(0)
            for level, bits in enumerate(used):
                byte = b.and_(b.lshr(bits, I64(8 * k)), I64(255))
                mine = b.or_(mine, b.shl(byte, I64(8 * level)))
            w = b.sub(I64(64), call(b, "llvm.ctlz.i64", I64, mine, I1(0)))
            code, w = (w, w) if levels == 1 else _class(b, w)
            for level, plane in enumerate(planes):
                place = b.add(out, b.add(at, I64(16 * level)))
                store(b, place, pick(b, plane, plane, range(16 * k, 16 * k + 16)))
            at = b.add(at, b.shl(w, I64(1)))
            head = b.or_(head, b.shl(code, I64(4 * k)))
        return b.or_(b.shl(at, I64(16)), head)

    return step(build, types.int64, types.int64, types.int64)


@intrinsic
def pack_codes_8(typingctx, a, out):
    """Pack 64 codes of at most 8 bits."""
    return _pack(True, 1)


@intrinsic
def pack_codes_16(typingctx, a, out):
    """Pack 64 codes of at most 16 bits."""
    return _pack(True, 2)


@intrinsic
def pack_codes_32(typingctx, a, out):
    """Pack 64 codes."""
    return _pack(True, 4)


@intrinsic
def pack_residuals_8(typingctx, a, out):
    """Zigzag and pack 64 residuals of at most 8 bits."""
    return _pack(False, 1)


@intrinsic
def pack_residuals_16(typingctx, a, out):
    """Zigzag and pack 64 residuals of at most 16 bits."""
    return _pack(False, 2)


@intrinsic
def pack_residuals_32(typingctx, a, out):
    """Zigzag and pack 64 residuals."""
    return _pack(False, 4)


# Matrices of 64 bits in the order in which bytes of two vectors, paired within 16 bytes each, are
# those of consecutive values.
_APART = [8 * (k // 2 + 4 * (k % 2)) + j for k in range(8) for j in range(8)]


def _words(b, low, high):
    """64 zigzagged integers of 16 bits, of bytes ``_APART``; the two halves of them."""
    for half in (0, 8):
        pairs = [half + 16 * k + j // 2 + 64 * (j % 2) for k in range(4) for j in range(16)]
        yield b.bitcast(pick(b, low, high, pairs), ir.VectorType(I16, 32))


def _masked(b, source, head, levels):
    """How many bytes four blocks take, and their planes of eight bits for each level."""
    at = I64(0)
    lanes = [[] for _ in range(levels)]
    for k in range(4):
        w = b.and_(b.lshr(head, I64(4 * k)), I64(15))
        if levels > 1:
            wide = b.shl(b.sub(w, I64(11)), I64(3))
            w = b.select(b.icmp_unsigned(">", w, I64(12)), wide, w)
        count = splat(b, b.trunc(w, I16), 8)
        for level in range(levels):
            words = load(b, b.add(source, b.add(at, I64(16 * level))), I16, 8)
            mine = b.icmp_unsigned("<", values(I16, range(8 * level, 8 * level + 8)), count)
            lanes[level].append(b.select(mine, words, zero(words)))
        at = b.add(at, b.shl(w, I64(1)))
    return at, [b.bitcast(join(b, words), ir.VectorType(I8, UNIT)) for words in lanes]


def _expanded(b, source, head, levels):
    """What :func:`_masked` gives for one or two levels, without a step for each block."""
    at = I64(0)
    planes = 8 * levels
    found = []
    for first in range(0, 4 * planes, 32):
        shifts = values(I16, [4 * (j // planes) for j in range(first, first + 32)])
        widths = b.and_(b.lshr(splat(b, b.trunc(head, I16), 32), shifts), same(I16, 15, 32))
        mine = b.icmp_unsigned(">", widths, values(I16, [min(j % planes, 12) for j in range(32)]))
        words = load(b, b.add(source, at), I16, 32)
        name = "llvm.x86.avx512.mask.expand.v32i16"
        words = call(b, name, words.type, words, zero(words), mine)
        found.append(b.bitcast(words, ir.VectorType(I8, UNIT)))
        at = b.add(at, b.shl(b.ctpop(flags(b, mine)), I64(1)))
    if levels == 1:
        return at, found
    return at, [
        pick(b, *found, [32 * (j // 16) + 16 * level + j % 16 for j in range(UNIT)])
        for level in range(levels)
    ]


def _unzigzag_bytes(b, v):
    if not _multiplies_matrices():
        return unzigzag(b, v)
    matrix = values(I8, _UNZIGZAG * (UNIT // 8))
    return call(b, "llvm.x86.vgf2p8affineqb.512", v.type, v, matrix, I8(0))


def _unpack(zigzagged, levels, summed=False):
    def build(b, source, head, a):
        read = _expanded if levels < 3 and _expands() else _masked
        at, planes = read(b, source, head, levels)
        products = summed and levels < 3 and adds_products()
        order = [_UNPAIR[j] for j in _APART] if products and levels == 2 else _UNPAIR
        parts = [_transpose(b, pick(b, p, p, _rows(order))) for p in planes]
        whole = ir.VectorType(I32, UNIT)
        if products and levels == 2:
            store(b, a, sum_words(b, _words(b, *parts), in_front(b, a)))
            return at
        if levels == 1 and not zigzagged:  # cheaper in bytes
            part = _unzigzag_bytes(b, parts[0])
            if products:
                store(b, a, sum_bytes(b, part, in_front(b, a)))
                return at
            v = b.sext(part, whole)
        else:
            v = b.zext(parts[0], whole)
            for level in range(1, levels):
                v = b.or_(v, b.shl(b.zext(parts[level], whole), same(I32, 8 * level, UNIT)))
            v = v if zigzagged else unzigzag(b, v)
        store(b, a, running_sums(b, v, in_front(b, a)) if summed else v)
        return at

    return step(build, types.int64, types.int64, types.int64, types.int64)


@intrinsic
def unpack_codes_8(typingctx, source, head, a):
    """64 codes whose widths are at most 8; returns the bytes that they took."""
    return _unpack(True, 1)


@intrinsic
def unpack_codes_16(typingctx, source, head, a):
    """64 codes whose widths are at most 16; returns the bytes that they took."""
    return _unpack(True, 2)


@intrinsic
def unpack_codes_32(typingctx, source, head, a):
    """64 codes; returns the bytes that they took."""
    return _unpack(True, 4)


@intrinsic
def unpack_residuals_8(typingctx, source, head, a):
    """64 residuals whose widths are at most 8; returns the bytes that they took."""
    return _unpack(False, 1)


@intrinsic
def unpack_residuals_16(typingctx, source, head, a):
    """64 residuals whose widths are at most 16; returns the bytes that they took."""
    return _unpack(False, 2)


@intrinsic
def unpack_residuals_32(typingctx, source, head, a):
    """64 residuals; returns the bytes that they took."""
    return _unpack(False, 4)


@intrinsic
def unpack_sums_8(typingctx, source, head, a):
    """Running sums of 64 residuals whose widths are at most 8, on top of the integer before ``a``.

    Returns the bytes that they took.
    """
    return _unpack(False, 1, summed=True)


@intrinsic
def unpack_sums_16(typingctx, source, head, a):
    """The same of widths up to 16."""
    return _unpack(False, 2, summed=True)


@intrinsic
def unpack_sums_32(typingctx, source, head, a):
    """The same of any width."""
    return _unpack(False, 4, summed=True)


@intrinsic
def fetch_room(typingctx, place):
    """Ask for 256 bytes that will be written soon; there may be none."""

    def build(b, place):
        for at in range(0, ROOM, LINE):
            fetch(b, b.add(place, I64(at)), 2)

    return step(build, types.void, types.int64)
