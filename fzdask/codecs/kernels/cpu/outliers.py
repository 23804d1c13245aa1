"""Outliers of a lattice: where they are, as runs, and their bits; any share from none to all.

Positions are pairs of variable-length integers (LEB128): inliers before a run, its length.
"""

import numpy as np

from fzdask.codecs.kernels.cpu.lanes import FLAGS, flags_differing, trailing_zeros
from fzdask.jit import njit

# Fields of the state that travels through the tiles of one array.
BYTES, VALUES, GAP, RUN, LAST, OVER = range(6)  # the last: whether a finite value has no cell
STATE = 6


@njit(nogil=True, cache=True)
def _put_varint(out, at, value):
    while value >= 128:
        out[at] = np.uint8((value & 127) | 128)
        value >>= 7
        at += 1
    out[at] = np.uint8(value)
    return at + 1


@njit(nogil=True, cache=True)
def finish(state, runs):
    """Write the run that is still open, if any."""
    if state[RUN] > 0:
        at = _put_varint(runs, state[BYTES], state[GAP])
        state[BYTES] = _put_varint(runs, at, state[RUN])
        state[RUN] = 0
        state[GAP] = 0


@njit(nogil=True, cache=True)
def collect(count, flags, bits, q, state, runs, values):
    """Take the flagged values of one tile out of the lattice."""
    m = q.size
    if count == 0:
        finish(state, runs)
        state[GAP] += m
        state[LAST] = np.int64(q[m - 1])
        return
    at = state[VALUES]
    i = 0
    ones = np.uint64(0)
    left = 0  # flags in ``ones``
    while i < m:
        if left == 0:
            left = min(FLAGS, m - i)
            ones = flags_differing(flags, i, m, 0)
        if ones & np.uint64(1):
            n = min(trailing_ones(ones), left)
            last = state[LAST]
            for j in range(n):
                values[at + j] = bits[i + j]
            for j in range(n):
                q[i + j] = last
            at += n
            state[RUN] += n
        else:
            n = min(trailing_zeros(ones), left) if ones else left
            finish(state, runs)
            state[GAP] += n
            state[LAST] = np.int64(q[i + n - 1])
        ones = ones >> np.uint64(n) if n < FLAGS else np.uint64(0)
        left -= n
        i += n
    state[VALUES] = at


@njit(nogil=True, cache=True)
def trailing_ones(flags):
    """One bits below the lowest zero."""
    return FLAGS if ~flags == np.uint64(0) else trailing_zeros(~flags)


@njit(nogil=True, cache=True)
def restore(runs, values, out):
    """Put outliers back; False where the runs do not fit the array or the values."""
    at = 0
    n = out.size
    pos = np.int64(0)
    used = np.int64(0)
    while at < runs.size:
        for which in range(2):
            number = np.int64(0)
            shift = 0
            while True:
                if at >= runs.size or shift > 56:
                    return False
                byte = np.int64(runs[at])
                at += 1
                number |= (byte & 127) << shift
                shift += 7
                if byte < 128:
                    break
            if number > n - pos:
                return False
            if which == 0:
                pos += number
            else:
                if number == 0 or number > values.size - used:
                    return False
                for i in range(number):
                    out[pos + i] = values[used + i]
                used += number
                pos += number
    return used == values.size
