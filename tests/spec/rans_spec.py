"""Specification of ``rans``: static frequencies, contexts, one state for each group."""

from __future__ import annotations

import numpy as np
from huffman_spec import groups_of, raw_width, symbol_of, zigzag

RARE = 732  # 10 raw bits follow: a symbol without a frequency of its own
LEVELS = 23
FIRST_STATE = 1 << 15


def rounded(g, up):
    """Four significant bits of ``g``."""
    cut = max(g.bit_length() - 4, 0)
    return (g + (up << cut >> 1)) >> cut << cut


def frequencies(counts, bits):
    """Frequency of every symbol, and the symbol that gets what the others leave."""
    total = sum(counts)
    full = 1 << bits
    kept = [c if c > 1 and c * full * 2 >= total else 0 for c in counts]
    kept.append(total - sum(kept))
    used = sum(c > 0 for c in kept)
    mode = kept.index(max(kept))
    nearest = [1 + rounded(max((c * full + total // 2) // total - 1, 0), 1) for c in kept]
    lower = [1 + rounded(c * (full - used) // total, 0) for c in kept]
    for tried in (nearest, lower):
        freqs = [f if c else 0 for f, c in zip(tried, kept, strict=True)]
        freqs[mode] = full - (sum(freqs) - freqs[mode])
        if freqs[mode] > 0:
            return freqs, mode
    raise AssertionError("the lower ones always fit")


def table_bits(freqs, mode, bits):
    """The compact form of a table, as a string of bits."""
    coded = [s for s in range(RARE) if s != mode and freqs[s]]
    n = coded[-1] + 1 if coded else 0
    out = format(mode, "010b") + format(n, "010b")
    before = bits - 2
    unused = 0
    for s in [*range(n), RARE]:
        if s == mode:
            continue
        if not freqs[s]:
            unused += 1
            continue
        g = freqs[s] - 1
        size = g.bit_length()
        if unused:
            run = format(unused, "b")
            out += "1111" + format(len(run) - 1, "04b") + run[1:]
        step = {before: "0", before - 1: "10", before + 1: "110"}
        out += step.get(size, "1110" + format(size, "04b"))
        out += format(g, "b")[1:4] if g else ""
        before = size
        unused = 0
    return out + "1111" * unused


def distances(shape, group):
    """How far back the neighbours above and in the plane before are; 0: none."""
    long = [n for n in shape if n != 1]
    while len(long) > 4:
        long[:2] = [long[0] * long[1]]
    row = long[-1] if len(long) > 1 else 0
    plane = long[-1] * long[-2] if len(long) > 2 else 0
    return row if row + 1 < group else 0, plane if plane < group else 0


def context(part, row, plane):
    """Context level of every value of a group, and the value to code."""
    weights = {1: 2, 2: 1}
    if row:
        for distance, weight in ((row, 2), (row + 1, 1), (row - 1, 1)):
            weights[distance] = weights.get(distance, 0) + weight
    if plane:
        weights[plane] = weights.get(plane, 0) + 2
    out = []
    for i, r in enumerate(part):
        around = [(part[i - d], w) for d, w in weights.items() if d <= i]
        around = [(v if abs(v) <= 255 else 255, w) for v, w in around]
        a = sum(w * abs(v) for v, w in around)
        e = a.bit_length() - 1
        level = a if a < 4 else 2 * e + (a >> (e - 1)) % 2
        leaning = sum(w * v for v, w in around)
        out.append((level, -r if leaning < 0 and abs(r) <= 255 else r))
    return out


def code_group(part, classes, tables, bits):
    """The words of one group."""
    x = FIRST_STATE
    words = []

    def shrink(limit):
        nonlocal x
        if x >= limit:
            words.append(x % 2**16)
            x >>= 16

    def put_raw(value, width):
        nonlocal x
        shrink(1 << (31 - width))
        x = x << width | value

    for r, c in zip(reversed(part), reversed(classes), strict=True):
        z = zigzag(r, 64)
        s = symbol_of(z)
        raw = z % (1 << raw_width(s))
        for at in range(0, raw_width(s), 15):
            put_raw((raw >> at) % 2**15, min(15, raw_width(s) - at))
        freqs = tables[c]
        if not freqs[s]:
            put_raw(s, 10)
            s = RARE
        shrink(freqs[s] << (31 - bits))
        x = x // freqs[s] * 2**bits + sum(freqs[:s]) + x % freqs[s]
    words += [x >> 16, x % 2**16]
    return words[::-1]


def encode(residuals, shape, exponent, bits, mask):
    """Parameters, main output and sections; ``mask`` has the levels that begin a class."""
    group = 1 << exponent
    parts = groups_of([int(r) for r in residuals], group)
    row, plane = distances(shape, group)
    class_of = [(mask & ((2 << level) - 1)).bit_count() for level in range(LEVELS)]
    if mask:
        seen = [context(part, row, plane) for part in parts]
        classes = [[class_of[level] for level, _ in part] for part in seen]
        parts = [[r for _, r in part] for part in seen]
    else:
        classes = [[0] * len(part) for part in parts]
    counts = [[0] * RARE for _ in range(mask.bit_count() + 1)]
    for part, of in zip(parts, classes, strict=True):
        for r, c in zip(part, of, strict=True):
            counts[c][symbol_of(zigzag(r, 64))] += 1
    made = [frequencies(of, bits) for of in counts]
    tables = [freqs for freqs, _ in made]
    packed = "".join(table_bits(freqs, mode, bits) for freqs, mode in made)
    packed += "0" * (-len(packed) % 8)
    words = [code_group(p, c, tables, bits) for p, c in zip(parts, classes, strict=True)]
    params = bytes([exponent, bits]) + (mask.to_bytes(3, "little") if mask else b"")
    return (
        params,
        np.array([w for of in words for w in of], "<u2").tobytes(),
        {
            "tables": bytes(int(packed[k : k + 8], 2) for k in range(0, len(packed), 8)),
            "group_sizes": np.array([len(of) for of in words], "<u4").tobytes(),
        },
    )
