"""Values to places in a sorted table and back, and the table's compact form."""

import numpy as np

from fzdask.codecs.kernels.cpu.symbols import exponent, unzigzag, zigzag
from fzdask.jit import njit

_LONGEST = 10  # bytes of a varint of 64 bits


@njit(nogil=True, cache=True)
def indices(values, table, out):
    """Place of every value in the sorted table that holds them all."""
    before = 0
    for i in range(values.size):
        v = np.int64(values[i])
        if table[before] != v:
            lo, hi = 0, table.size - 1
            while lo < hi:
                mid = (lo + hi) >> 1
                if table[mid] < v:
                    lo = mid + 1
                else:
                    hi = mid
            before = lo
        out[i] = before


@njit(nogil=True, cache=True)
def look_up(places, table, out):
    """Value at every place; False where a place is not in the table."""
    size = np.uint64(table.size)
    for i in range(places.size):
        k = np.uint64(np.int64(places[i]))
        if k >= size:
            return False
        out[i] = table[k]
    return True


@njit(nogil=True, cache=True)
def pack(table, out):
    """Write a sorted table: the first value zigzagged, then differences minus one, as varints."""
    at = 0
    for k in range(table.size):
        if k == 0:
            value = zigzag(table[0])
        else:
            value = np.uint64(table[k]) - np.uint64(table[k - 1]) - np.uint64(1)
        while value >= np.uint64(128):
            out[at] = np.uint8((value & np.uint64(127)) | np.uint64(128))
            value >>= np.uint64(7)
            at += 1
        out[at] = np.uint8(value)
        at += 1
    return at


@njit(nogil=True, cache=True)
def unpack(data, low, high, table):
    """Read a table; its length, or -1 if the bytes are none of values from ``low`` to ``high``."""
    at = 0
    used = 0
    before = np.int64(0)
    while at < data.size:
        value = np.uint64(0)
        size = 0
        while True:
            if at == data.size or size == _LONGEST:
                return -1
            byte = np.uint64(data[at])
            part = byte & np.uint64(127)
            if part and exponent(part) + 7 * size > 63:
                return -1
            value |= part << np.uint64(7 * size)
            at += 1
            size += 1
            if byte < np.uint64(128):
                break
        if used == 0:
            before = unzigzag(value)
        else:
            room = np.uint64(high) - np.uint64(before)  # both of 64 bits, and not below
            if value >= room:
                return -1
            before = np.int64(np.uint64(before) + value + np.uint64(1))
        if before < low or before > high:
            return -1
        table[used] = before
        used += 1
    return used
