"""32 values onto the lattice, on vectors: the exact rule, and a cheap sufficient one.

The rule is that of the lattice kernels: ``q = rint(x * inv)`` and ``x' = dtype(q * step)`` in
binary64, and ``|x - x'| <= bound``. What returns fewer than 32 flags decides nothing: the caller
then looks closer.
"""

import platform
from functools import lru_cache, reduce

import numpy as np
from llvmlite import binding, ir
from numba import types
from numba.core import config
from numba.extending import intrinsic

from fzdask.codecs.kernels.cpu.outliers import OVER, collect
from fzdask.codecs.kernels.cpu.vectors import (
    F32,
    F64,
    I32,
    I64,
    LINE,
    call,
    copy_bytes,
    fetch,
    flags,
    load,
    same,
    splat,
    step,
    store,
)
from fzdask.jit import njit

LANES = 32
# Bytes ahead of those at work, into the second cache. An array is read once, so it comes from
# memory; what the processor fetches by itself ends at each page. Half or twice as many are alike;
# 2 KiB, or the first cache, are not.
_AHEAD = 8192
_ALL = np.uint64(0xFFFFFFFF)
UNSURE = np.uint64(1 << 32)  # more than any flags: the exact rule has to tell
NEAR_LATTICE = 2.0**21  # |q| below which the cheap rule knows
_ROUND_64 = 1.5 * 2.0**52  # added to |t| < 2**51 it rounds half to even; the integer is below it
LIMIT = 1 << 30  # |q| of a lattice of 32 bits is below
_FIRST_BITS = 0x4338000000000000 - LIMIT + 1  # of _ROUND_64 and the least such q
_ROUND_32 = 1.5 * 2.0**23  # the same for |t| < 2**22 in binary32
_ROUND_32_BITS = 0x4B400000
_QUARTER_ULP = (
    1.0625 * 2.0**-24
)  # more than the half unit, relative, that rounding to binary32 adds
_LEAST_HALF = 0.5 - 2.0**-21  # less than one half by more than all roundings of the cheap rule


@lru_cache(maxsize=1)
def fused_multiply_add() -> bool:
    """Whether the processor has it; a function of the C library takes its place otherwise."""
    if config.CPU_NAME or config.CPU_FEATURES:  # kernels are compiled for another one
        return "+fma" in (config.CPU_FEATURES or "")
    if platform.machine().lower() in ("arm64", "aarch64"):
        return True
    return bool(binding.get_host_cpu_features().get("fma"))


def _not_minus_zero(b, v, element):
    ints, sign = (I32, 1 << 31) if element is F32 else (I64, 1 << 63)
    bits = b.bitcast(v, ir.VectorType(ints, LANES))
    return b.icmp_unsigned("!=", bits, same(ints, sign, LANES))


def _exact(element):
    width = 32 if element is F32 else 64

    def build(b, x, q, inv, cell, bound):
        v = load(b, x, element, LANES)
        wide = b.fpext(v, ir.VectorType(F64, LANES)) if width == 32 else v
        shift = same(F64, _ROUND_64, LANES)
        t = b.fadd(b.fmul(wide, splat(b, inv, LANES)), shift)
        low = b.trunc(b.bitcast(t, ir.VectorType(I64, LANES)), ir.VectorType(I32, LANES))
        store(b, q, low)
        y = b.fmul(b.fsub(t, shift), splat(b, cell, LANES))
        y = b.fptrunc(y, v.type) if width == 32 else y
        distance = call(b, f"llvm.fabs.v{LANES}f{width}", v.type, b.fsub(v, y))
        near = b.fcmp_ordered("<=", distance, splat(b, bound, LANES))
        # |r| below the limit, as one comparison of integers, since the bits of t go up with r.
        place = b.sub(b.bitcast(t, ir.VectorType(I64, LANES)), same(I64, _FIRST_BITS, LANES))
        inside = b.icmp_unsigned("<", place, same(I64, 2 * LIMIT - 1, LANES))
        return flags(b, b.and_(b.and_(near, inside), _not_minus_zero(b, v, element)))

    return build


