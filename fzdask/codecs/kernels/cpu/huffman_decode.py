"""Decoding of chunked canonical Huffman codes, several symbols a look-up and chunks in step."""

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from fzdask.codecs.kernels.cpu.codebook import (
    COUNT_SHIFT,
    LONG_CODE,
    LONGEST_RUN,
    MAX_LENGTH,
    SEVERAL,
    SLOW_BASE,
    SLOW_ORDER,
    TABLE_BITS,
)
from fzdask.codecs.kernels.cpu.symbols import (
    DIRECT,
    ESCAPE,
    ESCAPE_BITS,
    RUN,
    class_base,
    extra_bits,
)
from fzdask.codecs.kernels.cpu.vectors import I1, I8, I16, I32, I64, call, pick, step, store, zero

LOOK_UPS = 5  # of TABLE_BITS, out of a window
_STORED = 8  # values that a look-up writes, whatever it counts
_BAD = np.uint64(2**64 - 1)
FEW_BITS = 0.15  # of a value: runs are then too long for a table
WIDE_BOOK = 1 << (MAX_LENGTH - 2)  # large values above a quarter of all: decode one by one
_ONE_ENTRY = np.uint64(1 << COUNT_SHIFT)  # an entry below stands for no symbol


@intrinsic
def _window(typingctx, words, bit):
    """At least 57 bits from position ``bit`` on, at the top of a 64-bit word.

    The bytes of the words begin with the most significant one.
    """

    def build(b, words, bit):
        at = b.add(words, b.lshr(bit, I64(3)))
        bits = b.load(b.inttoptr(at, I64.as_pointer()), align=1)
        return b.shl(call(b, "llvm.bswap.i64", I64, bits), b.and_(bit, I64(7)))

    return step(build, types.uint64, types.int64, types.uint64)


def _reading(kind, nbytes):
    def build(b, address, index):
        at = b.add(address, b.mul(index, I64(nbytes)))
        value = b.load(b.inttoptr(at, kind.as_pointer()), align=nbytes)
        return b.zext(value, I64) if nbytes < 8 else value

    return step(build, types.int64, types.int64, types.int64)


def _writing(kind, nbytes):
    def build(b, address, index, value):
        at = b.add(address, b.mul(index, I64(nbytes)))
        value = b.trunc(value, kind) if nbytes < 8 else value
        b.store(value, b.inttoptr(at, kind.as_pointer()), align=nbytes)

    return step(build, types.void, types.int64, types.int64, types.int64)


@intrinsic
def _read_2(typingctx, address, index):
    """An element of uint16 at an address."""
    return _reading(I16, 2)


@intrinsic
def _read_8(typingctx, address, index):
    """An element of int64 at an address."""
    return _reading(I64, 8)


@intrinsic
def _write_2(typingctx, address, index, value):
    """Set an element of uint16 at an address."""
    return _writing(I16, 2)


@intrinsic
def _write_8(typingctx, address, index, value):
    """Set an element of 64 bits at an address."""
    return _writing(I64, 8)


@intrinsic
def _fill_2(typingctx, address, index, count, value):
    """Set so many elements of uint16 at an address from an index on."""

    def build(b, address, index, count, value):
        first = b.inttoptr(b.add(address, b.mul(index, I64(2))), I16.as_pointer())
        low = b.trunc(value, I16)
        with cgutils.for_range(b, count) as loop:
            b.store(low, b.gep(first, [loop.index]), align=2)

    return step(build, types.void, types.int64, types.int64, types.int64, types.int64)


@intrinsic
def _put_symbols(typingctx, target, entry):
    """The symbols of a table entry as values of 16 bits, and zeros up to ``_STORED``."""

    def build(b, target, entry):
        parts = b.bitcast(entry, ir.VectorType(I8, 8))
        lanes = [j for k in range(1, 1 + SEVERAL) for j in (k, 8)]
        lanes += [8] * (2 * _STORED - len(lanes))
        store(b, target, pick(b, parts, zero(parts), lanes))

    return step(build, types.void, types.uint64, types.uint64)


@intrinsic
def _consumed(typingctx, window):
    """By how much a window that ended with a one was moved."""
    return step(lambda b, window: b.cttz(window, I1(1)), types.uint64, types.uint64)


