"""A second reader of the fzdask stream, written from ``docs/format.md`` alone.

It imports nothing of fzdask: Python, NumPy and a zstd library are all that a stranger needs to
read these streams. It is meant to be read beside the page, section by section, and is slow (a
Python loop over the Huffman codes). The tests hold it against the library, bit for bit.

    from reader import read
    array = read(stream_bytes)
"""

from __future__ import annotations

import ast
import hashlib
import math
import re
import struct
import zlib
from dataclasses import dataclass, field

import numpy as np
import reader_interpolate
import reader_logarithm
import reader_planes
from numcodecs import zstd as zstd_library


class MalformedError(ValueError):
    """The bytes are no fzdask stream of version 0, or are damaged."""


def require(condition: bool, complaint: str) -> None:
    """Raise `MalformedError` with `complaint` unless `condition` holds."""
    if not condition:
        raise MalformedError(complaint)


# --------------------------------------------------------------------------------------------
# Section 1: the header


DTYPES = {
    0: "bool", 1: "int8", 2: "int16", 3: "int32", 4: "int64",
    5: "uint8", 6: "uint16", 7: "uint32", 8: "uint64",
    9: "float16", 10: "float32", 11: "float64", 12: "complex64", 13: "complex128",
}  # fmt: skip
DESCRIBED = 63

LOSSLESS, ABSOLUTE, RELATIVE, POINTWISE, PSNR = range(5)  # kinds of bound
QUANTIZE, LORENZO, HUFFMAN, ZSTD, SHUFFLE, LOGARITHM = 1, 2, 3, 4, 5, 20
INTERPOLATE, ZIGZAG, FIXED_LENGTH = 6, 7, 11
BACK_ENDS = {ZSTD}
STAGES_READ = {QUANTIZE, LORENZO, HUFFMAN, ZSTD, SHUFFLE, LOGARITHM, ZIGZAG, FIXED_LENGTH}
STAGES_READ |= {INTERPOLATE}
LETTERS = {LOGARITHM: "L", FIXED_LENGTH: "F"}  # of stages whose numbers have two digits


@dataclass
class Bytes:
    """A cursor over bytes; reading past the end is `MalformedError`."""

    data: bytes
    at: int = 0

    def take(self, count: int) -> bytes:
        require(self.at + count <= len(self.data), "a field runs past the end")
        self.at += count
        return self.data[self.at - count : self.at]

    def byte(self) -> int:
        return self.take(1)[0]

    def float64(self) -> float:
        return float(struct.unpack("<d", self.take(8))[0])

    def varint(self) -> int:
        value = 0
        for shift in range(0, 63, 7):  # at most 63 bits
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
        raise MalformedError("a varint is longer than 63 bits")

    @property
    def finished(self) -> bool:
        return self.at == len(self.data)


@dataclass
class Stage:
    """One stage of the chain: its number and its parameter bytes (section 1.4)."""

    number: int
    parameters: bytes


@dataclass
class Header:
    """What section 1 of the page describes, and the sections of the payload."""

    dtype: np.dtype
    fortran: bool
    shape: tuple[int, ...]
    bound: float  # the resolved bound
    stages: list[Stage]
    sections: dict[tuple[int, int], bytes] = field(default_factory=dict)  # still encoded
    undo: dict[tuple[int, int], list[tuple[int, int]]] = field(default_factory=dict)
    codebook: bytes = b""  # not of the stream: the one it may name

    def section(self, stage: int, number: int) -> bytes:
        """Return the bytes of a section with its back ends undone."""
        require((stage, number) in self.sections, f"section {number} of stage {stage} is missing")
        data = self.sections[stage, number]
        for back_end, size in reversed(self.undo[stage, number]):
            assert back_end == ZSTD
            data = unzstd(data, size)
        return data

    def check(self, expected: set[tuple[int, int]], count: int) -> None:
        """Check the sections before anything is decoded: which there are, and how long."""
        require(set(self.sections) == expected, "sections are missing, or there are others")
        room = 1024 + count * max(16, self.dtype.itemsize)
        for key, stored in self.sections.items():
            sizes = [size for _, size in self.undo[key]] + [len(stored)]
            require(sizes == sorted(set(sizes), reverse=True), "a back end that saves nothing")
            require(sizes[0] <= min(room, len(stored) << 15), "a section is impossibly long")


