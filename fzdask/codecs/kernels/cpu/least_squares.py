"""Prediction by least squares over causal neighbours, learnt again from what was just coded.

Only IEEE additions, multiplications, divisions and square roots in a fixed order: encoder and
decoder, on whatever machine, compute the same prediction.
"""

import numpy as np

from fzdask.jit import njit

EVERY = 32  # values between two solutions
DECAY = 0.9379  # of what was learnt, each time: 0.998 for each value
RIDGE = 10.0  # in squared lattice steps; keeps the system regular where nothing moves
_FAR = 2.0**52  # a prediction beyond this from the value before is no use


@njit(nogil=True, cache=True)
def learn(x, t, products, targets):
    """Add a row of differences ``x`` and its target to the normal equations (lower half)."""
    for k in range(x.size):
        xk = x[k]
        if xk != 0.0:
            row = products[k]
            for j in range(k + 1):
                row[j] += xk * x[j]
            targets[k] += xk * t


@njit(nogil=True, cache=True)
def solve(products, targets, lower, weights):
    """Weights by a Cholesky factorisation.

    They stay as they are where the system is not positive definite.
    """
    m = targets.size
    for k in range(m):
        for j in range(k + 1):
            s = products[k, j]
            if j == k:
                s += RIDGE
            for r in range(j):
                s -= lower[k, r] * lower[j, r]
            if j < k:
                lower[k, j] = s / lower[j, j]
            elif s > 0.0:
                lower[k, k] = np.sqrt(s)
            else:
                return
    for k in range(m):
        s = targets[k]
        for r in range(k):
            s -= lower[k, r] * weights[r]
        weights[k] = s / lower[k, k]
    for k in range(m - 1, -1, -1):
        s = weights[k]
        for r in range(k + 1, m):
            s -= lower[r, k] * weights[r]
        weights[k] = s / lower[k, k]


@njit(nogil=True, cache=True)
def forget(products, targets):
    """Let what was learnt weigh less."""
    for k in range(targets.size):
        targets[k] *= DECAY
        for j in range(k + 1):
            products[k, j] *= DECAY


@njit(nogil=True, cache=True)
def predict(x, weights):
    """How far the value is from the one before it."""
    p = 0.0
    for k in range(x.size):
        p += weights[k] * x[k]
    return p if np.abs(p) < _FAR else 0.0
