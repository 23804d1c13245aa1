"""The table that gives several symbols of a Huffman code by one look-up.

It is made by way of those of fewer bits: where the first symbol takes some of the bits, what
follows is in the table of the others, a stretch of entries at a time.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from fzdask.codecs.kernels.cpu.codebook import MAX_LENGTH, SLOW_BASE, SLOW_ORDER, TABLE_BITS
from fzdask.codecs.kernels.cpu.symbols import RUN
from fzdask.codecs.kernels.cpu.vectors import I64, load, same, splat, step, store, zero
from fzdask.jit import njit

__all__ = ["COUNT_SHIFT", "LARGE", "LONGEST_RUN", "SEVERAL", "several_table"]

LARGE = 1 << 8  # symbols from here on are not looked up several at a time
SEVERAL = 6  # at most so many are, a run being one
COUNT_SHIFT = 8 + 8 * SEVERAL
LONGEST_RUN = 127  # of those that are looked up: each chunk ends with values that are not
LANES = 8
SIZE = 1 << TABLE_BITS
_NIBBLE = 4
_LOW = (1 << _NIBBLE * SEVERAL) - 1
_FEW = 3  # tables of fewer bits take the room of one of so many


def _prepended(b, source, plane, symbol, bits):
    """Eight entries with a symbol, or a value of a run, in front.

    An entry of a smaller table: a byte for each symbol; and, elsewhere, four bits for each place,
    which hold how many bits the symbol that begins there takes, then from bit 32 on how many they
    are in all, and from bit 40 on how many values.
    """
    n = LANES
    one, other = load(b, source, I64, n), load(b, b.add(source, plane), I64, n)
    one = b.or_(b.shl(one, same(I64, 8, n)), splat(b, symbol, n))
    places = b.and_(other, same(I64, _LOW, n))
    sums = b.lshr(other, same(I64, 32, n))
    lost = b.lshr(places, same(I64, _NIBBLE * (SEVERAL - 1), n))
    places = b.or_(b.shl(places, same(I64, _NIBBLE, n)), splat(b, bits, n))
    places = b.and_(places, same(I64, _LOW, n))
    sums = b.sub(b.add(sums, splat(b, b.add(bits, I64(256)), n)), lost)
    full = b.or_(b.and_(sums, same(I64, 255, n)), same(I64, SEVERAL << 8, n))
    sums = b.select(b.icmp_unsigned("!=", lost, zero(lost)), full, sums)
    return one, places, sums


@intrinsic
def _prepend(typingctx, source, plane, target, symbol, bits):
    """Eight entries at ``target`` from as many at ``source``."""

    def build(b, source, plane, target, symbol, bits):
        one, places, sums = _prepended(b, source, plane, symbol, bits)
        store(b, target, one)
        store(b, b.add(target, plane), b.or_(places, b.shl(sums, same(I64, 32, LANES))))

    word = types.int64
    return step(build, types.void, word, word, word, word, word)


@intrinsic
def _finish(typingctx, source, plane, table):
    """Eight entries of the table."""

    def build(b, source, plane, table):
        n = LANES
        sums = b.lshr(load(b, b.add(source, plane), I64, n), same(I64, 32, n))
        symbols = b.shl(load(b, source, I64, n), same(I64, 64 - 8 * SEVERAL, n))
        symbols = b.lshr(symbols, same(I64, 64 - COUNT_SHIFT, n))
        count = b.shl(b.lshr(sums, same(I64, 8, n)), same(I64, COUNT_SHIFT, n))
        store(b, table, b.or_(b.or_(symbols, count), b.and_(sums, same(I64, 255, n))))

    return step(build, types.void, types.int64, types.int64, types.int64)


@intrinsic
def _set(typingctx, target, plane, other):
    """Eight entries of no symbol but 0."""

    def build(b, target, plane, other):
        nothing = ir.Constant(ir.VectorType(I64, LANES), None)
        store(b, target, nothing)
        store(b, b.add(target, plane), splat(b, other, LANES))

    return step(build, types.void, types.int64, types.int64, types.int64)


@njit(nogil=True, cache=True)
def _place(bits):
    """Where the table of so many bits begins."""
    return LANES * bits if bits < _FEW else LANES * (_FEW - 1) + (1 << bits)


@njit(nogil=True, cache=True)
def several_table(slow, runs):
    """Up to ``SEVERAL`` symbols below ``LARGE`` by the next ``TABLE_BITS`` bits.

    With ``runs``, symbols from ``RUN`` on are runs of symbol 0, of which those up to
    ``LONGEST_RUN`` are looked up; such a run counts whether or not all of it is among the
    symbols of an entry. ``slow`` is that of
    :func:`~fzdask.codecs.kernels.cpu.codebook.decoding_tables`.

    Returns
    -------
    uint64[2**TABLE_BITS]
        From the lowest byte on: how many bits they take; a byte for each symbol, 0 behind the
        last; how many values they are (0: there is no such symbol).
    """
    # Codes in ascending order, up to the longest that fits.
    symbols = np.empty(slow.size - SLOW_ORDER, np.int64)
    lengths = np.empty(symbols.size, np.int64)
    used = 0
    code = np.int64(0)  # its MAX_LENGTH bits
    for length in range(1, TABLE_BITS + 1):
        first = slow[SLOW_BASE + length]
        while code < slow[length]:
            symbols[used] = slow[SLOW_ORDER + first + (code >> (MAX_LENGTH - length))]
            lengths[used] = length
            used += 1
            code += np.int64(1) << (MAX_LENGTH - length)
    room = _place(TABLE_BITS) + SIZE + LANES
    work = np.empty(2 * room, np.int64)
    base, plane = np.int64(work.ctypes.data), np.int64(8 * room)
    _set(base, plane, 0)
    for bits in range(1, TABLE_BITS + 1):
        target = base + 8 * _place(bits)
        at = np.int64(0)
        for j in range(used):
            length, symbol = lengths[j], symbols[j]
            if length > bits:
                break
            at = _prepend_symbol(base, plane, target, at, bits, symbol, length, runs)
        for k in range(at, 1 << bits, LANES):  # no code, or a longer one
            _set(target + 8 * k, plane, 0)
    table = np.empty(SIZE, np.uint64)
    source, target = base + 8 * _place(TABLE_BITS), np.int64(table.ctypes.data)
    for k in range(0, 8 * SIZE, 8 * LANES):
        _finish(source + k, plane, target + k)
    return table


@njit(nogil=True, cache=True)
def _prepend_symbol(base, plane, target, at, bits, symbol, length, runs):
    """Entries of ``bits`` bits that begin with one symbol; the place behind them.

    What vectors touch behind them is written over later.
    """
    raw = symbol - RUN
    known = symbol < LARGE or (
        runs and raw >= 0 and length + raw <= bits and 1 << raw <= LONGEST_RUN
    )
    if not known:
        many = np.int64(1) << (bits - length)
        for k in range(0, many, LANES):
            _set(target + 8 * (at + k), plane, 0)
        return at + many
    if symbol < LARGE:
        many = np.int64(1) << (bits - length)
        source = base + 8 * _place(bits - length)
        for k in range(0, many, LANES):
            _prepend(source + 8 * k, plane, target + 8 * (at + k), symbol, length)
        return at + many
    taken = length + raw
    many = np.int64(1) << (bits - taken)
    source = base + 8 * _place(bits - taken)
    for run in range(1 << raw, 2 << raw):
        for k in range(0, many, LANES):
            here = target + 8 * (at + k)
            if run > LONGEST_RUN:
                _set(here, plane, 0)
                continue
            if run >= SEVERAL:  # nothing follows in an entry
                _set(here, plane, (run << 8 | taken) << 32 | taken)
                continue
            before = source + 8 * k
            for _ in range(run - 1):
                _prepend(before, plane, here, 0, 0)
                before = here
            _prepend(before, plane, here, 0, taken)
        at += many
    return at
