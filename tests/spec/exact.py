"""The guarantee, checked exactly: by integers, or by fractions where binary64 is too narrow."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

# A difference and a hypotenuse in binary64 err by at most a few units in the last place (2**-53).
# What is closer to the bound than this is decided by fractions.
MARGIN = 2.0**-48


def native(array):
    """The values in native byte order, bit for bit (bytes are swapped, nothing is converted)."""
    array = np.atleast_1d(array)
    return array if array.dtype.isnative else array.byteswap().view(array.dtype.newbyteorder("="))


def parts(array):
    """Native real numbers; of complex ones the parts, along a last axis of 2."""
    array = np.ascontiguousarray(native(array))
    if array.dtype.kind == "c":
        array = array.reshape(*array.shape, 1).view(f"f{array.itemsize // 2}")
    return array


def bits_of(array):
    """Bits of :func:`parts` as unsigned integers."""
    real = parts(array)
    return real.view(f"u{real.itemsize}")


def violations(x, y, bound):
    """Flags of the elements that are farther apart than ``bound`` (for complex: in the plane).

    Elements of ``x`` that are not finite are not judged.
    """
    x, y, bound = native(x), native(y), Fraction(bound)
    if x.dtype.kind in "iu":
        return _integer_distance(x, y) > np.uint64(min(math.floor(bound), 2**64 - 1))
    near = float(bound)
    judged = np.isfinite(x)
    with np.errstate(invalid="ignore", over="ignore"):
        if x.dtype.kind == "c":
            distance = np.abs(x.astype("c16") - y.astype("c16"))
        else:
            distance = np.abs(x.astype("f8") - y.astype("f8"))
        wrong = judged & ~(distance <= near)  # NaN in place of a number is wrong too
        # Denormals make a difference of 0 exact, so that it needs no second look.
        unsure = judged & (distance > 0) & (np.abs(distance - near) <= MARGIN * near)
    for k in zip(*np.nonzero(unsure), strict=True):
        wrong[k] = _squared_distance(x[k], y[k]) > bound * bound
    return wrong


def _squared_distance(a, b):
    re = Fraction(float(a.real)) - Fraction(float(b.real))
    im = Fraction(float(a.imag)) - Fraction(float(b.imag))
    return re * re + im * im


def _integer_distance(x, y):
    """|x - y| of any integers as uint64: the wrapped difference of the greater and the smaller."""
    wide = "u8" if x.dtype.kind == "u" else "i8"
    a, b = x.astype(wide), y.astype(wide)
    return np.maximum(a, b).view("u8") - np.minimum(a, b).view("u8")


def preserved(x, preserve):
    """Flags of the elements that equal one of the preserved values, rounded to the dtype."""
    x = native(x)
    flags = np.zeros(x.shape, bool)
    for value in preserve:
        if x.dtype.kind not in "iu":
            with np.errstate(over="ignore", invalid="ignore"):
                flags |= x == np.array(float(value)).astype(x.dtype)
        elif value == int(value) and np.iinfo(x.dtype).min <= value <= np.iinfo(x.dtype).max:
            flags |= x == x.dtype.type(int(value))
    return flags


def _as_parts(flags, x):
    return np.repeat(flags[..., None], 2, axis=-1) if x.dtype.kind == "c" else flags


def exact_positions(x, preserve=()):
    """Flags, shaped as :func:`parts`, of what must come back bit for bit.

    What is not finite, -0.0, and both parts of a preserved value.
    """
    real = parts(x)
    flags = _as_parts(preserved(x, preserve), native(x))
    if real.dtype.kind == "f":
        flags = flags | ~np.isfinite(real) | ((real == 0) & np.signbit(real))
    return flags


def relative(x, rel, preserve=()):
    """``rel * (max - min)`` in binary64 over the finite values that are not preserved.

    The ends of complex numbers are those of the parts of all that are finite in both. At most the
    largest number.
    """
    x = native(x)
    kept = parts(x)[_as_parts(np.isfinite(x) & ~preserved(x, preserve), x)]
    if not kept.size:
        return 0.0
    if kept.dtype.kind in "iu":
        bound = rel * float(int(kept.max()) - int(kept.min()))
    else:
        low, high = float(kept.min()), float(kept.max())
        span = high - low
        bound = rel * span if math.isfinite(span) else rel * high - rel * low
    return min(bound, float(np.finfo("f8").max))


def assert_guarantee(x, y, bound, preserve=()):
    """Assert all that decoding promises of ``y`` against ``x`` (of any dtype with a bound)."""
    x, y = np.asarray(x), np.asarray(y)
    assert (y.shape, y.dtype.str) == (x.shape, x.dtype.str)
    if x.flags.f_contiguous and not x.flags.c_contiguous:
        assert y.flags.f_contiguous
    else:
        assert y.flags.c_contiguous
    exact = exact_positions(x, preserve)
    np.testing.assert_array_equal(bits_of(y)[exact], bits_of(x)[exact])
    wrong = violations(x, y, bound)
    if wrong.any():
        k = np.argmax(wrong)
        a, b = native(x).reshape(-1)[k], native(y).reshape(-1)[k]
        raise AssertionError(
            f"{wrong.sum()} of {wrong.size} values miss the bound {bound!r}; the first, number "
            f"{k}: {a!r} became {b!r}"
        )
