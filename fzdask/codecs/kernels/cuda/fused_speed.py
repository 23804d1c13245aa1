"""``quantize | lorenzo | zigzag | fixed_length`` in one pass on a device, and most of it back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fzdask.codecs.kernels.cuda.device import BLOCK, Device, blocks, suffix
from fzdask.codecs.kernels.cuda.fixed_length import Planes
from fzdask.codecs.kernels.cuda.scan import exclusive_sum

__all__ = ["MOST", "Marked", "Sums", "encode_lattice", "encode_values", "sums_of", "unpack"]

MOST = 2**32 - 2**16
"""Values, in places of 32 bits with room to step over the end."""
BLOCK_SIZE = 16  # codes
UNIT = 4 * BLOCK_SIZE
WARPS = BLOCK // 32
TILE = WARPS * 8 * UNIT
MOST_PLANES = 2  # of bits, for each value
MOST_ROW = 2048  # values, for sums along columns
PLANES = 2  # of rows, for each multiprocessor: fewer would leave some idle
PLANE_BITS = 34  # of a word of look-back
SUM_BITS = 62
FEWEST_CELLS = 2.0**-128  # narrower cells than this are near the least numbers of binary32
SURE = 0.5 - 2.0**-20  # of a cell; see fused_speed_encode.cu


@dataclass(frozen=True, slots=True)
class Marked:
    """Packed values, and which of them are outliers.

    Attributes
    ----------
    packed : Planes
    mask : uint32 array or None
        A bit for each value, if there are outliers.
    """

    packed: Planes
    mask: Any


def encode_values(
    device: Device,
    x: Any,
    forced: Any,
    bound: float,
    limit: float,
    finite_max: float,
    axes: tuple[Sequence[int], Sequence[int]],
) -> Marked | None:
    """Pack the residuals of floats; None where outliers are too many in a row for one pass.

    Parameters
    ----------
    x : float32 or float64 array
        At most ``MOST``; the lattice of the bound is to hold all of them in 32 bits.
    forced : uint8 array
        Empty, or flags of values that must be outliers.
    limit : float
        Greatest magnitude on the lattice.
    finite_max : float
        Greatest magnitude of a finite value that is not forced.
    axes : strides and spans
        To difference along, innermost first, none twice.
    """
    step = 2.0 * bound
    # A value next to the greatest number may come back as infinity, which only the full rule sees.
    most = float(np.finfo(x.dtype).max) / 2
    sure = SURE if step >= FEWEST_CELLS and finite_max + step < most else -1.0
    mask = device.empty(-(-x.size // 32), np.uint32)
    flags = forced if forced.size else device.empty(1, np.uint8)
    cell = tuple(np.float64(v) for v in (1.0 / step, step, bound, limit, sure))
    packed, outliers, gave_up = _encode(
        device, x, axes, (flags, np.uint32(forced.size > 0)), cell, (mask,)
    )
    return None if gave_up else Marked(packed, mask if outliers else None)


def encode_lattice(
    device: Device, lattice: Any, axes: tuple[Sequence[int], Sequence[int]]
) -> Planes:
    """Pack the residuals of a lattice of 32 bits."""
    return _encode(device, lattice, axes, (), (), ())[0]


def _encode(
    device: Device,
    source: Any,
    axes: tuple[Sequence[int], Sequence[int]],
    flags: tuple[Any, ...],
    cell: tuple[Any, ...],
    marks: tuple[Any, ...],
) -> tuple[Planes, int, int]:
    n = source.size
    tiles, units = blocks(n, TILE), blocks(n, UNIT)
    length, strides, spans = _split(axes)
    unused = [1] * (3 - len(strides))
    state = device.zeros(tiles + 3, np.uint64)  # a word for each tile; ticket, outliers, gave up
    planes = device.empty(MOST_PLANES * units * UNIT, np.uint16)
    heads = device.empty(units, np.uint16)
    present = device.empty(-(-units // 8), np.uint8)
    device.launch(
        "fused_speed_encode", f"encode{len(strides)}_{suffix(source.dtype)}", tiles, BLOCK,
        source, *flags, np.uint32(n), *cell,
        *(np.uint32(v) for v in (*strides, *unused, *spans, *unused, length)), *marks,
        state[:tiles], state[tiles:], planes, heads, present,
    )  # fmt: skip
    word, _, outliers, gave_up = (int(v) for v in device.download(state[tiles - 1 :]))
    used = word & ((1 << PLANE_BITS) - 1)
    stored = (word & ((1 << SUM_BITS) - 1)) >> PLANE_BITS
    firsts = device.empty(0, np.uint8)
    return Planes(planes[:used], heads[:stored], firsts, present), outliers, gave_up


def _split(axes: tuple[Sequence[int], Sequence[int]]) -> tuple[int, list[int], list[int]]:
    """Length of a row, 0 where rows are no axis, and the strides and spans of the other axes."""
    strides, spans = (list(v) for v in axes)
    if strides and strides[0] == 1:
        return spans[0], strides[1:], spans[1:]
    return 0, strides, spans


@dataclass(frozen=True, slots=True)
class Sums:
    """What is summed while planes are unpacked.

    Attributes
    ----------
    length : int
        Of a row; 0: rows are no axis.
    plane : int
        Elements of a plane of rows, along whose columns sums are taken, too; 0: they are not.
    axes : int
        How many axes these are, of the innermost.
    """

    length: int
    plane: int
    axes: int


def sums_of(device: Device, size: int, strides: Sequence[int], spans: Sequence[int]) -> Sums:
    """What :func:`unpack` can sum along axes of these strides and spans."""
    if not strides or strides[0] != 1:
        return Sums(0, 0, 0)
    length = spans[0]
    fits = length % UNIT == 0 and length <= MOST_ROW and strides[1:2] == [length]
    # A block of threads does a plane from its beginning to its end, a tile at a time.
    if fits and spans[1] >= TILE and size // spans[1] >= PLANES * device.multiprocessors:
        return Sums(length, spans[1], 2)
    return Sums(length, 0, 1)


def unpack(
    device: Device, packed: Planes, size: int, sums: Sums, dtype: Any, bound: float = 0.0
) -> Any:
    """Residuals summed along rows, or rows and columns; None where sizes do not fit.

    Of dtype int32 these are the residuals; of float32 or float64, values of the bound, for which
    no other axis may be left. There must be as many entries as units are present.
    """
    tiles = blocks(size, TILE)
    counts, sizes = device.empty(tiles, np.uint32), device.empty(tiles, np.uint32)
    nbytes, count = np.uint64(packed.present.size), np.uint64(tiles)
    device.launch(
        "fused_speed_decode", "tile_units", blocks(tiles), BLOCK,
        packed.present, nbytes, count, counts,
    )  # fmt: skip
    unit_places = exclusive_sum(device, counts)
    heads = packed.entries if packed.entries.size else device.zeros(1, np.uint16)
    device.launch(
        "fused_speed_decode", "tile_planes", blocks(tiles, WARPS), BLOCK,
        heads, unit_places, count, sizes,
    )  # fmt: skip
    plane_places = exclusive_sum(device, sizes)
    if int(device.download(plane_places[-1:])[0]) != packed.planes.size:
        return None
    out = device.empty(size, dtype)
    step = (np.float64(2.0 * bound),) if out.dtype.kind == "f" else ()
    planes = packed.planes if packed.planes.size else device.zeros(1, np.uint16)
    given = (planes, heads, packed.present, nbytes, unit_places, plane_places)
    if sums.plane:
        device.launch(
            "fused_speed_decode", f"unpack_planes_{suffix(dtype)}", size // sums.plane, BLOCK,
            *given, np.uint32(sums.length), np.uint32(sums.plane), *step, out,
        )  # fmt: skip
        return out
    state = device.zeros(tiles + 1, np.uint64)
    device.launch(
        "fused_speed_decode", f"unpack_{suffix(dtype)}", tiles, BLOCK,
        *given, np.uint32(size), np.uint32(sums.length), state[:tiles], state[tiles:], *step, out,
    )  # fmt: skip
    return out
