"""Specification of ``lorenzo``: differences along folded axes."""

from __future__ import annotations

import numpy as np

MAX_AXES = 4


def folded_shape(shape):
    """Without axes of length 1; the leading ones joined until four are left."""
    lengths = [n for n in shape if n != 1]
    while len(lengths) > MAX_AXES:
        lengths = [lengths[0] * lengths[1], *lengths[2:]]
    return tuple(lengths)


def residual(lattice, shape, mask):
    """First differences along the folded axes whose bit is set, wrapping in the lattice's width.

    Second ones along those whose bit is set four places further up, too: differences of the
    first differences, of which the first is no difference and left out.
    """
    r = lattice.reshape(folded_shape(shape))
    for axis in range(r.ndim):
        if mask >> axis & 1:
            r = np.diff(r, axis=axis, prepend=r.dtype.type(0))
        if mask >> (axis + MAX_AXES) & 1:
            first, rest = np.split(r, [1], axis=axis)
            rest = np.diff(rest, axis=axis, prepend=r.dtype.type(0))
            r = np.concatenate([first, rest], axis=axis)
    return r.reshape(-1)


def lattice_of(residual, shape, mask):
    """The inverse: cumulative sums."""
    q = residual.reshape(folded_shape(shape))
    for axis in range(q.ndim):
        if mask >> (axis + MAX_AXES) & 1:
            first, rest = np.split(q, [1], axis=axis)
            q = np.concatenate([first, np.cumsum(rest, axis=axis, dtype=q.dtype)], axis=axis)
        if mask >> axis & 1:
            q = np.cumsum(q, axis=axis, dtype=q.dtype)
    return q.reshape(-1)
