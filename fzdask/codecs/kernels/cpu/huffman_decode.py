"""Decoding of chunked canonical Huffman codes, several symbols a look-up and chunks in step."""

import numpy as np
from numba import njit

from fzdask.codecs.kernels.cpu.codebook import (
    LONG_CODE,
    MAX_LENGTH,
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
    store,
)

_AHEAD = 9  # values that three look-ups may write
_BAD = np.uint64(2**64 - 1)
WIDE_BOOK = 1 << (MAX_LENGTH - 4)  # classes above a sixteenth of all values: code one by one


@njit(nogil=True, cache=True)
def _window(words, bit):
    """At least 33 bits from position ``bit`` on, at the top of a 64-bit word."""
    p = bit >> np.uint64(5)
    pair = (np.uint64(words[p]) << np.uint64(32)) | np.uint64(words[p + np.uint64(1)])
    return pair << (bit & np.uint64(31))


@njit(nogil=True, cache=True)
def _store_three(out, i, entry):
    """Keep the symbols of a table entry; places past its count are written over later."""
    word = np.uint64(0xFFFF)
    store(out, i, (entry >> np.uint64(16)) & word)
    store(out, i + np.uint64(1), (entry >> np.uint64(32)) & word)
    store(out, i + np.uint64(2), entry >> np.uint64(48))


@njit(nogil=True, cache=True)
def _decode_part(words, fast, slow, bit, mode, out):
    """Decode ``out.size`` values one by one; the position after them, or ``_BAD``."""
    top = np.uint64(64 - TABLE_BITS)
    n = out.size
    i = 0
    while i < n:
        win = _window(words, bit)
        entry = np.int64(fast[win >> top])
        length = entry & 15
        symbol = entry >> 4
        if entry == LONG_CODE:
            prefix = np.int64(win >> np.uint64(64 - MAX_LENGTH))
            length = TABLE_BITS + 1
            while length <= MAX_LENGTH and prefix >= slow[length]:
                length += 1
            if length > MAX_LENGTH:
                return _BAD
            index = slow[SLOW_BASE + length] + (prefix >> (MAX_LENGTH - length))
            symbol = slow[SLOW_ORDER + index]
        bit += np.uint64(length)
        if symbol == ESCAPE:
            symbol = np.int64(_window(words, bit) >> np.uint64(64 - ESCAPE_BITS))
            bit += np.uint64(ESCAPE_BITS)
            if symbol >= RUN:
                return _BAD
        if symbol < DIRECT:
            store(out, i, np.uint64(symbol))
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
            store(out, i, class_base(symbol) | raw)
            i += 1
            continue
        run = (np.int64(1) << (symbol - RUN)) + np.int64(raw)
        if run > n - i or mode < 0:
            return _BAD
        part = out[i : i + run]
        for j in range(run):
            store(part, j, np.uint64(mode))
        i += run
    return bit


@njit(nogil=True, cache=True)
def _ends(bit, start):
    """Whether a chunk that ends at ``bit`` is followed by the chunk at word ``start``."""
    return (bit + np.uint64(31)) >> np.uint64(5) == np.uint64(start)


@njit(nogil=True, cache=True)
def decode(words, starts, chunk, mode, fast, slow, table, out):
    """Decode every chunk; False where a chunk is no code or does not end where it should.

    ``words`` must be followed by enough zero words that no chunk can run past the end; ``table``
    is empty or that of :func:`several_table`. Where no symbol needs more than 16 bits, ``out``
    may be uint16: it then gets the zigzagged values, else residuals.
    """
    n = out.size
    chunks = starts.size - 1
    c = 0
    if table.size and mode < 0 and n // chunk >= 4:
        c = _decode_lanes(words, starts, chunk, fast, slow, table, out)
        if c < 0:
            return False
    while c < chunks:
        part = out[c * chunk : min(n, (c + 1) * chunk)]
        bit = _decode_part(words, fast, slow, np.uint64(starts[c] << 5), mode, part)
        if bit == _BAD or not _ends(bit, starts[c + 1]):
            return False
        c += 1
    return True


@njit(nogil=True, cache=True)
def _next_chunk(words, starts, chunk, fast, slow, out, lane, bits, places, lasts, current, c):
    """Finish the chunk of a lane that is nearly through and give it chunk ``c``; 0 if damaged."""
    part = out[places[lane] : lasts[lane] + _AHEAD]
    bit = _decode_part(words, fast, slow, bits[lane], -1, part)
    if bit == _BAD or not _ends(bit, starts[current[lane] + 1]):
        return 0
    if c < starts.size - 1:
        _open_chunk(starts, chunk, lane, bits, places, lasts, current, c)
    return 1


