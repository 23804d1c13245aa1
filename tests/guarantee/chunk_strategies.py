"""Hypothesis strategies for chunks: any dtype with a bound, any layout, values that hurt."""

from __future__ import annotations

import numpy as np
from exact import native
from hypothesis import HealthCheck
from hypothesis import strategies as st

FLOATS = ["<f2", ">f2", "<f4", ">f4", "<f8", ">f8"]
COMPLEX = ["<c8", ">c8", "<c16", ">c16"]
INTEGERS = ["i1", "u1", *[f"{o}{k}{n}" for k in "iu" for n in (2, 4, 8) for o in "<>"]]
LARGEST = 3000  # elements

# Kernels may be compiled on the way, and the machine may be busy.
CALM = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}

# 1, primes, and the kernels' halo of 64
LENGTHS = [1, 1, 2, 3, 5, 7, 13, 31, 63, 64, 65, 127, 2047, 2049, 2903]


@st.composite
def shapes(draw):
    """0-d to 6-D; sometimes empty."""
    shape = []
    room = LARGEST
    for length in draw(st.lists(st.sampled_from(LENGTHS), max_size=6)):
        shape.append(min(length, room))
        room //= shape[-1]
    if draw(st.integers(0, 30)) == 0:
        shape.insert(draw(st.integers(0, len(shape))), 0)
    return tuple(shape[:6])


def _specials(dtype):
    """NaN of every kind, infinities, zeros, denormals, the ends of the range."""
    bits = np.dtype(f"u{dtype.itemsize}")
    mantissa = np.finfo(dtype).nmant
    top = 1 << (8 * dtype.itemsize - 1)
    inf = ((top - 1) >> mantissa) << mantissa
    positive = [0, 1, 2, (1 << mantissa) - 1, 1 << mantissa, inf - 1, inf, inf + 1, top - 1]
    positive += [inf | 1 << (mantissa - 1), inf | 0b1011]
    return np.array([v | s for v in positive for s in (0, top)], bits).view(dtype)


def float_values(rng, size, dtype, kind, scale, odd):
    """``size`` floats of a kind, a share ``odd`` of them special."""
    finfo = np.finfo(dtype)
    with np.errstate(over="ignore"):
        if kind == "walk":
            x = (rng.normal(size=size).cumsum() * scale).astype(dtype)
        elif kind == "noise":
            x = (rng.uniform(-1, 1, size) * scale).astype(dtype)
        elif kind == "constant":
            x = np.full(size, rng.normal() * scale).astype(dtype)
        elif kind == "bits":
            x = np.frombuffer(rng.bytes(size * dtype.itemsize), dtype).copy()
        else:
            x = np.where(np.arange(size) % 2, finfo.max, -finfo.max).astype(dtype)
    where = rng.random(size) < odd
    x[where] = rng.choice(_specials(dtype), where.sum())
    return x


def integer_values(rng, size, dtype, kind, scale, odd):
    """``size`` integers of a kind, a share ``odd`` of them at the ends of the range."""
    info = np.iinfo(dtype)
    if kind == "bits":
        x = rng.integers(info.min, info.max, size, dtype, endpoint=True)
    elif kind == "alternating":
        x = np.where(np.arange(size) % 2, dtype.type(info.max), dtype.type(info.min))
    else:
        steps = rng.integers(-3, 4, size).cumsum() if kind == "walk" else rng.integers(0, 99, size)
        if kind == "constant":
            steps[:] = 7
        middle = min(int(scale), 2**61) if np.isfinite(scale) else 0
        wide = [min(max(int(s) + middle, int(info.min)), int(info.max)) for s in steps]
        x = np.array(wide, dtype)
    where = rng.random(size) < odd
    x[where] = rng.choice(np.array([info.min, info.min + 1, 0, info.max - 1, info.max], dtype))
    return x


