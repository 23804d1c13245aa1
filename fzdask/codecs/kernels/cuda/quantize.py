"""Dual quantization on a device, and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fzdask.codecs.kernels.cuda.device import BLOCK, Device, blocks, suffix
from fzdask.codecs.kernels.cuda.outliers import take_outliers
from fzdask.codecs.kernels.cuda.scan import exclusive_max

__all__ = [
    "Quantized",
    "dequantize_floats",
    "dequantize_integers",
    "quantize",
    "quantize_marked",
]

TILE = 8 * BLOCK


@dataclass(frozen=True, slots=True)
class Quantized:
    """A lattice, and its outliers if there are any.

    Attributes
    ----------
    lattice : int32 or int64 array
        With the last inlier's value in the place of each outlier.
    runs : uint8 array or None
        Where the outliers are, as in the stream.
    values : unsigned integer array or None
        Their bits.
    """

    lattice: Any
    runs: Any = None
    values: Any = None


def quantize(
    device: Device, x: Any, forced: Any, width: int, bound: float, limit: float
) -> Quantized:
    """Lattice of ``x`` of that width in bytes; floats onto ``rint(x / 2 bound)``.

    ``forced`` is empty or flags of values that must be outliers. ``limit`` is the greatest
    magnitude on the lattice of floats; integers always fit.
    """
    lattice, mask = quantize_marked(device, x, forced, width, bound, limit)
    if mask is None:
        return Quantized(lattice)
    return Quantized(lattice, *take_outliers(device, x.view(f"u{x.dtype.itemsize}"), mask))


def quantize_marked(
    device: Device, x: Any, forced: Any, width: int, bound: float, limit: float
) -> tuple[Any, Any]:
    """The lattice of :func:`quantize`, and its outliers as a mask, not yet compacted.

    The mask has a bit for each element, 32 in a word, as
    :func:`fzdask.codecs.kernels.cuda.outliers.take_outliers` reads it; None where there are none.
    """
    n = x.size
    tiles = blocks(n, TILE)
    lattice = device.empty(n, f"i{width}")
    words = -(-n // 32)
    mask = device.empty(words, np.uint32)
    counts, lasts, markers = (device.empty(tiles, np.uint32) for _ in range(3))
    total = device.zeros(1, np.uint64)
    if x.dtype.kind == "f":
        step = 2.0 * bound
        cell: tuple[Any, ...] = tuple(np.float64(v) for v in (1.0 / step, step, bound, limit))
    else:
        cell = (np.int64(bound),)
    flags = forced if forced.size else device.empty(1, np.uint8)
    device.launch(
        _module(x.dtype), f"quantize_{suffix(x.dtype)}_i{width}", tiles, BLOCK,
        x, flags, np.uint32(forced.size > 0), np.uint64(n), *cell,
        lattice, mask, counts, lasts, markers, total,
    )  # fmt: skip
    if not device.download(total)[0]:
        return lattice, None
    earlier = exclusive_max(device, markers)
    device.launch(
        "quantize", f"fill_i{width}", tiles, BLOCK,
        lattice, mask, np.uint64(n), counts, lasts, earlier,
    )  # fmt: skip
    return lattice, mask


def dequantize_floats(device: Device, lattice: Any, bound: float, dtype: Any) -> Any:
    """``dtype(q * 2 bound)``, through float32 where the dtype is narrower."""
    out = device.empty(lattice.size, dtype)
    device.launch(
        "quantize", f"dequantize_{suffix(dtype)}_{suffix(lattice.dtype)}", blocks(out.size), BLOCK,
        lattice, np.uint64(out.size), np.float64(2.0 * bound), out,
    )  # fmt: skip
    return out


def dequantize_integers(device: Device, lattice: Any, bound: int, dtype: Any) -> Any:
    """``q (2 bound + 1)``, clipped to the dtype's range."""
    info = np.iinfo(dtype)
    low, high = max(int(info.min), -(2**63)), min(int(info.max), 2**63 - 1)
    out = device.empty(lattice.size, dtype)
    kernel = f"dequantize_{suffix(dtype)}_{suffix(lattice.dtype)}"
    device.launch(
        _module(dtype), kernel, blocks(out.size), BLOCK,
        lattice, np.uint64(out.size), np.int64(bound), np.int64(low), np.int64(high), out,
    )  # fmt: skip
    return out


def _module(dtype: Any) -> str:
    return "quantize" if np.dtype(dtype).kind == "f" else "quantize_integers"
