"""Golomb-Rice coding of unsigned integers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fzdask.codecs.kernels.cpu import golomb_rice
from fzdask.codecs.stages.base import ArrayStage, Encoded, Form, Job, Known, Section, check_params
from fzdask.errors import ConfigError, FormatError

__all__ = ["GolombRice"]

LEAST_BLOCK, MOST_BLOCK = 5, 12  # exponents of two


@dataclass(frozen=True)
class GolombRice(ArrayStage):
    """A quotient in unary and a remainder of ``k`` bits; exact for any codes.

    Each block has the ``k`` that suits it, so there is no codebook, and blocks decode
    independently of each other.

    Parameters
    ----------
    block : int
        Values per block, a power of two from 32 to 4096.

    Stream
    ------
    Parameters: 1 byte, the exponent of the block's length.

    Section ``parameters``: ``k`` of each block, a byte; it is below the width of a code, 32 or 64
    bits. Section ``block_sizes``: bytes of each block, in 2 bytes. Main section: the blocks one
    after the other, each from the most significant bit of its first byte on; the bits left over in
    its last byte, fewer than 8, are written as 0 and mean nothing. A value is ``value >> k`` ones
    (fewer than 24), a zero and the low ``k`` bits, most significant first; or 24 ones and all its
    bits. Of a sum beyond the width the low bits are the value.

    Sources
    -------
    Golomb 1966, "Run-length encodings"; Rice and Plaunt 1971, "Adaptive variable-length coding".
    """

    name: ClassVar[str] = "golomb_rice"
    code: ClassVar[int] = 27
    takes: ClassVar[tuple[str, ...]] = ("codes",)
    gives: ClassVar[str] = "bytes"
    section_names: ClassVar[tuple[str, ...]] = ("parameters", "block_sizes")

    block: int = 256

    def __post_init__(self) -> None:
        if type(self.block) is not int or self.block not in [
            1 << k for k in range(LEAST_BLOCK, MOST_BLOCK + 1)
        ]:
            raise ConfigError(
                f"golomb_rice: block={self.block!r} must be a power of two from "
                f"{1 << LEAST_BLOCK} to {1 << MOST_BLOCK}."
            )

    def encode(self, data: NDArray[Any], form: Form, job: Job) -> Encoded:
        width = 8 * data.itemsize
        blocks = -(-data.size // self.block)
        parameters = np.empty(blocks, np.uint8)
        sizes = np.empty(blocks, "<u2")
        total = golomb_rice.measure(data, self.block, width, parameters, sizes)
        out = np.zeros(total, np.uint8)
        golomb_rice.encode(data, self.block, width, parameters, sizes, out)
        sections: dict[str, Section] = {
            "parameters": parameters,
            "block_sizes": sizes.view(np.uint8),
        }
        return Encoded(out, bytes([self.block.bit_length() - 1]), sections)

    def form_after(self, form: Form, params: bytes) -> Form:
        check_params(GolombRice, params, 1)
        if not LEAST_BLOCK <= params[0] <= MOST_BLOCK or form.dtype.kind != "u":
            raise FormatError(
                f"fzdask stream: golomb_rice in blocks of 2**{params[0]} {form.dtype}; damaged."
            )
        return Form((-1,), np.dtype(np.uint8))

    def decode(
        self,
        data: NDArray[Any],
        form: Form,
        params: bytes,
        sections: dict[str, NDArray[np.uint8]],
        known: Known,
    ) -> NDArray[Any]:
        block = 1 << params[0]
        blocks = -(-form.size // block)
        parameters, raw = sections.get("parameters"), sections.get("block_sizes")
        if parameters is None or raw is None or parameters.size != blocks or raw.size != 2 * blocks:
            raise FormatError("fzdask stream: golomb_rice blocks do not match the array; damaged.")
        sizes = raw.view("<u2").astype(np.int64)
        out = np.empty(form.size, form.dtype)
        fits = sizes.sum() == data.size
        width = 8 * form.dtype.itemsize
        if not fits or not golomb_rice.decode(data, block, width, parameters, sizes, out):
            raise FormatError("fzdask stream: golomb_rice blocks do not decode; damaged.")
        return out
