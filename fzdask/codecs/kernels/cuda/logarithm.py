"""Decoding of integer logarithms on a device."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fzdask.codecs.kernels.cuda.device import BLOCK, Device, blocks, suffix

__all__ = ["decode"]


def decode(
    device: Device,
    logarithms: Any,
    itemsize: int,
    mantissa: int,
    scale: int,
    smooth: bool,
    table: NDArray[np.int64],
    signs: NDArray[np.uint8],
    negative: bool,
    zeros: NDArray[np.uint8],
    all_zero: bool,
) -> Any:
    """Bits of floats of that size; ``signs`` and ``zeros`` are bit fields of the host, or empty."""
    out = device.empty(logarithms.size, f"u{itemsize}")
    fields: list[Any] = []
    for bits in (signs, zeros):
        fields += [device.upload(bits if bits.size else np.zeros(1, np.uint8))]
        fields += [np.uint32(bits.size > 0)]
    bias = (1 << (8 * itemsize - 2 - mantissa)) - 1
    device.launch(
        "logarithm", f"decode_{suffix(logarithms.dtype)}_u{itemsize}", blocks(out.size), BLOCK,
        logarithms, np.uint64(out.size), np.uint32(8 * itemsize - 1), np.uint32(mantissa),
        np.int64(bias), np.uint32(scale), np.uint32(smooth), device.upload(table),
        fields[0], fields[1], np.uint32(negative), fields[2], fields[3], np.uint32(all_zero), out,
    )  # fmt: skip
    return out
