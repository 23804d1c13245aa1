"""Chunked canonical Huffman coding with a compact codebook and run symbols."""

from __future__ import annotations

import struct
import sys
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fzdask.addresses import address
from fzdask.codecs.codebooks import Codebook, Coding, fitted_coding, own_coding
from fzdask.codecs.kernels.cpu import codebook, huffman, symbols
from fzdask.codecs.kernels.cpu.scratch import reserve, scratch
from fzdask.codecs.shared_codebooks import SharedBooks
from fzdask.codecs.stages.base import (
    ArrayStage,
    Encoded,
    Form,
    Job,
    Known,
    Section,
    check_params,
)
from fzdask.codecs.stages.symbols import ROOM, Symbols
from fzdask.errors import ConfigError, FormatError

__all__ = ["Decoded", "Huffman", "choose_coding", "find_book", "read_params"]

NO_TABLE = np.zeros(0, np.uint64)
WORST_BITS = (
    codebook.MAX_LENGTH + symbols.ESCAPE_BITS + 64
)  # of one value: how far a group can read


@dataclass(frozen=True)
class Huffman(ArrayStage):
    """Entropy coding of small integers; any residual of 64 bits can be coded.

    The codebook (at most 16 bits a code) is built from all values of the chunk, taken from
    earlier chunks or given, as ``codebook=`` of the codec says, and stored as code lengths.
    Values are coded in groups that start on a 32-bit word, so that they can be coded in parallel.
    Where it is smaller, runs of the most frequent symbol become one symbol.

    Parameters
    ----------
    group : int
        Values per independently decodable group, a power of two from 256 to 16384.

    Sources: Huffman 1952; Tian et al. 2020 (coarse-grained chunks).
    """

    name: ClassVar[str] = "huffman"
    code: ClassVar[int] = 3
    takes: ClassVar[tuple[str, ...]] = ("lattice",)
    gives: ClassVar[str] = "bytes"
    section_names: ClassVar[tuple[str, ...]] = ("codebook", "group_sizes", "codebook_name")

    group: int = 4096

    def __post_init__(self) -> None:
        if not isinstance(self.group, int) or self.group not in [1 << k for k in range(8, 15)]:
            raise ConfigError(
                f"huffman: group={self.group!r} must be a power of two from 256 to 16384."
            )

    def encode(self, data: NDArray[Any] | Symbols, form: Form, job: Job) -> Encoded:
        coded = data if isinstance(data, Symbols) else Symbols.of(data)
        groups = -(-coded.z.size // self.group)
        coding = choose_coding(coded, self.group, job.books)
        book = coding.book
        if coding.bits < 0:  # the kernel would write past the words
            raise AssertionError("huffman: the chosen codebook cannot code this chunk")
        words = scratch(coding.bits // 32 + groups + 2, np.uint32)
        sizes = np.empty(groups, np.uint16)
        used = huffman.encode(coded.z, coded.wide, self.group, book.mode, book.codes, words, sizes)
        params = bytes([self.group.bit_length() - 1])
        if book.mode >= 0:
            params += struct.pack("<H", book.mode)
        sections: dict[str, Section] = {"group_sizes": _little_endian(sizes).view(np.uint8)}
        if book is job.books:
            sections["codebook_name"] = book.name
        else:
            sections["codebook"] = book.packed
        return Encoded(_little_endian(words[:used]).view(np.uint8), params, sections)

    def form_after(self, form: Form, params: bytes) -> Form:
        read_params(params)
        return Form((-1,), np.dtype(np.uint8))

    def decode(
        self,
        data: NDArray[Any],
        form: Form,
        params: bytes,
        sections: dict[str, NDArray[np.uint8]],
        known: Known,
    ) -> NDArray[Any]:
        coded = self.decode_symbols(data, form, params, sections, known)
        out = np.empty(form.size, form.dtype)
        symbols.residual_of(coded.z, coded.places, coded.wide, out)
        return out

    def decode_symbols(
        self,
        data: NDArray[Any],
        form: Form,
        params: bytes,
        sections: dict[str, NDArray[np.uint8]],
        known: Known,
    ) -> Decoded:
        """Residuals as a fusion with stages before this one takes them."""
        group, mode = read_params(params)
        book = find_book(sections, mode, known.book)
        sizes = sections.get("group_sizes")
        groups = -(-form.size // group)
        if sizes is None or sizes.size != 2 * groups or data.size % 4:
            raise FormatError("fzdask stream: huffman groups do not match the array; damaged.")
        starts = np.empty(groups + 1, np.int64)
        some = huffman.starts_of(sizes.view("<u2").astype(np.uint16), starts)
        if not some or starts[-1] * 4 != data.size:
            raise FormatError("fzdask stream: huffman groups do not fill the payload; damaged.")
        words = scratch(data.size // 4 + group * WORST_BITS // 32 + ROOM, np.uint32)
        z = scratch(form.size + ROOM, np.uint16)[: form.size]
        many = 0 if book.narrow else form.size
        places, wide = reserve(many, np.int64), reserve(many, np.uint64)
        fast, slow = book.decoding_tables
        table = book.several_table if groups >= 4 else NO_TABLE
        used = huffman.decode(
            address(data), words, starts, group, mode, fast, slow, table, z, places, wide
        )
        if used < 0:
            raise FormatError("fzdask stream: huffman payload does not decode; it is damaged.")
        places, wide = places[:used], wide[:used]
        if used > 1:
            order = np.argsort(places)
            places, wide = places[order], wide[order]
        return Decoded(z, places, wide)


@dataclass(frozen=True, slots=True)
class Decoded:
    """Zigzagged residuals.

    Attributes
    ----------
    z : uint16 array
        The values, or anything where one needs more bits; with ``ROOM`` behind them.
    places, wide : int64 and uint64 arrays
        Where those are, ascending, and which.
    """

    z: NDArray[np.uint16]
    places: NDArray[np.int64]
    wide: NDArray[np.uint64]


@lru_cache(maxsize=64)
def read_params(params: bytes) -> tuple[int, int]:
    """Values per group, and the symbol whose runs are coded or -1."""
    check_params(Huffman, params, 3 if len(params) == 3 else 1)
    mode = int.from_bytes(params[1:], "little") if len(params) == 3 else -1
    if not 8 <= params[0] <= 14 or mode >= symbols.DIRECT:
        raise FormatError("fzdask stream: huffman parameters out of range; it is damaged.")
    return 1 << params[0], mode


def choose_coding(coded: Symbols, group: int, books: SharedBooks | Codebook | None) -> Coding:
    """The codebook to use: the chunk's own, a shared one or a given one."""
    if books is None:
        return own_coding(coded, group)
    if isinstance(books, SharedBooks):
        return books.coding(coded, group)
    return fitted_coding(coded, group, books)


def find_book(
    sections: dict[str, NDArray[np.uint8]], mode: int, known: Codebook | None
) -> Codebook:
    """The codebook that the stream holds or names."""
    packed, name = sections.get("codebook"), sections.get("codebook_name")
    if (packed is None) == (name is None):
        raise FormatError("fzdask stream: no codebook, or two; it is damaged.")
    if packed is not None:
        book = Codebook.of(packed.tobytes(), mode)
    elif name is not None and known is not None and known.name == name.tobytes():
        book = known
    else:
        holds = "the codec holds none" if known is None else f"the codec holds {known.name.hex()}"
        wants = b"" if name is None else name.tobytes()
        raise FormatError(
            f"fzdask stream: it needs codebook {wants.hex()}, but {holds}. Decode it with the "
            "codec that wrote it (its configuration has codebook='fitted:...')."
        )
    if book.mode != mode or not book.usable:
        raise FormatError(
            "fzdask stream: the huffman codebook is no prefix code or does not fit its runs; "
            "it is damaged."
        )
    return book


def _little_endian(array: NDArray[Any]) -> NDArray[Any]:
    return array if sys.byteorder == "little" else array.astype(array.dtype.newbyteorder("<"))
