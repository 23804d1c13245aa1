"""Streams taken apart, altered and sealed again with both checksums right.

Checksums find accidents; whoever means harm computes them. The tests of hostile streams, and the
fixtures that no pipeline of today writes, are made with these.
"""

from __future__ import annotations

import dataclasses
import struct
import zlib
from collections.abc import Sequence

import numpy as np
from numcodecs import zstd

from fzdask.codecs.stages.base import ByteStage
from fzdask.codecs.stages.registry import built_in
from fzdask.codecs.stages.zstd import Zstd
from fzdask.format import Header, SectionEntry, pack, unpack

START = 6  # magic, version, length
CHECKS = 8
ZSTD = 4  # the stage's number


def seal(fields: bytes, payload: bytes, *, start: bytes = b"FZD\x00") -> bytes:
    """A stream of these header fields (1.1 to 1.5 of docs/format.md) and this payload."""
    head = start + struct.pack("<H", START + len(fields) + CHECKS & 0xFFFF) + fields
    head += struct.pack("<I", zlib.crc32(payload))
    return head + struct.pack("<I", zlib.crc32(head)) + payload


def split(stream: bytes) -> tuple[bytes, bytes]:
    """The header's fields and the payload; the inverse of `seal`."""
    length = int.from_bytes(stream[4:6], "little")
    return stream[START : length - CHECKS], stream[length:]


def applied(header: Header, mask: int) -> list[ByteStage]:
    """The back ends of a stream that a mask names, in the order in which they are applied."""
    kinds = {kind.code: kind for kind in built_in().values() if issubclass(kind, ByteStage)}
    back_ends = [kinds[stage.code] for stage in header.stages if stage.code in kinds]
    return [kind() for k, kind in enumerate(back_ends) if mask >> k & 1]


def squeezed(back_end: ByteStage, data: bytes) -> bytes:
    """The bytes as a back end writes them, for zstd even where that saves nothing."""
    if isinstance(back_end, Zstd):
        return bytes(zstd.compress(data, 1))
    packed = back_end.compress(np.frombuffer(data, np.uint8))
    assert packed is not None, f"{back_end.name} was applied, and now saves nothing"
    return packed


@dataclasses.dataclass(frozen=True)
class Parts:
    """A header, and each section before the back ends."""

    header: Header
    raw: tuple[bytes, ...]

    @classmethod
    def of(cls, stream: bytes) -> Parts:
        header, blobs = unpack(stream)
        raw = []
        for entry, blob in zip(header.sections, blobs, strict=True):
            data = blob.tobytes()
            undo = list(zip(applied(header, entry.applied), entry.sizes, strict=False))
            for back_end, size in reversed(undo):
                data = back_end.decompress(np.frombuffer(data, np.uint8), size).tobytes()
            raw.append(data)
        return cls(header, tuple(raw))

    def alter(self, **fields: object) -> Parts:
        """The same with other fields in the header."""
        return dataclasses.replace(self, header=self.header._replace(**fields))

    def with_raw(self, at: int, data: bytes) -> Parts:
        """The same with another section."""
        return dataclasses.replace(self, raw=(*self.raw[:at], data, *self.raw[at + 1 :]))

    def with_parameters(self, at: int, parameters: bytes) -> Parts:
        """The same with other parameters of a stage."""
        stages = list(self.header.stages)
        stages[at] = stages[at]._replace(params=parameters)
        return self.alter(stages=tuple(stages))

    def index(self, stage: int, number: int) -> int:
        """Where a section lies."""
        keys = [(entry.stage, entry.number) for entry in self.header.sections]
        return keys.index((stage, number))

    def with_section(self, stage: int, number: int, data: bytes) -> Parts:
        """The same with one section more, without back ends."""
        keys = [(entry.stage, entry.number) for entry in self.header.sections]
        at = sum(key < (stage, number) for key in keys)
        entry = SectionEntry(stage, number, 0, (len(data),))
        entries = (*self.header.sections[:at], entry, *self.header.sections[at:])
        return Parts(self.header._replace(sections=entries), (*self.raw[:at], data, *self.raw[at:]))

    def without(self, at: int) -> Parts:
        """The same without a section."""
        kept = [k for k in range(len(self.raw)) if k != at]
        header = self.header._replace(sections=tuple(self.header.sections[k] for k in kept))
        return Parts(header, tuple(self.raw[k] for k in kept))

    def join(self, *, sizes: Sequence[tuple[int, ...]] | None = None) -> bytes:
        """The stream, with its back ends applied again and true sizes, or these."""
        entries, blobs = [], []
        for k, (entry, data) in enumerate(zip(self.header.sections, self.raw, strict=True)):
            true_sizes = [len(data)]
            for back_end in applied(self.header, entry.applied):
                data = squeezed(back_end, data)
                true_sizes.append(len(data))
            told = tuple(true_sizes) if sizes is None else sizes[k]
            entries.append(SectionEntry(entry.stage, entry.number, entry.applied, told))
            blobs.append(np.frombuffer(data, np.uint8))
        header = self.header._replace(sections=tuple(entries))
        return pack(header, blobs)

    def apply(self, at: int, mask: int) -> Parts:
        """The same with other back ends applied to a section."""
        entries = list(self.header.sections)
        entries[at] = entries[at]._replace(applied=mask)
        return self.alter(sections=tuple(entries))
