"""Blocks that one value can stand for, taken out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fzdask.codecs.kernels.cpu import constant_blocks
from fzdask.codecs.stages.base import ArrayStage, Encoded, Form, Job, Known, Section
from fzdask.errors import ConfigError, FormatError

__all__ = ["Constant"]

NO_FLAGS = np.zeros(0, np.uint8)
MAX_BLOCK_LOG2 = 16


@dataclass(frozen=True)
class Constant(ArrayStage):
    """Blocks whose values lie within the bound of one value become that value, and are left out.

    Guarantees ``|x - x'| <= bound`` for every value of such a block, and nothing else is touched:
    values that are not finite, preserved values and -0.0 stay bit for bit. Behind ``quantize`` (on
    a lattice) a block is left out only where all its values are equal. What stays is a flat
    array, so that predictors behind it work in one dimension; in front of block coders
    (``fixed_length``) that costs nothing. Where few blocks are constant the array is left as it is.
    It pays most where there is no back end and masks are large: a block of one NaN or of one fill
    value takes one element, while ``quantize`` keeps each of them as an outlier.

    Parameters
    ----------
    block : int
        Values in a block: a power of two from 8 to 65536.
    share : float
        Least share of constant blocks for which they are taken out, 0 to 1.

    Stream
    ------
    Parameters, 1 byte: log2 of the block's values B; then the number of blocks left out as
    little-endian bytes without trailing zeros (none for 0). An array of n elements has
    floor((n - 1) / B) blocks of B consecutive elements; what is behind them always stays. If no
    block is left out the main output is the input; else the elements that stay, in order, as a
    flat array. Side sections, only if blocks are left out: 1 ``blocks``, a bit for each block
    (bit b mod 8 of byte floor(b / 8)), set if it is left out; 2 ``values``, for each block left
    out one element, in the bytes of the input.

    Source: Yu et al. 2022, "Ultrafast error-bounded lossy compression for scientific datasets"
    (SZx: constant blocks).
    """

    name: ClassVar[str] = "constant"
    code: ClassVar[int] = 26
    takes: ClassVar[tuple[str, ...]] = ("array", "lattice")
    gives: ClassVar[str] = "same"
    section_names: ClassVar[tuple[str, ...]] = ("blocks", "values")

    block: int = 128
    share: float = 0.25

    def __post_init__(self) -> None:
        block = self.block
        if type(block) is not int or block.bit_count() != 1 or not 8 <= block <= 65536:
            raise ConfigError(f"constant: block={block!r} must be a power of two, 8 to 65536.")
        if not isinstance(self.share, int | float) or not 0 <= self.share <= 1:
            raise ConfigError(f"constant: share={self.share!r} must be from 0 to 1.")

    def encode(self, data: NDArray[Any], form: Form, job: Job) -> Encoded:
        log2 = self.block.bit_length() - 1
        blocks = max(data.size - 1, 0) // self.block
        flags = np.zeros(blocks, np.uint8)
        values, count = self._find(data, form, job, flags)
        if count == 0 or count < self.share * blocks:
            return Encoded(data, bytes([log2]))
        kept = flags == 0
        out = _without(data, self.block, kept)
        if job.bits.size == data.size:
            job.bits = _without(job.bits, self.block, kept)
        if job.forced.size == data.size:
            job.forced = _without(job.forced, self.block, kept)
        job.pairs = False
        job.sample = (out, 1.0) if out.dtype.kind == "i" else None
        sections: dict[str, Section] = {
            "blocks": np.packbits(flags, bitorder="little"),
            "values": values[:count].view(np.uint8).copy(),
        }
        return Encoded(out, bytes([log2]) + _number(count), sections)

    def _find(
        self, data: NDArray[Any], form: Form, job: Job, flags: NDArray[np.uint8]
    ) -> tuple[NDArray[Any], int]:
        """The values of constant blocks and their number; flags the blocks."""
        itemsize = form.dtype.itemsize
        if itemsize not in (1, 2, 4, 8) or form.dtype.hasobject:
            return flags, 0
        bits = job.bits
        # Behind the lossy stage those of the job are not of the lattice, but of what it came from.
        if form.bound == 0 or bits.size != data.size or bits.dtype.itemsize != itemsize:
            bits = data.view(f"<u{itemsize}")
        values = np.empty(flags.size, bits.dtype)
        own = data.dtype == form.dtype and form.dtype.isnative
        forced = job.forced if job.forced.size == data.size else NO_FLAGS
        if own and form.dtype.kind == "f" and itemsize > 2:
            spot = np.zeros(1, data.dtype)
            count = constant_blocks.find_floats(
                data, bits, forced, form.bound, self.block, spot, spot.view(bits.dtype), flags,
                values,
            )  # fmt: skip
        else:  # of halves and of what is no number only the bits are looked at
            numbers = own and form.dtype.kind in "iu"
            count = constant_blocks.find_integers(
                data if numbers else bits, bits, forced, int(form.bound) if numbers else 0,
                self.block, flags, values,
            )  # fmt: skip
        return values, count

    def form_after(self, form: Form, params: bytes) -> Form:
        block, count = _read(params)
        if count > max(form.size - 1, 0) // block:
            raise FormatError(
                f"fzdask stream: {count} constant blocks of {block} among {form.size} elements; "
                "it is damaged."
            )
        if count == 0:
            return form
        return Form((form.size - count * block,), form.dtype, form.bound)

    def decode(
        self,
        data: NDArray[Any],
        form: Form,
        params: bytes,
        sections: dict[str, NDArray[np.uint8]],
        known: Known,
    ) -> NDArray[Any]:
        block, count = _read(params)
        bitmap, values = sections.get("blocks"), sections.get("values")
        if count == 0:
            if bitmap is not None or values is not None:
                raise FormatError("fzdask stream: constant blocks where none are; it is damaged.")
            return data
        blocks = (form.size - 1) // block
        flags = NO_FLAGS
        if bitmap is not None and bitmap.size == (blocks + 7) // 8:
            flags = np.unpackbits(bitmap, bitorder="little")
        fits = flags.size >= blocks and not flags[blocks:].any()
        fits = fits and int(flags[:blocks].sum()) == count
        if values is None or values.size != count * form.dtype.itemsize or not fits:
            raise FormatError("fzdask stream: constant blocks that do not fit the array; damaged.")
        kept = flags[:blocks] == 0
        plain = _plain(form.dtype)
        out, data = np.empty(form.size, plain), data.view(plain)
        rows = out[: blocks * block].reshape(blocks, block)
        rows[~kept] = values.view(plain)[:, None]
        inside = int(kept.sum()) * block
        rows[kept] = data[:inside].reshape(-1, block)
        out[blocks * block :] = data[inside:]
        return out.view(form.dtype)


def _without(data: NDArray[Any], block: int, kept: NDArray[np.bool_]) -> NDArray[Any]:
    """The elements of the blocks that are kept, and all that follow the blocks."""
    plain = data.view(_plain(data.dtype))
    inside = plain[: kept.size * block].reshape(-1, block)[kept].reshape(-1)
    behind = plain[kept.size * block :]
    out = np.empty(inside.size + behind.size, plain.dtype)  # joining would change the byte order
    out[: inside.size] = inside
    out[inside.size :] = behind
    return out.view(data.dtype)


def _plain(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """A dtype to copy elements in: of those with fields NumPy would copy these only."""
    return np.dtype(f"V{dtype.itemsize}") if dtype.names else dtype


def _number(value: int) -> bytes:
    return value.to_bytes((value.bit_length() + 7) // 8, "little")


def _read(params: bytes) -> tuple[int, int]:
    """Values in a block and blocks left out."""
    count = int.from_bytes(params[1:], "little")
    if not 1 <= len(params) <= 9 or not 3 <= params[0] <= MAX_BLOCK_LOG2:
        raise FormatError(f"fzdask stream: constant with parameters {params!r}; it is damaged.")
    return 1 << params[0], count
