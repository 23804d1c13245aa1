"""The fields of a header as bytes: dtype, shape, bound, stages, sections."""

from __future__ import annotations

import ast
import struct
from functools import cache, lru_cache
from typing import Any

import numpy as np

from fzdask.errors import FormatError, UnsupportedDtypeError
from fzdask.format.header import (
    BOUND_KINDS,
    MOST_EXPANSION,
    Header,
    SectionEntry,
    StageEntry,
)

__all__ = ["pack_fields", "unpack_fields", "varint"]

BOUND_VALUES = (0, 1, 2, 1, 2)  # of each kind: nothing, what was asked, that and the absolute bound

# Numbers of the dtypes that need no description; append only.
DTYPES = ("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8", "c16")
DESCRIBED = 63  # a description follows
F_ORDER = 1 << 6
BIG_ENDIAN = 1 << 7
MAX_NDIM = 64  # NumPy's own limit
TOO_SHORT = "fzdask stream: the header ends too soon; the stream is damaged."
TOO_LARGE = "fzdask stream: a number in the header exceeds 63 bits; it is damaged."
_DOUBLE, _TWO = struct.Struct("<d"), struct.Struct("<dd")
_ONE_BYTE = tuple(bytes([value]) for value in range(256))

Beginning = tuple[np.dtype[Any], tuple[int, ...], str, str, float, float, tuple[StageEntry, ...]]

# What the last headers said before their sections: chunks of one array say the same, and each
# field says itself where it ends, so that what begins with the same bytes reads alike.
_latest: list[tuple[bytes, Beginning]] = []
_KEPT = 4


def pack_fields(header: Header) -> bytes:
    """All fields, one after another."""
    numeric = header.dtype.kind in "fiuc"  # others may be equal and yet differ in description
    beginning = (_known_beginning if numeric else _pack_beginning)(
        header.dtype,
        header.shape,
        header.order,
        header.bound_kind,
        header.asked,
        header.resolved,
        header.stages,
    )
    return beginning + _pack_sections(header.sections)


def _pack_beginning(
    dtype: np.dtype[Any],
    shape: tuple[int, ...],
    order: str,
    bound_kind: str,
    asked: float,
    resolved: float,
    stages: tuple[StageEntry, ...],
) -> bytes:
    """The fields before the sections, which chunks of one array have in common."""
    bound = _pack_bound(bound_kind, asked, resolved)
    return _describe(dtype, order) + _pack_shape(shape) + bound + _pack_stages(stages)


_known_beginning = lru_cache(maxsize=1024)(_pack_beginning)


def unpack_fields(data: bytes, header_nbytes: int) -> Header:
    """The inverse of :func:`pack_fields`; FormatError where the bytes are none."""
    for beginning, known in _latest:
        if data.startswith(beginning):
            at, fields = len(beginning), known
            break
    else:
        reader = _Reader(data)
        dtype, order = _unpack_dtype(reader)
        shape = _unpack_shape(reader)
        fields = (dtype, shape, order, *_unpack_bound(reader), _unpack_stages(reader))
        if not Header(*fields, ()).addressable:
            raise FormatError(
                f"fzdask stream: shape {shape} of {dtype} exceeds 2**63 bytes; damaged."
            )
        at = reader.at
        _latest[:] = [(data[:at], fields), *_latest[: _KEPT - 1]]
    return Header(*fields, _unpack_sections(_varints(data, at), len(fields[-1])), header_nbytes)


def varint(value: int) -> bytes:
    """LEB128: seven bits a byte, least significant first, high bit on all but the last."""
    if value < 128:
        return _ONE_BYTE[value]
    if value < 1 << 14:
        return bytes((value & 127 | 128, value >> 7))
    if value < 1 << 21:
        return bytes((value & 127 | 128, value >> 7 & 127 | 128, value >> 14))
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
            raise FormatError(TOO_SHORT)
        self.at = at + n
        return self.data[at : at + n]

    def byte(self) -> int:
        at = self.at
        if at >= len(self.data):
            self.take(1)
        self.at = at + 1
        return self.data[at]

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
        raise FormatError(TOO_LARGE)

    def double(self) -> float:
        value: float = _DOUBLE.unpack(self.take(8))[0]
        return value


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


def _pack_bound(bound_kind: str, asked: float, resolved: float) -> bytes:
    kind = BOUND_KINDS.index(bound_kind)
    values = BOUND_VALUES[kind]
    if values == 1:
        return _ONE_BYTE[kind] + _DOUBLE.pack(resolved)
    return _ONE_BYTE[kind] + (_TWO.pack(asked, resolved) if values else b"")


def _unpack_bound(reader: _Reader) -> tuple[str, float, float]:
    kind = reader.byte()
    if kind >= len(BOUND_KINDS):
        raise FormatError(f"fzdask stream: unknown kind of bound {kind}; from a newer release?")
    if kind == 0:
        return BOUND_KINDS[0], 0.0, 0.0
    values = [reader.double() for _ in range(BOUND_VALUES[kind])]
    return BOUND_KINDS[kind], values[0], values[-1]


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
    for stage, number, applied, sizes in sections:
        # The low bits say how the back ends were applied: 0 none, 1 the first alone, 2 a mask.
        out.append(varint((stage << 3 | number) << 2 | min(applied, 2)))
        if applied > 1:
            out.append(varint(applied))
        for n in sizes:
            out.append(varint(n))
    return b"".join(out)


def _varints(data: bytes, at: int) -> list[int]:
    """All numbers from a place on."""
    values = []
    value = shift = 0
    for byte in data[at:]:
        value |= (byte & 127) << shift
        if byte < 128:
            values.append(value)
            value = shift = 0
        else:
            shift += 7
            if shift > 56:
                raise FormatError(TOO_LARGE)
    if shift:
        raise FormatError(TOO_SHORT)
    return values


def _unpack_sections(numbers: list[int], stages: int) -> tuple[SectionEntry, ...]:
    """Those that the numbers behind all other fields tell."""
    sections = []
    places = set()
    at = 0
    while at < len(numbers):
        tag = numbers[at]
        applied = tag & 3
        stage, number = tag >> 5, tag >> 2 & 7
        at += 1
        if applied > 1:
            applied = numbers[at] if at < len(numbers) else 0
            at += 1
        if tag & 3 == 3 or applied >> stages or (stage >= stages and (stage or number)):
            raise FormatError("fzdask stream: a section of no known stage; it is damaged.")
        end = at + 1 + applied.bit_count()
        if end > len(numbers):
            raise FormatError(TOO_SHORT)
        sizes = tuple(numbers[at:end])
        at = end
        if applied and not _possible(sizes):
            raise FormatError(
                f"fzdask stream: no back end makes sections of sizes {sizes}; it is damaged."
            )
        sections.append(SectionEntry(stage, number, applied, sizes))
        places.add(tag >> 2)
    if len(places) != len(sections):
        raise FormatError("fzdask stream: a section appears twice; the stream is damaged.")
    return tuple(sections)


def _possible(sizes: tuple[int, ...]) -> bool:
    """Whether back ends, each of which saved something, can have made these sizes."""
    if len(sizes) > 2 and any(sizes[k] <= sizes[k + 1] for k in range(1, len(sizes) - 1)):
        return False
    return sizes[1] < sizes[0] <= sizes[-1] * MOST_EXPANSION
