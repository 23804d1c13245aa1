"""Blocks of values that one value can stand for."""

import numpy as np

from fzdask.jit import njit


@njit(nogil=True, cache=True)
def _alike(bits):
    """Whether all elements are the same, bit for bit."""
    same = np.int64(0)
    for i in range(bits.size):
        same += np.int64(bits[i] == bits[0])
    return same == bits.size


@njit(nogil=True, cache=True)
def find_floats(x, bits, forced, bound, block, spot, spot_bits, flags, values):
    """Flag the blocks whose values are alike or nearer than ``bound`` to one; returns how many.

    ``values`` gets the bits of that one: the middle of the block's range, rounded to the dtype.
    Values that are not finite, forced ones and -0.0 only ever stand for themselves. ``spot`` is
    room for one value, and ``spot_bits`` a view of it.
    """
    minus_zero = bits.dtype.type(1) << bits.dtype.type(8 * bits.itemsize - 1)
    count = 0
    for b in range(flags.size):
        part = x[b * block : (b + 1) * block]
        own = bits[b * block : (b + 1) * block]
        flags[b] = 0
        if _alike(own):
            flags[b] = 1
            values[count] = own[0]
            count += 1
            continue
        if not bound > 0:
            continue
        usable = np.int64(0)
        low = part[0]
        high = part[0]
        for i in range(block):
            v = part[i]
            usable += np.int64((v - v == 0) & (own[i] != minus_zero))
            low = v if v < low else low
            high = v if v > high else high
        if forced.size:
            for i in range(b * block, (b + 1) * block):
                usable -= np.int64(forced[i] != 0)
        if usable == block:
            a, z = np.float64(low), np.float64(high)
            spot[0] = 0.5 * a + 0.5 * z
            v = np.float64(spot[0])
            # Less than the bound in rounded arithmetic is not above it in exact arithmetic.
            if ((z - v < bound) | (z == v)) & ((v - a < bound) | (a == v)):
                flags[b] = 1
                values[count] = spot_bits[0]
                count += 1
    return count


@njit(nogil=True, cache=True)
def find_integers(x, bits, forced, bound, block, flags, values):
    """As :func:`find_floats`, for integers and a whole bound: alike, or within it of the middle."""
    count = 0
    for b in range(flags.size):
        part = x[b * block : (b + 1) * block]
        flags[b] = 0
        if _alike(bits[b * block : (b + 1) * block]):
            flags[b] = 1
            values[count] = bits[b * block]
            count += 1
            continue
        if bound == 0:
            continue
        low = part[0]
        high = part[0]
        for i in range(block):
            low = min(low, part[i])
            high = max(high, part[i])
        usable = True
        if forced.size:
            for i in range(b * block, (b + 1) * block):
                usable &= forced[i] == 0
        width = np.uint64(high) - np.uint64(low)
        half = width >> np.uint64(1)
        if usable & (width - half <= np.uint64(bound)):
            flags[b] = 1
            values[count] = bits.dtype.type(np.uint64(low) + half)
            count += 1
    return count
