"""Specification of ``lorenzo(axes=narrow)``: the axes whose residuals need the fewest planes."""

from __future__ import annotations

import itertools

import numpy as np

BLOCK = 16
LIMIT = 2.0**30


def narrowest_axes(x, forced, shape, inverse, blocks):
    """Bit mask of axes, from a flat array; the sample is drawn as the stage draws it."""
    nd = len(shape)
    strides = [int(np.prod(shape[k + 1 :])) for k in range(nd)]
    subsets = [
        sum(s << k for k, s in enumerate(bits[::-1]))
        for bits in itertools.product((0, 1), repeat=nd)
    ]
    first = -(-sum(strides) // BLOCK)
    count = len(x) // BLOCK - first
    planes = dict.fromkeys(sorted(subsets), 0)
    taken = 0
    random = 1
    blocks = min(blocks, count)
    for k in range(blocks):
        random = (random * 6364136223846793005 + 1442695040888963407) % 2**64
        start, end = k * count // blocks, (k + 1) * count // blocks
        at = (first + start + (random >> 33) % (end - start)) * BLOCK
        widths = {}
        for subset in planes:
            axes = [a for a in range(nd) if subset >> a & 1]
            residual = np.zeros(BLOCK, np.int64)
            for chosen in itertools.product((0, 1), repeat=len(axes)):
                back = sum(strides[a] for a, c in zip(axes, chosen, strict=True) if c)
                part = slice(at - back, at - back + BLOCK)
                with np.errstate(invalid="ignore", over="ignore"):
                    q = np.rint(x[part].astype("f8") * inverse)
                if not (np.abs(q) <= LIMIT).all() or (len(forced) and forced[part].any()):
                    break
                residual += (-1) ** sum(chosen) * q.astype(np.int64)
            else:
                residual = residual.astype(np.int32).astype(np.int64)  # it wraps around
                codes = np.where(residual < 0, -2 * residual - 1, 2 * residual)
                widths[subset] = int(np.bitwise_or.reduce(codes)).bit_length()
        if len(widths) == len(planes):
            taken += 1
            for subset, width in widths.items():
                planes[subset] += width
    if not taken:
        return 2**nd - 1
    return min(planes, key=lambda subset: (planes[subset], subset))
