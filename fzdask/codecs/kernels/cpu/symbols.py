"""From a residual to an entropy-coder symbol and back, without any escape list.

A residual ``r`` is zigzagged to ``z >= 0``. Small ``z`` are symbols of their own; a larger one is
a class (its exponent and top two mantissa bits) followed by its remaining bits as they are, the
hybrid integer code known from image coding. Every residual of 64 bits is thus a symbol of an
alphabet of 749. The last symbols stand for runs of the most frequent one, and for a symbol that
a shared codebook has no code for.

Between prediction and coding a residual travels as ``z`` in 16 bits; one that needs more is
``WIDE`` there and waits, in order, in a list of its own.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload

from fzdask.jit import njit

DIRECT_BITS = 9
DIRECT = 1 << DIRECT_BITS  # zigzagged residuals below this are their own symbol
SUB_BITS = 2  # top mantissa bits that a class keeps; the rest follows raw
CLASSES = (64 - DIRECT_BITS) << SUB_BITS
RUN = DIRECT + CLASSES  # symbol RUN + e: a run of 2**e to 2**(e+1) - 1, e raw bits follow
RUNS = 16
ESCAPE = RUN + RUNS  # ESCAPE_BITS raw bits give a symbol that the codebook lacks
ESCAPE_BITS = 10
ALPHABET = ESCAPE + 1
WIDE = 0xFFFF
SMALL_BITS = 6  # two values of so many bits index a table that stays in the L1 cache
SMALL = 1 << SMALL_BITS
PAIRS = 1 << 2 * SMALL_BITS
NOT_SMALL = (0xFFFF & -SMALL) * 0x1_0001_0001_0001  # bits that no four small values have
TILES_OF_PAIRS = 100  # of at most 2600 values each: the counts of a pair then fit 16 bits
BEYOND_16_BITS = DIRECT + ((16 - DIRECT_BITS) << SUB_BITS)  # the first class above 16 bits


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
def zigzag(r):
    r = np.int64(r)
    return np.uint64((r << np.int64(1)) ^ (r >> np.int64(63)))


@njit(nogil=True, cache=True)
def unzigzag(z):
    z = np.uint64(z)
    return np.int64(z >> np.uint64(1)) ^ -np.int64(z & np.uint64(1))


def load(source, target):
    """Copy residuals, from zigzagged ones where the source is uint16."""
    target[:] = [unzigzag(z) for z in source] if source.dtype == np.uint16 else source


@overload(load)
def _load(source, target):  # plain loops, since slice assignment checks for overlap first
    if source.dtype == types.uint16:

        def copy(source, target):
            for i in range(source.size):
                z = np.int32(source[i])
                target[i] = (z >> np.int32(1)) ^ -(z & np.int32(1))
    else:

        def copy(source, target):
            for i in range(source.size):
                target[i] = source[i]

    return copy


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
    return ESCAPE_BITS if symbol == ESCAPE else symbol - RUN


@njit(nogil=True, cache=True)
def class_base(symbol):
    """Smallest zigzagged residual of a class symbol."""
    e = ((symbol - DIRECT) >> SUB_BITS) + DIRECT_BITS
    sub = (symbol - DIRECT) & ((1 << SUB_BITS) - 1)
    return np.uint64((1 << SUB_BITS) + sub) << np.uint64(e - SUB_BITS)


@njit(nogil=True, cache=True)
def symbolize(residual, z, wide, used):
    """Zigzag a tile of residuals into 16 bits; returns how many entries of ``wide`` are used."""
    count = 0
    if residual.itemsize == 4:  # in 32 bits, twice as many fit a vector
        for i in range(residual.size):
            r = residual[i]
            n = np.uint32(np.int32(r << 1) ^ np.int32(r >> 31))
            count += np.int64(n >= np.uint32(WIDE))
            z[i] = np.uint16(min(n, np.uint32(WIDE)))
    else:
        for i in range(residual.size):
            u = zigzag(residual[i])
            count += np.int64(u >= np.uint64(WIDE))
            z[i] = np.uint16(min(u, np.uint64(WIDE)))
    if count:
        for i in range(residual.size):
            if z[i] == WIDE:
                wide[used] = zigzag(residual[i])
                used += 1
    return used


@njit(nogil=True, cache=True)
def count_symbols(z, wide, used, tables):
    """Add the symbol counts of a tile whose wide values begin at ``used``.

    ``tables`` is four rows of counts: equal neighbours then do not wait for each other.
    """
    h0, h1, h2, h3 = tables[0], tables[1], tables[2], tables[3]
    n = z.size
    main = n - n % 4
    for i in range(0, main, 4):
        z0, z1, z2, z3 = z[i], z[i + 1], z[i + 2], z[i + 3]
        if (z0 | z1 | z2 | z3) < DIRECT:
            h0[z0] += 1
            h1[z1] += 1
            h2[z2] += 1
            h3[z3] += 1
        else:
            used = _count_slowly(z[i : i + 4], wide, used, h0)
    _count_slowly(z[main:], wide, used, h0)


@njit(nogil=True, cache=True)
def count_pairs(z, wide, used, pairs, tables):
    """As :func:`count_symbols`, two values at a time where both are small.

    ``pairs`` is two rows of counts, each of fewer than 2**16 pairs, for :func:`add_pairs`.
    """
    large = 0
    for i in range(z.size):
        large += np.int64(z[i] >= SMALL)
    if large * 8 > z.size:
        count_symbols(z, wide, used, tables)
        return
    p0, p1 = pairs[0], pairs[1]
    h0, h1 = tables[0], tables[1]
    index = np.uint64(PAIRS - 1)
    main = z.size - z.size % 4
    fours = z[:main].view(np.uint64)
    for k in range(fours.size):
        four = fours[k]
        if four & np.uint64(NOT_SMALL) == np.uint64(0):
            two = four | (four >> np.uint64(16 - SMALL_BITS))
            p0[two & index] += np.uint16(1)
            p1[(two >> np.uint64(32)) & index] += np.uint16(1)
        else:
            i = 4 * k
            z0, z1, z2, z3 = z[i], z[i + 1], z[i + 2], z[i + 3]
            if (z0 | z1 | z2 | z3) < DIRECT:
                h0[z0] += 1
                h1[z1] += 1
                h0[z2] += 1
                h1[z3] += 1
            else:
                used = _count_slowly(z[i : i + 4], wide, used, h0)
    _count_slowly(z[main:], wide, used, h0)


@njit(nogil=True, cache=True)
def add_pairs(pairs, tables):
    """Turn counts of pairs into those of values, and begin anew."""
    counts = tables[0]
    p0, p1 = pairs[0], pairs[1]
    for b in range(1 << SMALL_BITS):
        row = np.int64(0)
        for a in range(1 << SMALL_BITS):
            i = (b << SMALL_BITS) | a
            c = np.int64(p0[i]) + np.int64(p1[i])
            counts[a] += c
            row += c
        counts[b] += row
    pairs[:] = 0


@njit(nogil=True, cache=True)
def _count_slowly(z, wide, used, counts):
    for i in range(z.size):
        if z[i] == WIDE:
            counts[symbol_of(wide[used])] += 1
            used += 1
        else:
            counts[symbol_of(np.uint64(z[i]))] += 1
    return used


@njit(nogil=True, cache=True)
def symbolize_all(residual, tile, z, wide, tables):
    """Symbols and counts of a whole residual; returns the length of the wide list."""
    pairs = np.zeros((2, PAIRS), np.uint16)
    used = 0
    for start in range(0, residual.size, tile):
        part = z[start : start + tile]
        before = used
        used = symbolize(residual[start : start + tile], part, wide, used)
        count_pairs(part, wide, before, pairs, tables)
        if start // tile % TILES_OF_PAIRS == TILES_OF_PAIRS - 1:
            add_pairs(pairs, tables)
    add_pairs(pairs, tables)
    return used


@njit(nogil=True, cache=True)
def residual_of(z, places, wide, out):
    """Residuals of zigzagged ones, of which those at some places are ``wide``."""
    load(z, out)
    for k in range(places.size):
        out[places[k]] = unzigzag(wide[k])
