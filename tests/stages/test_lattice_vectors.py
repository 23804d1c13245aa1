"""The cheap rule of quantizing float32: what it is sure of is what binary64 gives."""

import numpy as np
import pytest

from fzdask.codecs.kernels.cpu import lattice_vectors
from fzdask.codecs.kernels.cpu.lattice_vectors import LANES
from fzdask.codecs.stages.quantize import cheap_rule, steps
from fzdask.jit import njit

GROUPS = 1000


@njit(nogil=True)
def _quantize(x, q, inv, cell, bound, below, high, low, near, lost):
    return lattice_vectors.quantize_groups(
        x, False, lost.size, q, inv, cell, bound, below, high, low, near, lost
    )


def _near_the_middle(rng, step, most):
    """Values whose place in the cell is about one half, less what roundings of binary32 add."""
    n = GROUPS * LANES
    r = np.rint(rng.uniform(-most, most, n))
    edge = 0.5 - 2.0 ** rng.uniform(-24, -17, n) - np.abs(r) * 2.0**-24 * rng.uniform(0, 3, n)
    inside = rng.uniform(0, 0.45, n)
    place = np.where(rng.random((GROUPS, 1)) < 0.5, inside.reshape(GROUPS, -1), 0).reshape(-1)
    one = rng.integers(0, LANES, GROUPS) + LANES * np.arange(GROUPS)  # of a group is near the edge
    place[one] = edge[one]
    x = ((r + place * rng.choice([-1, 1], n)) * step).astype(np.float32)
    return x + (rng.integers(-1, 2, n) * np.spacing(x)).astype(np.float32)


@pytest.mark.parametrize("seed", range(4))
def test_what_the_cheap_rule_is_sure_of_is_what_binary64_gives(seed):
    rng = np.random.default_rng(seed)
    sure = 0
    for _ in range(40):
        bound = 10.0 ** rng.uniform(-18, 18)
        if rng.random() < 0.5:  # a reciprocal halfway between two float32
            high = np.float32(0.5 / bound)
            bound = 0.5 / (float(high) + 0.499999 * float(np.spacing(high)))
        step, inv = steps(bound)
        x = _near_the_middle(rng, step, 2.0 ** rng.uniform(0, 23))
        q = np.zeros(x.size, np.int32)
        lost = np.zeros(GROUPS, np.uint64)
        _quantize(x.ctypes.data, q.ctypes.data, inv, step, bound, *cheap_rule(bound, inv), lost)
        known = np.repeat(lost == 0, LANES)
        wide = x.astype(np.float64)
        value = (q.astype(np.float64) * step).astype(np.float32)
        assert np.array_equal(q[known], np.rint(wide * inv)[known])
        assert np.all(np.abs(wide - value.astype(np.float64))[known] <= bound)
        sure += np.count_nonzero(known)
    assert sure > 20 * GROUPS * LANES
