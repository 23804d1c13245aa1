"""Recursive zero-byte elimination: zero bytes cost a bit, and runs of those bits less."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from fzdask.codecs.kernels.cpu import zero_bytes
from fzdask.codecs.stages.base import ByteStage
from fzdask.errors import FormatError

__all__ = ["ZeroBytes"]

LEAST = 8  # bytes; bits that are no longer than this are kept as they are


@dataclass(frozen=True)
class ZeroBytes(ByteStage):
    """Leave out zero bytes, with a bit for each byte; of the bits, leave out repeated bytes.

    And so on with the bits of those, until eight bytes of them are left.

    Stream
    ------
    Level 0 are the data. The bits of a level say for each of its bytes (byte i is bit i mod 8 of
    byte i div 8, with zero bits up to a whole byte) whether it is kept. Of level 0 those are kept
    that are not 0; of any other level those that differ from the byte before them (the first:
    from 0). The bits of a level are the next level if they are longer than 8 bytes. Stored are
    the bits of the last level, then its kept bytes, then those of each level before it, those of
    level 0 at last.

    Sources
    -------
    Fallin et al. 2025, "Fast and effective lossy compression on GPUs and CPUs with
    guaranteed error bounds"; Azami et al. 2025, "LC: a framework for synthesizing compressors"
    (the components RZE and RRE).
    """

    name: ClassVar[str] = "zero_bytes"
    code: ClassVar[int] = 13

    def compress(self, data: NDArray[np.uint8]) -> bytes | None:
        parts = []
        level = data
        repeats = False
        while True:
            bits = np.empty(-(-level.size // 8), np.uint8)
            kept = np.empty(level.size, np.uint8)
            used = zero_bytes.forward(level, repeats, bits, kept)
            parts.append(kept[:used])
            level, repeats = bits, True
            if bits.size <= LEAST:
                break
        parts.append(level)
        if sum(part.size for part in parts) >= data.size:
            return None
        return b"".join(part.data for part in reversed(parts))

    def check(self, data: NDArray[np.uint8], nbytes: int) -> None:
        sizes = _level_sizes(nbytes)
        # Bits and kept bytes of the level above: what is read here is read again to decode.
        at = -(-sizes[-1] // 8)
        if at > data.size or (len(sizes) == 1 and not self._fits(data, nbytes)):
            raise _misfit(data, nbytes)

    def decompress(self, data: NDArray[np.uint8], nbytes: int) -> NDArray[np.uint8]:
        self.check(data, nbytes)
        sizes = _level_sizes(nbytes)
        at = -(-sizes[-1] // 8)
        bits = data[:at]
        for k in range(len(sizes) - 1, -1, -1):
            used = zero_bytes.count(bits, sizes[k])
            kept = data[at : at + used] if used >= 0 else data[:0]
            if used < 0 or kept.size != used:
                raise _misfit(data, nbytes)
            at += used
            level = np.empty(sizes[k], np.uint8)
            zero_bytes.inverse(bits, kept, k > 0, level)
            bits = level
        if at != data.size:
            raise _misfit(data, nbytes)
        return bits

    def _fits(self, data: NDArray[np.uint8], nbytes: int) -> bool:
        at = -(-nbytes // 8)
        return int(zero_bytes.count(data[:at], nbytes)) == data.size - at


def _level_sizes(nbytes: int) -> list[int]:
    """Bytes of level 0 and of those after it."""
    sizes = [nbytes]
    while -(-sizes[-1] // 8) > LEAST:
        sizes.append(-(-sizes[-1] // 8))
    return sizes


def _misfit(data: NDArray[np.uint8], nbytes: int) -> FormatError:
    return FormatError(
        f"fzdask stream: {data.size} bytes of zero_bytes do not hold {nbytes}; it is damaged."
    )
