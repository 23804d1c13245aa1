"""A second reader of the fzdask stream, written from ``docs/format.md`` alone.

It imports nothing of fzdask: Python, NumPy and a zstd library are all that a stranger needs to
read these streams. It is meant to be read beside the page, section by section, and is slow (a
Python loop over the Huffman codes). The tests hold it against the library, bit for bit.

    from reader import read
    array = read(stream_bytes)
"""

from __future__ import annotations

import hashlib
import math
import re
import struct
from pathlib import Path

import numpy as np
import reader_interpolate
import reader_logarithm
import reader_planes
from reader_header import (
    BACK_ENDS,
    FIXED_LENGTH,
    HUFFMAN,
    INTERPOLATE,
    LOGARITHM,
    QUANTIZE,
    STAGES_READ,
    ZIGZAG,
    Bytes,
    Header,
    MalformedError,
    Stage,
    read_header,
    require,
)

__all__ = ["STAGES_READ", "MalformedError", "read"]


# --------------------------------------------------------------------------------------------
# Section 2: from stages to values


def read(stream: bytes, codebook: bytes = b"") -> np.ndarray:
    """Return the array that `stream` holds: its dtype, shape, memory order and values.

    `codebook` is the compact form of one that the stream only names.
    """
    header = read_header(stream)
    header.codebook = codebook
    memory_shape = header.shape[::-1] if header.fortran else header.shape
    chain = [stage for stage in header.stages if stage.number not in BACK_ENDS]
    if not classical(chain):
        import reader_chain

        require(header.dtype.itemsize * math.prod(memory_shape) > 0, "stages for no bytes")
        array = reader_chain.read_chain(header, chain, memory_shape).reshape(memory_shape)
        return array.T if header.fortran else array
    if header.dtype.itemsize * math.prod(memory_shape) == 0:
        require(not header.stages, "stages for an array of no bytes")
    if chain and chain[0].number in (QUANTIZE, LOGARITHM, INTERPOLATE):
        values = read_quantized(header, chain, memory_shape)
    else:
        values = read_lossless(header, math.prod(memory_shape), shuffled=bool(chain))
    array = values.reshape(memory_shape)
    return array.T if header.fortran else array


def classical(chain: list[Stage]) -> bool:
    """Whether this is a chain of the main presets, or of a part of their stages."""
    numbers = "".join(f"{stage.number} " for stage in chain)
    return bool(re.fullmatch("(5 )?|(20 )?(1 (2 )*|6 )(3 |7 |(7 )?11 )?", numbers))


def read_lossless(header: Header, count: int, *, shuffled: bool) -> np.ndarray:
    """Return the elements of a stream with no stage, or with `shuffle` only."""
    header.check({(0, 0)}, count)
    data = header.section(0, 0)
    itemsize = header.dtype.itemsize
    require(len(data) == count * itemsize, "the section is not as long as the array")
    if shuffled:
        planes = np.frombuffer(data, np.uint8).reshape(itemsize, count)
        data = np.ascontiguousarray(planes.T).tobytes()
    values = np.empty(count, header.dtype)
    if values.nbytes:
        values.view(np.uint8)[:] = np.frombuffer(data, np.uint8)
    return values


