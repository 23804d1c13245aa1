"""Specification of ``huffman``: residuals to symbols, runs, groups of 32-bit words."""

from __future__ import annotations

from collections import Counter

import numpy as np
from codebook_spec import canonical_codes, code_lengths, pack

DIRECT = 512  # zigzagged residuals below this are symbols of their own
FIRST_RUN = 732
ESCAPE = 748  # 10 raw bits follow: a symbol that a shared codebook lacks
ALPHABET = 749


def zigzag(r, bits):
    """0, -1, 1, -2, ... to 0, 1, 2, 3, ...; the least residual has the greatest number."""
    assert -(1 << (bits - 1)) <= r < 1 << (bits - 1)
    return 2 * r if r >= 0 else -2 * r - 1


def symbol_of(z):
    """The number itself, or the class of its exponent and the two bits below the leading one."""
    if z < DIRECT:
        return z
    e = z.bit_length() - 1
    return DIRECT + 4 * (e - 9) + (z >> (e - 2)) % 4


def raw_width(symbol):
    """Raw bits that follow a symbol."""
    if symbol < DIRECT:
        return 0
    if symbol < FIRST_RUN:
        return 9 + (symbol - DIRECT) // 4 - 2
    return 10 if symbol == ESCAPE else symbol - FIRST_RUN


def tokens(residuals, mode):
    """(symbol, raw bits) of one group; with a mode, each run of it is one token."""
    out = []
    k = 0
    while k < len(residuals):
        z = zigzag(int(residuals[k]), 64)
        symbol, raw, length = symbol_of(z), z, 1
        if symbol == mode:
            while k + length < len(residuals) and residuals[k + length] == residuals[k]:
                length += 1
            symbol, raw = FIRST_RUN + length.bit_length() - 1, length
        out.append((symbol, format(raw, "064b")[64 - raw_width(symbol) :]))
        k += length
    return out


def group_bits(residuals, mode, codes):
    """One group as a string of bits, filled up to whole words."""
    bits = "".join(codes[symbol] + raw for symbol, raw in tokens(residuals, mode))
    return bits + "0" * (-len(bits) % 32)


def groups_of(residuals, group):
    """Cut into groups; the last may be shorter."""
    return [residuals[k : k + group] for k in range(0, len(residuals), group)]


def encode(residuals, group, mode):
    """Parameters, main output and sections of a flat residual; mode -1 if no runs are coded."""
    groups = groups_of([int(r) for r in residuals], group)
    seen = Counter(s for part in groups for s, _ in tokens(part, mode))
    lengths = code_lengths([seen[s] for s in range(ALPHABET)])
    codes = canonical_codes(lengths)
    coded = [group_bits(part, mode, codes) for part in groups]
    words = [int(bits[k : k + 32], 2) for bits in coded for k in range(0, len(bits), 32)]
    sizes = [len(bits) // 32 for bits in coded]
    params = bytes([group.bit_length() - 1])
    if mode >= 0:
        params += int(mode).to_bytes(2, "little")
    return (
        params,
        np.array(words, "<u4").tobytes(),
        {"codebook": pack(lengths), "group_sizes": np.array(sizes, "<u2").tobytes()},
    )
