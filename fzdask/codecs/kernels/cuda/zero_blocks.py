"""Elimination of blocks of zero bytes on a device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fzdask.codecs.kernels.cuda.device import BLOCK, Device, blocks
from fzdask.codecs.kernels.cuda.scan import exclusive_sum

__all__ = ["Blocks", "forward", "inverse", "keep"]


@dataclass(frozen=True, slots=True)
class Blocks:
    """Bytes in blocks, and which of those are kept.

    Attributes
    ----------
    data : uint8 array
    block : int
        Bytes of a block.
    bits : uint8 array
        A bit for each block.
    places : uint64 array
        Kept bytes before each tile of 256 blocks, and of all.
    """

    data: Any
    block: int
    bits: Any
    places: Any

    @property
    def sizes(self) -> tuple[np.uint64, np.uint32, np.uint64]:
        """What kernels ask for: bytes, log2 of the block, bytes of bits."""
        log2 = self.block.bit_length() - 1
        return np.uint64(self.data.size), np.uint32(log2), np.uint64(self.bits.size)


def forward(device: Device, data: Any, block: int) -> Blocks:
    """Which blocks have a byte that is not 0; ``data`` is aligned to four bytes."""
    bits = device.empty(-(-data.size // (8 * block)), np.uint8)
    tiles = blocks(8 * bits.size)
    kept = device.empty(tiles, np.uint32)
    found = Blocks(data, block, bits, None)
    device.launch("zero_blocks", "block_bits", tiles, BLOCK, data, *found.sizes, bits, kept)
    return Blocks(data, block, bits, exclusive_sum(device, kept))


def keep(device: Device, found: Blocks, out: Any) -> None:
    """Collect the blocks that are kept; ``out`` has room for just these."""
    device.launch(
        "zero_blocks", "keep_blocks", blocks(8 * found.bits.size), BLOCK,
        found.data, *found.sizes, found.bits, found.places, out,
    )  # fmt: skip


def inverse(device: Device, bits: Any, kept: Any, block: int, size: int) -> Any | None:
    """Undo :func:`forward`; None where bits and blocks do not fit each other and the size.

    There is at least one byte, and there are as many bits as blocks, up to whole bytes.
    """
    log2 = np.uint32(block.bit_length() - 1)
    nbytes = np.uint64(bits.size)
    tiles = blocks(8 * bits.size)
    sums, bad = device.empty(tiles, np.uint32), device.zeros(1, np.uint32)
    n = np.uint64(size)
    device.launch("zero_blocks", "kept_sizes", tiles, BLOCK, bits, nbytes, log2, n, sums, bad)
    places = exclusive_sum(device, sums)
    if int(device.download(places[-1:])[0]) != kept.size or device.download(bad)[0]:
        return None
    out = device.empty(size, np.uint8)
    there = kept if kept.size else bits  # kernels take no empty arrays
    device.launch(
        "zero_blocks", "put_blocks", tiles, BLOCK, there, n, log2, nbytes, bits, places, out
    )
    return out
