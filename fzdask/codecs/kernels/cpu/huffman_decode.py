"""Decoding of chunked canonical Huffman codes, several symbols a look-up and chunks in step."""

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from fzdask.codecs.kernels.cpu.codebook import TABLE_BITS
from fzdask.codecs.kernels.cpu.huffman_single import (
    BAD,
    SPECIAL_BIT,
    bits_of,
    decode_some,
    ends,
    entry_of,
    turn_bytes,
    value_of,
    value_table,
    window,
    write_2,
)
from fzdask.codecs.kernels.cpu.huffman_table import COUNT_SHIFT, SEVERAL
from fzdask.codecs.kernels.cpu.vectors import I1, I8, I64, pick, step, store, zero
from fzdask.jit import njit

LOOK_UPS = 5  # of TABLE_BITS, out of a window
_STORED = 8  # values that a look-up writes, whatever it counts
FEW_BITS = 0.05  # of a value: runs are then too long for a table
_ONE_ENTRY = np.uint64(1 << COUNT_SHIFT)  # an entry below stands for no symbol


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
def decode(source, words, starts, chunk, mode, fast, slow, table, out, places, wide):
    """Decode every chunk into zigzagged values of 16 bits.

    ``source`` is the address of the words, which are turned into ``words``. That has room for 16
    more, and for as many as one chunk can run past the end: what is there makes no difference,
    since a chunk that reads it does not end where it should. ``table`` is empty or, for ``mode``
    below 1, that of :func:`~fzdask.codecs.kernels.cpu.huffman_table.several_table`. Of values
    that need more than 16 bits, ``wide`` gets all and ``places`` where they are, in any order;
    both have room for as many as there can be.

    Returns
    -------
    int
        How many these are; -1 where a chunk is no code or does not end where it should.
    """
    n = out.size
    chunks = starts.size - 1
    turn_bytes(source, starts[chunks], words)
    extra = np.zeros(3, np.int64)
    extra[1], extra[2] = places.ctypes.data, wide.ctypes.data
    also = extra.ctypes.data
    bits, target = np.int64(words.ctypes.data), np.int64(out.ctypes.data)
    one, long = np.int64(fast.ctypes.data), np.int64(slow.ctypes.data)
    c = 0
    runs_alone = mode == 0 and 32 * starts[chunks] < FEW_BITS * n  # hardly anything between
    if table.size and n // chunk >= 4 and not runs_alone:
        values = value_table(slow)
        singly = 1 if mode == 0 else _in_a_row(table)
        ahead = LOOK_UPS * (_most_of(table) if mode == 0 else SEVERAL) + _STORED + singly
        if mode == 0 or not _are_special(values):
            if mode == 0:
                out[:] = 0
            c = _decode_lanes(
                bits, starts, chunk, mode, one, long, table, values, singly, ahead, target,
                n // chunk, also,
            )  # fmt: skip
        if c < 0:
            return -1
        if 0 < c < chunks:
            bit = _decode_alone(
                bits, np.uint64(starts[c] << 5), mode, one, long, table, ahead, target, c * chunk,
                n, also,
            )  # fmt: skip
            return extra[0] if ends(bit, starts[chunks]) else -1
    while c < chunks:
        end = min(n, (c + 1) * chunk)
        bit, _ = decode_some(
            bits, one, long, np.uint64(starts[c] << 5), mode, target, c * chunk, end, end, also
        )
        if not ends(bit, starts[c + 1]):
            return -1
        c += 1
    return extra[0]


@njit(nogil=True, cache=True)
def starts_of(sizes, starts):
    """Where chunks of these sizes begin, and the last one ends; False where one is empty."""
    total = np.int64(0)
    least = np.uint16(0xFFFF)
    starts[0] = 0
    for k in range(sizes.size):
        least = min(least, sizes[k])
        total += sizes[k]
        starts[k + 1] = total
    return least > 0