@njit(nogil=True, cache=True)
def _decode_some(words, fast, slow, bit, mode, out, i, stop, end, extra):
    """Decode at ``i`` until ``stop`` is reached, with runs up to ``end``; position and place then.

    The position is ``_BAD`` where there is no code. All arrays are addresses, since their
    descriptions would take longer to pass than a value takes. A value above 16 bits is kept among
    those of ``extra``.
    """
    while i < stop:
        win = _window(words, bit)
        entry = _read_2(fast, np.int64(win >> np.uint64(64 - TABLE_BITS)))
        length = entry & 15
        symbol = entry >> 4
        if entry == LONG_CODE:
            prefix = np.int64(win >> np.uint64(64 - MAX_LENGTH))
            length = np.int64(TABLE_BITS + 1)
            while length <= MAX_LENGTH and prefix >= _read_8(slow, length):
                length += 1
            if length > MAX_LENGTH:
                return _BAD, i
            index = _read_8(slow, SLOW_BASE + length) + (prefix >> (MAX_LENGTH - length))
            symbol = _read_8(slow, SLOW_ORDER + index)
        bit += np.uint64(length)
        if symbol == ESCAPE:
            symbol = np.int64(_window(words, bit) >> np.uint64(64 - ESCAPE_BITS))
            bit += np.uint64(ESCAPE_BITS)
            if symbol >= RUN:
                return _BAD, i
        if symbol < DIRECT:
            _write_2(out, i, symbol)
            i += 1
            continue
        width = extra_bits(symbol)
        raw = np.uint64(0)
        if width > 32:
            raw = (_window(words, bit) >> np.uint64(96 - width)) << np.uint64(32)
            bit += np.uint64(width - 32)
            width = 32
        if width > 0:
            raw |= _window(words, bit) >> np.uint64(64 - width)
            bit += np.uint64(width)
        if symbol < RUN:
            value = class_base(symbol) | raw
            if value >> np.uint64(16):
                used = _read_8(extra, 0)
                _write_8(_read_8(extra, 1), used, i)
                _write_8(_read_8(extra, 2), used, np.int64(value))
                _write_8(extra, 0, used + 1)
            _write_2(out, i, np.int64(value))
            i += 1
            continue
        run = (np.int64(1) << (symbol - RUN)) + np.int64(raw)
        if run > end - i or mode < 0:
            return _BAD, i
        _fill_2(out, i, run, mode)
        i += run
    return bit, i


@intrinsic
def _bytes_turned(typingctx, word):
    """The bytes of a word in the opposite order."""
    return step(lambda b, word: call(b, "llvm.bswap.i32", I32, word), types.uint32, types.uint32)


@njit(nogil=True, cache=True)
def _ends(bit, start):
    """Whether a chunk that ends at ``bit`` is followed by the chunk at word ``start``."""
    return bit != _BAD and (bit + np.uint64(31)) >> np.uint64(5) == np.uint64(start)


@njit(nogil=True, cache=True)
def decode(words, starts, chunk, mode, fast, slow, table, out, places, wide):
    """Decode every chunk into zigzagged values of 16 bits; the words are not kept.

    ``words`` must be followed by enough zero words that no chunk can run past the end; ``table``
    is empty or that of :func:`several_table`, for ``mode`` below 1. Of values that need more than
    16 bits, ``wide`` gets all and ``places`` where they are, in any order; both have room for as
    many as there can be.

    Returns
    -------
    int
        How many these are; -1 where a chunk is no code or does not end where it should.
    """
    for k in range(words.size):
        words[k] = _bytes_turned(words[k])
    n = out.size
    chunks = starts.size - 1
    extra = np.zeros(3, np.int64)
    extra[1], extra[2] = places.ctypes.data, wide.ctypes.data
    also = extra.ctypes.data
    bits, target = np.int64(words.ctypes.data), np.int64(out.ctypes.data)
    one, long = np.int64(fast.ctypes.data), np.int64(slow.ctypes.data)
    c = 0
    runs_alone = mode == 0 and 32 * starts[chunks] < FEW_BITS * n  # hardly anything between
    if table.size and n // chunk >= 4 and not runs_alone:
        if mode == 0:
            out[:] = 0
        ahead = LOOK_UPS * (LONGEST_RUN if mode == 0 else SEVERAL) + _STORED
        c = _decode_lanes(
            bits, starts, chunk, mode, one, long, table, ahead, target, n // chunk, also
        )
        if c < 0:
            return -1
    while c < chunks:
        end = min(n, (c + 1) * chunk)
        bit, _ = _decode_some(
            bits, one, long, np.uint64(starts[c] << 5), mode, target, c * chunk, end, end, also
        )
        if not _ends(bit, starts[c + 1]):
            return -1
        c += 1
    return extra[0]


