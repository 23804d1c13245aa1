"""Golomb-Rice codes of unsigned integers, in blocks that start on a byte."""

import numpy as np

from fzdask.codecs.kernels.cpu.symbols import exponent
from fzdask.jit import njit

LONGEST_UNARY = 24  # ones; so many stand for a value written in full
_CEILING = np.uint64(1) << np.uint64(48)  # no larger value counts in the mean, whose sum must fit


@njit(nogil=True, cache=True)
def _cost(values, k, width):
    """Bits of a block with this parameter."""
    bits = np.int64(0)
    for v in values:
        q = np.uint64(v) >> np.uint64(k)
        if q < np.uint64(LONGEST_UNARY):
            bits += np.int64(q) + 1 + k
        else:
            bits += LONGEST_UNARY + width
    return bits


@njit(nogil=True, cache=True)
def _parameter(values, width):
    """The best of the three parameters about the logarithm of the mean, and its bits."""
    total = np.uint64(0)
    for v in values:
        total += min(np.uint64(v), _CEILING)
    mean = total // np.uint64(values.size)
    middle = exponent(mean) if mean else np.int64(0)
    best = np.int64(0)
    least = np.int64(-1)
    for k in range(max(middle - 1, 0), min(middle + 2, width)):
        bits = _cost(values, k, width)
        if least < 0 or bits < least:
            best = k
            least = bits
    return best, least


@njit(nogil=True, cache=True)
def measure(values, block, width, parameters, sizes):
    """Fill the parameter and the size in bytes of each block; returns the bytes of all."""
    total = 0
    for b in range(parameters.size):
        k, bits = _parameter(values[b * block : (b + 1) * block], width)
        parameters[b] = k
        sizes[b] = (bits + 7) // 8
        total += sizes[b]
    return total


@njit(nogil=True, cache=True)
def encode(values, block, width, parameters, sizes, out):
    """Write the blocks one after the other, most significant bit first; ``out`` is zeroed."""
    start = 0
    for b in range(parameters.size):
        k = np.int64(parameters[b])
        at = np.int64(start) * 8
        for v in values[b * block : (b + 1) * block]:
            u = np.uint64(v)
            q = u >> np.uint64(k)
            if q < np.uint64(LONGEST_UNARY):
                at = _put(out, at, (np.uint64(1) << q) - np.uint64(1), np.int64(q))
                at += 1
                at = _put(out, at, u & ((np.uint64(1) << np.uint64(k)) - np.uint64(1)), k)
            else:
                at = _put(out, at, np.uint64((1 << LONGEST_UNARY) - 1), LONGEST_UNARY)
                at = _put(out, at, u, width)
        start += sizes[b]


@njit(nogil=True, cache=True)
def _put(out, at, value, bits):
    """Write the low bits of a value at a bit position; returns the position behind them."""
    left = bits
    while left > 0:
        room = 8 - (at & 7)
        n = min(room, left)
        part = (value >> np.uint64(left - n)) & ((np.uint64(1) << np.uint64(n)) - np.uint64(1))
        out[at >> 3] |= np.uint8(part << np.uint64(room - n))
        at += n
        left -= n
    return at


@njit(nogil=True, cache=True)
def decode(data, block, width, parameters, sizes, out):
    """Values of the blocks; False where one does not end in its last byte."""
    start = np.int64(0)
    for b in range(parameters.size):
        k = np.int64(parameters[b])
        at = start * 8
        start += sizes[b]
        end = start * 8
        if k >= width:
            return False
        for i in range(b * block, min((b + 1) * block, out.size)):
            q = 0
            while q < LONGEST_UNARY and at < end and (data[at >> 3] >> (7 - (at & 7))) & 1:
                q += 1
                at += 1
            bits = k + 1 if q < LONGEST_UNARY else width
            if at + bits > end:
                return False
            value = np.uint64(0)
            for _ in range(bits):  # of a short code the first is the zero that ends the ones
                value = (value << np.uint64(1)) | np.uint64((data[at >> 3] >> (7 - (at & 7))) & 1)
                at += 1
            if q < LONGEST_UNARY:
                value |= np.uint64(q) << np.uint64(k)
            out[i] = value
        if at <= end - 8:
            return False
    return True
