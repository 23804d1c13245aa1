"""Histograms of whole numbers: dense over an interval, the most frequent, the distinct ones."""

import numpy as np

from fzdask.codecs.kernels.cpu.vectors import read_1, read_8
from fzdask.jit import njit

_MIX = np.uint64(0x9E3779B97F4A7C15)  # 2**64 / golden ratio, odd (Knuth 1998, multiplicative hash)


@njit(nogil=True, cache=True)
def dense(values, low, counts):
    """Add to ``counts[k]`` how often ``low + k`` occurs; the number of values outside."""
    outside = np.int64(0)
    size = np.uint64(counts.size)
    for i in range(values.size):
        k = np.uint64(np.int64(values[i]) - np.int64(low))  # wraps to a great one below low
        if k < size:
            counts[k] += 1
        else:
            outside += 1
    return outside


@njit(nogil=True, cache=True)
def collisions(address, nbytes, piece, step):
    """Sum of the squares of how often each byte occurs in pieces of bytes at an address.

    A piece begins every so many bytes; they have some KiB in all. Returns how many these are, too.
    (An array that may not be written to would be another type, and compiled again.)
    """
    counts = np.zeros((4, 256), np.uint32)  # in turn: equal neighbours do not wait for each other
    c0, c1, c2, c3 = counts[0], counts[1], counts[2], counts[3]
    byte, one = np.uint64(255), np.uint32(1)
    main = piece - piece % 8
    looked = np.int64(0)
    for start in range(address, address + nbytes - piece + 1, step):
        for k in range(start, start + main, 8):
            eight = read_8(k)
            c0[eight & byte] += one
            c1[(eight >> np.uint64(8)) & byte] += one
            c2[(eight >> np.uint64(16)) & byte] += one
            c3[(eight >> np.uint64(24)) & byte] += one
            c0[(eight >> np.uint64(32)) & byte] += one
            c1[(eight >> np.uint64(40)) & byte] += one
            c2[(eight >> np.uint64(48)) & byte] += one
            c3[eight >> np.uint64(56)] += one
        for k in range(start + main, start + piece):
            c0[read_1(k)] += one
        looked += piece
    total = np.int64(0)
    for s in range(256):
        c = np.int64(c0[s]) + np.int64(c1[s]) + np.int64(c2[s]) + np.int64(c3[s])
        total += c * c
    return total, looked


@njit(nogil=True, cache=True)
def top_k(counts, k):
    """Indices of the ``k`` greatest counts above 0, the greatest first, equal ones in order."""
    best = np.empty(min(k, counts.size), np.int64)
    used = 0
    for i in range(counts.size):
        c = counts[i]
        if c <= 0 or (used == best.size and (used == 0 or c <= counts[best[used - 1]])):
            continue
        at = used if used < best.size else used - 1
        while at > 0 and counts[best[at - 1]] < c:
            best[at] = best[at - 1]
            at -= 1
        best[at] = i
        used = min(used + 1, best.size)
    return best[:used]


@njit(nogil=True, cache=True)
def span(values):
    """Least and greatest value."""
    low = np.int64(values[0])
    high = low
    for i in range(1, values.size):
        low = min(low, np.int64(values[i]))
        high = max(high, np.int64(values[i]))
    return low, high


@njit(nogil=True, cache=True)
def distinct(values, most):
    """The distinct values, sorted; empty where there are more than ``most``."""
    bits = 4
    while (1 << bits) < 4 * most:
        bits += 1
    mask = np.uint64((1 << bits) - 1)
    down = np.uint64(64 - bits)
    keys = np.empty(1 << bits, np.int64)
    taken = np.zeros(1 << bits, np.uint8)
    found = np.empty(most, np.int64)
    used = 0
    for i in range(values.size):
        v = np.int64(values[i])
        if i > 0 and v == values[i - 1]:
            continue
        at = (np.uint64(v) * _MIX) >> down
        while taken[at] and keys[at] != v:
            at = (at + np.uint64(1)) & mask
        if not taken[at]:
            if used == most:
                return found[:0]
            taken[at] = 1
            keys[at] = v
            found[used] = v
            used += 1
    return np.sort(found[:used])
