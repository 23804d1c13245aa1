"""`rans`, `golomb_rice`, bit planes and signs, for the second reader, from their pages."""

from __future__ import annotations

import numpy as np
from reader_back_ends import need

__all__ = ["ungolomb", "unnegabinary", "unrans", "unshuffle_bits", "unsign"]

RARE, CLASSES = 732, 512


class Bits:
    """A cursor over a bit string, most significant bit first."""

    def __init__(self, data: bytes) -> None:
        self.bits = "".join(f"{byte:08b}" for byte in data)
        self.at = 0

    def number(self, count: int) -> int:
        need(self.at + count <= len(self.bits), "a bit string ends too early")
        self.at += count
        return int(self.bits[self.at - count : self.at] or "0", 2)

    def ones(self, most: int) -> int:
        """Ones up to a zero, which is taken, too, or that many."""
        count = 0
        while count < most and self.number(1):
            count += 1
        return count


def unnegabinary(codes: np.ndarray) -> np.ndarray:
    mask = codes.dtype.type(int("10" * 4 * codes.itemsize, 2))
    return ((codes ^ mask) - mask).view(f"<i{codes.itemsize}")


def unsign(codes: np.ndarray) -> np.ndarray:
    lowest = codes.dtype.type(1 << (8 * codes.itemsize - 1))
    magnitude = (codes & ~lowest).view(f"<i{codes.itemsize}")
    signed = np.where(codes & lowest, -magnitude, magnitude)
    return np.where(codes == lowest, np.iinfo(signed.dtype).min, signed)


