"""Lossless back ends other than zstd, for the second reader, from their pages."""

from __future__ import annotations

import zlib

import numpy as np
from numcodecs import blosc as blosc_library
from numcodecs import lz4 as lz4_library

ZERO_BLOCKS, ZERO_BYTES, RUN_LENGTH, LZ4, BLOSC, DEFLATE = 12, 13, 14, 17, 18, 19
BLOSC_BLOCK = 1 << 18


class MisfitError(ValueError):
    """Bytes that are not what the back end writes."""


def need(condition: bool, complaint: str) -> None:
    """Raise `MisfitError` unless `condition` holds."""
    if not condition:
        raise MisfitError(complaint)


def bits_of(data: bytes, count: int) -> np.ndarray:
    """The first `count` bits, the lowest of each byte first; the others must be zero."""
    need(len(data) == -(-count // 8), "another number of bits")
    bits = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")
    need(not bits[count:].any(), "bits behind the last one")
    return bits[:count].astype(bool)


def read_zero_blocks(data: bytes, size: int) -> bytes:
    need(len(data) > 0 and 2 <= data[0] <= 8, "the length of a block")
    block = 1 << data[0]
    count = -(-size // block)
    end = 1 + -(-count // 8)
    kept = bits_of(data[1:end], count)
    out = bytearray(size)
    for b in np.flatnonzero(kept):
        start, stop = int(b) * block, min(int(b) * block + block, size)
        out[start:stop] = data[end : end + stop - start]
        end += stop - start
    need(end == len(data) and len(out) == size, "blocks that do not fit")
    return bytes(out)


def read_zero_bytes(data: bytes, size: int) -> bytes:
    lengths = [size]  # of the bytes of each level
    while not lengths[1:] or lengths[-1] > 8:
        lengths.append(-(-lengths[-1] // 8))
    at = lengths[-1]
    flags = data[:at]  # the bits of the last level
    for level in range(len(lengths) - 2, -1, -1):
        kept = bits_of(flags, lengths[level])
        taken = data[at : at + int(kept.sum())]
        need(len(taken) == kept.sum(), "kept bytes are missing")
        at += len(taken)
        rest, before, out = iter(taken), 0, bytearray()
        for keep in kept:
            before = next(rest) if keep else (before if level else 0)
            out.append(before)
        flags = bytes(out)
    need(at == len(data), "kept bytes left over")
    return flags


def read_runs(data: bytes, size: int) -> bytes:
    out, at = bytearray(), 0
    while at < len(data):
        v = shift = 0
        while True:
            need(at < len(data) and shift < 63, "a number without an end")
            v |= (data[at] & 127) << shift
            at, shift = at + 1, shift + 7
            if data[at - 1] < 128:
                break
        length = v // 2 + (4 if v & 1 else 1)
        need(len(out) + length <= size and at < len(data), "pieces that are too long")
        out += data[at : at + 1] * length if v & 1 else data[at : at + length]
        at += 1 if v & 1 else length
    return bytes(out)


def read_lz4(data: bytes, size: int) -> bytes:
    need(data[:4] == size.to_bytes(4, "little"), "another size")
    return bytes(lz4_library.decompress(data))


def read_blosc(data: bytes, size: int) -> bytes:
    out = b""
    while data:
        need(len(data) >= 16, "a frame without a header")
        holds, length = (int.from_bytes(data[at : at + 4], "little") for at in (4, 12))
        need(holds == min(size - len(out), BLOSC_BLOCK) and 16 <= length <= len(data), "a frame")
        out += bytes(blosc_library.decompress(data[:length]))
        data = data[length:]
    return out


def read_deflate(data: bytes, size: int) -> bytes:
    engine = zlib.decompressobj(-15)
    out = engine.decompress(data, size + 1)
    need(engine.eof and not engine.unused_data, "a stream that does not end with its bytes")
    return out


UNDO = {
    ZERO_BLOCKS: read_zero_blocks, ZERO_BYTES: read_zero_bytes, RUN_LENGTH: read_runs,
    LZ4: read_lz4, BLOSC: read_blosc, DEFLATE: read_deflate,
}  # fmt: skip


def undo(number: int, data: bytes, size: int) -> bytes:
    """The `size` bytes that a back end has compressed."""
    try:
        out = UNDO[number](data, size)
    except (RuntimeError, ValueError, zlib.error) as error:
        raise MisfitError(str(error)) from error
    need(len(out) == size, "another number of bytes")
    return out