@intrinsic
def quantize_f4(typingctx, x, q, inv, cell, below_bound):
    """Lattice of 32 float32 values, and flags of those surely within bound and limit.

    ``below_bound`` is a float32 a little below the bound: the difference is taken in binary32.
    """
    real = types.float64
    return step(
        _exact(F32), types.uint64, types.int64, types.int64, real, real, types.float32
    )  # fmt: skip


@intrinsic
def quantize_f8(typingctx, x, q, inv, cell, bound):
    """Lattice of 32 float64 values, and flags of the inliers below the limit."""
    real = types.float64
    return step(_exact(F64), types.uint64, types.int64, types.int64, real, real, real)


def _not_finite(element):
    def build(b, x):
        v = load(b, x, element, LANES)
        size = call(b, f"llvm.fabs.v{LANES}f{32 if element is F32 else 64}", v.type, v)
        return flags(b, b.fcmp_unordered(">=", size, same(element, float("inf"), LANES)))

    return build


@intrinsic
def not_finite_f4(typingctx, x):
    """Flags of those of 32 float32 values that no lattice holds: NaN and infinities."""
    return step(_not_finite(F32), types.uint64, types.int64)


@intrinsic
def not_finite_f8(typingctx, x):
    """The same of float64 values."""
    return step(_not_finite(F64), types.uint64, types.int64)


@intrinsic
def quantize_near(typingctx, x, q, high, low):
    """As :func:`quantize_f4` without binary64, given ``inv`` as a sum of two float32.

    With r the nearest integer of ``x * high``, ``f = x * high - r + x * low`` is the place in the
    cell within 2**-24 or so, thanks to fused multiply-adds. Where ``|f|`` is less than one half
    by more than that, r is the lattice value that binary64 gives. The decoder's value is ``r *
    step`` within half a unit in the last place of a float32, so where ``|f| + |r| / 2**24`` is
    less than one half, the value is within the bound too. It knows only ``|r| < NEAR_LATTICE``;
    ``inv`` must be far from the ends of binary32's range.
    """

    def build(b, x, q, high, low):
        vector = ir.VectorType(F32, LANES)
        fma, fabs = f"llvm.fma.v{LANES}f32", f"llvm.fabs.v{LANES}f32"
        v = load(b, x, F32, LANES)
        h, shift = splat(b, high, LANES), same(F32, _ROUND_32, LANES)
        t = b.fadd(b.fmul(v, h), shift)
        bits = b.bitcast(t, ir.VectorType(I32, LANES))
        store(b, q, b.sub(bits, same(I32, _ROUND_32_BITS, LANES)))
        r = b.fsub(t, shift)
        f = call(b, fma, vector, v, h, b.fneg(r))
        f = call(b, fma, vector, v, splat(b, low, LANES), f)
        size = call(b, fabs, vector, r)
        away = size, same(F32, _QUARTER_ULP, LANES), call(b, fabs, vector, f)
        small = b.fcmp_ordered("<", size, same(F32, NEAR_LATTICE, LANES))
        near = b.fcmp_ordered("<=", call(b, fma, vector, *away), same(F32, _LEAST_HALF, LANES))
        return flags(b, b.and_(b.and_(near, small), _not_minus_zero(b, v, F32)))

    real = types.float32
    return step(build, types.uint64, types.int64, types.int64, real, real)


