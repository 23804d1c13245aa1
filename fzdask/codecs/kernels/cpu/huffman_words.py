"""Appending codes to words of 32 bits, of which bits fill the most significant first."""

import numpy as np
from numba import types
from numba.extending import intrinsic

from fzdask.codecs.kernels.cpu.codebook import NO_CODE
from fzdask.codecs.kernels.cpu.huffman_steps import store_words
from fzdask.codecs.kernels.cpu.symbols import (
    BEYOND_16_BITS,
    DIRECT,
    DIRECT_BITS,
    ESCAPE,
    ESCAPE_BITS,
    SUB_BITS,
    WIDE,
    extra_bits,
    symbol_of,
)
from fzdask.codecs.kernels.cpu.vectors import I64, step
from fzdask.jit import njit

__all__ = ["NONE", "code_of", "codes_of_16_bits", "flush", "put", "put_symbol", "put_values"]

NONE = np.uint64(255)  # a length that no code has


@intrinsic
def _entry(typingctx, table, index):
    """An element of uint64 at an address."""

    def build(b, table, index):
        at = b.add(table, b.shl(index, I64(3)))
        return b.load(b.inttoptr(at, I64.as_pointer()), align=8)

    return step(build, types.uint64, types.int64, types.uint64)


@njit(nogil=True, cache=True)
def codes_of_16_bits(codes):
    """``code << 8 | length`` of the symbols of values up to 16 bits, and ``NONE`` without one.

    Classes follow one entry later, so that at ``DIRECT`` there is ``NONE`` for any of them.
    """
    table = np.full(BEYOND_16_BITS + 1, NONE, np.uint64)
    for s in range(BEYOND_16_BITS):
        if codes[s] != np.uint32(NO_CODE):
            table[s + np.int64(s >= DIRECT)] = codes[s]
    return table


@njit(nogil=True, cache=True)
def code_of(table, z):
    """Code of a value with its raw bits, and its length: ``NONE`` or more where it has none.

    ``table`` is the address of what :func:`codes_of_16_bits` gives: an array would take longer to
    pass than its code takes to find.
    """
    u = np.uint64(z)
    eight = np.uint64(8)
    if u < np.uint64(DIRECT):
        entry = _entry(table, u)
        return entry >> eight, entry & NONE
    if u == np.uint64(WIDE):
        return np.uint64(0), NONE
    s = np.uint64(symbol_of(u))
    extra = ((s - np.uint64(DIRECT)) >> np.uint64(SUB_BITS)) + np.uint64(DIRECT_BITS - SUB_BITS)
    entry = _entry(table, s + np.uint64(1))
    raw = u & ((np.uint64(1) << extra) - np.uint64(1))
    return (entry >> eight) << extra | raw, (entry & NONE) + extra


@njit(nogil=True, cache=True)
def put(words, w, acc, nb, value, width):
    """Append 1 to 64 bits at addresses; ``acc`` holds ``nb < 32`` pending bits at its top.

    Two words are written; what is beyond the pending bits is written over later.
    """
    one, top = np.uint64(1), np.uint64(63)
    both = acc | ((value << (np.uint64(64) - width)) >> nb)
    store_words(words + np.int64(w << np.uint64(2)), both)
    total = nb + width
    left = total & np.uint64(31)
    rest = (value << one) << (top - left)  # of what was appended, if a word is full
    return w + (total >> np.uint64(5)), both if total < np.uint64(32) else rest, left


@njit(nogil=True, cache=True)
def put_symbol(words, w, acc, nb, codes, symbol, raw):
    """Append a symbol and, for a class or a run, the low bits of ``raw`` that it needs."""
    byte, eight = np.uint64(255), np.uint64(8)
    packed = np.uint64(codes[symbol])
    if packed == np.uint64(NO_CODE):
        packed = np.uint64(codes[ESCAPE])
        w, acc, nb = put(words, w, acc, nb, packed >> eight, packed & byte)
        packed = np.uint64((symbol << 8) | ESCAPE_BITS)
    w, acc, nb = put(words, w, acc, nb, packed >> eight, packed & byte)
    extra = np.uint64(extra_bits(symbol))
    if extra:
        low = raw & ((np.uint64(1) << extra) - np.uint64(1))
        w, acc, nb = put(words, w, acc, nb, low, extra)
    return w, acc, nb


@njit(nogil=True, cache=True)
def put_values(words, w, acc, nb, codes, part, wide, used):
    """Append a few values of any kind."""
    for j in range(part.size):
        u = np.uint64(part[j])
        if u == np.uint64(WIDE):
            u = wide[used]
            used += 1
        w, acc, nb = put_symbol(words, w, acc, nb, codes, symbol_of(u), u)
    return w, acc, nb, used


@njit(nogil=True, cache=True)
def flush(words, w, acc, nb):
    """Complete the last word."""
    store_words(words + np.int64(w << np.uint64(2)), acc)
    return w + np.uint64(nb > np.uint64(0))
