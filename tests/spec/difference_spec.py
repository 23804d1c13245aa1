"""Specification of ``difference``: along one axis of the memory shape."""

from __future__ import annotations

import numpy as np


def differences(lattice, shape, axis, order):
    """q0, q1 - q0, ...; or q0, q1 - q0, q2 - 2 q1 + q0, ...; in the lattice's width."""
    q = np.moveaxis(lattice.reshape(shape), axis, 0)
    out = q.copy()
    out[1:] -= q[:-1]
    if order == 2:
        out[2:] -= q[1:-1] - q[:-2]
    return np.moveaxis(out, 0, axis).reshape(-1)


def lattice_of(out, shape, axis, order):
    """One after the other."""
    q = np.moveaxis(out.reshape(*shape, 1).copy(), axis, 0)  # NumPy warns of scalars that wrap
    for k in range(1, len(q)):
        rate = q[k - 1] - q[k - 2] if order == 2 and k > 1 else np.zeros_like(q[0])
        q[k] += q[k - 1] + rate
    return np.moveaxis(q, 0, axis).reshape(-1)
