"""Integer logarithms of floats on a device, and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fzdask.codecs.kernels.cpu.log_tables import Budget, Layout
from fzdask.codecs.kernels.cuda.device import BLOCK, Device, blocks, suffix
from fzdask.codecs.kernels.cuda.outliers import take_outliers
from fzdask.codecs.kernels.cuda.scan import exclusive_max

__all__ = ["Logarithms", "decode", "encode"]

TILE = 8 * BLOCK


@dataclass(frozen=True, slots=True)
class Logarithms:
    """Logarithms of an array, and what they do not say.

    Attributes
    ----------
    values : int32 or int64 array
        Zeros and outliers repeat the logarithm before them.
    signs, zeros : uint32 arrays
        A bit for each value, from the lowest on; outliers repeat the sign before them.
    negative, zero : int
        How many bits of these are set.
    runs, exact : arrays or None
        Where outliers are, as in the stream, and their bits.
    """

    values: Any
    signs: Any
    zeros: Any
    negative: int
    zero: int
    runs: Any = None
    exact: Any = None


def encode(
    device: Device,
    bits: Any,
    forced: Any,
    form: Layout,
    room: Budget,
    rel: float,
    first: int,
    tables: tuple[NDArray[np.int64], NDArray[np.int64]],
) -> Logarithms:
    """Logarithms of the floats with these bits; ``forced`` is empty or flags of outliers.

    ``first`` is the exponent field from which on no value needs a look by itself.
    """
    n = bits.size
    tiles, words = blocks(n, TILE), -(-n // 32)
    size = bits.dtype.itemsize
    values = device.empty(n, f"i{form.width}")
    silent, odd = (
        (device.empty(words, np.uint32), *(device.empty(tiles, np.uint32) for _ in range(3)))
        for _ in range(2)
    )
    signs, zeros = device.empty(words, np.uint32), device.empty(words, np.uint32)
    totals = device.zeros(4, np.uint64)
    flags = forced if forced.size else device.empty(1, np.uint8)
    count = np.uint64(n)
    device.launch(
        "logarithm_encode", f"encode_u{size}_i{form.width}", tiles, BLOCK,
        bits, flags, np.uint32(forced.size > 0), count, np.uint32(8 * size - 1),
        np.uint32(form.mantissa), np.int64(form.bias), np.uint32(form.scale),
        np.uint32(form.smooth), np.int64(room.bound), np.int64(room.shift),
        np.int64(first << form.mantissa), np.float64(rel), *(device.upload(t) for t in tables),
        values, *silent, *odd, signs, zeros, totals,
    )  # fmt: skip
    negative, zero, without, outliers = (int(v) for v in device.download(totals))
    if without:
        mask, counts, lasts, markers = silent
        earlier = exclusive_max(device, markers)
        device.launch(
            "logarithm_encode", f"fill_i{form.width}", tiles, BLOCK,
            values, mask, count, counts, lasts, earlier,
        )  # fmt: skip
    if not outliers:
        return Logarithms(values, signs, zeros, negative, zero)
    mask, counts, lasts, markers = odd
    device.launch(
        "logarithm_encode", "fill_signs", tiles, BLOCK,
        mask, count, counts, lasts, exclusive_max(device, markers), signs, totals,
    )  # fmt: skip
    negative = int(device.download(totals)[0])
    runs, exact = take_outliers(device, bits, mask)
    return Logarithms(values, signs, zeros, negative, zero, runs, exact)


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