@njit(nogil=True, cache=True)
def _open_chunk(starts, chunk, lane, bits, places, lasts, current, c):
    current[lane] = c
    bits[lane] = np.uint64(starts[c] << 5)
    places[lane] = c * chunk
    lasts[lane] = (c + 1) * chunk - _AHEAD


@njit(nogil=True, cache=True)
def _decode_lanes(words, starts, chunk, fast, slow, table, out):
    """Decode four chunks in step, so that each waits for its own bits while the others go on.

    A lane that ends its chunk takes the next one. Returns the number of leading chunks that are
    done, all but a few, or -1 where one is damaged.
    """
    top = np.uint64(64 - TABLE_BITS)
    low = np.uint64(15)
    four = np.uint64(4)
    many = np.uint64(0xF0)
    whole = out.size // chunk  # a last, shorter chunk is left to the caller
    bits = np.zeros(4, np.uint64)
    places = np.zeros(4, np.int64)
    lasts = np.zeros(4, np.int64)
    current = np.zeros(4, np.int64)
    for lane in range(4):
        _open_chunk(starts, chunk, lane, bits, places, lasts, current, lane)
    following = 4
    while True:
        b0, b1, b2, b3 = bits[0], bits[1], bits[2], bits[3]
        i0, i1 = np.uint64(places[0]), np.uint64(places[1])
        i2, i3 = np.uint64(places[2]), np.uint64(places[3])
        t0, t1 = np.uint64(lasts[0]), np.uint64(lasts[1])
        t2, t3 = np.uint64(lasts[2]), np.uint64(lasts[3])
        stuck = False
        while not stuck and i0 <= t0 and i1 <= t1 and i2 <= t2 and i3 <= t3:
            w0 = _window(words, b0)
            w1 = _window(words, b1)
            w2 = _window(words, b2)
            w3 = _window(words, b3)
            for _ in range(3):  # of 11 bits each, out of at least 33
                e0 = table[w0 >> top]
                e1 = table[w1 >> top]
                e2 = table[w2 >> top]
                e3 = table[w3 >> top]
                _store_three(out, i0, e0)
                _store_three(out, i1, e1)
                _store_three(out, i2, e2)
                _store_three(out, i3, e3)
                i0 += (e0 >> four) & low
                i1 += (e1 >> four) & low
                i2 += (e2 >> four) & low
                i3 += (e3 >> four) & low
                w0 <<= e0 & low
                w1 <<= e1 & low
                w2 <<= e2 & low
                w3 <<= e3 & low
                b0 += e0 & low
                b1 += e1 & low
                b2 += e2 & low
                b3 += e3 & low
            stuck = min(min(e0 & many, e1 & many), min(e2 & many, e3 & many)) == np.uint64(0)
        bits[0], bits[1], bits[2], bits[3] = b0, b1, b2, b3
        places[0], places[1], places[2], places[3] = i0, i1, i2, i3
        for lane in range(4):
            win = _window(words, bits[lane])
            if places[lane] > lasts[lane]:
                if not _next_chunk(
                    words, starts, chunk, fast, slow, out, lane, bits, places, lasts, current,
                    following,
                ):  # fmt: skip
                    return -1
                if following >= whole:
                    return _rest(
                        words, starts, chunk, fast, slow, out, lane, bits, places, lasts, current
                    )
                following += 1
            elif table[win >> top] & many == np.uint64(0):  # a symbol that is not in the table
                at = places[lane]
                bit = _decode_part(words, fast, slow, bits[lane], -1, out[at : at + 1])
                if bit == _BAD:
                    return -1
                bits[lane] = bit
                places[lane] = at + 1


@njit(nogil=True, cache=True)
def _rest(words, starts, chunk, fast, slow, out, done, bits, places, lasts, current):
    """Finish the chunks of the other lanes; the number of whole chunks, or -1."""
    for lane in range(4):
        if lane != done:
            ok = _next_chunk(
                words, starts, chunk, fast, slow, out, lane, bits, places, lasts, current,
                starts.size,
            )  # fmt: skip
            if not ok:
                return -1
    return out.size // chunk
