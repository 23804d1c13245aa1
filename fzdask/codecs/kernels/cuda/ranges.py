"""Range of a device array, and flags of the values to keep bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np

from fzdask.codecs.kernels.cuda.device import BLOCK, Device, blocks, suffix

__all__ = ["finite_range", "flag_pairs", "preserve"]

MOST_BLOCKS = 8  # for each multiprocessor


def finite_range(device: Device, x: Any, forced: Any) -> tuple[Any, Any]:
    """Least and greatest finite value that is not forced; (0, 0) if there is none.

    ``forced`` is empty or flags of values. Both are Python numbers.
    """
    kind, itemsize = x.dtype.kind, x.dtype.itemsize
    result = "f8" if kind == "f" else "u8" if kind == "u" and itemsize == 8 else "i8"
    count = min(blocks(x.size, 4 * BLOCK), MOST_BLOCKS * device.multiprocessors)
    pairs = device.empty(2 * count, result)
    device.launch(
        "ranges", f"range_{suffix(x.dtype)}", count, BLOCK,
        x, forced if forced.size else _nothing(device), np.uint32(forced.size > 0),
        np.uint64(x.size), pairs[:count], pairs[count:],
    )  # fmt: skip
    host = device.download(pairs)
    low, high = host[:count].min().item(), host[count:].max().item()
    return (low, high) if low <= high else (0, 0)


def preserve(device: Device, x: Any, parts: int, ends: tuple[Any, Any, Any], flags: Any) -> None:
    """Flag what lies in a range of those that `fzdask.codecs.prepare.preserved_ranges` gives.

    With two parts it is one of complex numbers.
    """
    dtype = np.dtype(x.dtype)
    # Integers of one width have one kernel; halves travel as the bits that they are.
    name, bits = (suffix(dtype), dtype) if dtype.kind == "f" else (f"i{dtype.itemsize}", None)
    if dtype == np.float16 or bits is None:
        bits = np.dtype(f"u{dtype.itemsize}")
    low, high, aside = ends
    scalars = np.array([low, high, -aside, aside], dtype).view(bits)
    device.launch(
        "ranges", f"preserve_{name}", blocks(x.size // parts), BLOCK,
        x, np.uint64(x.size), np.uint32(parts), *scalars, flags,
    )  # fmt: skip


def flag_pairs(device: Device, x: Any, flags: Any) -> None:
    """Flag both parts of complex numbers that are not finite."""
    device.launch(
        "ranges", f"flag_pairs_{suffix(x.dtype)}", blocks(x.size // 2), BLOCK,
        x, np.uint64(x.size), flags,
    )  # fmt: skip


def _nothing(device: Device) -> Any:
    """An array for an argument that the kernel does not look at."""
    return device.empty(1, np.uint8)
