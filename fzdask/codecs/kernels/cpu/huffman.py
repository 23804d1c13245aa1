"""Chunked canonical Huffman coding of zigzagged residuals.

Values are coded in chunks of a fixed number; each chunk starts on a 32-bit word, so chunks can
be coded in any order or in parallel (Tian et al. 2020). Bits fill a word from its most
significant end. With ``mode >= 0`` every run of that symbol is
one run symbol with raw length bits, so a constant stretch costs far below one bit a value.
"""

import numpy as np

from fzdask.codecs.kernels.cpu.codebook import MAX_LENGTH, NO_CODE
from fzdask.codecs.kernels.cpu.huffman_decode import decode, starts_of
from fzdask.codecs.kernels.cpu.huffman_runs import ROOM as RUN_ROOM
from fzdask.codecs.kernels.cpu.huffman_runs import code_runs, count_runs, run_table
from fzdask.codecs.kernels.cpu.huffman_steps import (
    EIGHTS,
    FAR,
    FOURS,
    JOINED,
    LONG_SIXTEEN,
    NEAR,
    SIXTEENS,
    UNIT,
    codes_far,
    codes_near,
)
from fzdask.codecs.kernels.cpu.huffman_words import (
    code_of,
    codes_of_16_bits,
    flush,
    put,
    put_values,
)
from fzdask.codecs.kernels.cpu.symbols import (
    ESCAPE,
    ESCAPE_BITS,
    RUN,
    extra_bits,
)
from fzdask.jit import njit

__all__ = ["coded_bits", "count_runs", "decode", "encode", "starts_of"]

LATER = (1 << UNIT) - 1  # flags of symbols that are to be looked up in the larger table
MANY_LARGE = 1 << (MAX_LENGTH - 8)  # share of symbols that are not near, in 2**-MAX_LENGTH


@njit(nogil=True, cache=True)
def coded_bits(counts, lengths):
    """Bits that the counted symbols take, raw bits and escapes included; -1 if some cannot."""
    bits = np.int64(0)
    escaped = np.int64(0)
    for s in range(counts.size):
        if counts[s]:
            bits += counts[s] * (np.int64(lengths[s]) + extra_bits(s))
            if lengths[s] == 0:
                if s >= RUN:  # only values can be escaped
                    return np.int64(-1)
                escaped += counts[s]
    if escaped and lengths[ESCAPE] == 0:
        return np.int64(-1)
    return bits + escaped * (np.int64(lengths[ESCAPE]) + ESCAPE_BITS)


@njit(nogil=True, cache=True)
def encode(z, wide, chunk, mode, codes, words, sizes):
    """Code every chunk; ``sizes[c]`` gets its words. Returns the number of words written.

    ``words`` has room for two more.
    """
    n = z.size
    table = np.zeros(2 * FAR, np.uint16)
    far = _fill_table(codes, table)
    joined = np.empty(JOINED, np.uint64)
    of_runs, of_values = run_table(codes), codes_of_16_bits(codes)
    values_at = np.int64(of_values.ctypes.data)
    entries = np.empty(chunk + RUN_ROOM if mode >= 0 else 0, np.uint32)
    target = np.int64(words.ctypes.data)
    w = np.uint64(0)
    used = 0
    for c in range(sizes.size):
        first = w
        part = z[c * chunk : min(n, (c + 1) * chunk)]
        if mode >= 0:
            w, used = code_runs(
                part, wide, used, mode, codes, of_runs, of_values, entries, target, w
            )  # fmt: skip
        else:
            w, used = _encode_values(
                part, wide, used, codes, table, values_at, far, joined, target, w
            )  # fmt: skip
        sizes[c] = w - first
    return np.int64(w)


@njit(nogil=True, cache=True)
def _fill_table(codes, table):
    """Codes and lengths to look up; whether many values are too large for the smaller table."""
    large = 0
    for s in range(FAR):
        packed = codes[s]
        table[s] = np.uint16(packed >> np.uint32(8))
        table[FAR + s] = np.uint16(packed & np.uint32(255))
        if s >= NEAR and packed != np.uint32(NO_CODE):
            large += 1 << (MAX_LENGTH - np.int64(packed & np.uint32(255)))
    return large > MANY_LARGE


@njit(nogil=True, cache=True)
def _encode_values(part, wide, used, codes, table, values_at, far, joined, words, w):
    """Words of up to 16 codes each, found on vectors where symbols are small."""
    acc = np.uint64(0)
    nb = np.uint64(0)
    source = part.ctypes.data
    codes_at = table.ctypes.data
    out = joined.ctypes.data
    main = part.size - part.size % UNIT
    for i in range(0, main, UNIT):
        found = LATER if far else codes_near(source + 2 * i, codes_at, out)
        if found & LATER:
            found = codes_far(source + 2 * i, codes_at, out)
        if found == 0:
            for k in range(SIXTEENS, SIXTEENS + 2):
                w, acc, nb = put(words, w, acc, nb, joined[k], joined[k + 2])
        elif found & ~LONG_SIXTEEN == 0:
            for k in range(EIGHTS, EIGHTS + 4):
                w, acc, nb = put(words, w, acc, nb, joined[k], joined[k + 4])
        else:
            for k in range(FOURS, FOURS + 8):
                if found & 15:
                    for j in range(i + 4 * k, i + 4 * k + 4, 2):
                        one, l1 = code_of(values_at, part[np.uint64(j)])
                        other, l2 = code_of(values_at, part[np.uint64(j + 1)])
                        if l1 + l2 <= np.uint64(64):
                            both = (one << l2) | other
                            w, acc, nb = put(words, w, acc, nb, both, l1 + l2)
                        else:
                            w, acc, nb, used = put_values(
                                words, w, acc, nb, codes, part[j : j + 2], wide, used
                            )
                else:
                    w, acc, nb = put(words, w, acc, nb, joined[k], joined[k + 8])
                found >>= 4
    w, acc, nb, used = put_values(words, w, acc, nb, codes, part[main:], wide, used)
    return flush(words, w, acc, nb), used
