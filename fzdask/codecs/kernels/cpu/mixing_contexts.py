"""What the models of context mixing look at: two predictions, and how it went around a value.

``q`` is a lattice behind zeros, at least as many as the farthest neighbour is away; the other
arrays go along with it. Distances ``row``, ``plane``, ``volume`` are those to the neighbours along
the axes above the fastest, 0 where there is none. Neighbours are told by distance in the flat
order alone: at the start of a row they are those at the end of the one before.
"""

import numpy as np

from fzdask.codecs.kernels.cpu.symbols import exponent
from fzdask.jit import njit

MODELS = 8
DECISIONS = 64  # of one value that are told apart
STRONG = 6  # classes of energy, each with mixing weights of its own
LEVELS = 26
CLIP = 1 << 20  # of a difference that is kept
_SIZES = (LEVELS * 8, 7 * 7 * 7, 13 * 9 * 4, 11 * 11 * 7, LEVELS * 9, 16 * LEVELS, LEVELS * LEVELS,
          LEVELS * 25)  # fmt: skip
OFFSETS = np.array([sum(_SIZES[:k]) * DECISIONS for k in range(MODELS)], np.int64)
ENTRIES = sum(_SIZES) * DECISIONS
CALM = 16 * 5 * 32
REACH = 5  # how far back contexts look along the fastest axis

# By what a value and its neighbours are kept.
BASE, SQUARES, LORENZO = 0, 1, 2  # rows of the differences to the base and to both predictions


@njit(nogil=True, cache=True)
def lorenzo_terms(strides, subset, distances, signs):
    """Distances and signs of the terms of a Lorenzo prediction; their number.

    ``strides`` are those of the axes, the fastest first; bit ``k`` of ``subset`` is axis ``k``.
    """
    used = 0
    axes = strides.size
    for mask in range(1, 1 << axes):
        if mask & ~subset == 0:
            distance = 0
            sign = -1
            for k in range(axes):
                if (mask >> k) & 1:
                    distance += strides[k]
                    sign = -sign
            distances[used] = distance
            signs[used] = sign
            used += 1
    return used


@njit(nogil=True, cache=True)
def choose_axes(q, pad, strides, samples):
    """The axes whose Lorenzo residual is smallest on a sample, by the sum of its bit lengths."""
    n = q.size - pad
    best, least = 0, np.int64(0)
    distances = np.empty(1 << strides.size, np.int64)
    signs = np.empty(1 << strides.size, np.int64)
    for subset in range(1 << strides.size):
        terms = lorenzo_terms(strides, subset, distances, signs)
        cost = np.int64(0)
        for k in range(samples):
            i = pad + k * n // samples
            r = q[i]
            for t in range(terms):
                r -= signs[t] * q[i - distances[t]]
            if r != 0:
                cost += exponent(np.uint64(abs(r))) + 2
        if subset == 0 or cost < least:
            best, least = subset, cost
    return best


@njit(nogil=True, cache=True)
def level_of(a):
    """Itself below 4, then two levels for each power of two, ``LEVELS`` in all."""
    if a < 4:
        return a
    e = exponent(a)
    return min(2 * e + ((a >> (e - 1)) & 1), LEVELS - 1)


@njit(nogil=True, cache=True)
def _clip(v, most):
    return min(max(v, -most), most) + most


@njit(nogil=True, cache=True)
def _step(a, b):
    """How far two values are apart, at most ``CLIP``."""
    return abs(min(max(a - b, -CLIP), CLIP))


@njit(nogil=True, cache=True, inline="always")
def lead_of_lorenzo(past, i, row, plane, volume):
    """By how much least squares erred more than Lorenzo around a value."""
    a, b = past[SQUARES], past[LORENZO]
    s = 2 * (abs(a[i - 1]) - abs(b[i - 1])) + abs(a[i - 2]) - abs(b[i - 2])
    if row:
        k = i - row
        s += 2 * (abs(a[k]) - abs(b[k])) + abs(a[k - 1]) - abs(b[k - 1])
        s += abs(a[k + 1]) - abs(b[k + 1])
    if plane:
        k = i - plane
        s += 2 * (abs(a[k]) - abs(b[k])) + abs(a[k + 1]) - abs(b[k + 1])
        s += abs(a[k + row]) - abs(b[k + row])
    if volume:
        k = i - volume
        s += 2 * (abs(a[k]) - abs(b[k]))
    return s


