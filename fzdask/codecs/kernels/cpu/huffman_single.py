"""Decoding of one canonical Huffman code: by search, and by a table of codes of any length."""

import numpy as np
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fzdask.codecs.kernels.cpu.codebook import (
    LONG_CODE,
    MAX_LENGTH,
    SLOW_BASE,
    SLOW_ORDER,
    TABLE_BITS,
)
from fzdask.codecs.kernels.cpu.symbols import (
    BEYOND_16_BITS,
    DIRECT,
    ESCAPE,
    ESCAPE_BITS,
    RUN,
    class_base,
    extra_bits,
)
from fzdask.codecs.kernels.cpu.vectors import (
    I16,
    I32,
    I64,
    call,
    copy_bytes,
    load,
    step,
    store,
)
from fzdask.jit import njit

__all__ = [
    "BAD",
    "SPECIAL_BIT",
    "bits_of",
    "decode_some",
    "ends",
    "entry_of",
    "turn_bytes",
    "value_of",
    "value_table",
    "window",
    "write_2",
]

BAD = np.uint64(2**64 - 1)
SPECIAL_BIT = 15  # of an entry: it is none of these, but an escape, a run, a large value
_TURNED = 16  # words whose bytes are turned at once
_HOLE = np.uint32(1 << SPECIAL_BIT)
_MOST_BITS = 28  # of an entry: two have to fit the 57 bits that a window holds at least


@intrinsic
def window(typingctx, words, bit):
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
def write_2(typingctx, address, index, value):
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


@njit(nogil=True, cache=True)
def decode_some(words, fast, slow, bit, mode, out, i, stop, end, extra):
    """Decode at ``i`` until ``stop`` is reached, with runs up to ``end``; position and place then.

    The position is ``BAD`` where there is no code. All arrays are addresses, since their
    descriptions would take longer to pass than a value takes. A value above 16 bits is kept among
    those of ``extra``.
    """
    while i < stop:
        win = window(words, bit)
        entry = _read_2(fast, np.int64(win >> np.uint64(64 - TABLE_BITS)))
        length = entry & 15
        symbol = entry >> 4
        if entry == LONG_CODE:
            prefix = np.int64(win >> np.uint64(64 - MAX_LENGTH))
            length = np.int64(TABLE_BITS + 1)
            while length <= MAX_LENGTH and prefix >= _read_8(slow, length):
                length += 1
            if length > MAX_LENGTH:
                return BAD, i
            index = _read_8(slow, SLOW_BASE + length) + (prefix >> (MAX_LENGTH - length))
            symbol = _read_8(slow, SLOW_ORDER + index)
        bit += np.uint64(length)
        if symbol == ESCAPE:
            symbol = np.int64(window(words, bit) >> np.uint64(64 - ESCAPE_BITS))
            bit += np.uint64(ESCAPE_BITS)
            if symbol >= RUN:
                return BAD, i
        if symbol < DIRECT:
            write_2(out, i, symbol)
            i += 1
            continue
        width = extra_bits(symbol)
        raw = np.uint64(0)
        if width > 32:
            raw = (window(words, bit) >> np.uint64(96 - width)) << np.uint64(32)
            bit += np.uint64(width - 32)
            width = 32
        if width > 0:
            raw |= window(words, bit) >> np.uint64(64 - width)
            bit += np.uint64(width)
        if symbol < RUN:
            value = class_base(symbol) | raw
            if value >> np.uint64(16):
                used = _read_8(extra, 0)
                _write_8(_read_8(extra, 1), used, i)
                _write_8(_read_8(extra, 2), used, np.int64(value))
                _write_8(extra, 0, used + 1)
            write_2(out, i, np.int64(value))
            i += 1
            continue
        run = (np.int64(1) << (symbol - RUN)) + np.int64(raw)
        if run > end - i or mode < 0:
            return BAD, i
        _fill_2(out, i, run, mode)
        i += run
    return bit, i


@intrinsic
def _turn(typingctx, source, target):
    """16 words with the bytes of each the other way round."""

    def build(b, source, target):
        words = load(b, source, I32, _TURNED)
        store(b, target, call(b, f"llvm.bswap.v{_TURNED}i32", words.type, words))

    return step(build, types.void, types.int64, types.int64)


