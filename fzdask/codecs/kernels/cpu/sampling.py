"""Which axes are worth differencing: coded size of a sample, for every subset of axes at once."""

import numpy as np

from fzdask.codecs.kernels.cpu.sampling_steps import BEYOND, corners_f4, corners_f8, fetch_line
from fzdask.codecs.kernels.cpu.symbols import (
    ALPHABET,
    DIRECT,
    exponent,
    extra_bits,
    symbol_of,
    zigzag,
)
from fzdask.jit import njit

_AHEAD = 64  # points whose values are on their way from memory
TOGETHER, MANY = 4, 256  # points that are neighbours in a sample, if it has so many
_FRACTION = 8  # bits after the point of the integer logarithm


def _small_logarithms(many):
    """:func:`log2_fixed` of the numbers below ``many`` (of 0: 0)."""
    values = np.maximum(np.arange(many, dtype=np.uint64), np.uint64(1))
    result = np.frexp(values.astype(np.float64))[1].astype(np.int64) - 1
    mantissa = (values << np.uint64(31)) >> result.astype(np.uint64)
    for _ in range(_FRACTION):
        mantissa = (mantissa * mantissa) >> np.uint64(31)
        carry = mantissa >> np.uint64(32)
        mantissa >>= carry
        result = result << 1 | carry.astype(np.int64)
    return result


_SMALL = 2049  # of a count in a sample of the usual sizes the logarithm is looked up
_LOG2 = _small_logarithms(_SMALL)


@njit(nogil=True, cache=True)
def log2_fixed(value):
    """log2 in units of 2**-8, by repeated squaring: integers only, alike on every machine."""
    if value < _SMALL:
        return _LOG2[value]
    e = exponent(value)
    mantissa = (np.uint64(value) << np.uint64(31)) >> np.uint64(e)  # in [2**31, 2**32)
    result = np.int64(e)
    for _ in range(_FRACTION):
        mantissa = (mantissa * mantissa) >> np.uint64(31)
        result <<= 1
        if mantissa >> np.uint64(32):
            mantissa >>= np.uint64(1)
            result |= 1
    return result