def _all_near(element):
    """Whether 32 lanes are surely inliers, which the greatest ``|f|`` and ``|r|`` of them tell.

    A half unit in the last place of ``|r|`` is allowed for twice: for that of ``inv``, and for
    that of the value which the decoder gives. In binary32 that leaves no ``|r|`` from ``2**22``
    on. NaN are the greatest of non-negative floats as integers.
    """
    width, ints = (32, I32) if element is F32 else (64, I64)
    n = 512 // width
    vector, whole = ir.VectorType(element, n), ir.VectorType(ints, n)
    shift = same(element, _ROUND_32 if element is F32 else _ROUND_64, n)
    two_units = same(element, 2.125 * 2.0 ** (-24 if element is F32 else -53), n)

    def build(b, x, q, inv):
        def fma(*args):
            return call(b, f"llvm.fma.v{n}f{width}", vector, *args)

        def magnitude(v):
            return b.bitcast(call(b, f"llvm.fabs.v{n}f{width}", vector, v), whole)

        inv = splat(b, inv, n)
        kept = []
        for k in range(0, LANES, n):
            v = load(b, b.add(x, I64(k * width // 8)), element, n)
            t = fma(v, inv, shift)
            low = b.sub(b.bitcast(t, whole), b.bitcast(shift, whole))
            store(
                b,
                b.add(q, I64(4 * k)),
                low if element is F32 else b.trunc(low, ir.VectorType(I32, n)),
            )
            r = b.fsub(t, shift)
            f = fma(v, inv, b.fneg(r))
            kept.append((magnitude(f), magnitude(r), b.bitcast(v, whole)))
        most = ("umax", "umax", "smin")  # of all f, of all r; -0.0 has the least bits
        f, r, v = (
            reduce(lambda x, y, op=op: call(b, f"llvm.{op}.v{n}i{width}", whole, x, y), each)
            for op, each in zip(most, zip(*kept, strict=True), strict=True)
        )
        away = fma(b.bitcast(r, vector), two_units, b.bitcast(f, vector))
        odd = b.fcmp_unordered(">", away, same(element, _LEAST_HALF, n))
        odd = b.or_(odd, b.icmp_unsigned("==", v, same(ints, 1 << (width - 1), n)))
        if element is F64:
            over = b.fcmp_unordered(">=", b.bitcast(r, vector), same(F64, float(LIMIT), n))
            odd = b.or_(odd, over)
        return b.zext(b.icmp_unsigned("==", flags(b, odd), I64(0)), I64)

    return build


@intrinsic
def quantize_all_near_f4(typingctx, x, q, high):
    """As :func:`quantize_near`; 1 if all flags are surely set. ``high`` is ``inv`` in binary32."""
    return step(_all_near(F32), types.int64, types.int64, types.int64, types.float32)


@intrinsic
def quantize_all_near_f8(typingctx, x, q, inv):
    """As :func:`quantize_f8`, 1 if all flags are surely set."""
    return step(_all_near(F64), types.int64, types.int64, types.int64, types.float64)


def _fetch(element):
    def build(b, x):
        for place in range(_AHEAD, _AHEAD + LANES * (4 if element is F32 else 8), LINE):
            fetch(b, b.add(x, I64(place)), 2)

    return step(build, types.void, types.int64)


@intrinsic
def fetch_f4(typingctx, x):
    """Ask for 32 float32 values that come later; there may be none."""
    return _fetch(F32)


@intrinsic
def fetch_f8(typingctx, x):
    """The same of float64 values."""
    return _fetch(F64)


@njit(nogil=True, cache=True)
def flag_outliers(x, bits, minus_zero, forced, inv, cell, bound, limit, q, flags):
    """Lattice of a few values by the exact rule; flags and number of what it cannot hold.

    And whether there is a finite value, not forced, that is beyond the limit.
    """
    count = 0
    over = np.int64(0)
    for i in range(x.size):
        v = np.float64(x[i])
        t = v * inv
        r = np.rint(t)
        over |= np.int64(not (np.abs(t) < limit)) & np.int64(np.abs(v) < np.inf)
        inside = np.abs(r) <= limit  # False for NaN, so the conversion below is always defined
        r = r if inside else 0.0
        y = np.float64(x.dtype.type(r * cell))
        kept = (np.abs(v - y) <= bound) & inside & (bits[i] != minus_zero)
        q[i] = np.int64(r)
        flags[i] = np.uint8(not kept)
        count += np.int64(not kept)
    if forced.size:
        count = 0
        over = np.int64(0)
        for i in range(x.size):
            v = np.float64(x[i])
            beyond = np.int64(not (np.abs(v * inv) < limit)) & np.int64(np.abs(v) < np.inf)
            over |= beyond & np.int64(forced[i] == 0)
            flags[i] |= forced[i]
            count += np.int64(flags[i])
    return count, over


@njit(nogil=True, cache=True)
def quantize_groups(x, wide, groups, q, inv, cell, bound, below, high, low, near, lost):
    """Lattice, of 32 bits, of groups of 32 values at addresses.

    For each group its outliers as bits, or ``UNSURE``; and in how many groups there may be some.
    """
    count = 0
    for g in range(groups):
        i = np.int64(g * LANES)
        got = np.uint64(0)
        never = np.uint64(0)
        if wide:
            fetch_f8(x + 8 * i)
            if near and quantize_all_near_f8(x + 8 * i, q + 4 * i, inv):
                lost[g] = 0
                continue
            got = quantize_f8(x + 8 * i, q + 4 * i, inv, cell, bound)
            if got != _ALL:
                never = not_finite_f8(x + 8 * i)
        else:
            fetch_f4(x + 4 * i)
            if near:
                if quantize_all_near_f4(x + 4 * i, q + 4 * i, high):
                    lost[g] = 0
                    continue
                got = quantize_near(x + 4 * i, q + 4 * i, high, low)
            if got != _ALL:
                never = not_finite_f4(x + 4 * i)
                if got | never != _ALL:
                    got = quantize_f4(x + 4 * i, q + 4 * i, inv, cell, below)
        lost[g] = _ALL ^ got if got | never == _ALL else UNSURE
        count += np.int64(got != _ALL)
    return count


@njit(nogil=True, cache=True)
def take_outliers(
    place, x, bits, minus_zero, forced, inv, cell, bound, limit, lost, q, exact, state, runs,
    values,
):  # fmt: skip
    """Outliers of a tile, by the exact rule where the vectors do not know them all.

    The values are at an address; those looked at are copied to ``x``, of which ``bits`` is a
    view. ``state[OVER]`` becomes 1 if a finite value that is not forced is beyond the limit.
    """
    m = x.size
    groups = (m + LANES - 1) // LANES
    if forced.size:
        _copy(place, x, 0, m)
        count, over = flag_outliers(
            x, bits, minus_zero, forced, inv, cell, bound, limit, q, exact
        )  # fmt: skip
        state[OVER] |= over
        collect(count, exact, bits, q, state, runs, values)
        return
    g = 0
    while g < groups:
        start = g * LANES
        count = 0
        if lost[g] == 0:
            while g < groups and lost[g] == 0:
                g += 1
            end = min(g * LANES, m)
        elif lost[g] == UNSURE:
            while g < groups and lost[g] == UNSURE:
                g += 1
            end = min(g * LANES, m)
            _copy(place, x, start, end)
            count, over = flag_outliers(
                x[start:end], bits[start:end], minus_zero, forced, inv, cell, bound, limit,
                q[start:end], exact[start:end],
            )  # fmt: skip
            state[OVER] |= over
        else:
            g += 1
            end = min(g * LANES, m)
            _copy(place, x, start, end)
            word = np.uint32(lost[g - 1])
            for j in range(end - start):
                flag = (word >> np.uint32(j)) & np.uint32(1)
                exact[start + j] = np.uint8(flag)
                count += np.int64(flag)
        collect(count, exact[start:end], bits[start:end], q[start:end], state, runs, values)


@njit(nogil=True, cache=True)
def _copy(place, x, start, end):
    """Values at an address to an array, unless they are those of the array."""
    if place != x.ctypes.data:
        at = x.itemsize * start
        copy_bytes(place + at, x.ctypes.data + at, x.itemsize * (end - start))
