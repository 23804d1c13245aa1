"""Which axes are worth differencing once or twice: coded size of a sample, for every choice."""

import numpy as np

from fzdask.codecs.kernels.cpu.sampling import log2_fixed
from fzdask.codecs.kernels.cpu.symbols import ALPHABET, extra_bits, symbol_of, zigzag
from fzdask.jit import njit

_FRACTION = 8  # bits after the point of log2_fixed


@njit(nogil=True, cache=True)
def _next_point(k, samples, n, random):
    """Pseudo-random place in the k-th of as many equal parts; and the generator's new state."""
    random = random * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)
    first = k * n // samples
    room = (k + 1) * n // samples - first
    return first + np.int64((random >> np.uint64(33)) % np.uint64(max(room, 1))), random


@njit(nogil=True, cache=True)
def _load_corner(x, forced, pos, shape, strides, inv, limit, q):
    """Lattice values up to two steps behind a point along every axis; False if one is unusable."""
    for j in range(q.size):
        rest = j
        at = pos
        for a in range(shape.size):
            at -= (rest % 3) * strides[a]
            rest //= 3
        r = np.rint(np.float64(x[at]) * inv)
        if not np.abs(r) <= limit or (forced.size > 0 and forced[at] != 0):
            return False
        q[j] = np.int64(r)
    return True


@njit(nogil=True, cache=True)
def order_costs(x, forced, shape, inv, limit, samples, costs):
    """Estimate the coded bits of the sample for no, first or second differences along each axis.

    As :func:`fzdask.codecs.kernels.cpu.sampling.difference_costs`, but ``costs`` has 3**ndim
    entries: digit k of the index, in base 3, says how often axis k is differenced. All lengths
    are at least 3.
    """
    nd = shape.size
    ways = costs.size
    strides = np.ones(nd, np.int64)
    for k in range(nd - 2, -1, -1):
        strides[k] = strides[k + 1] * shape[k + 1]
    counts = np.zeros((ways, ALPHABET), np.int64)
    q = np.empty(ways, np.int64)
    costs[:] = 0
    taken = np.int64(0)
    top = np.int64(0)
    random = np.uint64(1)
    for k in range(samples):
        pos, random = _next_point(k, samples, x.size, random)
        rest = pos
        for a in range(nd):
            c = rest // strides[a]
            rest -= c * strides[a]
            if c < 2:
                pos += (2 - c) * strides[a]
        if not _load_corner(x, forced, pos, shape, strides, inv, limit, q):
            continue
        taken += 1
        step = 1
        for _ in range(nd):
            for j in range(ways):
                if j // step % 3 == 2:
                    here, behind = q[j - 2 * step], q[j - step]
                    q[j] += here - 2 * behind
                    q[j - step] = here - behind
            step *= 3
        for j in range(ways):
            s = symbol_of(zigzag(q[j]))
            counts[j, s] += 1
            top = max(top, s)
            costs[j] += np.int64(extra_bits(s)) << _FRACTION
    if taken == 0:
        return
    whole = log2_fixed(taken)
    for j in range(ways):
        for s in range(top + 1):
            c = counts[j, s]
            if c > 0:
                # 184 / 256 = 1 / (2 ln 2): a sample's entropy is too low by that per symbol seen
                costs[j] += c * (whole - log2_fixed(c)) + 184
