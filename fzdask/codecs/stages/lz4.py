"""LZ4 as the lossless back end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numcodecs import lz4
from numpy.typing import NDArray

from fzdask.codecs.stages.base import ByteStage
from fzdask.errors import ConfigError, FormatError

__all__ = ["LZ4"]

TINY = 64  # bytes; a block of its own would not pay
MOST = 0x7E000000  # bytes of input that LZ4 takes
WORTH = 0.98  # keep the result only below this share of the input: decoding costs time too
HEADER = 4
EXPANSION = 255  # a byte of a block stands for at most so many


@dataclass(frozen=True)
class LZ4(ByteStage):
    """LZ4 blocks, kept where they save at least 2 %; the bytes come back exactly.

    Among the back ends the fastest to decode. Its bytes may differ between releases of LZ4; any
    release reads them.

    Parameters
    ----------
    acceleration : int
        1 to 65537: the greater, the faster to compress and the larger.

    Stream
    ------
    The number of bytes it holds, in 4 bytes, little-endian; then one block of the LZ4 block format.

    Sources
    -------
    Collet 2011, "LZ4 block format description"; the framing is that of numcodecs.
    """

    name: ClassVar[str] = "lz4"
    code: ClassVar[int] = 17

    acceleration: int = 1

    def __post_init__(self) -> None:
        if type(self.acceleration) is not int or not 1 <= self.acceleration <= 65537:
            raise ConfigError(
                f"lz4: acceleration={self.acceleration!r} must be a whole number from 1 to 65537."
            )

    def compress(self, data: NDArray[np.uint8]) -> bytes | None:
        if not TINY <= data.size <= MOST:
            return None
        packed: bytes = lz4.compress(data, self.acceleration)
        return packed if len(packed) < WORTH * data.size else None

    def check(self, data: NDArray[np.uint8], nbytes: int) -> None:
        told = int.from_bytes(data[:HEADER].tobytes(), "little")
        if data.size <= HEADER or told != nbytes or nbytes > EXPANSION * (data.size - HEADER):
            raise FormatError(
                f"fzdask stream: an lz4 block of {data.size} bytes does not hold {nbytes}; "
                "the stream is damaged."
            )

    def decompress(self, data: NDArray[np.uint8], nbytes: int) -> NDArray[np.uint8]:
        self.check(data, nbytes)
        out = np.empty(nbytes, np.uint8)
        try:
            lz4.decompress(data, out)
        except (RuntimeError, ValueError) as error:
            raise FormatError(f"fzdask stream: lz4 cannot decode a section: {error}") from error
        return out
