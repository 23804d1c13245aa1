"""From a residual to an entropy-coder symbol and back, without any escape list.

A residual ``r`` is zigzagged to ``z >= 0``. Small ``z`` are symbols of their own; a larger one is
a class (its exponent and top two mantissa bits) followed by its remaining bits as they are, the
hybrid integer code known from image coding. Every residual of 64 bits is thus a symbol of an
alphabet of 748. The last symbols stand for runs of the most frequent one.
"""

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

DIRECT_BITS = 9
DIRECT = 1 << DIRECT_BITS  # zigzagged residuals below this are their own symbol
SUB_BITS = 2  # top mantissa bits that a class keeps; the rest follows raw
CLASSES = (64 - DIRECT_BITS) << SUB_BITS
RUN = DIRECT + CLASSES  # symbol RUN + e: a run of 2**e to 2**(e+1) - 1, e raw bits follow
RUNS = 16
ALPHABET = RUN + RUNS


@intrinsic
def _leading_zeros(typingctx, value):
    def codegen(context, builder, signature, args):
        return builder.ctlz(args[0], ir.Constant(ir.IntType(1), 0))

    return types.uint64(types.uint64), codegen


@njit(nogil=True, cache=True)
def exponent(value):
    """floor(log2(value)) of a positive 64-bit integer."""
    return np.int64(63) - np.int64(_leading_zeros(np.uint64(value)))


@njit(nogil=True, cache=True)
def zigzag32(r):
    r = np.int32(r)
    return np.uint32((r << np.int32(1)) ^ (r >> np.int32(31)))


@njit(nogil=True, cache=True)
def zigzag(r):
    r = np.int64(r)
    return np.uint64((r << np.int64(1)) ^ (r >> np.int64(63)))


@njit(nogil=True, cache=True)
def unzigzag(z):
    z = np.uint64(z)
    return np.int64(z >> np.uint64(1)) ^ -np.int64(z & np.uint64(1))


@njit(nogil=True, cache=True)
def symbol_of(z):
    """Symbol of a zigzagged residual."""
    if z < np.uint64(DIRECT):
        return np.int64(z)
    e = exponent(z)
    sub = np.int64(z >> np.uint64(e - SUB_BITS)) & ((1 << SUB_BITS) - 1)
    return DIRECT + ((e - DIRECT_BITS) << SUB_BITS) + sub


@njit(nogil=True, cache=True)
def extra_bits(symbol):
    """How many raw bits follow a symbol."""
    if symbol < DIRECT:
        return 0
    if symbol < RUN:
        return ((symbol - DIRECT) >> SUB_BITS) + DIRECT_BITS - SUB_BITS
    return symbol - RUN


@njit(nogil=True, cache=True)
def class_base(symbol):
    """Smallest zigzagged residual of a class symbol."""
    e = ((symbol - DIRECT) >> SUB_BITS) + DIRECT_BITS
    sub = (symbol - DIRECT) & ((1 << SUB_BITS) - 1)
    return np.uint64((1 << SUB_BITS) + sub) << np.uint64(e - SUB_BITS)
