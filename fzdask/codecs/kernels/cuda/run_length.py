"""Run-length coding on a device; where coded pieces begin is found on the host."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fzdask.codecs.kernels.cuda.device import BLOCK, Device, blocks
from fzdask.codecs.kernels.cuda.scan import exclusive_sum

__all__ = ["encode", "expand"]

TILE = 8 * BLOCK


def encode(device: Device, data: Any, room: int) -> Any | None:
    """The coded bytes; None where they are too many for the room, as on the CPU."""
    n = np.uint64(data.size)
    tiles = blocks(data.size, TILE)
    runs, begin = (device.empty(-(-data.size // 8), np.uint8) for _ in range(2))
    counts = device.empty(tiles, np.uint32)
    device.launch("run_length", "find_pieces", tiles, BLOCK, data, n, runs, begin, counts)
    before = exclusive_sum(device, counts)
    pieces = int(device.download(before[-1:])[0])
    if 2 * pieces > room:  # a piece takes two bytes at the least
        return None
    begins = device.empty(pieces + 1, np.uint64)
    device.launch("run_length", "list_pieces", tiles, BLOCK, begin, n, before, begins)
    sizes, bad = device.empty(pieces, np.uint64), device.zeros(1, np.uint32)
    listed = (begins, runs, np.uint64(pieces))
    grid = blocks(pieces)
    device.launch("run_length", "piece_sizes", grid, BLOCK, *listed, sizes)
    places = exclusive_sum(device, sizes)
    device.launch("run_length", "check_room", grid, BLOCK, *listed, places, np.uint64(room), bad)
    if device.download(bad)[0]:
        return None
    out = device.empty(int(device.download(places[-1:])[0]), np.uint8)
    device.launch("run_length", "put_heads", grid, BLOCK, data, *listed, places, out)
    device.launch(
        "run_length", "put_plain", tiles, BLOCK, data, n, runs, begin, before, begins, places, out
    )
    return out


def expand(
    device: Device, data: Any, begins: NDArray[np.uint64], sources: NDArray[np.uint64], size: int
) -> Any:
    """Bytes from pieces, of which the host has found where they are (and that they fit)."""
    out = device.empty(size, np.uint8)
    device.launch(
        "run_length", "expand", blocks(size, TILE), BLOCK,
        data, device.upload(begins), device.upload(sources), np.uint64(begins.size),
        np.uint64(size), out,
    )  # fmt: skip
    return out