@njit(nogil=True, cache=True)
def _sample_places(n, shape, strides, places):
    """Points spread evenly with a pseudo-random offset, each with a neighbour before on any axis.

    In a large sample ``TOGETHER`` come one after the other: fetching values from all over an
    array takes longer than all else. By themselves, since divisions would keep a processor from
    waiting for many points at a time.
    """
    together = TOGETHER if places.size >= MANY else 1
    samples = (places.size + together - 1) // together
    random = np.uint64(1)
    start = np.int64(0)  # k * n // samples
    share, part = n // samples, n % samples
    carried = np.int64(0)
    rest = np.empty(places.size, np.int64)
    room = np.empty(samples, np.int64)
    for k in range(samples):
        random = random * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)
        carried += part
        full = np.int64(carried >= samples)
        carried -= samples * full
        rest[k] = np.int64(random >> np.uint64(33))
        places[k] = start
        room[k] = max(share + full, 1)
        start += share + full
    # Loops of their own, which the compiler makes vectors of.
    for k in range(samples):
        draw, by = rest[k], room[k]
        places[k] += draw - by * _quotient(draw, by, 1.0 / by)
    samples = places.size
    for k in range(samples - 1, -1, -1):
        places[k] = min(places[k // together] + k % together, n - 1)
        rest[k] = places[k]
    for a in range(shape.size - 1):
        stride = strides[a]
        inverse = 1.0 / stride
        for k in range(samples):
            c = _quotient(rest[k], stride, inverse)
            rest[k] -= c * stride
            places[k] += stride * np.int64(c == 0)
    for k in range(samples):
        places[k] += np.int64(rest[k] == 0)


@njit(nogil=True, cache=True)
def _quotient(value, by, inverse):
    """``value // by`` of a value below 2**51; quicker than a division."""
    c = np.int64(np.float64(value) * inverse)  # wrong by one at most
    rest = value - c * by
    return c - np.int64(rest < 0) + np.int64(rest >= by)


@njit(nogil=True, cache=True)
def _corners_of_lattice(x, place, nd, back, inv, limit, z):
    """What :func:`~fzdask.codecs.kernels.cpu.sampling_steps.corners_f4` does, of integers."""
    usable = True
    for b in range(z.size):
        r = np.rint(np.float64(x[place - back[b]]) * inv)
        inside = np.abs(r) <= limit
        usable &= inside
        z[b] = np.uint64(np.int64(r if inside else 0.0))
    for a in range(nd):
        bit = 1 << a
        for b in range(z.size):
            if b & bit:
                z[b] = z[b ^ bit] - z[b]
    others = np.int64(0)
    for b in range(z.size):
        z[b] = zigzag(np.int64(z[b]))
        others |= np.int64(z[b] != 0) << b
    return others if usable else np.int64(BEYOND)


@njit(nogil=True, cache=True)
def difference_costs(x, forced, shape, inv, limit, samples, costs):
    """Estimate the coded bits of the sample for each subset of differenced axes.

    Neighbours that are all 0 cost next to nothing in the end, by codes for runs or by the back
    end, which the entropy of single values does not tell. So it is estimated as if a flag said of
    each four points whether all are 0, and codes only what the others are.

    Parameters
    ----------
    x : flat array of values or lattice, C order
    forced : uint8, empty or flags of values to leave out
    shape : int64, at most 4 lengths, each at least 2
    inv, limit : float
        Lattice values are ``rint(x * inv)``; points near one beyond ``limit`` are left out.
    samples : int
        Points, spread evenly with a pseudo-random offset; of many, four at a time.
    costs : int64[2**ndim], output
        Entropy and raw bits in units of 2**-8 bit; bit k of the index is axis k. All 0 if every
        point was left out.
    """
    nd = shape.size
    subsets = 1 << nd
    strides = np.ones(nd, np.int64)
    for k in range(nd - 2, -1, -1):
        strides[k] = strides[k + 1] * shape[k + 1]
    back = np.zeros(subsets, np.int64)  # from a point to the corners of the cell behind it
    for b in range(subsets):
        for a in range(nd):
            back[b] += strides[a] * ((b >> a) & 1)
    places = np.empty(samples, np.int64)
    _sample_places(x.size, shape, strides, places)
    counts = np.zeros((subsets, ALPHABET), np.int32)
    z = np.empty(subsets, np.uint64)
    base, out, behind = np.int64(x.ctypes.data), np.int64(z.ctypes.data), back.ctypes.data
    real = x.dtype.type(0.5) != 0  # a lattice has no halves
    # Of every four points that are all taken, the subsets in which not all differences are 0.
    others = np.empty(samples // TOGETHER, np.uint16)
    fours = np.int64(0)
    some = np.int64(0)
    taken = np.int64(0)
    top = np.int64(0)
    costs[:] = 0
    size = np.int64(x.itemsize)
    for k in range(samples):
        if k + _AHEAD < samples:
            for b in range(subsets >> 1):  # the others are beside these, on the innermost axis
                fetch_line(base + size * (places[np.uint64(k + _AHEAD)] - back[b]))
        place = places[np.uint64(k)]
        if real and x.itemsize == 4:
            found = corners_f4(nd, base, place, behind, inv, limit, out)
        elif real:
            found = corners_f8(nd, base, place, behind, inv, limit, out)
        else:
            found = _corners_of_lattice(x, place, nd, back, inv, limit, z)
        if forced.size > 0:
            for b in range(subsets):
                found = found if forced[place - back[b]] == 0 else np.int64(BEYOND)
        some |= found
        if k & (TOGETHER - 1) == TOGETHER - 1:
            if some >= 0 and samples >= MANY:
                others[fours] = some
                fours += 1
            some = np.int64(0)
        if found == BEYOND:
            continue
        taken += 1
        for b in range(subsets):
            s = np.int64(z[b])
            if z[b] >= np.uint64(DIRECT):
                s = symbol_of(z[b])
                costs[b] += np.int64(extra_bits(s)) << _FRACTION
            counts[b, s] += 1
            top = max(top, s)
    if taken == 0:
        return
    for b in range(subsets):
        loud = np.int64(0)
        for k in range(fours):
            loud += (others[k] >> b) & 1
        quiet = fours - loud
        bits = _bits(quiet, log2_fixed(fours)) + _bits(loud, log2_fixed(fours))
        counts[b, 0] -= TOGETHER * quiet
        whole = log2_fixed(taken - TOGETHER * quiet)
        for s in range(top + 1):
            c = np.int64(counts[b, s])
            if c > 0:
                bits += _bits(c, whole)
        costs[b] += bits


@njit(nogil=True, cache=True)
def _bits(many, whole):
    """Bits of a symbol that occurs so often, where all together have that logarithm."""
    # 184 / 256 = 1 / (2 ln 2): a sample's entropy is too low by that per symbol seen
    return many * (whole - log2_fixed(many)) + 184 if many > 0 else np.int64(0)
