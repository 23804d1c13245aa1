"""Which static table codes a residual: a class of the magnitudes already known around it.

Neighbours lie at fixed distances in the flat order: the two before, three in the row above, one
in the plane before. What lies before the group counts as 0, so groups stay independent. Where
they lean to negative residuals, that of a value is coded with the other sign: one table
then serves both ways of leaning.
"""

import numpy as np

from fzdask.codecs.kernels.cpu.rans import LOWEST, _first_state, _raw, _symbol
from fzdask.codecs.kernels.cpu.sampling import log2_fixed
from fzdask.codecs.kernels.cpu.symbols import DIRECT, WIDE, exponent, symbol_of, unzigzag
from fzdask.jit import njit

MOST = 255  # of a magnitude, so that it fits 8 bits
WEIGHTS = 9  # of all neighbours together
LEVELS = 23
LANES = 4  # groups decoded in step
BLOCK = 1024  # values classified at once


@njit(nogil=True, cache=True)
def level_table():
    """Level of a weighted sum: itself below 4, then two for each power of two."""
    table = np.empty(WEIGHTS * MOST + 1, np.uint8)
    for a in range(table.size):
        if a < 4:
            table[a] = a
        else:
            e = exponent(a)
            table[a] = 2 * e + ((a >> (e - 1)) & 1)
    return table


@njit(nogil=True, cache=True)
def _kept(z):
    """A residual of at most ``MOST`` in magnitude, times 2**16, plus its magnitude.

    A greater one counts as ``MOST``, a negative one too: streams are written so. Sums of such
    numbers have both sums, and no carry between them.
    """
    z = np.int64(min(z, np.uint64(2 * MOST)))
    r = (z >> 1) ^ -(z & 1)
    return np.int32((r << 16) + abs(r))


@njit(nogil=True, cache=True)
def _mirrored(u, total):
    """A zigzagged residual with the other sign if ``total`` is negative and both are direct."""
    one = np.uint64(1)  # no branch: which way it goes cannot be foreseen
    turn = np.uint64(total < 0) & np.uint64(u - one < np.uint64(DIRECT - 2))
    return ((u - turn) ^ turn) + turn


@njit(nogil=True, cache=True)
def _sums(near, first, row, plane, sums):
    """Weighted sums around every value from ``near[first]`` on, as :func:`_kept` keeps them."""
    for i in range(sums.size):
        sums[i] = 2 * near[first + i - 1] + near[first + i - 2]
    if row:
        above = first - row
        for i in range(sums.size):
            sums[i] += 2 * near[above + i] + near[above + i - 1] + near[above + i + 1]
    if plane:
        behind = first - plane
        for i in range(sums.size):
            sums[i] += 2 * near[behind + i]


@njit(nogil=True, cache=True)
def classify(z, wide, group, row, plane, near, levels, mirrored, counts):
    """Context level of every value, and how often each symbol occurs at each level.

    ``near`` holds a group behind as many zeros as neighbours reach back. ``mirrored`` gets the
    zigzagged residuals with the signs that their neighbours lean to; counts are of those.
    """
    table = level_table()
    pad = near.size - group
    sums = np.empty(BLOCK, np.int32)
    used = 0
    for start in range(0, z.size, group):
        end = min(z.size, start + group)
        for i in range(start, end):
            near[pad + i - start] = _kept(np.uint64(z[i]))
        for first in range(start, end, BLOCK):
            n = min(BLOCK, end - first)
            _sums(near, pad + first - start, row, plane, sums[:n])
            its_levels, its_z = levels[first : first + n], mirrored[first : first + n]
            given = z[first : first + n]
            for k in range(n):
                its_levels[k] = table[np.uint64(sums[k] & 0xFFFF)]
                its_z[k] = _mirrored(np.uint64(given[k]), sums[k])
            used = _count(its_levels, its_z, wide, used, counts)


@njit(nogil=True, cache=True)
def _count(levels, z, wide, used, counts):
    """Add the symbols of some values, by level; how many wide values are used."""
    for k in range(z.size):
        u = np.uint64(z[k])
        if u < np.uint64(DIRECT):
            counts[np.uint64(levels[k]), u] += 1
        else:
            if u == np.uint64(WIDE):
                u = wide[used]
                used += 1
            counts[np.uint64(levels[k]), symbol_of(u)] += 1
    return used


@njit(nogil=True, cache=True)
def _cost(counts, entry):
    """Bits, in units of 2**-8, of coding these counts with a table of their own."""
    total = np.int64(0)
    cost = np.int64(0)
    for s in range(counts.size):
        if counts[s] > 0:
            total += counts[s]
            cost += entry - counts[s] * log2_fixed(counts[s])
    return cost + total * log2_fixed(total) if total > 0 else cost


