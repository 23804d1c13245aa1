"""Runs of one symbol as symbols of their own: counting and coding them.

What lies between the runs is gathered on vectors, a group of values at a time, so that loops are
over that alone.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from fzdask.codecs.kernels.cpu.codebook import NO_CODE
from fzdask.codecs.kernels.cpu.huffman_steps import has
from fzdask.codecs.kernels.cpu.huffman_words import NONE, code_of, flush, put, put_symbol
from fzdask.codecs.kernels.cpu.lanes import FLAGS, flags_differing, trailing_zeros
from fzdask.codecs.kernels.cpu.symbols import (
    DIRECT,
    RUN,
    WIDE,
    exponent,
    symbol_of,
)
from fzdask.codecs.kernels.cpu.vectors import (
    I16,
    I32,
    I64,
    call,
    constant,
    flags,
    load,
    pick,
    splat,
    step,
    store,
    zero,
)
from fzdask.jit import njit

__all__ = ["ROOM", "code_runs", "count_runs", "run_table"]

UNIT = 32
HALF = UNIT // 2
ROOM = HALF  # entries of the gathered that a vector may touch past the last
SHORT = 512  # runs below are looked up


@intrinsic
def _gather_unit(typingctx, z, start, mode, out):
    """Those of 32 values that are not ``mode``, each with its place above; how many they are."""

    def build(b, z, start, mode, out):
        v = load(b, z, I16, UNIT)
        wide = ir.VectorType(I32, UNIT)
        others = b.icmp_unsigned("!=", v, splat(b, b.trunc(mode, I16), UNIT))
        places = b.add(constant(I32, range(UNIT)), splat(b, b.trunc(start, I32), UNIT))
        entries = b.or_(b.zext(v, wide), b.shl(places, splat(b, I32(16), UNIT)))
        many = I64(0)
        for lanes in (range(HALF), range(HALF, UNIT)):
            part, mine = pick(b, entries, entries, lanes), pick(b, others, others, lanes)
            name = f"llvm.x86.avx512.mask.compress.v{HALF}i32"
            packed = call(b, name, part.type, part, zero(part), mine)
            store(b, b.add(out, b.shl(many, I64(2))), packed)
            many = b.add(many, b.ctpop(flags(b, mine)))
        return many

    return step(build, types.int64, types.int64, types.int64, types.int64, types.int64)


@intrinsic
def _differs(typingctx, z, mode):
    """Whether any of 32 values is not ``mode``."""

    def build(b, z, mode):
        v = load(b, z, I16, UNIT)
        others = flags(b, b.icmp_unsigned("!=", v, splat(b, b.trunc(mode, I16), UNIT)))
        return b.icmp_unsigned("!=", others, I64(0))

    return step(build, types.boolean, types.int64, types.int64)


_GATHERS = has("avx512f")


@njit(nogil=True, cache=True)
def _gather(part, mode, entries):
    """The values of a group that are not ``mode``: ``place << 16 | value``; how many."""
    many = 0
    m = part.size
    i = 0
    if _GATHERS:
        source, target = part.ctypes.data, entries.ctypes.data
        while i + UNIT <= m:
            if _differs(source + 2 * i, mode):
                many += _gather_unit(source + 2 * i, i, mode, target + 4 * many)
            i += UNIT
    while i < m:
        others = flags_differing(part, i, m, mode)
        while others:
            at = i + trailing_zeros(others)
            others &= others - np.uint64(1)
            entries[many] = np.uint32(at << 16 | np.int64(part[at]))
            many += 1
        i += FLAGS
    return many


@njit(nogil=True, cache=True)
def count_runs(z, wide, chunk, every, mode, counts):
    """Add the symbol counts of every so many-th chunk, runs of ``mode`` being run symbols.

    Returns the number of values counted.
    """
    n = z.size
    taken = 0
    used = 0
    entries = np.empty(chunk + ROOM, np.uint32)
    # Of each two: equal neighbours do not wait for each other.
    short = np.zeros((2, SHORT), np.int64)
    small = np.zeros((2, DIRECT), np.int64)
    for start in range(0, n, chunk):
        part = z[start : start + chunk]
        if (start // chunk) % every:
            if wide.size:
                for i in range(part.size):
                    used += np.int64(part[i] == WIDE)
            continue
        many = _gather(part, mode, entries)
        last = np.int64(-1)
        for k in range(many):
            entry = np.int64(entries[k])
            at, u = entry >> 16, entry & 0xFFFF
            run = at - last - 1
            last = at
            if run < SHORT:
                short[k & 1, np.uint64(run)] += 1
            else:
                counts[RUN + exponent(run)] += 1
            if u < DIRECT:
                small[k & 1, np.uint64(u)] += 1
            elif u == WIDE:
                counts[symbol_of(wide[used])] += 1
                used += 1
            else:
                counts[symbol_of(np.uint64(u))] += 1
        left = part.size - last - 1
        if left:
            counts[RUN + exponent(left)] += 1
        taken += part.size
    for run in range(1, SHORT):
        counts[RUN + exponent(run)] += short[0, run] + short[1, run]
    for u in range(DIRECT):
        counts[u] += small[0, u] + small[1, u]
    return taken


@njit(nogil=True, cache=True)
def run_table(codes):
    """``code << 8 | length`` of short runs, raw bits included, and ``NONE`` of others."""
    of_runs = np.full(SHORT + 1, NONE, np.uint64)
    of_runs[0] = 0
    for run in range(1, SHORT):
        e = exponent(run)
        packed = np.uint64(codes[RUN + e])
        if packed != np.uint64(NO_CODE):
            low = np.uint64(run - (1 << e))
            code = ((packed >> np.uint64(8)) << np.uint64(e)) | low
            of_runs[run] = code << np.uint64(8) | ((packed & np.uint64(255)) + np.uint64(e))
    return of_runs


@njit(nogil=True, cache=True)
def code_runs(part, wide, used, mode, codes, of_runs, of_values, entries, words, w):
    """A run, perhaps of none, and the value that ends it, again and again."""
    acc = np.uint64(0)
    nb = np.uint64(0)
    eight, length, most = np.uint64(8), np.uint64(255), np.uint64(64)
    values_at = np.int64(of_values.ctypes.data)
    many = _gather(part, mode, entries)
    last = np.int64(-1)
    for k in range(0, many - 1, 2):
        first, second = np.int64(entries[k]), np.int64(entries[k + 1])
        at = first >> 16
        a = of_runs[np.uint64(min(at - last - 1, SHORT))]
        b = of_values[np.uint64(min(first & 0xFFFF, DIRECT))]
        c = of_runs[np.uint64(min((second >> 16) - at - 1, SHORT))]
        d = of_values[np.uint64(min(second & 0xFFFF, DIRECT))]
        lb, lc, ld = b & length, c & length, d & length
        total = (a & length) + lb + lc + ld
        if total <= most:
            both = (a >> eight) << lb | b >> eight
            both = (both << lc | c >> eight) << ld | d >> eight
            w, acc, nb = put(words, w, acc, nb, both, total)
        else:
            one, l1 = code_of(values_at, first & 0xFFFF)
            two, l2 = code_of(values_at, second & 0xFFFF)
            one, l1 = (a >> eight) << l1 | one, (a & length) + l1
            two, l2 = (c >> eight) << l2 | two, (c & length) + l2
            if l1 <= most:
                w, acc, nb = put(words, w, acc, nb, one, l1)
            else:
                w, acc, nb, used = _put_entry(words, w, acc, nb, codes, first, last, wide, used)
            if l2 <= most:
                w, acc, nb = put(words, w, acc, nb, two, l2)
            else:
                w, acc, nb, used = _put_entry(words, w, acc, nb, codes, second, at, wide, used)
        last = second >> 16
    if many % 2:
        end = np.int64(entries[many - 1])
        w, acc, nb, used = _put_entry(words, w, acc, nb, codes, end, last, wide, used)
        last = end >> 16
    left = part.size - last - 1
    if left:
        w, acc, nb = put_symbol(words, w, acc, nb, codes, RUN + exponent(left), np.uint64(left))
    return flush(words, w, acc, nb), used


@njit(nogil=True, cache=True)
def _put_entry(words, w, acc, nb, codes, entry, last, wide, used):
    """Append the run behind ``last``, if any, and a value of any kind."""
    run = (entry >> 16) - last - 1
    if run:
        w, acc, nb = put_symbol(words, w, acc, nb, codes, RUN + exponent(run), np.uint64(run))
    u = np.uint64(entry & 0xFFFF)
    if u == np.uint64(WIDE):
        u = wide[used]
        used += 1
    w, acc, nb = put_symbol(words, w, acc, nb, codes, symbol_of(u), u)
    return w, acc, nb, used
