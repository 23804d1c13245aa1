"""Blosc as the lossless back end: shuffle and a codec in blocks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numcodecs import blosc
from numpy.typing import NDArray

from fzdask.codecs.stages.base import ByteStage
from fzdask.errors import ConfigError, FormatError

__all__ = ["Blosc"]

TINY = 64  # bytes; a frame of its own would not pay
WORTH = 0.98  # keep the result only below this share of the input: decoding costs time too
HEADER = 16
# Each frame is of one block: with several, threads would finish them in another order each time.
PIECE = 1 << 18
CODECS = ("blosclz", "lz4", "lz4hc", "zlib", "zstd")
SHUFFLES = ("none", "byte", "bit")


@dataclass(frozen=True)
class Blosc(ByteStage):
    """Blosc frames, kept where they save at least 2 %; the bytes come back exactly.

    Bytes or bits of equal significance are brought together before the codec sees them, which
    helps for sections of numbers, not for those of an entropy coder. Its bytes may differ
    between releases of the codecs, but not with the number of threads.

    Parameters
    ----------
    cname : str
        ``blosclz``, ``lz4``, ``lz4hc``, ``zlib`` or ``zstd``.
    clevel : int
        Compression level, 1 to 9.
    shuffle : str
        ``none``, ``byte`` or ``bit``.
    typesize : int
        Bytes of a number, 1 to 16, for the shuffle.

    Stream
    ------
    Frames of Blosc 1, one after the other, each with 256 KiB of the section in one block, the last
    with the rest. A frame's header of 16 bytes tells the bytes it holds at 4 and its own length
    at 12, both in 4 bytes, little-endian.

    Sources
    -------
    Alted 2010, "Why modern CPUs are starving and what can be done about it"; the Blosc 1 format.
    """

    name: ClassVar[str] = "blosc"
    code: ClassVar[int] = 18

    cname: str = "lz4"
    clevel: int = 5
    shuffle: str = "byte"
    typesize: int = 4

    def __post_init__(self) -> None:
        if self.cname not in CODECS:
            raise ConfigError(f"blosc: cname={self.cname!r} must be one of {', '.join(CODECS)}.")
        if self.shuffle not in SHUFFLES:
            raise ConfigError(
                f"blosc: shuffle={self.shuffle!r} must be one of {', '.join(SHUFFLES)}."
            )
        for option, value, most in (("clevel", self.clevel, 9), ("typesize", self.typesize, 16)):
            if type(value) is not int or not 1 <= value <= most:
                raise ConfigError(
                    f"blosc: {option}={value!r} must be a whole number from 1 to {most}."
                )

    def compress(self, data: NDArray[np.uint8]) -> bytes | None:
        if data.size < TINY:
            return None
        shuffle = SHUFFLES.index(self.shuffle)
        packed = b"".join(
            blosc.compress(
                piece, self.cname.encode(), self.clevel, shuffle, piece.size, self.typesize
            )
            for piece in _pieces(data)
        )
        return packed if len(packed) < WORTH * data.size else None

    def check(self, data: NDArray[np.uint8], nbytes: int) -> None:
        self._frames(data, nbytes)

    def _frames(self, data: NDArray[np.uint8], nbytes: int) -> list[NDArray[np.uint8]]:
        """The frames, if they tell that they hold what they should."""
        frames = []
        at = 0
        left = nbytes
        while left > 0 and at + HEADER <= data.size:
            head = data[at : at + HEADER].tobytes()
            holds, size = int.from_bytes(head[4:8], "little"), int.from_bytes(head[12:], "little")
            block = int.from_bytes(head[8:12], "little")  # which the library allocates
            if holds != min(left, PIECE) or block > holds or not HEADER <= size <= data.size - at:
                break
            frames.append(data[at : at + size])
            left -= holds
            at += size
        if left or at != data.size:
            raise FormatError(
                f"fzdask stream: blosc frames of {data.size} bytes do not hold {nbytes}; "
                "the stream is damaged."
            )
        return frames

    def decompress(self, data: NDArray[np.uint8], nbytes: int) -> NDArray[np.uint8]:
        frames = self._frames(data, nbytes)
        out = np.empty(nbytes, np.uint8)
        for frame, piece in zip(frames, _pieces(out), strict=True):
            try:
                blosc.decompress(np.ascontiguousarray(frame), piece)
            except (RuntimeError, ValueError) as error:
                raise FormatError(
                    f"fzdask stream: blosc cannot decode a section: {error}"
                ) from error
        return out


def _pieces(data: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    for start in range(0, data.size, PIECE):
        yield data[start : start + PIECE]