@njit(nogil=True, cache=True)
def merge(counts, most, entry):
    """Join neighbouring levels to at most ``most`` classes, further where that saves.

    Parameters
    ----------
    counts : int64[LEVELS, RARE]
        Symbols by level; afterwards, in its first rows, by class.
    most : int
        Classes allowed.
    entry : int
        What one symbol of one table costs, in units of 2**-8 bit.

    Returns
    -------
    firsts : int64 array
        The first level of every class.
    """
    firsts = np.arange(LEVELS)
    costs = np.empty(LEVELS, np.int64)
    joint = np.empty(LEVELS, np.int64)  # of a class and the next
    for c in range(LEVELS):
        costs[c] = _cost(counts[c], entry)
    for c in range(LEVELS - 1):
        joint[c] = _cost(counts[c] + counts[c + 1], entry)
    classes = LEVELS
    while classes > 1:
        best = 0
        for c in range(1, classes - 1):
            saves = costs[c] + costs[c + 1] - joint[c]
            if saves > costs[best] + costs[best + 1] - joint[best]:
                best = c
        if classes <= most and costs[best] + costs[best + 1] < joint[best]:
            break
        counts[best] += counts[best + 1]
        costs[best] = joint[best]
        classes -= 1
        for c in range(best + 1, classes):
            counts[c] = counts[c + 1]
            costs[c] = costs[c + 1]
            firsts[c] = firsts[c + 1]
            joint[c] = joint[min(c + 1, LEVELS - 2)]
        for c in range(max(best - 1, 0), min(best + 1, classes - 1)):
            joint[c] = _cost(counts[c] + counts[c + 1], entry)
    return firsts[:classes].copy()


@njit(nogil=True, cache=True)
def class_table(firsts):
    """Class of every weighted sum."""
    classes = np.zeros(LEVELS, np.uint8)
    for c in range(1, firsts.size):
        classes[firsts[c] :] = c
    levels = level_table()
    table = np.empty(levels.size, np.uint8)
    for a in range(levels.size):
        table[a] = classes[levels[a]]
    return table


@njit(nogil=True, cache=True)
def decode(words, firsts, group, row, plane, near, table, bits, slots, places, out):
    """Decode every group, ``LANES`` in step; False where one is damaged.

    Parameters
    ----------
    words, firsts, bits, slots, places
        As :func:`fzdask.codecs.kernels.cpu.rans.decode` takes them.
    row, plane : int
        Distances of the neighbours above and in the plane before; 0: none.
    near : int32 array
        For every lane as many zeros as neighbours reach back, then room for a group.
    table : uint8 array
        That of :func:`class_table`.
    """
    row, plane = np.uint64(row), np.uint64(plane)
    direct, one, two = np.uint64(DIRECT), np.uint64(1), np.uint64(2)
    width = near.size // LANES
    pad = width - group
    groups = firsts.size - 1
    xs = np.empty(LANES, np.uint64)
    ps = np.empty(LANES, np.uint64)
    for g in range(0, groups, LANES):
        lanes = min(LANES, groups - g)
        for lane in range(lanes):
            xs[lane], ps[lane] = _first_state(words, firsts[g + lane])
        for i in range(group):
            if g * group + (lanes - 1) * group + i == out.size:  # the last group is shorter
                lanes -= 1
                if not _ends(xs[lane], ps[lane], firsts[g + lane + 1]):
                    return False
                if lanes == 0:
                    break
            for lane in range(lanes):
                at = np.uint64(lane * width + pad + i)
                total = 2 * np.int64(near[at - one]) + np.int64(near[at - two])
                if row:
                    above = at - row
                    total += 2 * np.int64(near[above]) + np.int64(near[above - one])
                    total += np.int64(near[above + one])
                if plane:
                    total += 2 * np.int64(near[at - plane])
                c = np.uint64(table[np.uint64(total & 0xFFFF)])
                s, x, p = _symbol(xs[lane], words, ps[lane], c, bits, slots, places)
                if s >= direct:
                    s, x, p = _raw(s, x, words, p)
                s = _mirrored(s, total)
                xs[lane], ps[lane] = x, p
                near[at] = _kept(s)
                out[np.uint64((g + lane) * group + i)] = unzigzag(s)
        for lane in range(lanes):
            if not _ends(xs[lane], ps[lane], firsts[g + lane + 1]):
                return False
    return True


@njit(nogil=True, cache=True)
def _ends(x, p, end):
    """Whether a state is where the encoder began, at the end of its words."""
    return np.int64(p) == end and x == np.uint64(LOWEST)
