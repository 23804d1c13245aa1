"""Steps of :mod:`~fzdask.codecs.kernels.cpu.width_sampling` on a block of 16 values, as vectors."""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from fzdask.codecs.kernels.cpu.vectors import (
    F32,
    F64,
    I32,
    I64,
    call,
    fetch,
    flags,
    fold,
    load,
    same,
    splat,
    step,
    store,
)

__all__ = ["BLOCK", "LIMIT", "ask_for", "lattice_f4", "lattice_f8", "magnitudes", "subtract_from"]

BLOCK = 16
LIMIT = 2.0**30
_ROUND = 1.5 * 2.0**52  # added to |t| < 2**51 it rounds half to even; the integer is below it
_ALL = (1 << BLOCK) - 1


def _lattice(element):
    def build(b, x, inv, q):
        v = load(b, x, element, BLOCK)
        wide = b.fpext(v, ir.VectorType(F64, BLOCK)) if element is F32 else v
        shift = same(F64, _ROUND, BLOCK)
        t = b.fadd(b.fmul(wide, splat(b, inv, BLOCK)), shift)
        store(b, q, b.trunc(b.bitcast(t, ir.VectorType(I64, BLOCK)), ir.VectorType(I32, BLOCK)))
        size = call(b, f"llvm.fabs.v{BLOCK}f64", wide.type, b.fsub(t, shift))
        inside = b.fcmp_ordered("<=", size, same(F64, LIMIT, BLOCK))  # False for NaN
        return b.icmp_unsigned("==", flags(b, inside), I64(_ALL))

    return step(build, types.boolean, types.int64, types.float64, types.int64)


@intrinsic
def lattice_f4(typingctx, x, inv, q):
    """Lattice of 16 float32 values at an address; whether all are within the limit."""
    return _lattice(F32)


@intrinsic
def lattice_f8(typingctx, x, inv, q):
    """The same of float64 values."""
    return _lattice(F64)


@intrinsic
def ask_for(typingctx, x, nbytes):
    """Have the lines of a block of so many bytes at an address fetched, without waiting."""

    def build(b, x, nbytes):
        fetch(b, x, 1)
        fetch(b, b.add(x, b.sub(nbytes, I64(1))), 1)

    return step(build, types.void, types.int64, types.int64)


@intrinsic
def subtract_from(typingctx, near, far):
    """``far = near - far`` of 16 integers at two addresses."""

    def build(b, near, far):
        store(b, far, b.sub(load(b, near, I32, BLOCK), load(b, far, I32, BLOCK)))

    return step(build, types.void, types.int64, types.int64)


@intrinsic
def magnitudes(typingctx, q):
    """The bits that any of 16 integers at an address has when zigzagged."""

    def build(b, q):
        v = load(b, q, I32, BLOCK)
        codes = b.xor(b.shl(v, same(I32, 1, BLOCK)), b.ashr(v, same(I32, 31, BLOCK)))
        top = b.extract_element(fold(b, b.or_, codes, 1), I32(0))
        return b.zext(top, I64)

    return step(build, types.int64, types.int64)
