"""Vectors of integers as Numba values, from arrays of 32 or 64 bits.

A compiler vectorises no loop whose input may be its own output, as in a running sum; here it is
told. What is emitted is that of :mod:`~fzdask.codecs.kernels.cpu.vectors`.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.datamodel import PrimitiveModel, register_default
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

from fzdask.codecs.kernels.cpu.vectors import I1, flags, pick, running, splat, step
from fzdask.jit import njit

__all__ = [
    "FLAGS",
    "LANES",
    "add",
    "flags_differing",
    "load",
    "running_sum",
    "store",
    "subtract",
    "trailing_zeros",
]

LANES = 16
FLAGS = 64  # flags that fit an integer


class Vector(types.Type):
    """``LANES`` integers of so many bits."""

    def __init__(self, bits):
        self.bits = bits
        super().__init__(name=f"Vector({bits})")


@register_default(Vector)
class _VectorModel(PrimitiveModel):
    def __init__(self, dmm, fe_type):
        super().__init__(dmm, fe_type, _llvm(fe_type.bits))


def _llvm(bits):
    return ir.VectorType(ir.IntType(bits), LANES)


def _pointer(context, builder, array_type, array, index, lanes=LANES):
    data = make_array(array_type)(context, builder, array).data
    at = cgutils.gep_inbounds(builder, data, index)
    kind = ir.VectorType(ir.IntType(array_type.dtype.bitwidth), lanes)
    return builder.bitcast(at, kind.as_pointer())


@intrinsic
def load(typingctx, array, index):
    """The lanes from ``index`` on; the array must have as many elements."""
    bits = array.dtype.bitwidth

    def codegen(context, builder, signature, args):
        at = _pointer(context, builder, array, *args)
        return builder.load(at, align=bits // 8)

    return Vector(bits)(array, types.int64), codegen


@intrinsic
def store(typingctx, array, index, vector):
    """Write all lanes from ``index`` on; the array must have room for them."""

    def codegen(context, builder, signature, args):
        at = _pointer(context, builder, array, args[0], args[1])
        builder.store(args[2], at, align=vector.bits // 8)
        return context.get_dummy_value()

    return types.void(array, types.int64, vector), codegen


@intrinsic
def add(typingctx, one, other):
    """Sums, which wrap."""
    return step(lambda b, one, other: b.add(one, other), one, one, one)


@intrinsic
def subtract(typingctx, one, other):
    """Differences, which wrap."""
    return step(lambda b, one, other: b.sub(one, other), one, one, one)


@intrinsic
def running_sum(typingctx, vector, before):
    """Sums of the lanes up to each, upon the last lane of ``before``; they wrap."""

    def build(b, value, before):
        return b.add(running(b, value), pick(b, before, before, [LANES - 1] * LANES))

    return step(build, vector, vector, vector)


@intrinsic
def _differing(typingctx, array, index, value):
    """Flags, as bits from the lowest, of the ``FLAGS`` elements that differ from a value."""
    bits = array.dtype.bitwidth

    def codegen(context, builder, signature, args):
        at = _pointer(context, builder, array, args[0], args[1], FLAGS)
        vector = builder.load(at, align=bits // 8)
        same = splat(builder, builder.trunc(args[2], ir.IntType(bits)), FLAGS)
        return flags(builder, builder.icmp_unsigned("!=", vector, same))

    return types.uint64(array, types.int64, types.int64), codegen


@njit(nogil=True, cache=True)
def flags_differing(array, i, end, value):
    """Which of the next ``FLAGS`` elements before ``end`` differ from a value, as bits."""
    if end - i >= FLAGS:
        return _differing(array, i, value)
    different = np.uint64(0)
    for k in range(end - i):
        different |= np.uint64(array[i + k] != value) << np.uint64(k)
    return different


@intrinsic
def trailing_zeros(typingctx, value):
    """Zero bits below the lowest one of an unsigned integer of 64 bits, which is not 0."""
    return step(lambda b, value: b.cttz(value, I1(1)), types.int64, types.uint64)