def unshuffle_bits(parameters: bytes, data: bytes, count: int, itemsize: int) -> bytes:
    """The bytes of `count` elements from the planes of their blocks."""
    block, out, at = 1 << parameters[0], [], 0
    for start in range(0, count, block):
        m = min(block, count - start)
        row = -(-m // 8)
        planes = np.frombuffer(data[at : at + 8 * itemsize * row], np.uint8)
        need(planes.size == 8 * itemsize * row, "planes that end too early")
        at += planes.size
        bits = np.unpackbits(planes.reshape(-1, row), axis=1, bitorder="little")[:, :m]
        out.append(np.packbits(bits.T, axis=1, bitorder="little").tobytes())
    need(at == len(data), "planes left over")
    return b"".join(out)


def ungolomb(
    parameters: bytes, data: bytes, sides: dict[int, bytes], count: int, itemsize: int
) -> np.ndarray:
    block, codes, at = 1 << parameters[0], [], 0
    ks, sizes = sides[1], np.frombuffer(sides[2], "<u2")
    need(len(ks) == len(sizes) == -(-count // block), "another number of blocks")
    for k, size in zip(ks, sizes.tolist(), strict=True):
        need(k < 8 * itemsize, "more low bits than a code has")
        bits = Bits(data[at : at + size])
        at += size
        for _ in range(min(block, count - len(codes))):
            quotient = bits.ones(24)
            code = bits.number(8 * itemsize) if quotient == 24 else quotient << k | bits.number(k)
            codes.append(code % (1 << 8 * itemsize))
        need(len(bits.bits) - bits.at < 8, "bytes left over in a block")
    need(at == len(data), "blocks left over")
    return np.array(codes, f"<u{itemsize}")


# rans -----------------------------------------------------------------------------------------


def read_tables(bits: Bits, width: int, classes: int) -> list[list[tuple[int, int]]]:
    """For each class the symbol of every slot, as (symbol, its first slot, frequency)."""
    return [slots_of(read_frequencies(bits, width), width) for _ in range(classes)]


def read_frequencies(bits: Bits, width: int) -> dict[int, int]:
    rest, covered = bits.number(10), bits.number(10)
    need(rest <= RARE and covered <= RARE and covered != rest + 1, "symbols that there are not")
    found: dict[int, int] = {}
    before, symbol = width - 2, 0
    places = [s for s in range(covered) if s != rest]
    if rest != RARE:
        places.append(RARE)
    k = 0
    while k < len(places):
        symbol = places[k]
        prefix = bits.ones(4)
        if prefix == 4:
            if symbol == RARE:
                break
            e = bits.number(4)
            k = skip(places, k, (1 << e) + bits.number(e))
            continue
        before = bits.number(4) if prefix == 3 else before + (0, -1, 1)[prefix]
        need(0 <= before <= width, "a frequency of so many bits")
        g = 0
        if before:
            kept = min(3, before - 1)
            g = (1 << kept | bits.number(kept)) << (before - 1 - kept)
        found[symbol] = g + 1
        k += 1
    found[rest] = (1 << width) - sum(found.values())
    need(found[rest] > 0, "frequencies of more than all slots")
    return found


def skip(places: list[int], k: int, run: int) -> int:
    """The place after a run of unused symbols, where a used one is; not the rare one."""
    need(k + run < len(places) - (places[-1] == RARE), "a run of symbols that is too long")
    return k + run


def slots_of(frequencies: dict[int, int], width: int) -> list[tuple[int, int, int]]:
    slots: list[tuple[int, int, int]] = []
    for symbol, f in sorted(frequencies.items()):
        slots += [(symbol, len(slots), f)] * f
    need(len(slots) == 1 << width, "frequencies that do not fill the table")
    return slots


class State:
    """The decoder of one group."""

    def __init__(self, words: list[int]) -> None:
        need(len(words) >= 2, "a group without a state")
        self.words, self.at = words, 2
        self.x = words[0] | words[1] << 16

    def fill(self) -> None:
        while self.x < 1 << 15:
            need(self.at < len(self.words), "a group that ends too early")
            self.x = self.x << 16 | self.words[self.at]
            self.at += 1

    def symbol(self, slots: list[tuple[int, int, int]], width: int) -> int:
        slot = self.x & ((1 << width) - 1)
        symbol, first, f = slots[slot]
        self.x = f * (self.x >> width) + slot - first
        self.fill()
        return symbol

    def raw(self, count: int) -> int:
        value = 0
        parts = [count % 15] * (count % 15 > 0) + [15] * (count // 15)
        for part in parts:
            value = value << part | self.x & ((1 << part) - 1)
            self.x >>= part
            self.fill()
        return value


def unrans(
    parameters: bytes, data: bytes, sides: dict[int, bytes], shape: tuple[int, ...], itemsize: int
) -> np.ndarray:
    """The lattice from its groups of words."""
    group, width = 1 << parameters[0], parameters[1]
    begins = 1 | int.from_bytes(parameters[2:], "little")
    class_of = [(begins & ((2 << level) - 1)).bit_count() - 1 for level in range(24)]
    bits = Bits(sides[1])
    tables = read_tables(bits, width, begins.bit_count())
    need(len(bits.bits) - bits.at < 8, "tables left over")
    count = int(np.prod(shape))
    sizes = np.frombuffer(sides[2], "<u4").tolist()
    need(len(sizes) == -(-count // group), "another number of groups")
    need(count <= 8192 * (len(data) + 4 * len(sizes)), "bytes that cannot hold so many values")
    words = np.frombuffer(data, "<u2").tolist()
    long = [n for n in shape if n != 1]
    while len(long) > 4:
        long[:2] = [long[0] * long[1]]
    row = long[-1] if len(long) >= 2 and long[-1] + 1 < group else 0
    plane = long[-1] * long[-2] if len(long) >= 3 and long[-1] * long[-2] < group else 0
    out: list[int] = []
    at = 0
    for size in sizes:
        state = State(words[at : at + size])
        at += size
        contexts = len(parameters) == 5
        out += read_group(
            state,
            tables,
            class_of if contexts else None,
            width,
            row,
            plane,
            min(group, count - len(out)),
        )
    need(at == len(words), "words left over")
    zigzag = np.array(out, np.uint64)
    half = (zigzag >> np.uint64(1)).astype(np.int64)
    return np.where(zigzag & np.uint64(1), ~half, half).astype(f"<i{itemsize}")


def read_group(state, tables, class_of, width, row, plane, count) -> list[int]:
    """Zigzagged values of one group."""
    out: list[int] = []
    near: list[int] = []  # residuals, those beyond 255 in magnitude as 255

    def around(value, i: int) -> int:
        def at(k: int) -> int:
            return value(near[k]) if k >= 0 else 0

        total = 2 * at(i - 1) + at(i - 2)
        if row:
            total += 2 * at(i - row) + at(i - row - 1) + at(i - row + 1)
        return total + (2 * at(i - plane) if plane else 0)

    for i in range(count):
        table, mirrored = 0, False
        if class_of is not None:
            a = around(abs, i)
            e = a.bit_length() - 1
            table = class_of[a if a < 4 else 2 * e + (a >> (e - 1) & 1)]
            mirrored = around(int, i) < 0
        symbol = state.symbol(tables[table], width)
        if symbol == RARE:
            symbol = state.raw(10)
            need(symbol < RARE, "a rare symbol that is none")
        if symbol < CLASSES:
            value = symbol
        else:
            exponent, top = 9 + (symbol - CLASSES) // 4, (symbol - CLASSES) % 4
            value = (4 + top) << (exponent - 2) | state.raw(exponent - 2)
        if mirrored and 1 <= value <= 510:
            value = value + 1 if value & 1 else value - 1
        out.append(value)
        half = value >> 1
        near.append((~half if value & 1 else half) if value <= 510 else 255)
    need(state.x == 1 << 15 and state.at == len(state.words), "a group with words left over")
    return out
