"""Deflate as the lossless back end."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from fzdask.codecs.stages.base import ByteStage
from fzdask.errors import ConfigError, FormatError

__all__ = ["Deflate"]

TINY = 64  # bytes; a stream of its own would not pay
WORTH = 0.98  # keep the result only below this share of the input: decoding costs time too
EXPANSION = 1032  # a byte stands for at most so many: 258 for two bits
RAW = -15  # window of 32 KiB, neither header nor checksum, since fzdask's stream has its own


@dataclass(frozen=True)
class Deflate(ByteStage):
    """Raw Deflate streams, kept where they save at least 2 %; the bytes come back exactly.

    The back end that every language's standard library can read. Its bytes may differ between
    releases of zlib; any release reads them.

    Parameters
    ----------
    level : int
        Compression level, 1 to 9.

    Stream
    ------
    One stream of RFC 1951, without the wrapping of zlib or gzip.

    Sources
    -------
    Deutsch 1996, RFC 1951, "DEFLATE compressed data format specification".
    """

    name: ClassVar[str] = "deflate"
    code: ClassVar[int] = 19

    level: int = 6

    def __post_init__(self) -> None:
        if type(self.level) is not int or not 1 <= self.level <= 9:
            raise ConfigError(f"deflate: level={self.level!r} must be a whole number from 1 to 9.")

    def compress(self, data: NDArray[np.uint8]) -> bytes | None:
        if data.size < TINY:
            return None
        packed = zlib.compress(data.data, self.level, RAW)
        return packed if len(packed) < WORTH * data.size else None

    def check(self, data: NDArray[np.uint8], nbytes: int) -> None:
        if nbytes > EXPANSION * data.size:
            raise FormatError(
                f"fzdask stream: {data.size} bytes of deflate cannot hold {nbytes}; "
                "the stream is damaged."
            )

    def decompress(self, data: NDArray[np.uint8], nbytes: int) -> NDArray[np.uint8]:
        self.check(data, nbytes)
        decoder = zlib.decompressobj(RAW)
        try:
            # The stream tells no size: one byte more than wanted is as far as it may go.
            out = decoder.decompress(data.data, nbytes + 1)
        except zlib.error as error:
            raise FormatError(f"fzdask stream: deflate cannot decode a section: {error}") from error
        if len(out) != nbytes or not decoder.eof or decoder.unused_data:
            raise FormatError(
                f"fzdask stream: a deflate section does not hold {nbytes} bytes; it is damaged."
            )
        return np.frombuffer(out, np.uint8)
