"""What a writer chooses, where a stream says what was chosen: axes to difference, runs to code.

Every backend makes these choices alike, so that all write the same bytes; a better choice is no
change of the format.
"""

from __future__ import annotations

from itertools import product

import numpy as np
from codebook_spec import code_lengths
from huffman_spec import ALPHABET, DIRECT, groups_of, raw_width, symbol_of, tokens, zigzag
from lorenzo_spec import folded_shape

PART = 256  # a sample of the lattice has that part of the points,
SAMPLES = (256, 2048)  # but at least and at most so many
FRACTION = 8  # bits behind the point of the integer logarithm
UNSEEN = 184  # 256 / (2 ln 2): a sample's entropy is too low by that per symbol seen

TRY_RUNS = 0.7  # share of the most frequent symbol
KEEP_RUNS = 0.7  # bits with runs over bits without
EVERY = (8, 1)  # one group in so many is looked at first, then all


def auto_axes(values, shape, inverse, forced):
    """Mask of the axes whose differences cost the fewest bits on a sample of the lattice.

    The lattice value of a point is ``rint(value * inverse)``; a point is left out if a neighbour
    that a difference reads is forced or beyond 2**51.
    """
    shape = folded_shape(shape)
    n = values.size
    if not shape or n < 2:
        return 0
    least, most = SAMPLES
    samples = min(max(n // PART, least), most, n)
    counts = [{} for _ in range(1 << len(shape))]
    raw = [0] * len(counts)
    taken = 0
    for flat in _sample(n, samples):
        point = [max(c, 1) for c in np.unravel_index(flat, shape)]  # with a neighbour everywhere
        corner = _corner(values.reshape(shape), point, inverse, forced)
        if corner is None:
            continue
        taken += 1
        for mask in range(len(counts)):
            difference = _difference(corner, mask)
            symbol = symbol_of(zigzag(difference, 64))
            counts[mask][symbol] = counts[mask].get(symbol, 0) + 1
            raw[mask] += raw_width(symbol)
    if not taken:
        return len(counts) - 1
    whole = log2_fixed(taken)
    costs = [
        (bits << FRACTION) + sum(c * (whole - log2_fixed(c)) + UNSEEN for c in seen.values())
        for bits, seen in zip(raw, counts, strict=True)
    ]
    if not any(costs):
        return len(counts) - 1
    return costs.index(min(costs))


def _sample(n, samples):
    """Points spread evenly, each somewhere in its part (Knuth's 64-bit congruential generator)."""
    state = 1
    for k in range(samples):
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        first, last = k * n // samples, (k + 1) * n // samples
        yield first + (state >> 33) % max(last - first, 1)


def _corner(values, point, inverse, forced):
    """Lattice values at a point and its neighbours before it, by offsets (0 or 1 per axis)."""
    corner = {}
    for back in product((0, 1), repeat=len(point)):
        at = tuple(p - b for p, b in zip(point, back, strict=True))
        with np.errstate(all="ignore"):
            q = np.rint(np.float64(values[at]) * inverse)
        is_forced = forced.size and forced[np.ravel_multi_index(at, values.shape)]
        if not abs(q) <= 2.0**51 or is_forced:
            return None
        corner[back] = int(q)
    return corner


def _difference(corner, mask):
    """Lorenzo residual along the axes of a mask: alternating sum over the corner of a cell."""
    return sum(
        (-1) ** sum(back) * q
        for back, q in corner.items()
        if not any(b and not mask >> axis & 1 for axis, b in enumerate(back))
    )


def log2_fixed(value):
    """floor(log2(value) * 256), as repeated squaring of a 32-bit mantissa gives it."""
    result = value.bit_length() - 1
    mantissa = (value << 31) >> result
    for _ in range(FRACTION):
        mantissa = (mantissa * mantissa) >> 31
        result *= 2
        if mantissa >> 32:
            mantissa >>= 1
            result += 1
    return result


def run_symbol(residuals, group):
    """The symbol whose runs are coded, or -1."""
    residuals = [int(r) for r in residuals]
    groups = groups_of(residuals, group)
    plain = _counts(groups, -1)
    bits = _bits(plain)
    most = plain.index(max(plain))
    if most >= DIRECT or plain[most] <= TRY_RUNS * len(residuals):
        return -1
    for every in EVERY:
        sample = groups[::every]
        taken = sum(len(part) for part in sample)
        if _bits(_counts(sample, most)) * len(residuals) >= KEEP_RUNS * bits * taken:
            return -1
    return most


def _counts(groups, mode):
    counts = [0] * ALPHABET
    for part in groups:
        for symbol, _ in tokens(part, mode):
            counts[symbol] += 1
    return counts


def _bits(counts):
    """Bits of the counted symbols in their own code, raw bits included."""
    lengths = code_lengths(counts)
    return sum(c * (n + raw_width(s)) for s, (c, n) in enumerate(zip(counts, lengths, strict=True)))