@njit(nogil=True, cache=True)
def _open_chunk(starts, chunk, ahead, lane, bits, at, lasts, current, c):
    """Give a lane the chunk ``c``."""
    current[lane] = c
    bits[lane] = np.uint64(starts[c] << 5)
    at[lane] = c * chunk
    lasts[lane] = (c + 1) * chunk - ahead


@njit(nogil=True, cache=True)
def _decode_lanes(words, starts, chunk, mode, fast, slow, table, ahead, out, whole, extra):
    """Decode four chunks in step, so that each waits for its own bits while the others go on.

    A lane that ends its chunk takes the next one. Returns the number of leading chunks that are
    done, all but a last shorter one, or -1 where one is damaged.
    """
    top = np.uint64(64 - TABLE_BITS)
    width = np.uint64(63)
    count = np.uint64(COUNT_SHIFT)
    one = np.uint64(1)
    target = np.uint64(out)
    bits = np.zeros(4, np.uint64)
    at = np.zeros(4, np.int64)
    lasts = np.zeros(4, np.int64)
    current = np.zeros(4, np.int64)
    for lane in range(4):
        _open_chunk(starts, chunk, ahead, lane, bits, at, lasts, current, lane)
    following = 4
    while True:
        b0, b1, b2, b3 = bits[0], bits[1], bits[2], bits[3]
        i0, i1, i2, i3 = np.uint64(at[0]), np.uint64(at[1]), np.uint64(at[2]), np.uint64(at[3])
        t0, t1 = np.uint64(lasts[0]), np.uint64(lasts[1])
        t2, t3 = np.uint64(lasts[2]), np.uint64(lasts[3])
        least = _ONE_ENTRY
        while least >= _ONE_ENTRY and i0 < t0 and i1 < t1 and i2 < t2 and i3 < t3:
            w0 = _window(words, b0) | one
            w1 = _window(words, b1) | one
            w2 = _window(words, b2) | one
            w3 = _window(words, b3) | one
            for _ in range(LOOK_UPS):
                e0 = table[w0 >> top]
                e1 = table[w1 >> top]
                e2 = table[w2 >> top]
                e3 = table[w3 >> top]
                _put_symbols(target + (i0 << one), e0)
                _put_symbols(target + (i1 << one), e1)
                _put_symbols(target + (i2 << one), e2)
                _put_symbols(target + (i3 << one), e3)
                i0 += e0 >> count
                i1 += e1 >> count
                i2 += e2 >> count
                i3 += e3 >> count
                w0 <<= e0 & width
                w1 <<= e1 & width
                w2 <<= e2 & width
                w3 <<= e3 & width
            b0 += _consumed(w0)
            b1 += _consumed(w1)
            b2 += _consumed(w2)
            b3 += _consumed(w3)
            least = min(min(e0, e1), min(e2, e3))
        bits[0], bits[1], bits[2], bits[3] = b0, b1, b2, b3
        at[0], at[1], at[2], at[3] = i0, i1, i2, i3
        for lane in range(4):
            end = (current[lane] + 1) * chunk
            if at[lane] >= lasts[lane]:
                bit, _ = _decode_some(
                    words, fast, slow, bits[lane], mode, out, at[lane], end, end, extra
                )
                if not _ends(bit, starts[current[lane] + 1]):
                    return -1
                if following >= whole:
                    return _finish_lanes(
                        words, starts, chunk, mode, fast, slow, out, whole, extra, lane, bits, at,
                        current,
                    )  # fmt: skip
                _open_chunk(starts, chunk, ahead, lane, bits, at, lasts, current, following)
                following += 1
            elif table[_window(words, bits[lane]) >> top] < _ONE_ENTRY:  # not in the table
                i = at[lane]
                bit, i = _decode_some(
                    words, fast, slow, bits[lane], mode, out, i, i + 1, end, extra
                )
                if bit == _BAD:
                    return -1
                bits[lane] = bit
                at[lane] = i


@njit(nogil=True, cache=True)
def _finish_lanes(
    words, starts, chunk, mode, fast, slow, out, whole, extra, done, bits, at, current
):  # fmt: skip
    """Finish the chunks of the other lanes; the number of whole chunks, or -1."""
    for lane in range(4):
        if lane != done:
            end = (current[lane] + 1) * chunk
            bit, _ = _decode_some(
                words, fast, slow, bits[lane], mode, out, at[lane], end, end, extra
            )
            if not _ends(bit, starts[current[lane] + 1]):
                return -1
    return whole
