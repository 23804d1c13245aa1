"""Lorenzo prediction in independent tiles, each with the order that fits it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fzdask.codecs.kernels.cpu import tiles
from fzdask.codecs.stages.base import ArrayStage, Encoded, Form, Job, Known, Section, check_params
from fzdask.codecs.stages.lorenzo import folded_shape
from fzdask.errors import ConfigError, FormatError

__all__ = ["LorenzoTiles", "check_edges", "tile_edges", "tile_geometry"]

DEFAULT_EDGES = {1: 256, 2: 16, 3: 8}


@dataclass(frozen=True)
class LorenzoTiles(ArrayStage):
    """Residuals of order 0, 1 or 2 in independent tiles, each with or without its mean.

    Exact for any lattice, since all arithmetic wraps. Every tile takes the mode whose residuals
    are shortest in bits. Axes of length 1 do not count; tiles extend along the last three others.
    No tile needs another, so that a device can decode all at once; on a CPU, ``lorenzo``, whose
    predictions do not begin anew at tiles, is mostly the better one.

    Parameters
    ----------
    edge : int
        Edge of a tile, a power of two from 2 to 4096 in one dimension, to 64 in two and to 16 in
        three; 0: 256, 16 or 8.

    Stream
    ------
    Parameters, 3 bytes: log2 of a tile's length along the last three axes of the folded shape
    (that of ``lorenzo``; with 1 in front until it has four axes), together at most 12. Tiles
    begin at multiples of these lengths and are shorter at the ends; the first of the four axes has
    tiles of length 1.
    Side sections: 1 ``modes``, a byte for each tile in C order of the tiles: bits 0-1 the order,
    0 to 2, bit 2 set if the mean was taken off; 2 ``means``, for each tile with a mean, its mean
    less that of the tile with a mean before it (0 at first), as an integer of the lattice's width.

    The main output has the shape of the lattice. In a tile, less its mean, along each of its
    axes, order 1 gives q0, q1 - q0, ...; order 2 gives q0, q1 - q0, q2 - 2 q1 + q0, ...; all in
    the lattice's own width, wrapping around.

    Source: the choice of order and mean for each tile in FSZ (2025); Ibarria et al. 2003 (the
    predictor).
    """

    name: ClassVar[str] = "lorenzo_tiles"
    code: ClassVar[int] = 25
    takes: ClassVar[tuple[str, ...]] = ("lattice",)
    gives: ClassVar[str] = "lattice"
    section_names: ClassVar[tuple[str, ...]] = ("modes", "means")

    edge: int = 0

    def __post_init__(self) -> None:
        check_edges("lorenzo_tiles", self.edge)

    def encode(self, data: NDArray[Any], form: Form, job: Job) -> Encoded:
        params = tile_edges(form.shape, self.edge)
        lengths, edges, count = tile_geometry(form.shape, params)
        out = np.empty(data.size, data.dtype)
        modes = np.empty(count, np.uint8)
        means = np.empty(count, data.dtype)
        used = tiles.forward(data, lengths, edges, -1, out, modes, means)
        sections: dict[str, Section] = {"modes": modes}
        if used:
            sections["means"] = means[:used].view(np.uint8).copy()
        return Encoded(out, params, sections)

    def form_after(self, form: Form, params: bytes) -> Form:
        check_params(LorenzoTiles, params, 3)
        check_tiles(form, params)
        return form

    def decode(
        self,
        data: NDArray[Any],
        form: Form,
        params: bytes,
        sections: dict[str, NDArray[np.uint8]],
        known: Known,
    ) -> NDArray[Any]:
        lengths, edges, count = tile_geometry(form.shape, params)
        modes = sections.get("modes", np.zeros(0, np.uint8))
        means = sections.get("means", np.zeros(0, np.uint8))
        out = np.empty(data.size, data.dtype)
        fits = modes.size == count and means.size % data.dtype.itemsize == 0
        if not fits or not tiles.inverse(data, lengths, edges, modes, means.view(data.dtype), out):
            raise FormatError("fzdask stream: modes and means do not fit the tiles; damaged.")
        return out


def check_edges(stage: str, edge: int) -> None:
    """Refuse an edge that is no power of two, or makes too large a tile in any dimension."""
    if edge != 0 and (type(edge) is not int or edge.bit_count() != 1 or not 2 <= edge <= 4096):
        raise ConfigError(
            f"{stage}: edge={edge!r} must be a power of two from 2 to 4096, or 0 for 256, 16 or 8 "
            "in one, two or three dimensions."
        )


def tile_edges(shape: tuple[int, ...], edge: int) -> bytes:
    """Parameters of a stage that cuts tiles: log2 of their last three lengths."""
    ndim = min(max(len(folded_shape(shape)), 1), 3)
    log2 = (edge or DEFAULT_EDGES[ndim]).bit_length() - 1
    log2 = min(log2, tiles.MAX_TILE_LOG2 // ndim)
    return bytes([0] * (3 - ndim) + [log2] * ndim)


def check_tiles(form: Form, params: bytes) -> None:
    """Refuse tiles that are too large, or of no lattice."""
    if sum(params) > tiles.MAX_TILE_LOG2 or form.dtype.kind != "i" or form.dtype.itemsize < 4:
        raise FormatError(
            f"fzdask stream: tiles of 2**{list(params)} elements of {form.dtype}; it is damaged."
        )


def tile_geometry(
    shape: tuple[int, ...], params: bytes
) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """Four lengths of the array, three of a tile, and the number of tiles."""
    folded = folded_shape(shape)
    lengths = (1,) * (4 - len(folded)) + folded
    edges = [1 << log2 for log2 in params]
    count = lengths[0]
    for length, edge in zip(lengths[1:], edges, strict=True):
        count *= -(-length // edge)
    return np.array(lengths, np.int64), np.array(edges, np.int64), count
