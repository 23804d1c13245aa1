"""Specification of ``logarithm``: integers of any size and fractions, one value after the other."""

from __future__ import annotations

import math
from bisect import bisect_right
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise

import bitmap_spec
import numpy as np
from lattice_spec import outlier_runs
from lorenzo_spec import folded_shape

CELLS = 1024
FORMATS = {2: (10, 15), 4: (23, 127), 8: (52, 1023)}  # mantissa bits, bias


@lru_cache(maxsize=1)
def powers():
    """floor(2**52 * 2**(k / 1024)): the 1024th root, as ten square roots one after the other."""
    table = []
    for k in range(CELLS + 1):
        root = 1 << (52 * CELLS + k)
        for _ in range(10):
            root = math.isqrt(root)  # floors of square roots compose to the floor of the root
        table.append(root)
    return table


@lru_cache(maxsize=1)
def logs():
    """floor(2**40 * log2(1 + k / 1024)), from 320 correct bits of a power."""
    table = []
    for k in range(CELLS):
        power, log = (CELLS + k) << 310, 0
        for _ in range(40):
            power = power * power >> 320
            log *= 2
            if power >= 2 << 320:
                power >>= 1
                log += 1
        table.append(log)
    return [*table, 1 << 40]


def layout(itemsize, rel):
    """Units to the octave (their log2), whether tables are used, bytes of a logarithm."""
    mantissa, _ = FORMATS[itemsize]
    if rel < 2.0 ** (5 - min(mantissa, 25)):
        return mantissa, False, 8 if itemsize == 8 else 4
    if itemsize < 8:
        return 22, True, 4
    return (19, True, 4) if rel >= 2.0**-13 else (30, True, 8)


def logarithm(value, scale, smooth, itemsize):
    """Of a positive finite value (a fraction), in integer steps that round down."""
    mantissa, _ = FORMATS[itemsize]
    octave, m = octaves_of(value)
    m = int((m - 1) * 2**mantissa)  # exact: denormals have fewer bits than that
    if not smooth:
        return octave * 2**scale + m
    rest = mantissa - 10
    kept = min(rest, 32)
    k, offset = m >> rest, (m & (1 << rest) - 1) >> (rest - kept)
    slope = logs()[k + 1] - logs()[k]
    return octave * 2**scale + ((logs()[k] + (offset * slope >> kept)) >> (40 - scale))


def magnitude_bits(t, scale, smooth, itemsize):
    """Bits of the value that a logarithm stands for."""
    mantissa, bias = FORMATS[itemsize]
    e = t // 2**scale + bias
    f = t % 2**scale
    m = f
    if smooth:
        k, g = divmod(f, 2 ** (scale - 10))
        step = g * (powers()[k + 1] - powers()[k]) // 2 ** (scale - 10)
        m = (powers()[k] - 2**52 + step) >> (52 - mantissa)
    if e > 2 * bias:
        return ((2 * bias + 1) << mantissa) - 1
    if e >= 1:
        return (e << mantissa) + m
    return ((1 << mantissa) + m) >> (1 - e)


def octaves_of(value):
    """Whole octaves, and what is left: in [1, 2)."""
    octave = value.numerator.bit_length() - value.denominator.bit_length()
    if Fraction(2) ** octave > value:
        octave -= 1
    return octave, value / Fraction(2) ** octave


def value_of(bits, itemsize):
    """The positive number with these bits, as a fraction."""
    mantissa, bias = FORMATS[itemsize]
    e, m = bits >> mantissa, bits & (1 << mantissa) - 1
    if e == 0:
        return Fraction(m) * Fraction(2) ** (1 - bias - mantissa)
    return Fraction((1 << mantissa) + m) * Fraction(2) ** (e - bias - mantissa)


def line_of_logs(x):
    """The encoder's logarithm without rounding, in octaves."""
    octave, m = octaves_of(x)
    k = int((m - 1) * CELLS)
    low, high = logs()[k], logs()[k + 1]
    return octave + (low + (high - low) * ((m - 1) * CELLS - k)) / Fraction(2) ** 40


