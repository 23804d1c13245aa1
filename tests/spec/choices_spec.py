"""What a writer chooses, where a stream says what was chosen: axes to difference, runs to code.

Every backend makes these choices alike, so that all write the same bytes; a better choice is no
change of the format.
"""

from __future__ import annotations

from itertools import product

import numpy as np
from codebook_spec import MAX_LENGTH
from huffman_spec import ALPHABET, DIRECT, groups_of, raw_width, symbol_of, tokens, zigzag
from lorenzo_spec import folded_shape

PART = 256  # a sample of the lattice has that part of the points,
SAMPLES = (256, 2048)  # but at least and at most so many,
TOGETHER, MANY = 4, 256  # of which so many are neighbours where there are as many
FRACTION = 8  # bits behind the point of the integer logarithm
UNSEEN = 184  # 256 / (2 ln 2): a sample's entropy is too low by that per symbol seen

TRY_RUNS = 0.7  # share of the most frequent symbol
KEEP_RUNS = 0.7  # likely bits with runs over those without
EVERY = (8, 1)  # one group in so many is looked at first, then all


def auto_axes(values, shape, inverse, forced):
    """Mask of the axes whose differences cost the fewest bits on a sample of the lattice.

    A flag says of each four points whether all differences are 0; the others have codes.
    The lattice value of a point is ``rint(value * inverse)``; a point is left out if a neighbour
    that a difference reads is forced or beyond 2**51.
    """
    shape = folded_shape(shape)
    n = values.size
    if not shape or n < 2:
        return 0
    least, most = SAMPLES
    samples = min(max(n // PART, least), most, n)
    together = TOGETHER if samples >= MANY else None
    counts = [{} for _ in range(1 << len(shape))]
    raw = [0] * len(counts)
    fours = [[] for _ in counts]  # of each four points that are taken, whether all are 0
    taken = 0
    for k, flat in enumerate(_sample(n, samples)):
        if k % TOGETHER == 0:
            four = [[] for _ in counts]
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
            four[mask].append(difference)
            if len(four[mask]) == together:
                fours[mask].append(not any(four[mask]))
    if not taken:
        return len(counts) - 1
    costs = []
    for bits, seen, quiet in zip(raw, counts, fours, strict=True):
        flags = {flag: quiet.count(flag) for flag in (True, False)}
        others = seen | {0: seen.get(0, 0) - TOGETHER * flags[True]}
        costs.append((bits << FRACTION) + _entropy(flags) + _entropy(others))
    if not any(costs):
        return len(counts) - 1
    return costs.index(min(costs))


def _entropy(counts):
    """Of the counted, in units of 2**-8 bit."""
    whole = sum(counts.values())
    return sum(c * (log2_fixed(whole) - log2_fixed(c)) + UNSEEN for c in counts.values() if c)


def _sample(n, samples):
    """Points spread evenly, each few somewhere in their part (Knuth's 64-bit generator)."""
    together = TOGETHER if samples >= MANY else 1
    parts = -(-samples // together)
    state = 1
    for k in range(samples):
        part, offset = divmod(k, together)
        if offset == 0:
            state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        first, last = part * n // parts, (part + 1) * n // parts
        yield min(first + (state >> 33) % max(last - first, 1) + offset, n - 1)


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
    most = plain.index(max(plain))
    if most >= DIRECT or plain[most] <= TRY_RUNS * len(residuals):
        return -1
    bits = likely_bits(plain)
    for every, bits_of in zip(EVERY, (entropy_bits, likely_bits), strict=True):
        sample = groups[::every]
        taken = sum(len(part) for part in sample)
        if bits_of(_counts(sample, most)) * len(residuals) >= KEEP_RUNS * bits * taken:
            return -1
    return most


def entropy_bits(counts):
    """Entropy of the counted symbols, rounded down, and their raw bits."""
    whole = log2_fixed(max(sum(counts), 1))
    coded = sum(c * (whole - log2_fixed(c)) for c in counts if c)
    return (coded >> FRACTION) + _raw_bits(counts)


def likely_bits(counts):
    """About what a code of their own takes: entropy, what a code loses to it, and the book.

    A code gives its most frequent symbols whole bits: as long as one is at least two fifths of
    what is left, and four times at most, the loss of telling it from the rest by one bit is
    counted. What is left loses 7 / 256 bits a symbol. The book takes about 10 bits, 10 for every
    64 symbols that it steps over, and 1, 2, 3 or 8 for a length that is that of the symbol before,
    one more, one less, or another.
    """
    total = sum(counts)
    whole = log2_fixed(max(total, 1))
    coded = sum(c * (whole - log2_fixed(c)) for c in counts if c)
    book, before, length_before = 10, -1, 8
    for s, c in enumerate(counts):
        if c:
            length = min(max((whole - log2_fixed(c) + 128) >> FRACTION, 1), MAX_LENGTH)
            steps = {0: 1, 1: 2, -1: 3}
            book += 10 * ((s - before + 62) // 64) + steps.get(length - length_before, 8)
            before, length_before = s, length
    lost, left = 0, total
    for c in sorted((c for c in counts if c), reverse=True)[:4]:
        if 5 * c < 2 * left:
            break
        rest = left - c
        if not rest and left < total:  # the last symbol takes no bit more
            left = 0
            break
        parted = sum(n * log2_fixed(n) for n in (c, rest) if n)
        lost += max((left << FRACTION) - left * log2_fixed(left) + parted, 0)
        left = rest
    bits = (coded + lost + 7 * left) >> FRACTION
    return bits + _raw_bits(counts) + 8 * ((book + 7) // 8)


def _raw_bits(counts):
    return sum(c * raw_width(s) for s, c in enumerate(counts))


def _counts(groups, mode):
    counts = [0] * ALPHABET
    for part in groups:
        for symbol, _ in tokens(part, mode):
            counts[symbol] += 1
    return counts
