"""Zero-block elimination: blocks of zero bytes cost a bit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from fzdask.codecs.kernels.cpu import zero_blocks
from fzdask.codecs.stages.base import ByteStage
from fzdask.errors import ConfigError, FormatError

__all__ = ["ZeroBlocks"]

SIZES = (4, 8, 16, 32, 64, 128, 256)


@dataclass(frozen=True)
class ZeroBlocks(ByteStage):
    """Leave out blocks of zero bytes, with a bit for each block that says whether it is there.

    Parameters
    ----------
    block : int
        Bytes of a block: 4, 8, 16, 32, 64, 128 or 256.

    Stream
    ------
    One byte, log2 of the block; then a bit for each block of the data (block b is bit b mod 8 of
    byte b div 8; the last block may be shorter), 1 if it has a byte other than 0, and zero bits
    up to a whole byte; then the blocks whose bit is 1.

    Sources
    -------
    Zhang et al. 2023, "FZ-GPU: a fast and high-ratio lossy compressor for scientific computing
    applications on GPUs".
    """

    name: ClassVar[str] = "zero_blocks"
    code: ClassVar[int] = 12

    block: int = 16

    def __post_init__(self) -> None:
        if self.block not in SIZES or type(self.block) is not int:
            raise ConfigError(
                f"zero_blocks: block={self.block!r} must be one of {', '.join(map(str, SIZES))}."
            )

    def compress(self, data: NDArray[np.uint8]) -> bytes | None:
        bits = np.zeros(_bits_nbytes(data.size, self.block), np.uint8)
        kept = np.empty(data.size, np.uint8)
        used = zero_blocks.forward(data, self.block, bits, kept)
        if 1 + bits.size + used >= data.size:
            return None
        return b"".join([bytes([self.block.bit_length() - 1]), bits.data, kept[:used].data])

    def check(self, data: NDArray[np.uint8], nbytes: int) -> None:
        self._parts(data, nbytes)

    def decompress(self, data: NDArray[np.uint8], nbytes: int) -> NDArray[np.uint8]:
        block, bits, kept = self._parts(data, nbytes)
        out = np.empty(nbytes, np.uint8)
        zero_blocks.inverse(bits, kept, block, out)
        return out

    def _parts(
        self, data: NDArray[np.uint8], nbytes: int
    ) -> tuple[int, NDArray[np.uint8], NDArray[np.uint8]]:
        """Block, bits and blocks, which fit each other and ``nbytes``."""
        block = 1 << int(data[0]) if data.size and data[0] < 16 else 0
        if block in SIZES:
            split = 1 + _bits_nbytes(nbytes, block)
            bits, kept = data[1:split], data[split:]
            whole = bits.size == split - 1
            if whole and zero_blocks.kept_nbytes(bits, block, nbytes) == kept.size:
                return block, bits, kept
        raise FormatError(
            f"fzdask stream: {data.size} bytes of zero_blocks do not hold {nbytes}; damaged."
        )


def _bits_nbytes(nbytes: int, block: int) -> int:
    return (nbytes + 8 * block - 1) // (8 * block)
