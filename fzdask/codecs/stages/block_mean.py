"""Blocks as their mean and what is left of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fzdask.codecs.kernels.cpu import tiles
from fzdask.codecs.stages.base import ArrayStage, Encoded, Form, Job, Known, check_params
from fzdask.codecs.stages.lorenzo_tiles import check_edges, check_tiles, tile_edges, tile_geometry
from fzdask.errors import FormatError

__all__ = ["BlockMean"]


@dataclass(frozen=True)
class BlockMean(ArrayStage):
    """Residuals to the mean of each block; the means alone are a coarse picture of the array.

    Exact for any lattice, since all arithmetic wraps. It suits noise around a level that changes
    slowly, where differences would double the noise, and block coders behind it.

    Parameters
    ----------
    edge : int
        Edge of a block, a power of two from 2 to 4096 in one dimension, to 64 in two and to 16 in
        three; 0: 256, 16 or 8.

    Stream
    ------
    Parameters, 3 bytes: log2 of a block's length along the last three axes of the folded shape
    (that of ``lorenzo``; with 1 in front until it has four axes), together at most 12. Blocks begin
    at multiples of these lengths and are shorter at the ends; along the first of the four axes they
    are 1 long. The main output has the shape of the lattice: each value less its block's mean. Side
    section 1 ``means``: for each block, in C order of the blocks, its mean less that of the block
    before it (0 at first), as an integer of the lattice's width; sums and differences wrap around.

    Source: the mean prediction of SZx (Yu et al. 2022) and of block floating point; means of
    tiles in FSZ (2025).
    """

    name: ClassVar[str] = "block_mean"
    code: ClassVar[int] = 22
    takes: ClassVar[tuple[str, ...]] = ("lattice",)
    gives: ClassVar[str] = "lattice"
    section_names: ClassVar[tuple[str, ...]] = ("means",)

    edge: int = 0

    def __post_init__(self) -> None:
        check_edges("block_mean", self.edge)

    def encode(self, data: NDArray[Any], form: Form, job: Job) -> Encoded:
        params = tile_edges(form.shape, self.edge)
        lengths, edges, count = tile_geometry(form.shape, params)
        out = np.empty(data.size, data.dtype)
        means = np.empty(count, data.dtype)
        modes = np.empty(count, np.uint8)
        tiles.forward(data, lengths, edges, tiles.MEAN, out, modes, means)
        return Encoded(out, params, {"means": means.view(np.uint8)})

    def form_after(self, form: Form, params: bytes) -> Form:
        check_params(BlockMean, params, 3)
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
        means = sections.get("means")
        if means is None or means.size != count * data.dtype.itemsize:
            raise FormatError(f"fzdask stream: not {count} means of blocks; it is damaged.")
        out = np.empty(data.size, data.dtype)
        modes = np.full(count, tiles.MEAN, np.uint8)
        tiles.inverse(data, lengths, edges, modes, means.view(data.dtype), out)
        return out
