"""The stream format, version 0: header, sections and checksums (docs/format.md).

This layer knows bytes only: stages are numbers with parameters, sections are sizes.
"""

from __future__ import annotations

import ast
import itertools
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fzdask.checksum import crc32
from fzdask.errors import FormatError, UnsupportedDtypeError

__all__ = ["Header", "SectionEntry", "StageEntry", "pack", "unpack"]

MAGIC = b"FZD"
VERSION = 0
START = MAGIC + bytes([VERSION])
BOUND_KINDS = ("lossless", "abs", "rel", "pw_rel", "psnr")
BOUND_VALUES = (0, 1, 2, 1, 2)  # of each kind: nothing, what was asked, that and the absolute bound

# Numbers of the dtypes that need no description; append only.
DTYPES = ("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8", "c16")
DESCRIBED = 63  # a description follows
F_ORDER = 1 << 6
BIG_ENDIAN = 1 << 7

MAX_HEADER = 0xFFFF
MAX_NDIM = 64  # NumPy's own limit
FIXED = 6  # magic, version, header length
CHECKS = 8  # payload and header checksums
_CHECKS = struct.Struct("<II")
_DOUBLE = struct.Struct("<d")
_ONE_BYTE = tuple(bytes([value]) for value in range(256))
# Most bytes that one stored byte can stand for, whatever the back ends: what zstd alone reaches
# (a block is at most 128 KiB and takes at least 4 bytes), so that no chain of them is a bomb.
MOST_EXPANSION = 1 << 15


class StageEntry(NamedTuple):
    """A stage as a stream names it: its code and the parameters that decoding needs.

    A stage of another package has the code 0 and a name.
    """

    code: int
    params: bytes
    name: str = ""


class SectionEntry(NamedTuple):
    """One run of payload bytes.

    Attributes
    ----------
    stage : int
        Index in the chain of the stage that wrote it.
    number : int
        0 for the stage's main output, else the number of a side section.
    applied : int
        Bit k: the k-th lossless back end of the chain was applied.
    sizes : tuple of int
        Bytes before each applied back end, then the bytes stored.
    """

    stage: int
    number: int
    applied: int
    sizes: tuple[int, ...]

    @property
    def stored(self) -> int:
        return self.sizes[-1]

    @property
    def nbytes(self) -> int:
        """Size before any lossless back end."""
        return self.sizes[0]


@dataclass(frozen=True, slots=True)
class Header:
    """What a stream says of itself; decoding needs nothing else."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    order: str
    bound_kind: str
    asked: float
    resolved: float
    stages: tuple[StageEntry, ...]
    sections: tuple[SectionEntry, ...]
    header_nbytes: int = 0

    @property
    def size(self) -> int:
        """Number of elements."""
        size = 1
        for n in self.shape:
            size *= n
        return size

    @property
    def nbytes(self) -> int:
        """Bytes of the decoded array."""
        return self.size * self.dtype.itemsize

    @property
    def addressable(self) -> bool:
        """Whether NumPy has an array like this, which also limits the shape of an empty one."""
        size = max(self.dtype.itemsize, 1)
        for n in self.shape:
            size *= max(n, 1)
        return size < 2**63


def pack(header: Header, sections: Sequence[NDArray[np.uint8]]) -> bytes:
    """Join a header and the bytes of its sections into a stream."""
    payload_crc = 0
    for section in sections:
        payload_crc = crc32(section, payload_crc)
    body = b"".join(
        [
            _pack_dtype(header.dtype, header.order),
            _pack_shape(header.shape),
            _pack_bound(header),
            _pack_stages(header.stages),
            _pack_sections(header.sections),
        ]
    )
    length = FIXED + len(body) + CHECKS
    if length > MAX_HEADER:
        raise UnsupportedDtypeError(
            f"fzdask: the description of dtype {header.dtype} makes a header of {length} bytes; "
            f"at most {MAX_HEADER} fit. Store its fields as separate arrays."
        )
    head = b"".join([START, length.to_bytes(2, "little"), body, payload_crc.to_bytes(4, "little")])
    return b"".join([head, zlib.crc32(head).to_bytes(4, "little"), *(s.data for s in sections)])


def unpack(stream: Any, *, verify_payload: bool = True) -> tuple[Header, list[NDArray[np.uint8]]]:
    """Read and check a header and cut the payload into sections, without copying.

    Raises
    ------
    FormatError
        Not a stream, another version, truncated, too long, or a checksum does not match.
    """
    data = as_bytes(stream)
    start = data[:FIXED].tobytes()
    if data.size < FIXED + CHECKS or not start.startswith(MAGIC):
        raise FormatError(f"not an fzdask stream: {data.size} bytes that begin with {start[:4]!r}.")
    if start[3] != VERSION:
        raise FormatError(
            f"fzdask stream of version {start[3]}; this release reads version {VERSION}. "
            "Use the release that wrote it, or a newer one."
        )
    length = int.from_bytes(start[4:], "little")
    if length < FIXED + CHECKS or length > data.size:
        raise FormatError(
            f"fzdask stream: header of {length} bytes in a stream of {data.size}; it is truncated."
        )
    head = data[:length].tobytes()
    payload_crc, header_crc = _CHECKS.unpack(head[-CHECKS:])
    if zlib.crc32(head[:-4]) != header_crc:
        raise FormatError("fzdask stream: the header does not match its checksum; it is damaged.")
    header = _unpack_header(_Reader(head[FIXED:-CHECKS]), length)
    payload = data[length:]
    cuts = [0, *itertools.accumulate([s.sizes[-1] for s in header.sections])]
    stored = cuts[-1]
    if stored != payload.size:
        raise FormatError(
            f"fzdask stream: {payload.size} payload bytes instead of {stored}; it is "
            + ("truncated." if payload.size < stored else "followed by other data.")
        )
    if verify_payload and crc32(payload) != payload_crc:
        raise FormatError("fzdask stream: the payload does not match its checksum; it is damaged.")
    return header, [payload[a:b] for a, b in itertools.pairwise(cuts)]


def as_bytes(stream: Any) -> NDArray[np.uint8]:
    """A flat uint8 view of anything with a contiguous buffer."""
    if type(stream) is bytes:
        return np.frombuffer(stream, np.uint8)
    if isinstance(stream, np.ndarray):
        return np.ascontiguousarray(stream).reshape(-1).view(np.uint8)
    try:
        return np.frombuffer(memoryview(stream).cast("B"), np.uint8)
    except TypeError as error:
        raise FormatError(
            f"fzdask: a stream is bytes or another contiguous buffer, not {type(stream).__name__}."
        ) from error


def varint(value: int) -> bytes:
    """LEB128: seven bits a byte, least significant first, high bit on all but the last."""
    if value < 128:
        return _ONE_BYTE[value]
    out = bytearray()
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


class _Reader:
    """Cursor over header bytes; running off the end is a FormatError."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, n: int) -> bytes:
        at = self.at
        if n > len(self.data) - at:
            raise FormatError("fzdask stream: the header ends too soon; the stream is damaged.")
        self.at = at + n
        return self.data[at : at + n]

    def byte(self) -> int:
        return self.take(1)[0]

    def varint(self) -> int:
        value = self.byte()
        if value < 128:
            return value
        value &= 127
        for shift in range(7, 63, 7):
            byte = self.byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
        raise FormatError("fzdask stream: a number in the header exceeds 63 bits; it is damaged.")

    def double(self) -> float:
        value: float = _DOUBLE.unpack(self.take(8))[0]
        return value


