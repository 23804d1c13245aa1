"""Elimination of blocks of zero bytes on a device."""

from __future__ import annotations

from typing import Any

import numpy as np

from fzdask.codecs.kernels.cuda.device import BLOCK, Device, blocks
from fzdask.codecs.kernels.cuda.scan import exclusive_sum

__all__ = ["forward", "inverse"]


def forward(device: Device, data: Any, block: int) -> tuple[Any, Any]:
    """A bit for each block with a byte that is not 0, and a function that gives those blocks.

    The first is the bits; the second how many bytes the blocks have, and what to call with an
    array of that size to have it filled.
    """
    n, log2 = data.size, np.uint32(block.bit_length() - 1)
    nbytes = -(-n // (8 * block))
    tiles = blocks(8 * nbytes)
    bits, kept = device.empty(nbytes, np.uint8), device.empty(tiles, np.uint32)
    sizes = (np.uint64(n), log2, np.uint64(nbytes))
    device.launch("zero_blocks", "block_bits", tiles, BLOCK, data, *sizes, bits, kept)
    places = exclusive_sum(device, kept)

    def fill(out: Any) -> None:
        device.launch("zero_blocks", "keep_blocks", tiles, BLOCK, data, *sizes, bits, places, out)

    return bits, (int(device.download(places[-1:])[0]), fill)


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