def line_of_powers(y):
    """The logarithm that decodes to y without rounding, in octaves."""
    octave, m = octaves_of(y)
    place = m * 2**52
    k = bisect_right(powers(), place) - 1
    low, high = powers()[k], powers()[k + 1]
    return octave + (k + (place - low) / (high - low)) / CELLS


def least_distance(factor):
    """Least distance of the logarithms of x and of factor * x; exact, since both are lines."""
    places = [1 + Fraction(k, CELLS) for k in range(CELLS)]
    places += [Fraction(p, 2**52) / factor for p in powers()[:CELLS]]
    return min(abs(line_of_powers(x * factor) - line_of_logs(x)) for x in places)


@lru_cache(maxsize=64)
def budget(itemsize, rel):
    """How far a logarithm may be moved, and what is taken off it before."""
    scale, smooth, _ = layout(itemsize, rel)
    mantissa, _ = FORMATS[itemsize]
    r = Fraction(rel)
    if not smooth:
        return math.floor(r * 2**mantissa), 0
    margin = Fraction(1, 1024)
    up = math.floor(least_distance(1 + r) * 2**scale - margin)
    ulp = Fraction(1, 2**mantissa)
    down = math.floor(least_distance((1 - r) / (1 - ulp)) * 2**scale - margin) - 2
    bound = (up + down) // 2
    return bound, bound - up


def first_safe(itemsize, rel):
    """Least exponent field whose values stay normal numbers whatever is done to the logarithm."""
    scale, _, _ = layout(itemsize, rel)
    bound, shift = budget(itemsize, rel)
    return 1 + math.ceil(Fraction(abs(shift) + bound + 2, 2**scale))


def encode(bits, rel, forced, shape, coded=True):
    """Parameters, logarithms and sections of floats with these bits."""
    itemsize = bits.itemsize
    mantissa, bias = FORMATS[itemsize]
    scale, smooth, width = layout(itemsize, rel)
    bound, shift = budget(itemsize, rel)
    out, signs, zeros, kept = [], [], [], []
    last = sign = 0
    for raw, force in zip(bits.tolist(), forced, strict=True):
        magnitude = raw & (1 << (8 * itemsize - 1)) - 1
        finite = magnitude >> mantissa <= 2 * bias
        inlier = finite and not force
        zero = inlier and magnitude == 0
        if inlier and not zero:
            x = value_of(magnitude, itemsize)
            t = logarithm(x, scale, smooth, itemsize) - shift
            if magnitude >> mantissa < first_safe(itemsize, rel):
                ends = [magnitude_bits(t + d, scale, smooth, itemsize) for d in (-bound, bound)]
                almost = Fraction(rel) * (1 - Fraction(2) ** -50)
                inlier = all(abs(value_of(end, itemsize) - x) <= almost * x for end in ends)
            last = t if inlier else last
        sign = raw >> (8 * itemsize - 1) if inlier else sign
        out.append(last)
        signs.append(sign)
        zeros.append(zero)
        kept.append(inlier)
    flags = smooth + 32 * (width == 8)
    sections = {}
    folded = folded_shape(shape)
    row = folded[-1] if len(folded) > 1 else 0
    plane = folded[-1] * folded[-2] if len(folded) > 2 else 0
    hint = zeros if any(zeros) and not all(zeros) else None
    for name, values, first in (("signs", signs, 2), ("zeros", zeros, 8)):
        if all(values):
            flags += first
        elif any(values):
            flags += 2 * first
            raw = np.packbits(np.array(values, bool), bitorder="little").tobytes()
            known = hint if name == "signs" else None
            short = bitmap_spec.encode([int(v) for v in values], row, plane, known)
            take = coded and len(short) < len(raw)
            sections[name] = short if take else raw
            flags += (64 if name == "signs" else 128) * take
    if not all(kept):
        sections["exact_runs"] = outlier_runs(kept)
        exact = bits[~np.array(kept)]
        sections["exact"] = (exact[:1] if len(set(exact.tolist())) == 1 else exact).tobytes()
    params = bytes([scale, flags]) + bound.to_bytes(4, "little")
    return params, np.array(out, f"<i{width}"), sections


def gaps(table):
    """Differences of neighbours."""
    return [b - a for a, b in pairwise(table)]
