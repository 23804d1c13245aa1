"""Zigzagged differences of one point along every subset of up to four axes, as one vector."""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from fzdask.codecs.kernels.cpu.vectors import (
    F32,
    F64,
    I32,
    I64,
    call,
    constant,
    fetch,
    flags,
    pick,
    same,
    splat,
    step,
    store,
    zero,
)

__all__ = ["BEYOND", "corners_f4", "corners_f8", "fetch_line"]

BEYOND = -1  # found where a point cannot be taken
_ROUND = 1.5 * 2.0**52  # added to |r| <= 2**51 it leaves the integer in the low bits
_ROUND_BITS = 0x4338 << 48


def _corners(element, axes):
    """For so many axes: the lanes are the corners of the cell behind a point, then subsets."""
    n = 1 << axes
    nbytes = 4 if element is F32 else 8

    def build(b, x, place, back, inv, limit, out):
        v = ir.Constant(ir.VectorType(element, n), ir.Undefined)
        for k in range(n):
            behind = b.load(b.inttoptr(b.add(back, I64(8 * k)), I64.as_pointer()), align=8)
            at = b.add(x, b.mul(b.sub(place, behind), I64(nbytes)))
            value = b.load(b.inttoptr(at, element.as_pointer()), align=nbytes)
            v = b.insert_element(v, value, I32(k))
        wide = b.fpext(v, ir.VectorType(F64, n)) if element is F32 else v
        r = call(b, f"llvm.rint.v{n}f64", wide.type, b.fmul(wide, splat(b, inv, n)))
        size = call(b, f"llvm.fabs.v{n}f64", wide.type, r)
        inside = flags(b, b.fcmp_ordered("<=", size, splat(b, limit, n)))  # False for NaN
        q = b.bitcast(b.fadd(r, same(F64, _ROUND, n)), ir.VectorType(I64, n))
        q = b.sub(q, same(I64, _ROUND_BITS, n))
        for a in range(axes):
            bit = 1 << a
            near = pick(b, q, q, [k & ~bit for k in range(n)])
            moved = constant(ir.IntType(1), [k >> a & 1 for k in range(n)])
            q = b.select(moved, b.sub(near, q), q)
        zigzag = b.xor(b.shl(q, same(I64, 1, n)), b.ashr(q, same(I64, 63, n)))
        store(b, out, zigzag)
        others = flags(b, b.icmp_unsigned("!=", q, zero(q)))
        whole = b.icmp_unsigned("==", inside, I64((1 << n) - 1))
        return b.select(whole, others, I64(BEYOND))

    return build


def _of(element):
    def build(b, axes, x, place, back, inv, limit, out):
        """A switch over the number of axes, since each has vectors of its own."""
        whole = b.function
        done = whole.append_basic_block("done")
        ways = [whole.append_basic_block(f"axes{k}") for k in range(1, 5)]
        chosen = b.switch(axes, ways[-1])
        for k in range(1, 4):
            chosen.add_case(I64(k), ways[k - 1])
        results = []
        for k, way in enumerate(ways, 1):
            b.position_at_end(way)
            results.append((_corners(element, k)(b, x, place, back, inv, limit, out), b.block))
            b.branch(done)
        b.position_at_end(done)
        found = b.phi(I64)
        for value, block in results:
            found.add_incoming(value, block)
        return found

    word, real = types.int64, types.float64
    return step(build, types.int64, word, word, word, word, real, real, word)


@intrinsic
def fetch_line(typingctx, x):
    """Have the line of an address fetched, without waiting."""
    return step(lambda b, x: fetch(b, x, 1), types.void, types.int64)


@intrinsic
def corners_f4(typingctx, axes, x, place, back, inv, limit, out):
    """Zigzagged differences of float32 values on their lattice, at addresses.

    ``back`` is how far each corner lies behind the point: bit k of its number is axis k. ``out``
    gets the difference along each subset of axes, as 64 bits. Returns the subsets in which it is
    not 0, as bits; ``BEYOND`` where a corner is not within the limit, and ``out`` is anything.
    """
    return _of(F32)


@intrinsic
def corners_f8(typingctx, axes, x, place, back, inv, limit, out):
    """The same of float64 values."""
    return _of(F64)