def _unpack_header(reader: _Reader, length: int) -> Header:
    dtype, order = _unpack_dtype(reader)
    shape = _unpack_shape(reader)
    kind, asked, resolved = _unpack_bound(reader)
    stages = _unpack_stages(reader)
    sections = _unpack_sections(reader, len(stages))
    header = Header(dtype, shape, order, kind, asked, resolved, stages, sections, length)
    if not header.addressable:
        raise FormatError(f"fzdask stream: shape {shape} of {dtype} exceeds 2**63 bytes; damaged.")
    return header


def _pack_dtype(dtype: np.dtype[Any], order: str) -> bytes:
    return _pack_number(dtype, order) if dtype.kind in "fiuc" else _describe(dtype, order)


@lru_cache(maxsize=64)
def _pack_number(dtype: np.dtype[Any], order: str) -> bytes:
    return _describe(dtype, order)


def _describe(dtype: np.dtype[Any], order: str) -> bytes:
    flags = F_ORDER if order == "F" else 0
    name = dtype.str[1:]
    if name in DTYPES and dtype.fields is None and dtype.subdtype is None:
        if dtype.newbyteorder("<") != dtype:
            flags |= BIG_ENDIAN
        return bytes([DTYPES.index(name) | flags])
    try:
        text = ascii(np.lib.format.dtype_to_descr(dtype)).encode("ascii")
    except ValueError as error:
        raise UnsupportedDtypeError(
            f"fzdask: dtype {dtype} cannot be described in a stream: {error}. Store its fields as "
            "separate arrays, or convert it to a dtype whose fields do not overlap."
        ) from error
    return bytes([DESCRIBED | flags]) + varint(len(text)) + text


def _unpack_dtype(reader: _Reader) -> tuple[np.dtype[Any], str]:
    byte = reader.byte()
    order = "F" if byte & F_ORDER else "C"
    number = byte & 63
    big = bool(byte & BIG_ENDIAN)
    if number != DESCRIBED and number >= len(DTYPES):
        raise FormatError(f"fzdask stream: unknown dtype number {number}; from a newer release?")
    if big and (number == DESCRIBED or DTYPES[number].endswith("1")):
        raise FormatError("fzdask stream: a byte order for a dtype that has none; damaged.")
    if number != DESCRIBED:
        return _numbered_dtype(number, big), order
    return _described_dtype(reader.take(reader.varint())), order


@cache
def _numbered_dtype(number: int, big: bool) -> np.dtype[Any]:
    return np.dtype((">" if big else "<") + DTYPES[number])


