"""The stream format, version 0: header, sections and checksums (docs/format.md).

This layer knows bytes only: stages are numbers with parameters, sections are sizes.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fzdask.checksum import crc32
from fzdask.errors import FormatError, UnsupportedDtypeError
from fzdask.format.fields import pack_fields, unpack_fields, varint
from fzdask.format.header import (
    BOUND_KINDS,
    MOST_EXPANSION,
    Header,
    SectionEntry,
    StageEntry,
)

__all__ = [
    "BOUND_KINDS",
    "MOST_EXPANSION",
    "VERSION",
    "Header",
    "SectionEntry",
    "StageEntry",
    "as_bytes",
    "pack",
    "unpack",
    "varint",
]

MAGIC = b"FZD"
VERSION = 0
START = MAGIC + bytes([VERSION])
MAX_HEADER = 0xFFFF
FIXED = 6  # magic, version, header length
CHECKS = 8  # payload and header checksums
_CHECKS = struct.Struct("<II")


def pack(header: Header, sections: Sequence[NDArray[np.uint8]]) -> bytes:
    """Join a header and the bytes of its sections into a stream."""
    payload_crc = 0
    for section in sections:
        payload_crc = crc32(section, payload_crc)
    body = pack_fields(header)
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
    raw = stream if type(stream) is bytes else data.data
    start = bytes(raw[:FIXED])
    if data.size < FIXED + CHECKS and data.size and MAGIC.startswith(start[: len(MAGIC)]):
        raise FormatError(
            f"fzdask stream: {data.size} bytes, fewer than a header has; it is truncated."
        )
    if data.size < FIXED + CHECKS or not start.startswith(MAGIC):
        raise FormatError(f"not an fzdask stream: {data.size} bytes that begin with {start[:4]!r}.")
    if start[3] != VERSION:
        raise FormatError(
            f"fzdask stream of version {start[3]}; this release reads version {VERSION}. "
            "Use the release that wrote it, or a newer one."
        )
    length = start[4] | start[5] << 8
    if length < FIXED + CHECKS or length > data.size:
        raise FormatError(
            f"fzdask stream: header of {length} bytes in a stream of {data.size}; it is truncated."
        )
    head = bytes(raw[:length])
    payload_crc, header_crc = _CHECKS.unpack_from(head, length - CHECKS)
    if zlib.crc32(head[:-4]) != header_crc:
        raise FormatError("fzdask stream: the header does not match its checksum; it is damaged.")
    header = unpack_fields(head[FIXED:-CHECKS], length)
    payload = data[length:]
    blobs = []
    stored = 0
    for section in header.sections:
        end = stored + section.sizes[-1]
        blobs.append(payload[stored:end])
        stored = end
    if stored != payload.size:
        raise FormatError(
            f"fzdask stream: {payload.size} payload bytes instead of {stored}; it is "
            + ("truncated." if payload.size < stored else "followed by other data.")
        )
    if verify_payload and crc32(payload) != payload_crc:
        raise FormatError("fzdask stream: the payload does not match its checksum; it is damaged.")
    return header, blobs


def as_bytes(stream: Any) -> NDArray[np.uint8]:
    """A flat uint8 view of anything with a contiguous buffer."""
    if type(stream) is bytes:
        return np.frombuffer(stream, np.uint8)
    if isinstance(stream, np.ndarray):
        return np.ascontiguousarray(stream).reshape(-1).view(np.uint8)
    try:
        return np.frombuffer(memoryview(stream).cast("B"), np.uint8)
    except TypeError as error:
        named = isinstance(stream, str | os.PathLike)
        remedy = (
            f" Read the file: pathlib.Path({os.fspath(stream)!r}).read_bytes()." if named else ""
        )
        raise FormatError(
            f"fzdask: a stream is bytes or another contiguous buffer, not {type(stream).__name__}."
            + remedy
        ) from error