def lay_out(x, layout):
    """The same values (or most of them) in another place in memory."""
    if layout == "F":
        return np.asfortranarray(x)
    if layout == "transposed":
        return x.transpose(np.roll(np.arange(x.ndim), 1))
    if layout == "strided" and x.ndim:
        return np.repeat(x, 2, axis=-1)[..., ::2]
    if layout == "reversed" and x.ndim:
        return np.flip(x)
    if layout == "broadcast" and x.ndim and x.shape[0]:
        return np.broadcast_to(x[:1], x.shape)
    if layout == "unaligned":
        raw = b"?" + x.tobytes()
        return np.frombuffer(raw, x.dtype, offset=1).reshape(x.shape)
    return x.copy()


LAYOUTS = ["C", "F", "transposed", "strided", "reversed", "broadcast", "unaligned"]


@st.composite
def chunks(draw, dtypes):
    """An array and a value in it that may be preserved (None if there is no finite one)."""
    dtype = np.dtype(draw(st.sampled_from(dtypes)))
    shape = draw(shapes())
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kind = draw(st.sampled_from(["walk", "walk", "noise", "constant", "bits", "alternating"]))
    scale = 10.0 ** draw(st.integers(-45, 40))
    if draw(st.booleans()):
        scale = draw(st.sampled_from([1.0, 1e-3, 300.0, 1e6]))
    odd = draw(st.sampled_from([0.0, 0.0, 0.01, 0.5, 1.0]))
    size = int(np.prod(shape))
    if dtype.kind == "c":
        part = np.dtype(f"f{dtype.itemsize // 2}")
        flat = float_values(rng, 2 * size, part, kind, scale, odd).view(dtype.newbyteorder("="))
    elif dtype.kind == "f":
        flat = float_values(rng, size, dtype.newbyteorder("="), kind, scale, odd)
    else:
        flat = integer_values(rng, size, dtype.newbyteorder("="), kind, scale, odd)
    if not dtype.isnative:
        flat = flat.byteswap().view(dtype)  # a conversion would quieten signalling NaN
    x = lay_out(flat.reshape(shape), draw(st.sampled_from(LAYOUTS)))
    x.flags.writeable = False
    return x


SMALLEST = 2.0**-1074
EDGES = [0.0, SMALLEST, 2.0**-1025, 2.0**-1022, 2.0**-149, 0.5, 1.0, 2.5, 2.0**53, 2.0**1020]
EDGES += [1.7976931348623157e308]


@st.composite
def absolute_bounds(draw, x):
    """From the smallest denormal to the largest double; often a part of the data's size."""
    way = draw(st.integers(0, 4))
    if way == 0:
        return draw(st.sampled_from(EDGES))
    if way == 1:
        return draw(st.floats(0.0, 1.7976931348623157e308))
    with np.errstate(invalid="ignore"):  # signalling NaN
        finite = np.abs(native(x).astype("f8" if x.dtype.kind != "c" else "c16"))
    finite = finite[np.isfinite(finite)]
    size = float(finite.max()) if finite.size else 1.0
    return min(size * 10.0 ** draw(st.integers(-18, 2)), 1.7976931348623157e308)


def relative_bounds():
    """From nothing to more than everything."""
    return st.one_of(
        st.sampled_from([0.0, 1e-300, 1e-16, 1e-3, 0.1, 0.5, 1.0, 2.0, 1e300]),
        st.floats(1e-7, 1.0),
    )


@st.composite
def preserved_values(draw, x):
    """Up to three values, most of them in the data."""
    flat = native(x).reshape(-1)
    values = []
    for _ in range(draw(st.integers(0, 3))):
        if flat.size and x.dtype.kind != "c" and draw(st.booleans()):
            values.append(flat[draw(st.integers(0, flat.size - 1))].item())
        else:
            values.append(draw(st.sampled_from([0, -999.0, 1e20, 255, -1, 2**63 - 1, 0.1])))
    return tuple(values)
