"""Fixed-length coding on a device: blocks of codes as bit planes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fzdask.codecs.kernels.cuda.device import BLOCK, Device, blocks
from fzdask.codecs.kernels.cuda.scan import exclusive_sum

__all__ = ["Planes", "pack", "unpack"]

WARPS = BLOCK // 32  # units of a block of threads
BLOCKS = 4  # of codes in a unit


@dataclass(frozen=True, slots=True)
class Planes:
    """Packed codes.

    Attributes
    ----------
    planes : unsigned integer array
        A number for each plane.
    entries : uint16 array
        Width classes of each unit that is present and, with first codes apart, their bytes.
    firsts : uint8 array
        First codes of blocks; empty if they are not apart.
    present : uint8 array
        Bit field of the units that are not all zero.
    """

    planes: Any
    entries: Any
    firsts: Any
    present: Any


def pack(device: Device, codes: Any, block: int, apart: bool) -> Planes:
    """Pack codes of 32 or 64 bits in blocks of 16, 32 or 64; signed integers are zigzagged."""
    units = blocks(codes.size, BLOCKS * block)
    itemsize = codes.dtype.itemsize
    name = f"{block}_u{itemsize}"
    is_signed = np.uint32(codes.dtype.kind == "i")
    heads, lengths = device.empty(units, np.uint16), device.empty(units, np.uint16)
    many, some, flags = (device.empty(units, np.uint32) for _ in range(3))
    count = np.uint64(codes.size)
    args = (codes, count, is_signed, np.uint64(units), np.uint32(apart), heads, lengths)
    grid = blocks(units, WARPS)
    device.launch("fixed_length", f"widths_{name}", grid, BLOCK, *args, many, some, flags)
    places = [exclusive_sum(device, sizes) for sizes in (many, some, flags)]
    planes, firsts, stored = (int(device.download(p[-1:])[0]) for p in places)
    # Kernels take no empty arrays; what is not needed is cut off again.
    out = device.empty(max(planes, 1), f"u{block // 8}")
    first_bytes = device.empty(max(firsts, 1), np.uint8)
    entries = device.empty(max(stored, 1) * (1 + apart), np.uint16)
    device.launch(
        "fixed_length", f"pack_{name}", grid, BLOCK, *args, *places, out, first_bytes, entries
    )
    present = device.empty(-(-units // 8), np.uint8)
    device.launch(
        "fixed_length", "unit_bits", blocks(present.size), BLOCK, flags, np.uint64(units), present
    )
    return Planes(out[:planes], entries[: stored * (1 + apart)], first_bytes[:firsts], present)


def unpack(device: Device, packed: Planes, size: int, block: int, apart: bool, dtype: Any) -> Any:
    """The codes (of a signed dtype: the integers), or None where the entries do not fit the rest.

    There must be as many entries as units are present.
    """
    dtype = np.dtype(dtype)
    out_size = dtype.itemsize
    units = blocks(size, BLOCKS * block)
    flags, many, some = (device.empty(units, np.uint32) for _ in range(3))
    count = np.uint64(units)
    grid = blocks(units)
    device.launch("fixed_length", "unit_flags", grid, BLOCK, packed.present, count, flags)
    places = exclusive_sum(device, flags)
    bad = device.zeros(1, np.uint32)
    entries = packed.entries if packed.entries.size else device.zeros(2, np.uint16)
    device.launch(
        "fixed_length", f"unit_sizes_u{out_size}", grid, BLOCK,
        entries, flags, places, count, np.uint32(apart), many, some, bad,
    )  # fmt: skip
    plane_places, first_places = exclusive_sum(device, many), exclusive_sum(device, some)
    totals = [int(device.download(p[-1:])[0]) for p in (plane_places, first_places)]
    if device.download(bad)[0] or totals != [packed.planes.size, packed.firsts.size]:
        return None
    out = device.empty(size, dtype)
    device.launch(
        "fixed_length", f"unpack_{block}_u{out_size}", blocks(units, WARPS), BLOCK,
        packed.planes if totals[0] else device.zeros(1, packed.planes.dtype),
        packed.firsts if totals[1] else device.zeros(1, np.uint8),
        entries, flags, places, plane_places, first_places,
        np.uint64(size), np.uint32(dtype.kind == "i"), count, np.uint32(apart), out,
    )  # fmt: skip
    return out
