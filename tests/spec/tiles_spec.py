"""Specification of ``lorenzo_tiles`` and ``block_mean``: tile after tile, by slices."""

from __future__ import annotations

import itertools

import numpy as np
from lorenzo_spec import folded_shape

MODES = [(0, False), (1, False), (2, False), (0, True), (1, True), (2, True)]


def tiles_of(array, edges):
    """Slices of all tiles of a 4-D array, in C order."""
    lengths = [1, *edges]
    starts = [range(0, n, e) for n, e in zip(array.shape, lengths, strict=True)]
    for corner in itertools.product(*starts):
        yield tuple(slice(c, c + e) for c, e in zip(corner, lengths, strict=True))


def in_4d(lattice, shape):
    folded = folded_shape(shape)
    return lattice.reshape((1,) * (4 - len(folded)) + folded)


def differences(tile, order):
    """Along every axis; second ones leave the first value and the first difference."""
    for axis in range(1, 4):
        t = np.moveaxis(tile, axis, 0).copy()
        first = t.copy()
        t[1:] = first[1:] - first[:-1]
        if order == 2:
            t[2:] -= first[1:-1] - first[:-2]
        tile = np.moveaxis(t, 0, axis) if order else tile
    return tile


def bits(r):
    """Length of the zigzagged numbers."""
    return sum((2 * int(v) if v >= 0 else -2 * int(v) - 1).bit_length() for v in r.reshape(-1))


def mean_of(tile):
    first = tile.reshape(-1)[:1]
    total = sum(int(v) for v in (tile.reshape(-1) - first))
    total = (total + 2**63) % 2**64 - 2**63
    return int(first[0]) + total // tile.size


def wrapped(value, dtype):
    return np.array([value % 2**64], "u8").view("i8").astype(dtype)


def encode(lattice, shape, log2, modes=MODES):
    """Residuals, modes and means; with one mode it is taken everywhere."""
    array = in_4d(lattice, shape)
    out = np.empty_like(array)
    chosen, means, before = [], [], 0
    for part in tiles_of(array, [1 << k for k in log2]):
        tile = array[part]
        mean = mean_of(tile)
        step = wrapped(mean - before, array.dtype)
        best = None
        for order, with_mean in modes:
            shifted = tile - wrapped(mean, array.dtype) if with_mean else tile
            r = differences(shifted, order)
            cost = bits(r) + (bits(step) + 4 if with_mean else 0)
            if best is None or cost < best[0]:
                best = cost, r, order, with_mean
        _, out[part], order, with_mean = best
        chosen.append(order | 4 * with_mean)
        if with_mean:
            means.append(step[0])
            before = mean
    return out.reshape(-1), bytes(chosen), np.array(means, array.dtype).tobytes()