def unzstd(data: bytes, size: int) -> bytes:
    """Decode one zstd frame whose content has `size` bytes (RFC 8878, section 3.1.1)."""
    frame = Bytes(data)
    require(frame.take(4) == b"\x28\xb5\x2f\xfd", "not a zstd frame")
    descriptor = frame.byte()
    single_segment = descriptor >> 5 & 1
    if not single_segment:
        frame.byte()  # the window descriptor
    frame.take((0, 1, 2, 4)[descriptor & 3])  # the dictionary's id
    width = (single_segment, 2, 4, 8)[descriptor >> 6]
    require(width > 0, "a zstd frame without its content size")
    told = int.from_bytes(frame.take(width), "little") + (256 if width == 2 else 0)
    require(told == size, "a zstd frame's content size is not the header's")
    last, blocks = 0, 0
    while not last:
        block = int.from_bytes(frame.take(3), "little")
        last, kind, length = block & 1, block >> 1 & 3, block >> 3
        frame.take(1 if kind == 1 else length)
        blocks += 1
    frame.take(4 * (descriptor >> 2 & 1))  # the content's checksum
    require(frame.finished, "bytes behind a zstd frame")
    require(size <= blocks << 17, "a zstd frame says more than its blocks can hold")
    try:
        content = bytes(zstd_library.decompress(data))
    except RuntimeError as error:
        raise MalformedError(f"a broken zstd frame: {error}") from error
    require(len(content) == size, "a zstd frame's content is not as long as it says")
    return content


def read_header(stream: bytes) -> Header:
    """Check a stream and split it: the fields of its header and the bytes of its sections."""
    require(stream[:3] == b"FZD", "the magic is missing")
    require(len(stream) >= 6, "shorter than the start of a header")
    require(stream[3] == 0, f"version {stream[3]} is not known here")
    length = int.from_bytes(stream[4:6], "little")
    require(14 <= length <= len(stream), "the header's length is impossible")
    payload_crc, header_crc = struct.unpack("<II", stream[length - 8 : length])
    require(zlib.crc32(stream[: length - 4]) == header_crc, "the header's checksum is wrong")

    fields = Bytes(stream[6 : length - 8])
    dtype, fortran = read_dtype(fields)
    shape = read_shape(fields)
    room = math.prod(length for length in (*shape, dtype.itemsize) if length)
    require(room < 2**63, "an array that no memory holds")
    bound = read_bound(fields)
    stages = read_stages(fields)
    header = Header(dtype, fortran, shape, bound, stages)

    back_ends = [stage.number for stage in stages if stage.number in BACK_ENDS]
    entries = []
    while not fields.finished:
        tag = fields.varint()
        way, key = tag & 3, (tag >> 5, tag >> 2 & 7)
        require(way != 3, "a section has been stored in a way that is not used")
        mask = fields.varint() if way == 2 else way
        require(mask < 1 << len(back_ends), "a section names a back end that the chain lacks")
        require(key not in header.undo, "a section occurs twice")
        header.undo[key] = [
            (back_end, fields.varint()) for k, back_end in enumerate(back_ends) if mask >> k & 1
        ]
        entries.append((key, fields.varint()))

    payload = Bytes(stream[length:])
    stored = sum(size for _, size in entries)
    require(stored == len(payload.data), "the sections do not add up to the payload")
    require(zlib.crc32(payload.data) == payload_crc, "the payload's checksum is wrong")
    for key, size in entries:
        header.sections[key] = payload.take(size)
    return header


def read_dtype(fields: Bytes) -> tuple[np.dtype, bool]:
    """Section 1.1: the dtype, and whether the array was in Fortran order."""
    byte = fields.byte()
    number, fortran, big = byte & 63, bool(byte & 64), bool(byte & 128)
    if number == DESCRIBED:
        require(not big, "a described dtype has its byte order in the description")
        text = fields.take(fields.varint())
        try:
            dtype = np.lib.format.descr_to_dtype(ast.literal_eval(text.decode("ascii")))
        except Exception as error:  # hostile text: even RecursionError
            raise MalformedError(f"{text[:80]!r} describes no dtype: {error}") from error
        require(not dtype.hasobject, "a dtype with Python objects")
        require(dtype.subdtype is None, "a dtype whose elements are arrays")
        return dtype, fortran
    require(number in DTYPES, f"no dtype has the number {number}")
    require(not big or np.dtype(DTYPES[number]).itemsize > 1, "a byte has no byte order")
    return np.dtype(DTYPES[number]).newbyteorder(">" if big else "<"), fortran


