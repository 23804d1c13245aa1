"""Runs of equal bytes: lengths and what they are of, in a varint each."""

import numpy as np

from fzdask.jit import njit

SHORTEST = 4  # a shorter run is cheaper among the bytes as they are


@njit(nogil=True, cache=True)
def _put_varint(out, at, value):
    while value >= 128:
        out[at] = np.uint8(value & 127 | 128)
        value >>= 7
        at += 1
    out[at] = np.uint8(value)
    return at + 1


@njit(nogil=True, cache=True)
def _varint_size(value):
    size = 1
    while value >= 128:
        value >>= 7
        size += 1
    return size


@njit(nogil=True, cache=True)
def _put_plain(data, first, end, out, at):
    """Append bytes as they are; -1 if there is no room."""
    if first == end:
        return at
    if at + _varint_size((end - first) << 1) + end - first > out.size:
        return np.int64(-1)
    at = _put_varint(out, at, (end - first - 1) << 1)
    for k in range(first, end):
        out[at] = data[k]
        at += 1
    return at


@njit(nogil=True, cache=True)
def encode(data, out):
    """Encode into ``out``; the bytes used, or -1 where that is too small."""
    n = data.size
    at = np.int64(0)
    plain = np.int64(0)  # where the bytes begin that are not written yet
    i = np.int64(0)
    while i < n:
        end = i + 1
        while end < n and data[end] == data[i]:
            end += 1
        if end - i >= SHORTEST:
            at = _put_plain(data, plain, i, out, at)
            if at < 0 or at + _varint_size((end - i) << 1) + 1 > out.size:
                return np.int64(-1)
            at = _put_varint(out, at, ((end - i - SHORTEST) << 1) | 1)
            out[at] = data[i]
            at += 1
            plain = end
        i = end
    return _put_plain(data, plain, n, out, at)


@njit(nogil=True, cache=True)
def _take(data, at):
    """The length and kind that begin at ``at``, and the place after them; -1 if cut off."""
    value = np.int64(0)
    shift = 0
    while at < data.size and shift < 56:
        byte = np.int64(data[at])
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            run = value & 1
            return (value >> 1) + (SHORTEST if run else 1), run, at
        shift += 7
    return np.int64(-1), np.int64(0), at


@njit(nogil=True, cache=True)
def decoded_size(data, most):
    """How many bytes the encoded ones give; -1 where they are none or give more than ``most``."""
    at = np.int64(0)
    total = np.int64(0)
    while at < data.size:
        length, run, at = _take(data, at)
        if length < 0 or length > most - total:
            return np.int64(-1)
        total += length
        at += 1 if run else length
        if at > data.size:
            return np.int64(-1)
    return total


@njit(nogil=True, cache=True)
def decode(data, out):
    """Decode what :func:`decoded_size` has found to give exactly ``out.size`` bytes."""
    at = np.int64(0)
    k = np.int64(0)
    while at < data.size:
        length, run, at = _take(data, at)
        if run:
            value = data[at]
            for j in range(k, k + length):
                out[j] = value
            at += 1
        else:
            for j in range(length):
                out[k + j] = data[at + j]
            at += length
        k += length


@njit(nogil=True, cache=True)
def list_pieces(data, size, begins, sources):
    """Where pieces begin that decode to ``size`` bytes; how many, or -1 where they do not.

    ``begins`` are places in the decoded bytes; ``sources`` those in the data of the bytes, or of
    the one that is repeated, times two and plus one for a run. A piece takes two bytes or more.
    """
    at = np.int64(0)
    k = np.int64(0)
    total = np.int64(0)
    while at < data.size:
        length, run, at = _take(data, at)
        if length < 0 or length > size - total or k >= begins.size:
            return np.int64(-1)
        begins[k] = total
        sources[k] = at << 1 | run
        k += 1
        total += length
        at += 1 if run else length
        if at > data.size:
            return np.int64(-1)
    return k if total == size else np.int64(-1)
