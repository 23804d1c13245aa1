"""Codes of signed integers, and bit planes of blocks of elements, on a device."""

from __future__ import annotations

from typing import Any

import numpy as np

from fzdask.codecs.kernels.cuda.device import BLOCK, Device, blocks

__all__ = ["bitshuffle", "bitunshuffle", "decode", "encode"]


def encode(device: Device, name: str, lattice: Any) -> Any:
    """Unsigned codes by ``zigzag``, ``negabinary`` or ``sign_magnitude``."""
    return _each(device, name, lattice, f"u{lattice.dtype.itemsize}")


def decode(device: Device, name: str, codes: Any) -> Any:
    """Undo :func:`encode`."""
    return _each(device, f"un{name}", codes, f"i{codes.dtype.itemsize}")


def _each(device: Device, name: str, data: Any, dtype: str) -> Any:
    out = device.empty(data.size, dtype)
    kernel = f"{name}_i{data.dtype.itemsize}"
    device.launch("codes", kernel, blocks(out.size), BLOCK, data, np.uint64(out.size), out)
    return out


def bitshuffle(device: Device, data: Any, block: int, nbytes: int) -> Any:
    """Bit planes of blocks of elements, ``nbytes`` in all."""
    size = data.dtype.itemsize
    out = device.empty(nbytes, np.uint8)
    _shuffle(device, "bitshuffle", data.view(np.uint8), data.size, size, block, out)
    return out


def bitunshuffle(device: Device, planes: Any, size: int, block: int, dtype: Any) -> Any:
    """Undo :func:`bitshuffle`."""
    out = device.empty(size, dtype)
    itemsize = out.dtype.itemsize
    _shuffle(device, "bitunshuffle", planes, size, itemsize, block, out.view(np.uint8))
    return out


def _shuffle(
    device: Device, kernel: str, data: Any, n: int, size: int, block: int, out: Any
) -> None:
    threads = blocks(n, block) * (block // 8) * size
    device.launch(
        "codes", kernel, blocks(threads), BLOCK,
        data, np.uint64(n), np.uint32(size), np.uint64(block), out,
    )  # fmt: skip