def read_shape(fields: Bytes) -> tuple[int, ...]:
    """Section 1.2."""
    axes = fields.byte()
    require(axes <= 64, "more than 64 axes")
    is_long = int.from_bytes(fields.take(-(-axes // 8)), "little")
    require(is_long >> axes == 0, "lengths of axes that are not there")
    return tuple(fields.varint() if is_long >> k & 1 else 1 for k in range(axes))


def read_bound(fields: Bytes) -> float:
    """Section 1.3: the resolved bound."""
    kind = fields.byte()
    require(kind <= PSNR, f"no bound has the kind {kind}")
    if kind in (RELATIVE, PSNR):
        fields.float64()  # what was asked for: nothing is decoded with it
    return fields.float64() if kind else 0.0


def read_stages(fields: Bytes) -> list[Stage]:
    """Section 1.4."""
    stages = []
    for _ in range(fields.byte()):
        word = fields.varint()
        require(word >> 3 > 0, "a stage of another package, which only that can undo")
        size = word & 7
        if size == 7:
            size = fields.varint()
        stages.append(Stage(word >> 3, fields.take(size)))
    require({s.number for s in stages} <= STAGES_READ, "a stage that is not known here")
    numbers = "".join(LETTERS.get(s.number, str(s.number)) for s in stages)
    possible = "|54*|L?(12*|6)(3|7|7?F)?4*"
    require(bool(re.fullmatch(possible, numbers)), f"a chain of stages {numbers}")
    lengths = {QUANTIZE: (1,), LORENZO: (1,), HUFFMAN: (1, 3), ZSTD: (0,), SHUFFLE: (0,)}
    lengths |= {INTERPOLATE: (1, 3), LOGARITHM: (6,), ZIGZAG: (0,), FIXED_LENGTH: (1,)}
    for stage in stages:
        require(len(stage.parameters) in lengths[stage.number], "parameters of another length")
    return stages


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
    if header.dtype.itemsize * math.prod(memory_shape) == 0:
        require(not header.stages, "stages for an array of no bytes")
    if chain and chain[0].number in (QUANTIZE, LOGARITHM, INTERPOLATE):
        values = read_quantized(header, chain, memory_shape)
    else:
        values = read_lossless(header, math.prod(memory_shape), shuffled=bool(chain))
    array = values.reshape(memory_shape)
    return array.T if header.fortran else array


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
    given, bound = native, header.bound
    if first:
        logarithm = chain[0].parameters
        given, bound = read_logarithm(logarithm, native)
        has_exact = (0, 3) in header.sections
        sides = [logarithm[1] & 4, logarithm[1] & 16, has_exact, has_exact]
        expected |= {(0, number) for number, there in enumerate(sides, 1) if there}
    given_by = chain[first].parameters
    levels = chain[first].number == INTERPOLATE and given_by == b"\x01"
    if levels:
        expected |= {(first, 3)}
        given_by = b"\x04"
    elif chain[first].number == INTERPOLATE:
        require(len(given_by) == 3 and given_by[0] == 0, "an unknown way of prediction")
        given_by, differenced = given_by[1:2], given_by[2]
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
    for stage in chain[first + 1 :]:
        lattice = unlorenzo(lattice, memory_shape, stage.parameters[0])

    if levels:
        factor = 0.7071067 if header.dtype.kind == "c" else 1.0
        try:
            values = reader_interpolate.values_of(
                lattice, memory_shape, given, bound * factor, header.section(first, 3)
            )
        except reader_interpolate.MisfitError as misfit:
            raise MalformedError(f"interpolate: {misfit}") from misfit
    else:
        if chain[first].number == INTERPOLATE:
            lattice = unlorenzo(lattice, memory_shape, differenced)
        values = dequantize(lattice, given, bound, header.dtype.kind == "c")
    if has_outliers:
        put_outliers_back(values, header.section(first, 1), header.section(first, 2))
    if first:
        flags = logarithm[1]
        zeros = signs = None
        if sides[1]:
            zeros = reader_logarithm.read_bits(header.section(0, 2), memory_shape, flags & 128)
            require(zeros is not None, "zeros of another length")
        if sides[0]:
            signs = reader_logarithm.read_bits(
                header.section(0, 1), memory_shape, flags & 64, zeros
            )
            require(signs is not None, "signs of another length")
        values = reader_logarithm.from_logarithms(
            values, native.itemsize, logarithm[0], flags, signs, zeros
        )
        if has_exact:
            exact = header.section(0, 4)
            if len(exact) == native.itemsize:  # one for all
                named = reader_logarithm.count_exact(Bytes(header.section(0, 3)))
                require(named <= count, "more exact values than there are values")
                exact *= named
            put_outliers_back(values, header.section(0, 3), exact)
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
        codes = read_codebook(header.section(index, 1))
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


def dequantize(lattice: np.ndarray, dtype: np.dtype, bound: float, is_complex: bool) -> np.ndarray:
    """Return the values, of `dtype`, at the points of the lattice."""
    if dtype.kind == "f":
        step = 2.0 * (bound * 0.7071067 if is_complex else bound)
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
