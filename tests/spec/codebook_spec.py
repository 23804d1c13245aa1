"""Specification of the Huffman codebook: lengths from counts, canonical codes, compact form."""

from __future__ import annotations

import heapq

MAX_LENGTH = 16
FULL = 1 << MAX_LENGTH


def code_lengths(counts):
    """Code length of every symbol, 0 where it does not occur, at most ``MAX_LENGTH``.

    Huffman's algorithm on (weight, leaves before inner nodes, age), so that ties are decided.
    Lengths beyond the limit are cut; the longest codes below it are lengthened until the code
    fits again; what is then left over is given back from the longest on. Lighter symbols (by
    count, then number) get longer codes.
    """
    symbols = sorted((c, s) for s, c in enumerate(counts) if c > 0)
    lengths = [0] * len(counts)
    if len(symbols) == 1:
        lengths[symbols[0][1]] = 1
    if len(symbols) < 2:
        return lengths
    depths = _limited(_huffman_depths([c for c, _ in symbols]))
    for (_, symbol), depth in zip(symbols, sorted(depths, reverse=True), strict=True):
        lengths[symbol] = depth
    return lengths


def _huffman_depths(weights):
    """Depth of every leaf of Huffman's tree over ascending weights."""
    heap = [(w, 0, k, [k]) for k, w in enumerate(weights)]
    heapq.heapify(heap)
    depths = [0] * len(weights)
    for age in range(len(weights) - 1):
        first, second = heapq.heappop(heap), heapq.heappop(heap)
        leaves = first[3] + second[3]
        for leaf in leaves:
            depths[leaf] += 1
        heapq.heappush(heap, (first[0] + second[0], 1, age, leaves))
    return depths


def _limited(depths):
    depths = [min(d, MAX_LENGTH) for d in depths]
    while kraft(depths) > FULL:
        longest = max(d for d in depths if d < MAX_LENGTH)
        depths[depths.index(longest)] += 1
    for length in range(MAX_LENGTH, 1, -1):
        while length in depths and kraft(depths) + (FULL >> length) <= FULL:
            depths[depths.index(length)] -= 1
    return depths


def kraft(lengths):
    """Sum of 2**-length over the used symbols, times ``FULL``; ``FULL`` for a complete code."""
    return sum(FULL >> n for n in lengths if n)


def canonical_codes(lengths):
    """Code of every used symbol as a string of bits, by (length, symbol)."""
    codes = {}
    code, before = -1, 0
    for length, symbol in sorted((n, s) for s, n in enumerate(lengths) if n):
        code = (code + 1) << (length - before)
        before = length
        codes[symbol] = format(code, f"0{length}b")
    return codes


def pack(lengths):
    """Compact form of a codebook (docs/format.md, 2.1)."""
    used = max(s for s, n in enumerate(lengths) if n) + 1
    bits = format(used, "010b")
    before = 8
    s = 0
    while s < used:
        length = lengths[s]
        if length == 0:
            run = 1
            while run < 64 and lengths[s + run] == 0:
                run += 1
            bits += "1111" + format(run - 1, "06b")
            s += run
            continue
        short = {0: "0", 1: "10", -1: "110"}
        bits += short.get(length - before, "1110" + format(length - 1, "04b"))
        before = length
        s += 1
    bits += "0" * (-len(bits) % 8)
    return bytes(int(bits[k : k + 8], 2) for k in range(0, len(bits), 8))


def optimal_cost(counts, limit):
    """Bits of the best code with no length above ``limit`` (package-merge; Larmore, Hirschberg)."""
    leaves = sorted(c for c in counts if c > 0)
    if len(leaves) == 1:
        return leaves[0]
    packages = []
    for _ in range(limit):
        merged = sorted([*leaves, *packages])
        packages = [a + b for a, b in zip(merged[::2], merged[1::2], strict=False)]
    return sum(packages[: len(leaves) - 1])