@njit(nogil=True, cache=True)
def _in_a_row(table):
    """How many values to decode one by one after one that is not in the table.

    The more seldom values are there (by their codes: each entry is as probable), the more of them.
    """
    misses = 0
    for k in range(table.size):
        misses += np.int64(table[k] < _ONE_ENTRY)
    return 1 + misses * _STORED // table.size


@njit(nogil=True, cache=True)
def _most_of(table):
    """Most values of an entry."""
    most = np.uint64(0)
    for k in range(table.size):
        most = max(most, table[k])
    return np.int64(most >> np.uint64(COUNT_SHIFT))


@njit(nogil=True, cache=True)
def _are_special(values):
    """Whether a quarter of all values is special, so that chunks in step would only wait."""
    special = 0
    near = 1 << TABLE_BITS
    for k in range(near):
        special += np.int64(values[0][k] >> np.uint32(SPECIAL_BIT)) & 1
    return 4 * special >= near


@intrinsic
def _is_plain(typingctx, entry):
    """All ones for an entry without ``SPECIAL``, else zero."""

    def build(b, entry):
        left = b.shl(b.xor(entry, I64(1 << SPECIAL_BIT)), I64(63 - SPECIAL_BIT))
        return b.ashr(left, I64(63))

    return step(build, types.uint64, types.uint64)


@njit(nogil=True, cache=True)
def _open_chunk(starts, chunk, ahead, lane, bits, at, lasts, current, c):
    """Give a lane the chunk ``c``."""
    current[lane] = c
    bits[lane] = np.uint64(starts[c] << 5)
    at[lane] = c * chunk
    lasts[lane] = (c + 1) * chunk - ahead


@njit(nogil=True, cache=True)
def _decode_lanes(
    words, starts, chunk, mode, fast, slow, table, values, singly, ahead, out, whole, extra
):  # fmt: skip
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
    of_one = np.int64(values[0].ctypes.data)
    limit, offset = np.uint64(values[1]), np.uint64(values[2])
    for lane in range(4):
        _open_chunk(starts, chunk, ahead, lane, bits, at, lasts, current, lane)
    following = 4
    while True:
        b0, b1, b2, b3 = bits[0], bits[1], bits[2], bits[3]
        i0, i1, i2, i3 = np.uint64(at[0]), np.uint64(at[1]), np.uint64(at[2]), np.uint64(at[3])
        t0, t1 = np.uint64(lasts[0]), np.uint64(lasts[1])
        t2, t3 = np.uint64(lasts[2]), np.uint64(lasts[3])
        stuck = False
        while not stuck and i0 < t0 and i1 < t1 and i2 < t2 and i3 < t3:
            w0 = window(words, b0) | one
            w1 = window(words, b1) | one
            w2 = window(words, b2) | one
            w3 = window(words, b3) | one
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
            if min(min(e0, e1), min(e2, e3)) >= _ONE_ENTRY:
                continue
            # Some code is not in the table: values one by one, from that of all codes.
            m0 = m1 = m2 = m3 = np.uint64(0)
            for _ in range(singly):
                w0, w1 = window(words, b0), window(words, b1)
                w2, w3 = window(words, b2), window(words, b3)
                d0 = entry_of(of_one, limit, offset, w0)
                d1 = entry_of(of_one, limit, offset, w1)
                d2 = entry_of(of_one, limit, offset, w2)
                d3 = entry_of(of_one, limit, offset, w3)
                m0, m1, m2, m3 = _is_plain(d0), _is_plain(d1), _is_plain(d2), _is_plain(d3)
                write_2(out, np.int64(i0), np.int64(m0 & value_of(d0, w0)))
                write_2(out, np.int64(i1), np.int64(m1 & value_of(d1, w1)))
                write_2(out, np.int64(i2), np.int64(m2 & value_of(d2, w2)))
                write_2(out, np.int64(i3), np.int64(m3 & value_of(d3, w3)))
                b0 += m0 & bits_of(d0)
                b1 += m1 & bits_of(d1)
                b2 += m2 & bits_of(d2)
                b3 += m3 & bits_of(d3)
                i0 += m0 & one
                i1 += m1 & one
                i2 += m2 & one
                i3 += m3 & one
            e0, e1, e2, e3 = e0 | m0, e1 | m1, e2 | m2, e3 | m3
            stuck = min(min(e0, e1), min(e2, e3)) < _ONE_ENTRY
        bits[0], bits[1], bits[2], bits[3] = b0, b1, b2, b3
        at[0], at[1], at[2], at[3] = i0, i1, i2, i3
        for lane in range(4):
            end = (current[lane] + 1) * chunk
            if at[lane] >= lasts[lane]:
                bit = _to_end(words, bits[lane], mode, fast, slow, table, out, at[lane], end, extra)
                if not ends(bit, starts[current[lane] + 1]):
                    return -1
                if following >= whole:
                    return _finish_lanes(
                        words, starts, chunk, mode, fast, slow, table, ahead, out, whole, extra,
                        lane, bits, at, current,
                    )  # fmt: skip
                _open_chunk(starts, chunk, ahead, lane, bits, at, lasts, current, following)
                following += 1
            elif table[window(words, bits[lane]) >> top] < _ONE_ENTRY:  # not in the table
                i = at[lane]
                bit, i = decode_some(words, fast, slow, bits[lane], mode, out, i, i + 1, end, extra)
                if bit == BAD:
                    return -1
                bits[lane] = bit
                at[lane] = i


