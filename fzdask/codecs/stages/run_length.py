"""Run-length coding as a lossless back end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from fzdask.codecs.kernels.cpu import run_length
from fzdask.codecs.stages.base import ByteStage
from fzdask.errors import FormatError

__all__ = ["RunLength"]

WORTH = 0.98  # keep the result only below this share of the input: decoding costs time too


@dataclass(frozen=True)
class RunLength(ByteStage):
    """Runs of four and more equal bytes, kept where that saves 2 %; the bytes come back exactly.

    The cheapest back end. It pays for sections with long stretches of one byte: flags, bit
    planes, group sizes, entropy-coded constants.

    Stream
    ------
    Pieces, each a number ``v`` as a varint (seven bits a byte, least significant first, the high
    bit on all but the last byte). If ``v`` is odd, the next byte repeats ``v // 2 + 4`` times;
    else ``v // 2 + 1`` bytes follow as they are.

    Sources
    -------
    Golomb 1966, "Run-length encodings"; the varint is LEB128.
    """

    name: ClassVar[str] = "run_length"
    code: ClassVar[int] = 14

    def compress(self, data: NDArray[np.uint8]) -> bytes | None:
        out = np.empty(int(WORTH * data.size), np.uint8)
        used = run_length.encode(data, out)
        return out[:used].tobytes() if used >= 0 and data.size else None

    def check(self, data: NDArray[np.uint8], nbytes: int) -> None:
        if run_length.decoded_size(data, nbytes) != nbytes:
            raise FormatError(
                f"fzdask stream: {data.size} bytes of run_length do not hold {nbytes}; "
                "the stream is damaged."
            )

    def decompress(self, data: NDArray[np.uint8], nbytes: int) -> NDArray[np.uint8]:
        self.check(data, nbytes)
        out = np.empty(nbytes, np.uint8)
        run_length.decode(data, out)
        return out
