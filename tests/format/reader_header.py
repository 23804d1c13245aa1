"""Section 1 of ``docs/format.md``: the header of a stream, and its sections, for ``reader.py``."""

from __future__ import annotations

import ast
import math
import struct
import zlib
from dataclasses import dataclass, field

import numpy as np
import reader_back_ends
from numcodecs import zstd as zstd_library


class MalformedError(ValueError):
    """The bytes are no fzdask stream of version 0, or are damaged."""


def require(condition: bool, complaint: str) -> None:
    """Raise `MalformedError` with `complaint` unless `condition` holds."""
    if not condition:
        raise MalformedError(complaint)


DTYPES = {
    0: "bool", 1: "int8", 2: "int16", 3: "int32", 4: "int64",
    5: "uint8", 6: "uint16", 7: "uint32", 8: "uint64",
    9: "float16", 10: "float32", 11: "float64", 12: "complex64", 13: "complex128",
}  # fmt: skip
DESCRIBED = 63

LOSSLESS, ABSOLUTE, RELATIVE, POINTWISE, PSNR = range(5)  # kinds of bound
QUANTIZE, LORENZO, HUFFMAN, ZSTD, SHUFFLE, INTERPOLATE, ZIGZAG = range(1, 8)
NEGABINARY, SIGN_MAGNITUDE, BITSHUFFLE, FIXED_LENGTH = range(8, 12)
DICTIONARY, RANS, LOGARITHM, TRANSPOSE, BLOCK_MEAN, BINNING, DIFFERENCE = 15, 16, *range(20, 25)
LORENZO_TILES, CONSTANT, GOLOMB_RICE, CONTEXT_MIXING, SMALLEST, WAVELET = range(25, 31)
BACK_ENDS = {ZSTD, *reader_back_ends.UNDO}
# What each array stage takes and gives: array, lattice, codes, bytes; the same if there is a star.
KINDS = {
    QUANTIZE: "al", INTERPOLATE: "al", WAVELET: "al", LOGARITHM: "aa", SHUFFLE: "ab",
    LORENZO: "ll", LORENZO_TILES: "ll", BLOCK_MEAN: "ll", BINNING: "ll", DIFFERENCE: "ll",
    DICTIONARY: "ll", TRANSPOSE: "al*", CONSTANT: "al*", BITSHUFFLE: "alcb", HUFFMAN: "lb",
    RANS: "lb", ZIGZAG: "lc", NEGABINARY: "lc", SIGN_MAGNITUDE: "lc", FIXED_LENGTH: "lcb",
    GOLOMB_RICE: "cb", CONTEXT_MIXING: "lb", SMALLEST: "ab",
}  # fmt: skip
STAGES_READ = set(KINDS) | BACK_ENDS
LOSSY = {QUANTIZE, INTERPOLATE, WAVELET, SMALLEST}
# Numbers of bytes of parameters; another number for those that depend on the array.
LENGTHS = {
    QUANTIZE: (1,), LORENZO: (1,), HUFFMAN: (1, 3), SHUFFLE: (0,), INTERPOLATE: (1, 3, 4),
    LOGARITHM: (6,), ZIGZAG: (0,), FIXED_LENGTH: (1,), NEGABINARY: (0,), SIGN_MAGNITUDE: (0,),
    BITSHUFFLE: (1,), DICTIONARY: (1,), RANS: (2, 5), TRANSPOSE: range(65), BLOCK_MEAN: (3,),
    BINNING: (2,), DIFFERENCE: (2,), LORENZO_TILES: (3,), CONSTANT: range(1, 10),
    GOLOMB_RICE: (1,), WAVELET: (5,), CONTEXT_MIXING: (1,), SMALLEST: range(1, 512),
}  # fmt: skip


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
    kind: int  # of bound
    stages: list[Stage]
    sections: dict[tuple[int, int], bytes] = field(default_factory=dict)  # still encoded
    undo: dict[tuple[int, int], list[tuple[int, int]]] = field(default_factory=dict)
    codebook: bytes = b""  # not of the stream: the one it may name

    @property
    def element_bound(self) -> float:
        """The bound of the numbers that the chain takes: of components, for complex ones."""
        parts = self.dtype.kind == "c" and self.kind != POINTWISE
        return self.bound * 0.7071067 if parts else self.bound

    def section(self, stage: int, number: int) -> bytes:
        """Return the bytes of a section with its back ends undone."""
        require((stage, number) in self.sections, f"section {number} of stage {stage} is missing")
        data = self.sections[stage, number]
        for back_end, size in reversed(self.undo[stage, number]):
            if back_end == ZSTD:
                data = unzstd(data, size)
                continue
            try:
                data = reader_back_ends.undo(back_end, data, size)
            except reader_back_ends.MisfitError as misfit:
                raise MalformedError(f"back end {back_end}: {misfit}") from misfit
        return data

    def check(self, expected: set[tuple[int, int]], count: int) -> None:
        """Check the sections before anything is decoded: which there are, and how long."""
        require(set(self.sections) == expected, "sections are missing, or there are others")
        room = 1024 + (count + 7) // 8 * 8 * max(16, self.dtype.itemsize)
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
    kind, bound = read_bound(fields)
    stages = read_stages(fields)
    header = Header(dtype, fortran, shape, bound, kind, stages)

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


def read_bound(fields: Bytes) -> tuple[int, float]:
    """Section 1.3: the kind of bound, and the resolved bound."""
    kind = fields.byte()
    require(kind <= PSNR, f"no bound has the kind {kind}")
    if kind in (RELATIVE, PSNR):
        fields.float64()  # what was asked for: nothing is decoded with it
    return kind, fields.float64() if kind else 0.0


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
    check_chain(stages)
    return stages


def check_chain(stages: list[Stage]) -> None:
    """Each stage takes what the one before gives; back ends come last."""
    require({s.number for s in stages} <= STAGES_READ, "a stage that is not known here")
    given = "a"
    for k, stage in enumerate(stages):
        require(len(stage.parameters) in LENGTHS.get(stage.number, (0,)), "parameters of a stage")
        if stage.number in BACK_ENDS:
            require(k > 0, "a back end for an array")
            given = ""
            continue
        takes, gives = KINDS[stage.number][:-1], KINDS[stage.number][-1]
        require(given != "" and given in takes, f"stage {stage.number} after what it cannot take")
        given = given if gives == "*" else gives
    numbers = [stage.number for stage in stages]
    if LOGARITHM in numbers:
        behind = numbers[numbers.index(LOGARITHM) + 1 :]
        require(LOGARITHM not in behind, "a logarithm of logarithms")
        require(not LOSSY.isdisjoint(behind), "a logarithm alone")
