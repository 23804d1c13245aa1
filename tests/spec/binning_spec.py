"""Specification of ``binning``: by slices."""

from __future__ import annotations

import numpy as np
from lorenzo_spec import folded_shape


def split(values):
    """Lows, then highs, along the first axis."""
    a, b = values[0 : len(values) - 1 : 2], values[1::2]
    high = a - b
    low = b + (high >> 1)
    odd = values[len(values) - 1 :] if len(values) % 2 else values[:0]
    return np.concatenate([low, odd, high])


def join(values):
    """The inverse."""
    half = (len(values) + 1) // 2
    low, high = values[:half], values[half:]
    out = np.empty_like(values)
    b = low[: len(high)] - (high >> 1)
    out[1::2] = b
    out[0 : 2 * len(high) : 2] = b + high
    if len(values) % 2:
        out[-1] = low[-1]
    return out


def regions(shape, levels, mask):
    """Slices that each level works on, and the axes that are long enough in it."""
    lengths = list(folded_shape(shape))
    for _ in range(levels):
        axes = [k for k in range(len(lengths)) if mask >> k & 1 and lengths[k] > 1]
        yield tuple(slice(0, n) for n in lengths), axes
        for k in axes:
            lengths[k] = (lengths[k] + 1) // 2


def forward(lattice, shape, levels, mask):
    x = lattice.reshape(folded_shape(shape)).copy()
    for region, axes in regions(shape, levels, mask):
        for k in axes:
            part = np.moveaxis(x[region], k, 0)
            part[...] = split(part.copy())
    return x.reshape(-1)


def inverse(binned, shape, levels, mask):
    x = binned.reshape(folded_shape(shape)).copy()
    for region, axes in reversed(list(regions(shape, levels, mask))):
        for k in reversed(axes):
            part = np.moveaxis(x[region], k, 0)
            part[...] = join(part.copy())
    return x.reshape(-1)
