"""Kernels of the Huffman coder: vectors against plain loops, lanes against one by one."""

from __future__ import annotations

import numpy as np
import pytest
from numba import njit

from fzdask.codecs.codebooks import own_coding
from fzdask.codecs.kernels.cpu import (
    huffman,
    huffman_runs,
    huffman_single,
    huffman_steps,
    symbols,
)
from fzdask.codecs.kernels.cpu.codebook import MAX_LENGTH, TABLE_BITS
from fzdask.codecs.kernels.cpu.huffman_steps import (
    EIGHTS,
    FAR,
    FOURS,
    JOINED,
    LONG_EIGHT,
    LONG_SIXTEEN,
    NEAR,
    SIXTEENS,
    UNIT,
)
from fzdask.codecs.kernels.cpu.huffman_table import COUNT_SHIFT, LARGE, LONGEST_RUN, SEVERAL
from fzdask.codecs.stages.symbols import Symbols

GROUP = 256


def step(far):
    """One step on vectors, compiled here: the processor's own instructions or not."""
    codes = huffman_steps.codes_far if far else huffman_steps.codes_near

    @njit
    def run(z, table, out):
        return codes(z.ctypes.data, table.ctypes.data, out.ctypes.data)

    return run


def joined(z, table, size):
    """What a step gives, by Python's integers."""
    flags = 0
    for k, s in enumerate(z.tolist()):
        if s >= size or table[FAR + s] > 16:
            flags |= 1 << k
    if flags:
        return flags, None
    words = {}
    for many in (4, 8, 16):
        for start in range(0, UNIT, many):
            value = length = 0
            for s in z[start : start + many].tolist():
                value = value << int(table[FAR + s]) | int(table[s])
                length += int(table[FAR + s])
            words[many, start // many] = value, length
    return 0, words


@pytest.mark.parametrize("permutes", [True, False], ids=["as here", "anywhere"])
@pytest.mark.parametrize("far", [False, True], ids=["near", "far"])
def test_codes_of_32_symbols_joined(far, permutes, monkeypatch):
    if not permutes:
        monkeypatch.setattr(huffman_steps, "has", lambda feature: False)
    run = step(far)
    size = FAR if far else NEAR
    rng = np.random.default_rng(1)
    table = np.zeros(2 * FAR, np.uint16)
    out = np.empty(JOINED, np.uint64)
    longest = set()
    for most in (2, 4, 6, 9, 16):
        for _ in range(20):
            table[FAR:] = rng.integers(1, most + 1, FAR)
            table[:FAR] = rng.integers(0, 1 << 16, FAR) & ((1 << table[FAR:].astype(int)) - 1)
            if rng.random() < 0.2:
                table[FAR + rng.integers(size)] = 64  # no code
            z = rng.integers(0, size + (rng.random() < 0.2) * 70, UNIT).astype(np.uint16)
            z = np.minimum(z, FAR + 5 if far else FAR - 1).astype(np.uint16)
            got = int(run(z, table, out))
            padded = np.concatenate([table, np.full(FAR, 64, np.uint16)])
            flags, words = joined(z, padded if z.max() < FAR else np.pad(table, (0, 70)), size)
            assert got & 0xFFFFFFFF == flags
            if words is None:
                continue
            over = {4: 0, 8: LONG_EIGHT, 16: LONG_SIXTEEN}
            for many, at in ((4, FOURS), (8, EIGHTS), (16, SIXTEENS)):
                count = UNIT // many
                fits = all(words[many, k][1] <= 64 for k in range(count))
                assert bool(got & over[many]) == (not fits)
                longest.add((many, fits))
                for k in range(count):
                    value, length = words[many, k]
                    assert int(out[at + count + k]) == length
                    if length <= 64:
                        assert int(out[at + k]) == value
    assert {(8, True), (8, False), (16, True), (16, False)} <= longest


RNG = np.random.default_rng(3)
SIZE = 40 * GROUP + 77
FIELDS = {
    "small": np.rint(RNG.laplace(0, 1.5, SIZE)),
    "two values": RNG.integers(0, 2, SIZE),
    "near and far": np.rint(RNG.laplace(0, 30, SIZE)),
    "classes": np.rint(RNG.standard_t(1, SIZE) * 20),
    "hardly a small one": np.rint(RNG.laplace(0, 400, SIZE)),
    "a third of 17 bits and more": np.rint(RNG.laplace(0, 30000, SIZE)),
    "wide": np.where(RNG.random(SIZE) < 0.01, RNG.integers(-(2**30), 2**30, SIZE), 1),
    "short runs": np.where(RNG.random(SIZE) < 0.05, RNG.integers(-4, 5, SIZE), 0),
    "long runs": np.where(RNG.random(SIZE) < 0.005, RNG.integers(-400, 500, SIZE), 0),
    "runs and classes": np.where(RNG.random(SIZE) < 0.1, RNG.integers(-90000, 90000, SIZE), 0),
    "runs of another value": np.where(RNG.random(SIZE) < 0.02, RNG.integers(-4, 5, SIZE), 7),
    "zero": np.zeros(SIZE),
}


@pytest.mark.parametrize("name", FIELDS)
def test_chunks_in_step_are_the_chunks_one_by_one(name):
    residual = FIELDS[name].astype(np.int32)
    coded = Symbols.of(residual)
    coding = own_coding(coded, GROUP)
    book = coding.book
    groups = -(-SIZE // GROUP)
    words = np.zeros(coding.bits // 32 + groups + 2, np.uint32)
    sizes = np.empty(groups, np.uint16)
    used = huffman.encode(coded.z, coded.wide, GROUP, book.mode, book.codes, words, sizes)
    assert sizes.sum() == used <= coding.bits // 32 + groups
    starts = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
    for table in (book.several_table, np.zeros(0, np.uint64)):
        room = np.full(used + GROUP * 4, 0xABCDEF01, np.uint32)
        z = np.full(SIZE + 64, 0xABCD, np.uint16)[:SIZE]
        places, wide = np.zeros(SIZE, np.int64), np.zeros(SIZE, np.uint64)
        many = huffman.decode(
            words.ctypes.data,
            room,
            starts,
            GROUP,
            book.mode,
            *book.decoding_tables,
            table,
            z,
            places,
            wide,
        )
        assert many == coded.wide.size
        order = np.argsort(places[:many])
        out = np.empty(SIZE, np.int32)
        symbols.residual_of(z, places[:many][order], wide[:many][order], out)
        assert np.array_equal(out, residual)


def test_a_run_symbol_other_than_zero_has_no_table():
    coding = own_coding(Symbols.of(FIELDS["runs of another value"].astype("i4")), GROUP)
    assert coding.book.mode == 14
    assert coding.book.several_table.size == 0
    coding = own_coding(Symbols.of(FIELDS["short runs"].astype("i4")), GROUP)
    table = coding.book.several_table
    assert coding.book.mode == 0
    assert table.size == 1 << TABLE_BITS
    counts = (table >> np.uint64(COUNT_SHIFT)).astype(int)
    assert SEVERAL < counts.max() < SEVERAL + LONGEST_RUN
    assert ((table & np.uint64(255)) <= TABLE_BITS).all()


def several(codes, bits, runs):
    """Values at the start of some bits, and how many bits they take, one by one."""
    values = []
    used = places = 0
    while places < SEVERAL:
        length = next((n for n in range(1, len(bits) - used + 1) if bits[used:][:n] in codes), 0)
        symbol = codes.get(bits[used:][:length], LARGE)
        if symbol < LARGE:
            values.append(symbol)
        elif runs and symbol >= symbols.RUN:
            raw = bits[used + length :][: symbol - symbols.RUN]
            length += symbol - symbols.RUN
            run = int("1" + raw, 2)
            if used + length > len(bits) or run > LONGEST_RUN:
                break
            values += [0] * run
        else:
            break
        used += length
        places = len(values)
    return values, used


@pytest.mark.parametrize("name", FIELDS)
def test_a_table_of_several_symbols_is_what_they_give_one_by_one(name):
    book = own_coding(Symbols.of(FIELDS[name].astype("i4")), GROUP).book
    if book.mode > 0:
        return
    codes = {
        f"{int(book.codes[s]) >> 8:0{length}b}": s
        for s, length in enumerate(book.lengths.tolist())
        if length
    }
    for index, entry in enumerate(book.several_table.tolist()):
        values, used = several(codes, f"{index:0{TABLE_BITS}b}", book.mode == 0)
        assert entry >> COUNT_SHIFT == len(values)
        assert entry & 255 == used
        held = [entry >> 8 * k & 255 for k in range(1, 1 + SEVERAL)]
        assert held == (values + [0] * SEVERAL)[:SEVERAL]


@pytest.mark.parametrize("gathers", [True, False], ids=["as here", "anywhere"])
def test_values_between_runs_are_gathered_with_their_places(gathers, monkeypatch):
    if not gathers:
        monkeypatch.setattr(huffman_runs, "_GATHERS", False)
    gather = njit(huffman_runs._gather.py_func)
    for size in (0, 1, 31, 32, 33, 255, 256, 256 + 77):
        for share in (0.0, 0.04, 0.5, 1.0):
            z = np.where(RNG.random(size) < share, RNG.integers(0, 1 << 16, size), 3)
            z = z.astype(np.uint16)
            entries = np.full(size + huffman_runs.ROOM, 0xABCD, np.uint32)
            many = gather(z, 3, entries)
            places = np.flatnonzero(z != 3)
            assert np.array_equal(entries[:many], places << 16 | z[places])


@pytest.mark.parametrize("name", ["short runs", "runs and classes", "wide", "zero"])
@pytest.mark.parametrize("every", [1, 3])
def test_runs_are_counted_as_plain_loops_count_them(name, every):
    residual = FIELDS[name].astype(np.int64)
    coded = Symbols.of(residual)
    mode = int(coded.counts.argmax())
    counts = np.zeros(symbols.ALPHABET, np.int64)
    taken = huffman.count_runs(coded.z, coded.wide, GROUP, every, mode, counts)
    expected = np.zeros(symbols.ALPHABET, np.int64)
    total = 0
    for start in range(0, SIZE, every * GROUP):
        run = 0
        part = residual[start : start + GROUP].tolist()
        for r in part:
            z = 2 * r if r >= 0 else -2 * r - 1
            if z == mode:
                run += 1
                continue
            if run:
                expected[symbols.RUN + run.bit_length() - 1] += 1
            run = 0
            expected[symbols.symbol_of(np.uint64(z))] += 1
        if run:
            expected[symbols.RUN + run.bit_length() - 1] += 1
        total += len(part)
    assert taken == total
    assert np.array_equal(counts, expected)


@pytest.mark.parametrize("name", FIELDS)
def test_the_table_of_one_value_holds_every_code_that_fits(name):
    book = own_coding(Symbols.of(FIELDS[name].astype(np.int64)), GROUP).book
    table, limit, offset = huffman_single.value_table(book.decoding_tables[1])
    for s in np.flatnonzero(book.lengths).tolist():
        length = int(book.lengths[s])
        prefix = (int(book.codes[s]) >> 8) << (MAX_LENGTH - length)
        extra = int(symbols.extra_bits(s))
        short = MAX_LENGTH - TABLE_BITS
        entry = int(table[prefix >> short if prefix < limit else prefix - offset])
        if s >= symbols.BEYOND_16_BITS or length + extra > 28:
            assert entry >> huffman_single.SPECIAL_BIT & 1
        else:
            base = s if s < symbols.DIRECT else int(symbols.class_base(s))
            assert entry == base << 16 | length + extra << 8 | extra
