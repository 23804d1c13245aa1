"""Bit shuffle: the lowest bits of a block of elements, then the next higher ones, and so on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fzdask.codecs.kernels.cpu import bitshuffle
from fzdask.codecs.stages.base import ArrayStage, Encoded, Form, Job, Known, check_params
from fzdask.errors import ConfigError, FormatError

__all__ = ["Bitshuffle"]

LEAST, MOST = 3, 20  # log2 of a block


@dataclass(frozen=True)
class Bitshuffle(ArrayStage):
    """Bit planes of blocks of elements: exact for elements of any dtype and number.

    What the elements of a block have in common, above all leading zeros, becomes runs of equal
    bytes that a back end removes.

    Parameters
    ----------
    block : int
        Elements whose planes are together, a power of two from 8 to 2**20.

    Stream
    ------
    Parameters, one byte: log2 of the block. No side sections. Main section: for each block of
    elements (the last may be shorter) the planes of its elements as little-endian numbers (of
    other dtypes: of their bytes in the order of memory), the lowest bits first. A plane of m
    elements is ceil(m / 8) bytes; element j of the block is bit j mod 8 of byte j div 8, and bits
    without an element are 0.

    Sources
    -------
    Masui et al. 2015, "A compression scheme for radio data in high performance computing"
    (bitshuffle); Zhang et al. 2023, "FZ-GPU".
    """

    name: ClassVar[str] = "bitshuffle"
    code: ClassVar[int] = 10
    takes: ClassVar[tuple[str, ...]] = ("array", "lattice", "codes")
    gives: ClassVar[str] = "bytes"

    block: int = 1024

    def __post_init__(self) -> None:
        valid = type(self.block) is int and self.block in {1 << k for k in range(LEAST, MOST + 1)}
        if not valid:
            raise ConfigError(
                f"bitshuffle: block={self.block!r} must be a power of two from {1 << LEAST} to "
                f"{1 << MOST}."
            )

    def encode(self, data: NDArray[Any], form: Form, job: Job) -> Encoded:
        params = bytes([self.block.bit_length() - 1])
        out = np.empty(self.form_after(form, params).size, np.uint8)
        bitshuffle.forward(data.view(np.uint8), form.dtype.itemsize, self.block, out)
        return Encoded(out, params)

    def form_after(self, form: Form, params: bytes) -> Form:
        check_params(Bitshuffle, params, 1)
        if not LEAST <= params[0] <= MOST or not form.dtype.itemsize:
            raise FormatError(
                f"fzdask stream: bitshuffle of {form.dtype} in blocks of 2**{params[0]}; damaged."
            )
        whole, rest = divmod(form.size, 1 << params[0])
        groups = (whole << params[0] >> 3) + (rest + 7) // 8
        return Form((8 * form.dtype.itemsize * groups,), np.dtype(np.uint8))

    def decode(
        self,
        data: NDArray[Any],
        form: Form,
        params: bytes,
        sections: dict[str, NDArray[np.uint8]],
        known: Known,
    ) -> NDArray[Any]:
        out = np.empty(form.size, form.dtype)
        bitshuffle.inverse(data, form.dtype.itemsize, 1 << params[0], out.view(np.uint8))
        return out