def _described_dtype(text: bytes) -> np.dtype[Any]:
    shown = text if len(text) <= 80 else text[:80] + b"..."
    try:
        dtype = np.lib.format.descr_to_dtype(ast.literal_eval(text.decode("ascii")))
    except Exception as error:  # whatever Python and NumPy make of hostile text: even recursion
        raise FormatError(f"fzdask stream: {shown!r} describes no dtype; damaged.") from error
    if dtype.hasobject:
        raise FormatError("fzdask stream: object dtypes are never read; the stream is hostile.")
    if dtype.subdtype is not None:
        raise FormatError(f"fzdask stream: {shown!r} describes arrays, not elements; damaged.")
    return dtype


@lru_cache(maxsize=1024)
def _pack_shape(shape: tuple[int, ...]) -> bytes:
    """Number of axes, a bit for each that is not of length 1, and the lengths of those."""
    bits = sum(1 << k for k, n in enumerate(shape) if n != 1)
    mask = bits.to_bytes((len(shape) + 7) // 8, "little")
    return bytes([len(shape)]) + mask + b"".join(varint(n) for n in shape if n != 1)


def _unpack_shape(reader: _Reader) -> tuple[int, ...]:
    ndim = reader.byte()
    if ndim > MAX_NDIM:
        raise FormatError(f"fzdask stream: {ndim} axes; at most {MAX_NDIM} exist. It is damaged.")
    bits = int.from_bytes(reader.take((ndim + 7) // 8), "little")
    if bits >> ndim:
        raise FormatError(f"fzdask stream: lengths of more than {ndim} axes; it is damaged.")
    return tuple(reader.varint() if bits >> k & 1 else 1 for k in range(ndim))


def _pack_bound(header: Header) -> bytes:
    kind = BOUND_KINDS.index(header.bound_kind)
    values = (header.asked, header.resolved)[2 - BOUND_VALUES[kind] :]
    return _ONE_BYTE[kind] + b"".join([_DOUBLE.pack(v) for v in values])


def _unpack_bound(reader: _Reader) -> tuple[str, float, float]:
    kind = reader.byte()
    if kind >= len(BOUND_KINDS):
        raise FormatError(f"fzdask stream: unknown kind of bound {kind}; from a newer release?")
    if kind == 0:
        return BOUND_KINDS[0], 0.0, 0.0
    values = [reader.double() for _ in range(BOUND_VALUES[kind])]
    return BOUND_KINDS[kind], values[0], values[-1]


@lru_cache(maxsize=1024)
def _pack_stages(stages: tuple[StageEntry, ...]) -> bytes:
    out = [bytes([len(stages)])]
    for stage in stages:
        n = len(stage.params)
        out.append(varint(stage.code << 3 | min(n, 7)))
        if not stage.code:
            name = stage.name.encode("ascii")
            out.append(varint(len(name)) + name)
        if n >= 7:
            out.append(varint(n))
        out.append(stage.params)
    return b"".join(out)


def _unpack_stages(reader: _Reader) -> tuple[StageEntry, ...]:
    stages = []
    for _ in range(reader.byte()):
        tag = reader.varint()
        name = "" if tag >> 3 else reader.take(reader.varint()).decode("ascii", "replace")
        n = tag & 7
        params = reader.take(reader.varint() if n == 7 else n)
        stages.append(StageEntry(tag >> 3, params, name))
    return tuple(stages)


def _pack_sections(sections: tuple[SectionEntry, ...]) -> bytes:
    out = []
    for s in sections:
        # The low bits say how the back ends were applied: 0 none, 1 the first alone, 2 a mask.
        way = s.applied if s.applied < 2 else 2
        out.append(varint((s.stage << 3 | s.number) << 2 | way))
        if way == 2:
            out.append(varint(s.applied))
        out.extend(varint(n) for n in s.sizes)
    return b"".join(out)


def _unpack_sections(reader: _Reader, stages: int) -> tuple[SectionEntry, ...]:
    sections = []
    while reader.at < len(reader.data):  # they are the last field
        tag = reader.varint()
        way = tag & 3
        applied = way if way < 2 else reader.varint()
        stage, number = tag >> 5, tag >> 2 & 7
        if way == 3 or applied >> stages or (stage >= stages and (stage or number)):
            raise FormatError("fzdask stream: a section of no known stage; it is damaged.")
        sizes = tuple([reader.varint() for _ in range(applied.bit_count() + 1)])
        if applied and not _possible(sizes):
            raise FormatError(
                f"fzdask stream: no back end makes sections of sizes {sizes}; it is damaged."
            )
        sections.append(SectionEntry(stage, number, applied, sizes))
    if len({s[:2] for s in sections}) != len(sections):
        raise FormatError("fzdask stream: a section appears twice; the stream is damaged.")
    return tuple(sections)


def _possible(sizes: tuple[int, ...]) -> bool:
    """Whether back ends, each of which saved something, can have made these sizes."""
    shrinks = all(before > after for before, after in itertools.pairwise(sizes))
    return shrinks and sizes[0] <= sizes[-1] * MOST_EXPANSION
