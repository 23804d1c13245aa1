"""Cheap rules of quantizing: what they are sure of is what the exact rule gives."""

import numpy as np
import pytest

from fzdask.codecs.kernels.cpu import lattice_vectors
from fzdask.codecs.kernels.cpu.lattice_vectors import LANES
from fzdask.codecs.stages.quantize import cheap_rule, steps
from fzdask.jit import njit

GROUPS = 1000


@njit(nogil=True)
def _quantize(x, wide, q, inv, cell, bound, below, high, low, near, lost):
    return lattice_vectors.quantize_groups(
        x, wide, lost.size, q, inv, cell, bound, below, high, low, near, lost
    )


def _near_the_middle(rng, step, most, dtype):
    """Values whose place in the cell is about one half, less what roundings add."""
    n = GROUPS * LANES
    r = np.rint(rng.uniform(-most, most, n))
    edge = (
        0.5
        - 2.0 ** rng.uniform(-24, -17, n)
        - np.abs(r) * np.finfo(dtype).eps / 2 * rng.uniform(0, 3, n)
    )
    inside = rng.uniform(0, 0.45, n)
    place = np.where(rng.random((GROUPS, 1)) < 0.5, inside.reshape(GROUPS, -1), 0).reshape(-1)
    one = rng.integers(0, LANES, GROUPS) + LANES * np.arange(GROUPS)  # of a group is near the edge
    place[one] = edge[one]
    x = ((r + place * rng.choice([-1, 1], n)) * step).astype(dtype)
    return x + (rng.integers(-1, 2, n) * np.spacing(x)).astype(dtype)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_what_the_cheap_rule_is_sure_of_is_so(dtype, seed):
    rng = np.random.default_rng(seed)
    sure = 0
    for _ in range(40):
        bound = 10.0 ** rng.uniform(-18, 18)
        if rng.random() < 0.5:  # a reciprocal halfway between two float32
            high = np.float32(0.5 / bound)
            bound = 0.5 / (float(high) + 0.499999 * float(np.spacing(high)))
        step, inv = steps(bound)
        most = 2.0 ** rng.uniform(0, 23 if dtype == "f4" else 32)
        x = _near_the_middle(rng, step, most, np.dtype(dtype))
        q = np.zeros(x.size, np.int32)
        lost = np.zeros(GROUPS, np.uint64)
        rule = cheap_rule(bound, inv)
        _quantize(x.ctypes.data, dtype == "f8", q.ctypes.data, inv, step, bound, *rule, lost)
        known = np.repeat(lost == 0, LANES)
        wide = x[known].astype(np.longdouble)
        value = (q[known].astype(np.float64) * step).astype(dtype)
        assert np.array_equal(q[known], np.rint(x[known].astype(np.float64) * inv))
        assert np.all(np.abs(wide - value.astype(np.longdouble)) <= bound)
        sure += np.count_nonzero(known)
    assert sure > 20 * GROUPS * LANES