@njit(nogil=True, cache=True, inline="always")
def find_contexts(q, past, i, base, other, sixteenth, row, plane, volume, at):
    """Fill ``at`` with the first cell of every model's context.

    Parameters
    ----------
    base, other : int
        The prediction taken, and the one not taken.
    sixteenth : int
        Where between two lattice values the prediction lay, 0 to 15.

    Returns
    -------
    energy : int
        Weighted sum of the magnitudes of the differences around.
    strong : int
        Its class, for the mixing weights.
    calm : int
        Where nothing at all moves around: the cell of the one model that is asked; else -1.
    """
    e = past[BASE]
    w, ww = e[i - 1], e[i - 2]
    none = np.int32(0)
    nn, nw, ne, u, right, below, v = ww, none, none, none, none, none, none
    west = q[i - 1] - base
    north = q[i - 2] - base
    north_west, north_east, up = np.int64(0), np.int64(0), np.int64(0)
    if row:
        k = i - row
        nn, nw, ne = e[k], e[k - 1], e[k + 1]
        north, north_west, north_east = q[k] - base, q[k - 1] - base, q[k + 1] - base
        up = north_east
    older = north_west
    if plane:
        k = i - plane
        u, right, below = e[k], e[k + 1], e[k + row]
        up = q[k] - base
    if volume:
        v = e[i - volume]
        older = q[i - volume] - base
    aside = abs(ww) + abs(nw) + abs(ne)
    behind = abs(u) + abs(right) + abs(below) + abs(v)
    energy = 2 * abs(w) + 2 * abs(nn) + aside + abs(u) + behind + abs(v)
    level = level_of(energy)
    slope = level_of(
        _step(west, north_west) + _step(north, north_west) + _step(north, north_east)
        + _step(up, west)
    )  # fmt: skip
    strength = 0 if energy == 0 else 1 if energy < 4 else 2 if energy < 12 else 3
    strong = 0 if energy == 0 else 1 if energy < 3 else 2 if energy < 6 else 3
    if energy >= 12:
        strong = 4 if energy < 40 else 5
    at[0] = level * 8 + (sixteenth >> 1)
    at[1] = _clip(w, 3) * 49 + _clip(nn, 3) * 7 + _clip(u if plane else nw, 3)
    at[2] = _clip(other - base, 6) * 36 + _clip(up, 4) * 4 + strength
    at[3] = _clip(west, 5) * 77 + _clip(north, 5) * 7 + _clip(up, 3)
    at[4] = level_of(aside) * 9 + _clip(w + nn + u, 4)
    at[5] = sixteenth * LEVELS + slope
    at[6] = level * LEVELS + slope
    at[7] = level_of(behind) * 25 + _clip(older, 2) * 5 + _clip(north_east, 2)
    for k in range(MODELS):
        at[k] = OFFSETS[k] + at[k] * DECISIONS
    if energy or slope or other != base:
        return energy, strong, np.int64(-1)
    calm = (sixteenth * 5 + _clip(west, 2)) * 2 + np.int64(e[i - 3] != 0)
    if row:
        calm = calm * 2 + np.int64(e[i - row + 2] != 0)
        calm = calm * 2 + np.int64(e[i - row - 2] != 0)
    else:
        calm = calm * 2 + np.int64(e[i - 4] != 0)
        calm = calm * 2 + np.int64(e[i - 5] != 0)
    if plane:
        calm = calm * 2 + np.int64(e[i - plane - row] != 0)
        calm = calm * 2 + np.int64(e[i - plane - 1] != 0)
    return energy, strong, calm
