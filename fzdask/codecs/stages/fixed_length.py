"""Fixed-length coding: each block of codes in as many bits a code as its largest needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fzdask.codecs.kernels.cpu import fixed_length, zigzag
from fzdask.codecs.kernels.cpu.scratch import scratch
from fzdask.codecs.stages.base import ArrayStage, Encoded, Form, Job, Known, Section, check_params
from fzdask.errors import ConfigError, FormatError

__all__ = ["BLOCKS", "FixedLength", "check_planes", "checked_units", "packed"]

BLOCKS = (16, 32, 64)
APART = 4  # flag in the parameter byte
VECTOR_BLOCK = 16


@dataclass(frozen=True)
class FixedLength(ArrayStage):
    """Blocks of codes as bit planes, only as many as the block's largest code needs.

    Exact for any codes. Random access to a block needs the widths before it and no other block.
    Blocks of zeros cost one bit for every four of them.

    Parameters
    ----------
    block : int
        Codes in a block: 16, 32 or 64. Smaller ones follow the data more closely, at 4 bits each.
    outlier : bool
        Keep the first code of each block apart, in as many bytes as it needs. For predictions
        that begin anew in each block, whose first code is much larger than the others.

    Stream
    ------
    Takes codes of 32 or 64 bits; a lattice is zigzagged first. The array, flat, is cut into
    blocks, the last filled up with zeros, and every four consecutive blocks (as many as there
    are at the end) are a unit.

    Parameters, one byte: bits 0-1 the block (0: 16, 1: 32, 2: 64 codes), bit 2 outlier.

    Section 1, ``units``: a bit for each unit (unit u is bit u mod 8 of byte u div 8), 1 if any of
    its codes is not 0. Nothing else is stored of units whose bit is 0.

    Section 2, ``widths``: for each other unit a 16-bit number, little-endian, whose bits 4k to
    4k + 3 are the width class of block k of the unit. Classes 0 to 12 are widths in bits; 13, 14
    and 15 stand for 16, 24 and 32 bits (codes of 32 bits), or for 16, 32 and 64 (of 64 bits).
    With outlier, a second such number follows: how many bytes the first code of each block takes.

    Main section: for each block of the units that are stored its bit planes, from the least
    significant, as many as its width. A plane is block / 8 bytes; code j of the block is bit
    j mod 8 of byte j div 8. With outlier, the first code counts as 0 here.

    Section 3, ``firsts``, with outlier only: the first codes of the blocks of the units that are
    stored, each in its number of bytes, little-endian.

    Sources
    -------
    Huang et al. 2023, "cuSZp: an ultra-fast GPU error-bounded lossy compression framework with
    optimized end-to-end performance" (blocks of fixed length); Huang et al. 2024, "cuSZp2: a GPU
    lossy compressor with extreme throughput and optimized compression ratio" (outlier mode); Zhang
    et al. 2023, "FZ-GPU" (bit field of blocks that are not zero).
    """

    name: ClassVar[str] = "fixed_length"
    code: ClassVar[int] = 11
    takes: ClassVar[tuple[str, ...]] = ("codes", "lattice")
    gives: ClassVar[str] = "bytes"
    section_names: ClassVar[tuple[str, ...]] = ("units", "widths", "firsts")
    alignment: ClassVar[int] = 1

    block: int = VECTOR_BLOCK
    outlier: bool = False

    def __post_init__(self) -> None:
        if self.block not in BLOCKS or type(self.block) is not int:
            raise ConfigError(
                f"fixed_length: block={self.block!r} must be one of {', '.join(map(str, BLOCKS))}."
            )
        if type(self.outlier) is not bool:
            raise ConfigError(f"fixed_length: outlier={self.outlier!r} must be True or False.")

    @property
    def params(self) -> bytes:
        """The parameter byte."""
        return bytes([BLOCKS.index(self.block) | APART * self.outlier])

    def encode(self, data: NDArray[Any], form: Form, job: Job) -> Encoded:
        codes = data
        if form.dtype.kind == "i":
            codes = np.empty(data.size, f"<u{form.dtype.itemsize}")
            zigzag.forward(data, codes)
        room = Room.of(codes.size, codes.itemsize, self.block, self.outlier)
        if self.vectors(codes.dtype):
            at, used = fixed_length.pack_vectors(codes, room.planes, room.heads, room.present)
            return packed(self.params, room, at, used)
        firsts = np.empty(codes.nbytes if self.outlier else 0, np.uint8)
        at, used, kept = fixed_length.pack_plain(
            codes, self.block, self.outlier, room.planes, room.heads, room.present, firsts
        )
        out = packed(self.params, room, at, used)
        if self.outlier:
            out.sections["firsts"] = firsts[:kept].copy()
        return out

    def vectors(self, dtype: np.dtype[Any]) -> bool:
        """Whether the vector kernels do it; the bytes are the same."""
        return self.block == VECTOR_BLOCK and not self.outlier and dtype.itemsize == 4

    def form_after(self, form: Form, params: bytes) -> Form:
        check_params(FixedLength, params, 1)
        block = params[0] & ~APART
        if block >= len(BLOCKS) or form.dtype.kind not in "iu" or form.dtype.itemsize not in (4, 8):
            raise FormatError(
                f"fzdask stream: fixed_length of {form.dtype} with parameters {params[0]:#x}; "
                "the stream is damaged."
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
        stage = FixedLength(BLOCKS[params[0] & 3], bool(params[0] & APART))
        codes = np.empty(form.size, f"<u{form.dtype.itemsize}")
        heads, present = checked_units(stage, form, sections)
        every = 1 + stage.outlier
        check_planes(
            data,
            fixed_length.planes_nbytes(
                heads, heads.size - 1, every, stage.block, 8 * form.dtype.itemsize
            ),
        )
        if stage.vectors(codes.dtype):
            fixed_length.unpack_vectors(data.ctypes.data, data.size, heads, present, codes)
        else:
            firsts = sections.get("firsts", np.zeros(0, np.uint8))
            if not fixed_length.unpack_plain(
                data, stage.block, stage.outlier, heads, present, firsts, codes
            ):
                raise FormatError("fzdask stream: first codes of blocks are not as many as said.")
        if form.dtype.kind == "u":
            return codes
        out = np.empty(form.size, form.dtype)
        zigzag.inverse(codes, out)
        return out


@dataclass(slots=True)
class Room:
    """Where a kernel writes planes, width classes, and which units are present."""

    planes: NDArray[np.uint8]
    heads: NDArray[np.uint16]
    present: NDArray[np.uint8]

    @classmethod
    def of(cls, size: int, itemsize: int, block: int, apart: bool) -> Room:
        """Enough for any codes; pages are touched only as it fills."""
        units = -(-size // (4 * block))
        nbytes = units * 4 * block * itemsize + fixed_length.SLACK
        room = scratch(nbytes + 2 * ((1 + apart) * units + 2), np.uint8)
        return cls(
            room[:nbytes], room[nbytes:].view(np.uint16), np.zeros((units + 7) // 8, np.uint8)
        )


def packed(params: bytes, room: Room, at: int, used: int) -> Encoded:
    """What the stage gives of as many bytes of planes and width entries."""
    sections: dict[str, Section] = {
        "units": room.present,
        "widths": room.heads[:used].view(np.uint8),
    }
    return Encoded(room.planes[:at], params, sections)


def checked_units(
    stage: FixedLength, form: Form, sections: dict[str, NDArray[np.uint8]]
) -> tuple[NDArray[np.uint16], NDArray[np.uint8]]:
    """Width classes and present units, which fit each other and the form.

    Copies, since an array that may not be written to is another type, for which kernels are
    compiled again; and the classes need alignment, and one more that a kernel may look at.
    """
    given = sections.get("units")
    widths = sections.get("widths")
    units = -(-form.size // (4 * stage.block))
    if given is None or widths is None or ("firsts" in sections) != stage.outlier:
        raise FormatError("fzdask stream: fixed_length without its sections; it is damaged.")
    present = given.copy()
    if present.size != -(-units // 8) or (units % 8 and present[-1] >> units % 8):
        raise FormatError(f"fzdask stream: fixed_length with other than {units} units; damaged.")
    stored = int(fixed_length.stored_units(present))
    every = 1 + stage.outlier
    if widths.size != 2 * every * stored:
        raise FormatError(f"fzdask stream: fixed_length: not {stored} units of widths; damaged.")
    heads = np.zeros(every * stored + 1, np.uint16)
    heads[:-1].view(np.uint8)[:] = widths
    return heads, present


def check_planes(data: NDArray[Any], nbytes: int) -> None:
    """Refuse planes that are not as many bytes as the widths ask for (-1: many more)."""
    if nbytes != data.size:
        wanted = nbytes if nbytes >= 0 else "more"
        raise FormatError(
            f"fzdask stream: fixed_length with {data.size} bytes of planes instead of {wanted}; "
            "it is damaged."
        )