def read_quantized(header: Header, chain: list[Stage], memory_shape: tuple[int, ...]) -> np.ndarray:
    """Return the elements of a stream whose chain quantizes, perhaps logarithms."""
    native = header.dtype.newbyteorder("<")
    require(native.kind in "iufc", "quantize is for numbers")
    if native.kind == "c":
        memory_shape = (*memory_shape, 2)
        native = np.dtype(f"<f{native.itemsize // 2}")
    require(native.itemsize <= 8, "quantize is for numbers of up to 8 bytes")
    count = math.prod(memory_shape)

    last = len(chain) - 1
    first = 1 if chain[0].number == LOGARITHM else 0  # where quantize is
    expected = {(last, 0)}
    if chain[last].number == HUFFMAN:
        named = (last, 3) in header.sections
        expected |= {(last, 3 if named else 1), (last, 2)}
    if chain[last].number == FIXED_LENGTH:
        apart = chain[last].parameters[0] & 4
        expected |= {(last, number) for number in (1, 2, *([3] if apart else []))}
    has_outliers = (first, 1) in header.sections
    if has_outliers:
        expected |= {(first, 1), (first, 2)}
    given, bound = native, header.element_bound
    if first:
        logarithm = chain[0].parameters
        given, bound = read_logarithm(logarithm, native)
        numbers = logarithm_sections(logarithm, (0, 3) in header.sections)
        expected |= {(0, number) for number in numbers}
    given_by, stored = chain[first].parameters, memory_shape
    levels = chain[first].number == INTERPOLATE and given_by == b"\x01"
    if levels:
        expected |= {(first, 3)}
        given_by = b"\x04"
    elif chain[first].number == INTERPOLATE:
        require(len(given_by) in (3, 4) and given_by[0] == 0, "an unknown way of prediction")
        stored = reader_interpolate.stored_shape(memory_shape, given_by[3:])
        require(stored is not None, "another axis innermost that is not there")
        given_by, differenced, innermost = given_by[1:2], given_by[2], given_by[3:]
    header.check(expected, count)

    require(given_by in (b"\x04", b"\x08"), "a lattice of 4 or 8 bytes")
    lattice_type = np.dtype(f"<i{given_by[0]}")
    if chain[last].number == HUFFMAN:
        lattice = unhuffman(header, last, chain.pop().parameters, count, lattice_type)
    elif chain[last].number in (ZIGZAG, FIXED_LENGTH):
        lattice = read_codes(header, chain, count, lattice_type)
        chain = [stage for stage in chain if stage.number not in (ZIGZAG, FIXED_LENGTH)]
    else:
        data = header.section(last, 0)
        require(len(data) == count * lattice_type.itemsize, "the lattice is of another length")
        lattice = np.frombuffer(data, lattice_type)
    for stage in reversed(chain[first + 1 :]):  # one of order 2 cannot change places with others
        lattice = unlorenzo(lattice, stored, stage.parameters[0])

    if levels:
        try:
            values = reader_interpolate.values_of(
                lattice, memory_shape, given, bound, header.section(first, 3)
            )
        except reader_interpolate.MisfitError as misfit:
            raise MalformedError(f"interpolate: {misfit}") from misfit
    else:
        if chain[first].number == INTERPOLATE:
            lattice = reader_interpolate.in_array_order(lattice, stored, innermost)
            lattice = unlorenzo(lattice, memory_shape, differenced)
        values = dequantize(lattice, given, bound)
    if has_outliers:
        put_outliers_back(values, header.section(first, 1), header.section(first, 2))
    if first:
        sides = {number: header.section(0, number) for number in numbers}
        values = unlogarithm(values, logarithm, sides, memory_shape, native.itemsize)
    return values.view(header.dtype.newbyteorder("<")).astype(header.dtype)


def read_codes(
    header: Header, chain: list[Stage], count: int, lattice_type: np.dtype
) -> np.ndarray:
    """Return the `count` lattice integers behind zigzag, fixed_length or both."""
    last = len(chain) - 1
    data = header.section(last, 0)
    if chain[last].number == ZIGZAG:
        require(len(data) == count * lattice_type.itemsize, "the codes are of another length")
        codes = np.frombuffer(data, f"<u{lattice_type.itemsize}")
    else:
        sides = {k: header.section(last, k) for k in (1, 2, 3) if (last, k) in header.sections}
        try:
            codes = reader_planes.unpack(
                chain[last].parameters, count, lattice_type.itemsize, data, sides
            )
        except reader_planes.Misfit as misfit:
            raise MalformedError(f"fixed_length: {misfit}") from misfit
    return reader_planes.unzigzag(codes, lattice_type)


def read_logarithm(parameters: bytes, dtype: np.dtype) -> tuple[np.dtype, float]:
    """Return the dtype and the bound of the integers that `logarithm` makes of floats."""
    scale, flags, bound = struct.unpack("<BBI", parameters)
    require(dtype.kind == "f", "a logarithm of no float")
    require(flags & 4 or not flags & 64, "coded signs that are not there")
    require(flags & 16 or not flags & 128, "coded zeros that are not there")
    mantissa = reader_logarithm.MANTISSA[dtype.itemsize]
    require(10 <= scale <= 30 if flags & 1 else scale == mantissa, "units of a logarithm")
    return np.dtype("<i8" if flags & 32 else "<i4"), float(bound)


def logarithm_sections(parameters: bytes, has_exact: bool) -> set[int]:
    """Return the numbers of the side sections of `logarithm`."""
    there = [parameters[1] & 4, parameters[1] & 16, has_exact, has_exact]
    return {number for number, is_there in enumerate(there, 1) if is_there}