@njit(nogil=True, cache=True)
def _finish_lanes(
    words, starts, chunk, mode, fast, slow, table, ahead, out, whole, extra, done, bits, at, current
):  # fmt: skip
    """Finish the chunks of the other lanes; the number of whole chunks, or -1."""
    for lane in range(4):
        if lane != done:
            end = (current[lane] + 1) * chunk
            bit = _decode_alone(
                words, bits[lane], mode, fast, slow, table, ahead, out, at[lane], end, extra
            )
            if not ends(bit, starts[current[lane] + 1]):
                return -1
    return whole


@njit(nogil=True, cache=True)
def _decode_alone(words, bit, mode, fast, slow, table, ahead, out, i, end, extra):
    """Decode from ``i`` to the end of a chunk; the position then, or ``BAD``."""
    top = np.uint64(64 - TABLE_BITS)
    one = np.uint64(1)
    while i < end - ahead:
        rest = window(words, bit) | one
        entry = _ONE_ENTRY
        for _ in range(LOOK_UPS):
            entry = table[rest >> top]
            _put_symbols(np.uint64(out + 2 * i), entry)
            i += np.int64(entry >> np.uint64(COUNT_SHIFT))
            rest <<= entry & np.uint64(63)
        bit += _consumed(rest)
        if entry < _ONE_ENTRY:
            bit, i = decode_some(words, fast, slow, bit, mode, out, i, i + 1, end, extra)
            if bit == BAD:
                return BAD
    return _to_end(words, bit, mode, fast, slow, table, out, i, end, extra)


@njit(nogil=True, cache=True)
def _to_end(words, bit, mode, fast, slow, table, out, i, end, extra):
    """Decode from ``i`` to the end of a chunk, which entries must not pass; the position then."""
    top = np.uint64(64 - TABLE_BITS)
    while i + _STORED <= end:
        entry = table[window(words, bit) >> top]
        after = i + np.int64(entry >> np.uint64(COUNT_SHIFT))
        if after > end:
            break
        if after > i:
            _put_symbols(np.uint64(out + 2 * i), entry)
            bit += entry & np.uint64(63)
            i = after
        else:
            bit, i = decode_some(words, fast, slow, bit, mode, out, i, i + 1, end, extra)
            if bit == BAD:
                return BAD
    bit, _ = decode_some(words, fast, slow, bit, mode, out, i, end, end, extra)
    return bit
