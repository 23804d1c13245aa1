"""Zstandard as the lossless back end."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np
import zstandard
from numpy.typing import NDArray

from fzdask.addresses import address
from fzdask.codecs.kernels.cpu import histogram, zstd_frame
from fzdask.codecs.stages.base import ByteStage
from fzdask.errors import ConfigError, FormatError

__all__ = ["Zstd"]

TINY = 64  # bytes; a frame of its own would not pay
TINY_PER_SHARE = 3200  # bytes per unit of `least`: making a frame takes as long as some KiB more
FEW_VALUES = 0.4  # bytes of so small a section must be equal to each other with this probability
SMALL = 1 << 16  # bytes; larger data is first tried on a sample of pieces
PIECE = 1 << 12
FEW_PIECES = 4  # of so many, one is looked at where data is small; where not, of
MANY_PIECES = 16
ENTROPY_ALONE = 0.05  # from this `least` on, large data of even byte counts is not tried, and
NEAR = 14  # blocks have 2**14 bytes, which their codes fit better; there is not much to repeat


@dataclass(frozen=True)
class Zstd(ByteStage):
    """Zstandard frames (RFC 8878), kept where they save enough.

    Parameters
    ----------
    level : int
        Compression level, 1 to 22.
    least : float
        Smallest share of the bytes of a section, from 0 to below 1, for which its frame is kept:
        decoding it costs time too. Sections below 64 bytes are kept as they are, and those
        below ``3200 * least`` unless nearly all bytes have one of two values. From 0.05 on,
        blocks are of 16 KiB, which suits bytes of uneven frequency, and no repeats are found that
        lie further apart.

    Source: Collet and Kucherawy 2021, RFC 8878.
    """

    name: ClassVar[str] = "zstd"
    code: ClassVar[int] = 4

    level: int = 1
    least: float = 0.02

    def __post_init__(self) -> None:
        if isinstance(self.level, bool) or not isinstance(self.level, int):
            raise ConfigError(f"zstd: level={self.level!r} must be a whole number from 1 to 22.")
        if not 1 <= self.level <= 22:
            raise ConfigError(f"zstd: level={self.level!r} must be from 1 to 22.")
        if isinstance(self.least, bool) or not isinstance(self.least, int | float):
            raise ConfigError(f"zstd: least={self.least!r} must be a number from 0 to below 1.")
        if not 0 <= self.least < 1:
            raise ConfigError(f"zstd: least={self.least!r} must be from 0 to below 1.")

    def compress(self, data: NDArray[np.uint8]) -> bytes | None:
        if data.size < TINY or not self._promising(data):
            return None
        packed: bytes = self._compressor.compress(data.data)
        return packed if len(packed) < (1 - self.least) * data.size else None

    @property
    def _compressor(self) -> zstandard.ZstdCompressor:
        return _contexts.compressor(self.level, self.least >= ENTROPY_ALONE)

    def _promising(self, data: NDArray[np.uint8]) -> bool:
        """Whether it is worth compressing: told from byte counts, or from a sixteenth, or both."""
        if data.size < TINY_PER_SHARE * self.least:
            place = address(data)
            found, looked = histogram.collisions(place, data.size, data.size, data.size)
            return bool(found > FEW_VALUES * looked * looked)
        if data.size <= SMALL:
            return self._uneven(data, FEW_PIECES)
        if self.least >= ENTROPY_ALONE and not self._uneven(data, MANY_PIECES):
            return False
        pieces = data[: data.size // PIECE * PIECE].reshape(-1, PIECE)[::MANY_PIECES]
        sample = np.ascontiguousarray(pieces)
        packed = self._compressor.compress(sample.data)
        return len(packed) < (1 - self.least) * sample.size

    def _uneven(self, data: NDArray[np.uint8], every: int) -> bool:
        """Whether the entropy of the bytes is low enough, in every so many-th piece."""
        place = address(data)
        piece = PIECE if data.size >= PIECE * every else data.size
        found, looked = histogram.collisions(place, data.size, piece, piece * every)
        uniform = looked * looked // 256 + 2 * looked
        return bool(found > _collisions(self.least) * uniform)

    def check(self, data: NDArray[np.uint8], nbytes: int) -> None:
        if zstd_frame.content_size(address(data), data.size) != nbytes:
            raise FormatError(
                f"fzdask stream: a zstd frame of {data.size} bytes does not hold {nbytes}; "
                "the stream is damaged."
            )

    def decompress(self, data: NDArray[np.uint8], nbytes: int) -> NDArray[np.uint8]:
        self.check(data, nbytes)
        out = np.empty(nbytes, np.uint8)
        try:
            with _contexts.decompressor.stream_reader(data.data) as reader:
                read = reader.readinto(out.data)
        except zstandard.ZstdError as error:
            raise FormatError(f"fzdask stream: zstd cannot decode a section: {error}") from error
        if read != nbytes:
            raise FormatError(
                f"fzdask stream: a zstd frame gives {read} bytes, not {nbytes}; it is damaged."
            )
        return out


class _Contexts(threading.local):
    """What zstd works with, kept by each thread: making it anew takes longer than a few KiB."""

    def __init__(self) -> None:
        self.decompressor = zstandard.ZstdDecompressor()
        self._compressors: dict[tuple[int, bool], zstandard.ZstdCompressor] = {}

    def compressor(self, level: int, near: bool) -> zstandard.ZstdCompressor:
        key = level, near
        if key not in self._compressors:
            made = zstandard.ZstdCompressor(level=level)
            if near:
                how = zstandard.ZstdCompressionParameters.from_level(level, window_log=NEAR)
                made = zstandard.ZstdCompressor(compression_params=how)
            self._compressors[key] = made
        return self._compressors[key]


_contexts = _Contexts()


@lru_cache(maxsize=64)
def _collisions(least: float) -> float:
    """How often bytes collide, relative to uniform ones, where entropy saves that share.

    Bytes of ``8 (1 - least)`` bits collide ``2**(8 least)`` times as often. Those that do less
    are not tried: that costs more than coding a few KiB.
    """
    return float(round(2.0 ** (8 * least), 2))