def unlogarithm(
    values: np.ndarray,
    parameters: bytes,
    sides: dict[int, bytes],
    memory_shape: tuple[int, ...],
    itemsize: int,
) -> np.ndarray:
    """Return the floats of so many bytes whose logarithms are `values`."""
    scale, flags = parameters[:2]
    require(set(sides) == logarithm_sections(parameters, 3 in sides), "sections of a logarithm")
    zeros = signs = None
    if 2 in sides:
        zeros = reader_logarithm.read_bits(sides[2], memory_shape, flags & 128)
        require(zeros is not None, "zeros of another length")
    if 1 in sides:
        signs = reader_logarithm.read_bits(sides[1], memory_shape, flags & 64, zeros)
        require(signs is not None, "signs of another length")
    floats = reader_logarithm.from_logarithms(values, itemsize, scale, flags, signs, zeros)
    if 3 in sides:
        exact = sides[4]
        if len(exact) == itemsize:  # one for all
            named = reader_logarithm.count_exact(Bytes(sides[3]))
            require(named <= len(values), "more exact values than there are values")
            exact *= named
        put_outliers_back(floats, sides[3], exact)
    return floats


# Section 2.1: huffman -------------------------------------------------------------------------


# The first symbol of each kind, the one that says the codebook has none, and their number.
CLASSES, RUNS, ESCAPE, SYMBOLS = 512, 732, 748, 749


class Bits:
    """A cursor over a bit string, most significant bit first."""

    def __init__(self, data: bytes) -> None:
        self.bits = "".join(f"{byte:08b}" for byte in data)
        self.at = 0

    def take(self, count: int) -> str:
        require(self.at + count <= len(self.bits), "a bit string ends too early")
        self.at += count
        return self.bits[self.at - count : self.at]

    def number(self, count: int) -> int:
        return int(self.take(count) or "0", 2)


def read_codebook(data: bytes) -> dict[str, int]:
    """Return the symbol of each code, the codes as text of zeros and ones."""
    bits = Bits(data)
    entries = bits.number(10)
    require(entries <= SYMBOLS, "a codebook with more symbols than the alphabet")
    lengths: dict[int, int] = {}
    symbol, before = 0, 8
    while symbol < entries:
        prefix = ""
        while len(prefix) < 4 and not prefix.endswith("0"):
            prefix += bits.take(1)
        if prefix == "1111":
            symbol += bits.number(6) + 1
            continue
        if prefix == "1110":
            before = bits.number(4) + 1
        else:
            before += {"0": 0, "10": 1, "110": -1}[prefix]
        require(1 <= before <= 16, "a code length out of range")
        lengths[symbol] = before
        symbol += 1
    require(symbol == entries and symbol - 1 in lengths, "a codebook that ends unused")
    require(len(bits.bits) - bits.at < 8, "bytes left over after a codebook")
    kraft = sum(1 << (16 - length) for length in lengths.values())
    require(kraft == 1 << 16 or list(lengths.values()) == [1], "an incomplete codebook")

    codes, code, length_before = {}, -1, 0
    for symbol, length in sorted(lengths.items(), key=lambda entry: (entry[1], entry[0])):
        code = (code + 1) << (length - length_before) if codes else 0
        codes[f"{code:0{length}b}"] = symbol
        length_before = length
    return codes


STANDARD_CODEBOOKS = Path(__file__).parents[2] / "fzdask" / "codecs" / "standard_codebooks.bin"


def standard_codebook(number: int, run_symbol: int | None) -> bytes:
    """Return the compact form of a standard codebook; the file holds two sets of them."""
    file = Bytes(STANDARD_CODEBOOKS.read_bytes())
    for run_symbol_of_set in (None, 0):
        books = [file.take(file.byte()) for _ in range(file.byte() + 1)]
        if run_symbol_of_set == run_symbol:
            require(number < len(books), "a standard codebook that there is none of")
            return books[number]
    raise MalformedError("a standard codebook for other runs than of symbol 0")


