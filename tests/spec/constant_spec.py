"""Specification of ``constant``: block after block, with fractions."""

from __future__ import annotations

from fractions import Fraction

import numpy as np


def blocks_of(x, bits, forced, bound, block):
    """For each block None, or the bits of the value that stands for it."""
    found = []
    for start in range(0, (len(x) - 1) // block * block, block):
        part = slice(start, start + block)
        found.append(one_value(x[part], bits[part], forced[part], bound))
    return found


def one_value(x, bits, forced, bound):
    """Bits of the value for all of a block, or None."""
    if len(set(bits.tolist())) == 1:
        return bits[0]
    if bound <= 0 or forced.any():
        return None
    if x.dtype.kind in "iu":
        low, high = int(x.min()), int(x.max())
        middle = low + (high - low) // 2
        near = high - middle <= bound
        return np.array([middle]).astype(x.dtype).view(bits.dtype)[0] if near else None
    if not np.isfinite(x).all() or ((x == 0) & np.signbit(x)).any():
        return None
    low, high = float(x.min()), float(x.max())
    middle = np.array([0.5 * low + 0.5 * high]).astype(x.dtype)
    m = float(middle[0])
    near = all(abs(v - m) < bound or v == m for v in (low, high))
    if near:
        exact = [abs(Fraction(float(v)) - Fraction(m)) for v in x]
        assert max(exact) <= Fraction(bound)
    return middle.view(bits.dtype)[0] if near else None


def encode(x, bits, forced, bound, block, share):
    """Parameters, what stays, sections."""
    found = blocks_of(x, bits, forced, bound, block)
    left_out = [v for v in found if v is not None]
    size = block.bit_length() - 1
    if not left_out or len(left_out) < share * len(found):
        return bytes([size]), x, {}
    kept = np.array([v is None for v in found] + [True])
    stays = np.concatenate([p for k, p in zip(kept, pieces(x, block), strict=True) if k])
    count = len(left_out)
    params = bytes([size])
    while count:
        params += bytes([count % 256])
        count //= 256
    bitmap = np.packbits(~kept[:-1], bitorder="little")
    values = np.array(left_out, bits.dtype)
    return params, stays, {"blocks": bitmap.tobytes(), "values": values.tobytes()}


def pieces(x, block):
    """The blocks, and what is behind them."""
    count = (len(x) - 1) // block
    return [*x[: count * block].reshape(count, block), x[count * block :]]
