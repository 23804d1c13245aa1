"""Chunked canonical Huffman coding of zigzagged residuals.

Values are coded in chunks of a fixed number; each chunk starts on a 32-bit word, so chunks can
be coded in any order or in parallel (Tian et al. 2020). Bits fill a word from its most
significant end. With ``mode >= 0`` every run of that symbol is
one run symbol with raw length bits, so a constant stretch costs far below one bit a value.
"""

import numpy as np
from numba import njit

from fzdask.codecs.kernels.cpu.codebook import (
    LONG_CODE,
    MAX_LENGTH,
    SLOW_BASE,
    SLOW_CLASSES,
    SLOW_ORDER,
    TABLE_BITS,
)
from fzdask.codecs.kernels.cpu.symbols import (
    DIRECT,
    RUN,
    WIDE,
    class_base,
    exponent,
    extra_bits,
    symbol_of,
    unzigzag,
)

_LANES = 0x1_0001_0001
_NOT_DIRECT = (0xFFFF & ~((DIRECT << 4) - 1)) * _LANES  # bits no short direct symbol's entry has
_BAD = np.uint64(2**64 - 1)
_WIDE_BOOK = 1 << (MAX_LENGTH - 4)  # classes above a sixteenth of all values: code one by one


@njit(nogil=True, cache=True)
def count_runs(z, wide, chunk, every, mode, counts):
    """Add the symbol counts of every so many-th chunk, runs of ``mode`` being run symbols.

    Returns the number of values counted.
    """
    n = z.size
    taken = 0
    used = 0
    for start in range(0, n, chunk):
        end = min(n, start + chunk)
        if (start // chunk) % every:
            for i in range(start, end):
                used += np.int64(z[i] == WIDE)
            continue
        i = start
        while i < end:
            if z[i] == mode:
                j = i + 1
                while j < end and z[j] == mode:
                    j += 1
                counts[RUN + exponent(j - i)] += 1
                i = j
            else:
                u = np.uint64(z[i])
                if u == WIDE:
                    u = wide[used]
                    used += 1
                counts[symbol_of(u)] += 1
                i += 1
        taken += end - start
    return taken


@njit(nogil=True, cache=True)
def coded_bits(counts, lengths):
    """Bits that the counted symbols take, raw bits included."""
    bits = np.int64(0)
    for s in range(counts.size):
        bits += counts[s] * (np.int64(lengths[s]) + extra_bits(s))
    return bits


@njit(nogil=True, cache=True)
def _put(words, w, acc, nb, value, width):
    """Append up to 32 bits; ``acc`` holds ``nb < 32`` pending bits at its top."""
    acc |= value << np.uint64(64 - nb - width)
    nb += width
    words[w] = np.uint32(acc >> np.uint64(32))
    full = nb >> 5
    return w + full, acc << np.uint64(full << 5), nb & 31


@njit(nogil=True, cache=True)
def _put_symbol(words, w, acc, nb, codes, symbol, raw):
    """Append a symbol and, for a class or a run, the low bits of ``raw`` that it needs."""
    packed = codes[symbol]
    w, acc, nb = _put(
        words, w, acc, nb, np.uint64(packed >> np.uint32(8)), np.int64(packed & np.uint32(255))
    )
    extra = extra_bits(symbol)
    if extra > 32:
        high = (raw >> np.uint64(32)) & np.uint64((1 << (extra - 32)) - 1)
        w, acc, nb = _put(words, w, acc, nb, high, extra - 32)
        extra = 32
    if extra > 0:
        low = raw & np.uint64((1 << extra) - 1)
        w, acc, nb = _put(words, w, acc, nb, low, extra)
    return w, acc, nb


_put_symbol_inline = njit(nogil=True, inline="always")(_put_symbol.py_func)


@njit(nogil=True, cache=True)
def encode(z, wide, chunk, mode, codes, words, sizes):
    """Code every chunk; ``sizes[c]`` gets its words. Returns the number of words written."""
    classes = 0
    for s in range(DIRECT, RUN):
        if codes[s]:
            classes += 1 << (MAX_LENGTH - np.int64(codes[s] & np.uint32(255)))
    n = z.size
    w = 0
    used = 0
    for c in range(sizes.size):
        first = w
        part = z[c * chunk : min(n, (c + 1) * chunk)]
        if mode >= 0:
            w, used = _encode_runs(part, wide, used, mode, codes, words, w)
        elif classes >= _WIDE_BOOK:
            w, used = _encode_single(part, wide, used, codes, words, w)
        else:
            w, used = _encode_fours(part, wide, used, codes, words, w)
        sizes[c] = w - first
    return w


@njit(nogil=True, cache=True)
def _flush(words, w, acc, nb):
    if nb > 0:
        words[w] = np.uint32(acc >> np.uint64(32))
        w += 1
    return w


@njit(nogil=True, cache=True)
def _encode_fours(part, wide, used, codes, words, w):
    """Four values at a time: one append, where their codes fit 32 bits, breaks the long chain."""
    byte = np.uint64(255)
    eight = np.uint64(8)
    acc = np.uint64(0)
    nb = 0
    m = part.size
    main = m - m % 4
    for i in range(0, main, 4):
        z0, z1, z2, z3 = part[i], part[i + 1], part[i + 2], part[i + 3]
        if (z0 | z1 | z2 | z3) < DIRECT:
            p0 = np.uint64(codes[z0])
            p1 = np.uint64(codes[z1])
            p2 = np.uint64(codes[z2])
            p3 = np.uint64(codes[z3])
            l0 = (p0 & byte) + (p1 & byte)
            l2 = (p2 & byte) + (p3 & byte)
            first = ((p0 >> eight) << (p1 & byte)) | (p1 >> eight)
            second = ((p2 >> eight) << (p3 & byte)) | (p3 >> eight)
            if l0 + l2 <= np.uint64(32):
                w, acc, nb = _put(words, w, acc, nb, (first << l2) | second, np.int64(l0 + l2))
            else:
                w, acc, nb = _put(words, w, acc, nb, first, np.int64(l0))
                w, acc, nb = _put(words, w, acc, nb, second, np.int64(l2))
        else:
            for j in range(i, i + 4):
                u = np.uint64(part[j])
                if u < np.uint64(DIRECT):
                    p0 = np.uint64(codes[u])
                    w, acc, nb = _put(words, w, acc, nb, p0 >> eight, np.int64(p0 & byte))
                else:
                    if u == np.uint64(WIDE):
                        u = wide[used]
                        used += 1
                    w, acc, nb = _put_symbol(words, w, acc, nb, codes, symbol_of(u), u)
    for i in range(main, m):
        u = np.uint64(part[i])
        if u == np.uint64(WIDE):
            u = wide[used]
            used += 1
        w, acc, nb = _put_symbol(words, w, acc, nb, codes, symbol_of(u), u)
    return _flush(words, w, acc, nb), used


@njit(nogil=True, cache=True)
def _encode_single(part, wide, used, codes, words, w):
    acc = np.uint64(0)
    nb = 0
    for i in range(part.size):
        u = np.uint64(part[i])
        if u == np.uint64(WIDE):
            u = wide[used]
            used += 1
        w, acc, nb = _put_symbol_inline(words, w, acc, nb, codes, symbol_of(u), u)
    return _flush(words, w, acc, nb), used


@njit(nogil=True, cache=True)
def _encode_runs(part, wide, used, mode, codes, words, w):
    acc = np.uint64(0)
    nb = 0
    i = 0
    m = part.size
    while i < m:
        raw = np.uint64(part[i])
        if raw == np.uint64(WIDE):
            raw = wide[used]
            used += 1
        symbol = symbol_of(raw)
        j = i + 1
        if symbol == mode:
            while j < m and part[j] == mode:
                j += 1
            raw = np.uint64(j - i)
            symbol = RUN + exponent(j - i)
        w, acc, nb = _put_symbol_inline(words, w, acc, nb, codes, symbol, raw)
        i = j
    return _flush(words, w, acc, nb), used


@njit(nogil=True, cache=True)
def _window(words, bit):
    """At least 33 bits from position ``bit`` on, at the top of a 64-bit word."""
    p = bit >> np.uint64(5)
    pair = (np.uint64(words[p]) << np.uint64(32)) | np.uint64(words[p + np.uint64(1)])
    return pair << (bit & np.uint64(31))


@njit(nogil=True, cache=True)
def _three(words, fast, bit):
    """Table entries of the next three symbols, 16 bits each, and the position after them."""
    top = np.uint64(64 - TABLE_BITS)
    width = np.uint64(15)
    win = _window(words, bit)
    e0 = np.uint64(fast[win >> top])
    win <<= e0 & width
    e1 = np.uint64(fast[win >> top])
    win <<= e1 & width
    e2 = np.uint64(fast[win >> top])
    entries = e0 | (e1 << np.uint64(16)) | (e2 << np.uint64(32))
    return entries, bit + (e0 & width) + (e1 & width) + (e2 & width)


@njit(nogil=True, cache=True)
def _store_three(out, i, entries):
    low = np.uint64(0xFFF)
    out[i] = unzigzag((entries >> np.uint64(4)) & low)
    out[i + 1] = unzigzag((entries >> np.uint64(20)) & low)
    out[i + 2] = unzigzag(entries >> np.uint64(36))


@njit(nogil=True, cache=True)
def _decode_part(words, fast, slow, bit, value, out):
    """Decode ``out.size`` residuals one by one; the position after them, or ``_BAD``."""
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
        if symbol < DIRECT:
            out[i] = (symbol >> 1) ^ -(symbol & 1)
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
            out[i] = unzigzag(class_base(symbol) | raw)
            i += 1
            continue
        run = (np.int64(1) << (symbol - RUN)) + np.int64(raw)
        if run > n - i:
            return _BAD
        part = out[i : i + run]
        for j in range(run):
            part[j] = value
        i += run
    return bit


@njit(nogil=True, cache=True)
def _ends(bit, start):
    """Whether a chunk that ends at ``bit`` is followed by the chunk at word ``start``."""
    return (bit + np.uint64(31)) >> np.uint64(5) == np.uint64(start)


@njit(nogil=True, cache=True)
def decode(words, starts, chunk, mode, fast, slow, out):
    """Decode every chunk; False where a chunk is no code or does not end where it should.

    ``words`` must be followed by enough zero words that no chunk can run past the end.
    """
    n = out.size
    chunks = starts.size - 1
    value = unzigzag(max(mode, 0))
    c = 0
    while mode < 0 and slow[SLOW_CLASSES] < _WIDE_BOOK and (c + 4) * chunk <= n:
        # Four chunks at a time: each waits for its own bits while the others go on.
        o0 = out[c * chunk : (c + 1) * chunk]
        o1 = out[(c + 1) * chunk : (c + 2) * chunk]
        o2 = out[(c + 2) * chunk : (c + 3) * chunk]
        o3 = out[(c + 3) * chunk : (c + 4) * chunk]
        b0 = np.uint64(starts[c] << 5)
        b1 = np.uint64(starts[c + 1] << 5)
        b2 = np.uint64(starts[c + 2] << 5)
        b3 = np.uint64(starts[c + 3] << 5)
        main = chunk - chunk % 3
        for i in range(0, main, 3):
            e0, n0 = _three(words, fast, b0)
            e1, n1 = _three(words, fast, b1)
            e2, n2 = _three(words, fast, b2)
            e3, n3 = _three(words, fast, b3)
            if (e0 | e1 | e2 | e3) & np.uint64(_NOT_DIRECT):
                n0 = _decode_part(words, fast, slow, b0, value, o0[i : i + 3])
                n1 = _decode_part(words, fast, slow, b1, value, o1[i : i + 3])
                n2 = _decode_part(words, fast, slow, b2, value, o2[i : i + 3])
                n3 = _decode_part(words, fast, slow, b3, value, o3[i : i + 3])
                if max(max(n0, n1), max(n2, n3)) == _BAD:
                    return False
            else:
                _store_three(o0, i, e0)
                _store_three(o1, i, e1)
                _store_three(o2, i, e2)
                _store_three(o3, i, e3)
            b0, b1, b2, b3 = n0, n1, n2, n3
        b0 = _decode_part(words, fast, slow, b0, value, o0[main:])
        b1 = _decode_part(words, fast, slow, b1, value, o1[main:])
        b2 = _decode_part(words, fast, slow, b2, value, o2[main:])
        b3 = _decode_part(words, fast, slow, b3, value, o3[main:])
        if not (
            _ends(b0, starts[c + 1])
            and _ends(b1, starts[c + 2])
            and _ends(b2, starts[c + 3])
            and _ends(b3, starts[c + 4])
        ):
            return False
        c += 4
    while c < chunks:
        part = out[c * chunk : min(n, (c + 1) * chunk)]
        bit = _decode_part(words, fast, slow, np.uint64(starts[c] << 5), value, part)
        if bit == _BAD or not _ends(bit, starts[c + 1]):
            return False
        c += 1
    return True