def unhuffman(
    header: Header, index: int, parameters: bytes, count: int, lattice_type: np.dtype
) -> np.ndarray:
    """Return the `count` lattice integers that the three sections of huffman hold."""
    require(8 <= parameters[0] <= 14, "the size of a group is out of range")
    group = 1 << parameters[0]
    run_symbol = int.from_bytes(parameters[1:], "little") if len(parameters) == 3 else None
    require(run_symbol is None or run_symbol < CLASSES, "runs of a symbol that is not a value")

    payload = Bytes(header.section(index, 0))
    if (index, 3) in header.sections:
        runs = 65535 if run_symbol is None else run_symbol
        name = hashlib.sha256(runs.to_bytes(2, "little") + header.codebook).digest()[:8]
        require(header.section(index, 3) == name, "the codebook that the stream names is missing")
        codes = read_codebook(header.codebook)
    else:
        packed = header.section(index, 1)
        if len(packed) == 1:
            packed = standard_codebook(packed[0], run_symbol)
        codes = read_codebook(packed)
    unused = range(RUNS, ESCAPE) if run_symbol is None else [run_symbol]
    require(not set(unused) & set(codes.values()), "a codebook that does not fit the runs")
    sizes_section = header.section(index, 2)
    require(len(sizes_section) == 2 * -(-count // group), "another number of groups than expected")
    sizes = np.frombuffer(sizes_section, "<u2")
    require(4 * int(sizes.sum()) == len(payload.data), "group sizes that are not the payload's")

    lattice = np.empty(count, lattice_type)
    for k, words in enumerate(sizes):
        start, stop = k * group, min((k + 1) * group, count)
        data = np.frombuffer(payload.take(4 * int(words)), "<u4").astype(">u4").tobytes()
        lattice[start:stop] = decode_group(Bits(data), codes, run_symbol, stop - start)
    return lattice


def decode_group(
    bits: Bits, codes: dict[str, int], run_symbol: int | None, count: int
) -> np.ndarray:
    """Return the `count` integers of one group, as int64."""
    numbers: list[int] = []  # zigzagged
    while len(numbers) < count:
        code = bits.take(1)
        while code not in codes:
            require(len(code) < 16, "bits that are no code")
            code += bits.take(1)
        symbol = codes[code]
        if symbol == ESCAPE:
            symbol = bits.number(10)
            require(symbol < RUNS, "an escape to a symbol that is no value")
        if symbol < CLASSES:
            numbers.append(symbol)
        elif symbol < RUNS:
            exponent, top = 9 + (symbol - CLASSES) // 4, (symbol - CLASSES) % 4
            numbers.append((4 + top) << (exponent - 2) | bits.number(exponent - 2))
        else:
            exponent = symbol - RUNS
            run = (1 << exponent) + bits.number(exponent)
            require(len(numbers) + run <= count, "a run crosses the end of its group")
            numbers += [run_symbol] * run
    require(len(bits.bits) - bits.at < 32, "a group has more words than it needs")
    zigzag = np.array(numbers, np.uint64)
    magnitude = (zigzag >> np.uint64(1)).astype(np.int64)
    return np.where(zigzag & np.uint64(1), ~magnitude, magnitude)  # -(m + 1) = ~m


# Section 2.2: lorenzo -------------------------------------------------------------------------


def unlorenzo(lattice: np.ndarray, memory_shape: tuple[int, ...], given: int) -> np.ndarray:
    """Return the lattice, flat, from its differences along the axes that the parameter names."""
    mask, twice = given & 15, given >> 4
    folded = [length for length in memory_shape if length != 1]
    while len(folded) > 4:
        folded[:2] = [folded[0] * folded[1]]
    require(mask >> len(folded) == 0, "lorenzo differences an axis that is not there")
    require(twice & ~mask == 0, "lorenzo differences an axis twice, but not once")
    lattice = lattice.reshape(folded)
    for axis in range(len(folded)):
        if twice >> axis & 1:  # the first of the differences was not differenced again
            head, tail = np.split(lattice, [1], axis=axis)
            tail = np.cumsum(tail, axis=axis, dtype=lattice.dtype)
            lattice = np.concatenate([head, tail], axis=axis)
        if mask >> axis & 1:
            lattice = np.cumsum(lattice, axis=axis, dtype=lattice.dtype)  # integers wrap around
    return lattice.reshape(-1)


# Section 2.3: quantize ------------------------------------------------------------------------


def dequantize(lattice: np.ndarray, dtype: np.dtype, bound: float) -> np.ndarray:
    """Return the values, of `dtype`, at the points of the lattice."""
    if dtype.kind == "f":
        step = 2.0 * bound
        require(0 < step < math.inf and 1 / step < math.inf, f"no lattice has the step {step}")
        with np.errstate(over="ignore", invalid="ignore"):
            values = lattice.astype(np.float64) * step
            if dtype.itemsize < 8:
                values = values.astype(np.float32)
            return values.astype(dtype)
    require(0 <= bound < 2**62 and bound == int(bound), "integers need a whole bound")
    if bound == 0:
        return lattice.astype(dtype)  # keeps the low bits
    limits = np.iinfo(dtype)
    values = lattice.astype(np.int64) * np.int64(2 * int(bound) + 1)  # arrays wrap around
    return np.clip(values, limits.min, min(limits.max, 2**63 - 1)).astype(dtype)


def put_outliers_back(values: np.ndarray, runs: bytes, outliers: bytes) -> None:
    """Write the outliers into `values`."""
    pairs = Bytes(runs)
    raw = Bytes(outliers)
    at = 0
    while not pairs.finished:
        at += pairs.varint()
        run = pairs.varint()
        require(run > 0, "a run of no outliers")
        require(at + run <= len(values), "outliers past the end of the array")
        values[at : at + run] = np.frombuffer(raw.take(run * values.itemsize), values.dtype)
        at += run
    require(raw.finished, "outliers left over")
