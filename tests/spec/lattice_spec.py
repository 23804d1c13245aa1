"""Specification of ``quantize``: values to a lattice, outliers to runs and raw bits."""

from __future__ import annotations

import numpy as np

# |q| up to here, by bytes of a lattice integer.
LIMIT = {4: 2.0**30, 8: 2.0**51}


def quantize_floats(x, bits, bound, forced):
    """Parameters, lattice and sections of a flat float array.

    ``bits`` are the bits to keep of an outlier: those of ``x``, or of the halves that were
    widened to ``x``. ``forced`` flags values that must be outliers.
    """
    step = 2.0 * bound
    inverse = 1.0 / step
    with np.errstate(invalid="ignore"):  # signalling NaN
        v = x.astype("f8")
    usable = np.isfinite(v) & ~forced
    largest = np.abs(v[usable]).max(initial=0.0)
    width = 4 if largest * inverse < LIMIT[4] else 8
    with np.errstate(over="ignore", invalid="ignore"):
        q = np.rint(v * inverse)
        inside = np.abs(q) <= LIMIT[width]
        decoded = (np.where(inside, q, 0.0) * step).astype(x.dtype).astype("f8")
        near = np.abs(v - decoded) <= bound
    minus_zero = bits == bits.dtype.type(1 << (8 * bits.itemsize - 1))
    inlier = inside & near & ~minus_zero & ~forced
    return _finish(q, inlier, bits, width)


def quantize_integers(x, bound, forced):
    """Parameters, lattice and sections of a flat integer array and a whole bound."""
    values = [int(v) for v in x]
    largest = max((abs(v) for v, f in zip(values, forced, strict=True) if not f), default=0)
    width = 4 if largest < LIMIT[4] else 8
    cells = [(v + bound) // (2 * bound + 1) for v in values]
    return _finish(cells, ~forced, x.view(f"u{x.itemsize}"), width)


def _finish(q, inlier, bits, width):
    lattice = []
    last = 0  # what stands in for an outlier: the inlier before it, so that it predicts well
    for value, kept in zip(q, inlier, strict=True):
        if kept:
            last = int(value)
        lattice.append(_wrap(last, 8 * width))
    sections = {}
    if not inlier.all():
        sections["outlier_runs"] = outlier_runs(inlier)
        sections["outliers"] = bits[~inlier].astype(bits.dtype.newbyteorder("<")).tobytes()
    return bytes([width]), np.array(lattice, f"<i{width}"), sections


def _wrap(value, bits):
    """Two's complement: unsigned 64-bit values of a bound of 0 wrap into the lattice."""
    value %= 1 << bits
    return value - (1 << bits) if value >> (bits - 1) else value


def outlier_runs(inlier):
    """Pairs of varints: inliers to leave, outliers that follow."""
    out = b""
    gap = run = 0
    for kept in [*inlier, True]:  # an inlier behind the end closes the last run
        if not kept:
            run += 1
            continue
        if run:
            out += varint(gap) + varint(run)
            gap = run = 0
        gap += 1
    return out


def varint(value):
    """LEB128."""
    out = []
    while value > 127:
        out.append(value % 128 + 128)
        value //= 128
    return bytes([*out, value])
