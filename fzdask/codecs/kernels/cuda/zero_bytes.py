"""Elimination of zero bytes, and of repeated bytes, on a device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fzdask.codecs.kernels.cuda.device import BLOCK, Device, blocks
from fzdask.codecs.kernels.cuda.scan import exclusive_sum

__all__ = ["Level", "count", "forward", "inverse", "keep"]

EACH = 8
TILE = BLOCK * EACH


@dataclass(frozen=True, slots=True)
class Level:
    """Bytes, and which of them are kept.

    Attributes
    ----------
    data : uint8 array
    bits : uint8 array
        A bit for each byte.
    places : uint64 array
        Kept bytes before each tile, and of all.
    """

    data: Any
    bits: Any
    places: Any


def forward(device: Device, data: Any, repeats: bool) -> Level:
    """Which bytes are not 0 or, with ``repeats``, unlike the one before (the first: unlike 0)."""
    tiles = blocks(data.size, TILE)
    bits = device.empty(-(-data.size // EACH), np.uint8)
    kept = device.empty(tiles, np.uint32)
    device.launch(
        "zero_bytes", "byte_bits", tiles, BLOCK,
        data, np.uint64(data.size), np.uint32(repeats), bits, kept,
    )  # fmt: skip
    return Level(data, bits, exclusive_sum(device, kept))


def keep(device: Device, level: Level, out: Any) -> None:
    """Collect the bytes of a level that are kept; ``out`` has room for just these."""
    device.launch(
        "zero_bytes", "keep_bytes", blocks(level.data.size, TILE), BLOCK,
        level.data, np.uint64(level.data.size), level.bits, level.places, out,
    )  # fmt: skip


def count(device: Device, bits: Any, size: int) -> tuple[int, Any]:
    """How many bytes of a level of that size are kept, -1 if there are bits of none; and places."""
    tiles = blocks(size, TILE)
    kept, bad = device.empty(tiles, np.uint32), device.zeros(1, np.uint32)
    device.launch("zero_bytes", "count_bits", tiles, BLOCK, bits, np.uint64(size), kept, bad)
    places = exclusive_sum(device, kept)
    total = int(device.download(places[-1:])[0])
    return -1 if device.download(bad)[0] else total, places


def inverse(device: Device, bits: Any, kept: Any, places: Any, repeats: bool, size: int) -> Any:
    """The level of that size; bits have been counted."""
    out = device.empty(size, np.uint8)
    device.launch(
        "zero_bytes", "put_bytes", blocks(size, TILE), BLOCK,
        bits, np.uint64(size), kept if kept.size else bits, places, np.uint32(repeats), out,
    )  # fmt: skip
    return out
