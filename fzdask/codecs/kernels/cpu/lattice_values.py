"""Values of a lattice, ``dtype(q * step)`` with the product in binary64, on vectors.

Conversions between 32 and 64 bits take longer than all else that decoders do with a value. In
binary32, with the step as a sum of two float32 and one fused multiply-add, the value is the same
for all but a few in a million q; so as many small q as are worth it are compared first, once for
each step, and larger ones go through 64 bits.

Lattice values come with ``bias`` added, the bits of a float32 to which they are then an integer
added below the binary point.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fzdask.codecs.kernels.cpu.lattice_vectors import fused_multiply_add
from fzdask.codecs.kernels.cpu.vectors import (
    F32,
    F64,
    I32,
    I64,
    LINE,
    call,
    fetch,
    flags,
    fold,
    same,
    splat,
    step,
    store,
    zero,
)
from fzdask.jit import njit

# Bytes ahead at which room for values is fetched into the second cache: a line is read before it
# is written, and comes from memory where it was not used of late. A quarter of the time of arrays
# of 8 MB; half or twice as far is alike, into the first cache it is lost.
AHEAD = 8192
# The step, and what :func:`compare` gives with it.
STEP = types.Tuple((types.float64, types.float32, types.int32, types.int32))
KNOWN = 3  # words in which the last step, and what was found for it, are kept
# Relative to the step: more than the errors of its two parts and of their products.
_AWAY = 2.0**-46
_LEAST_STEP, _MOST_STEP = 2.0**-70, 2.0**70  # nothing overflows, or loses bits to underflow
_BLOCK = 64  # lanes of a comparison
_LEAST, _MOST = 6, 20  # comparisons are of 2**6 to 2**20 values
_SHARE = 5  # and of at most 2**-5 of the array: a hundredth of its time
_BINARY32 = 0x4B400000  # 1.5 * 2**23; above it by q + 2**k, for |q| < 2**k, are a binade's numbers


def _in_binary32(b, x, high, low):
    n = x.type.count
    rest = b.fmul(x, splat(b, low, n))
    return call(b, f"llvm.fma.v{n}f32", x.type, x, splat(b, high, n), rest)


def _in_binary64(b, q, cell):
    n = q.type.count
    return b.fmul(b.sitofp(q, ir.VectorType(F64, n)), splat(b, cell, n))


def store_values(b, lattices, places, element, cell, low, bias, never):
    """Store the values of vectors of biased lattice values, each at its place."""
    size = 4 if element is F32 else 8
    for q, place in zip(lattices, places, strict=True):
        for ahead in range(AHEAD, AHEAD + q.type.count * size, LINE):
            fetch(b, b.add(place, I64(ahead)), 2)

    def exactly():
        for q, place in zip(lattices, places, strict=True):
            x = _in_binary64(b, b.sub(q, splat(b, bias, q.type.count)), cell)
            if element is F32:
                x = b.fptrunc(x, ir.VectorType(F32, x.type.count))
            store(b, place, x)

    if element is F64 or not fused_multiply_add():
        exactly()
        return
    parts = b.fptrunc(cell, F32), low
    shift = b.bitcast(bias, F32)
    beyond = None
    for q, place in zip(lattices, places, strict=True):
        n = q.type.count
        x = b.fsub(b.bitcast(q, ir.VectorType(F32, n)), splat(b, shift, n))
        store(b, place, _in_binary32(b, x, *parts))
        over = fold(b, b.or_, b.xor(q, same(I32, _BINARY32, n)), 16)
        beyond = over if beyond is None else b.or_(beyond, over)
    some = b.and_(beyond, splat(b, never, 16))
    some = flags(b, b.icmp_unsigned("!=", some, zero(some)))
    with b.if_then(b.icmp_unsigned("!=", some, I64(0)), likely=False):
        exactly()


@intrinsic
def _unlike(typingctx, cell, low, start, end):
    """Lanes in which a q from ``start`` to ``end`` has another value; 0 if there is none."""

    def build(b, cell, low, start, end):
        if not fused_multiply_add():
            return I64(1)
        total = cgutils.alloca_once_value(b, same(I32, 0, 16))
        parts = b.fptrunc(cell, F32), low
        real, whole = ir.VectorType(F32, _BLOCK), ir.VectorType(I32, _BLOCK)
        places = ir.Constant(whole, [I32(j) for j in range(_BLOCK)])
        turns = b.udiv(b.sub(end, start), I64(_BLOCK))
        with cgutils.for_range(b, turns) as loop:
            first = b.add(start, b.mul(loop.index, I64(_BLOCK)))
            q = b.add(splat(b, b.trunc(first, I32), _BLOCK), places)
            y = _in_binary32(b, b.sitofp(q, real), *parts)
            other = b.fptrunc(_in_binary64(b, q, cell), real)
            unlike = b.xor(b.bitcast(y, whole), b.bitcast(other, whole))
            b.store(b.or_(b.load(total), fold(b, b.or_, unlike, 16)), total)
        unlike = b.load(total)
        return flags(b, b.icmp_unsigned("!=", unlike, zero(unlike)))

    return step(build, types.int64, types.float64, types.float32, types.int64, types.int64)


@njit(nogil=True, cache=True)
def compare(step, n, wide, known):
    """The step, what of it goes beyond its float32, and which lattice values go by these two.

    That is said by the bias, and the bits in which a biased value differs from those whose
    value is known to be that of binary64. ``n`` values are to be computed, of 64 bits if
    ``wide``; ``known`` are ``KNOWN`` words that remember what the last call found.
    """
    if wide or not _LEAST_STEP < step < _MOST_STEP:
        return step, np.float32(0), np.int32(0), np.int32(-1)
    k = np.int64(_LEAST)
    while k < _MOST and np.int64(1) << (k + _SHARE + 1) <= n:
        k += 1
    steps = known.view(np.float64)
    rest = step - np.float64(np.float32(step))
    if steps[0] != step or known[1] < k:
        steps[0], known[1], known[2] = step, k, 0
        # A bound that is a round share of the range makes for values halfway between two
        # float32, which binary64 may have rounded up or down to there.
        for way in (1, 0, 2):
            low = np.float32(rest + (way - 1) * _AWAY * step)
            found = np.int64(_LEAST)
            if _unlike(step, low, 0, 1 << _LEAST):
                continue
            while found < k and _unlike(step, low, 1 << found, 2 << found) == 0:
                found += 1
            if found > known[2] >> 2:
                known[2] = found << 2 | way
            if found == k:
                break
    found, way = known[2] >> 2, known[2] & 3
    if found == 0:
        return step, np.float32(0), np.int32(0), np.int32(-1)
    low = np.float32(rest + (way - 1) * _AWAY * step)
    return step, low, np.int32(_BINARY32 + (1 << found)), np.int32(-(2 << found))