@njit(nogil=True, cache=True)
def turn_bytes(source, many, words):
    """Let the bytes of each word begin with the most significant one, as :func:`window` asks.

    ``source`` is an address; ``words`` get so many from there, and a few zeros behind them.
    """
    target = np.int64(words.ctypes.data)
    whole = many - many % _TURNED
    for k in range(0, whole, _TURNED):
        _turn(source + 4 * k, target + 4 * k)
    rest = np.zeros(_TURNED, np.uint32)
    copy_bytes(source + 4 * whole, rest.ctypes.data, 4 * (many - whole))
    _turn(rest.ctypes.data, target + 4 * whole)


@njit(nogil=True, cache=True)
def ends(bit, start):
    """Whether a chunk that ends at ``bit`` is followed by the chunk at word ``start``."""
    return bit != BAD and (bit + np.uint64(31)) >> np.uint64(5) == np.uint64(start)


@intrinsic
def entry_of(typingctx, table, limit, offset, window):
    """Entry of the code at the top of a window; codes of prefixes from the limit on are long."""

    def build(b, table, limit, offset, window):
        prefix = b.lshr(window, I64(64 - MAX_LENGTH))
        near = b.lshr(window, I64(64 - TABLE_BITS))
        at = b.select(b.icmp_unsigned("<", prefix, limit), near, b.sub(prefix, offset))
        place = b.add(table, b.shl(at, I64(2)))
        return b.zext(b.load(b.inttoptr(place, I32.as_pointer()), align=4), I64)

    word = types.uint64
    return step(build, word, types.int64, word, word, word)


@intrinsic
def value_of(typingctx, entry, window):
    """The value of an entry: its base and the raw bits behind the code."""

    def build(b, entry, window):
        raw = b.lshr(window, b.and_(b.sub(I64(0), b.lshr(entry, I64(8))), I64(63)))
        mask = b.sub(b.shl(I64(1), b.and_(entry, I64(31))), I64(1))
        return b.add(b.lshr(entry, I64(16)), b.and_(raw, mask))

    return step(build, types.uint64, types.uint64, types.uint64)


@intrinsic
def bits_of(typingctx, entry):
    """Bits of an entry's code and raw bits."""
    return step(lambda b, entry: b.and_(b.lshr(entry, I64(8)), I64(31)), types.uint64, types.uint64)


@njit(nogil=True, cache=True)
def value_table(slow):
    """Values by the next bits, with the raw bits that follow their codes.

    ``slow`` is that of :func:`~fzdask.codecs.kernels.cpu.codebook.decoding_tables`.

    Returns
    -------
    table : uint32[]
        By ``TABLE_BITS`` bits, and from there on by ``MAX_LENGTH`` bits for codes that are longer:
        how many raw bits, ``SPECIAL_BIT``, from bit 8 on how many bits in all, from bit 16 on the
        value if raw bits are 0.
    limit, offset : int
        The first ``MAX_LENGTH`` bits that begin a longer code, and what to subtract from them.
    """
    down = MAX_LENGTH - TABLE_BITS
    near = 1 << TABLE_BITS
    limit = slow[TABLE_BITS]
    offset = limit - near
    table = np.full(near + (1 << MAX_LENGTH) - limit, _HOLE, np.uint32)
    code = np.int64(0)  # its MAX_LENGTH bits
    for length in range(1, MAX_LENGTH + 1):
        first = slow[SLOW_BASE + length]
        while code < slow[length]:
            s = slow[SLOW_ORDER + first + (code >> (MAX_LENGTH - length))]
            width = np.int64(extra_bits(s))
            if s < BEYOND_16_BITS and length + width <= _MOST_BITS:
                value = s if s < DIRECT else np.int64(class_base(s))
                entry = np.uint32(value << 16 | (length + width) << 8 | width)
                if length <= TABLE_BITS:
                    at, many = code >> down, 1 << (TABLE_BITS - length)
                else:
                    at, many = code - offset, 1 << (MAX_LENGTH - length)
                for k in range(at, at + many):
                    table[k] = entry
            code += np.int64(1) << (MAX_LENGTH - length)
    return table, limit, offset
