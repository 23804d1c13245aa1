"""Huffman codebooks as objects: a chunk's own, fitted ones, standard ones.

Whatever book is used, decoding is exact: a symbol that a book lacks is an escape.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import struct
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fzdask.codecs.kernels.cpu import choice, codebook, huffman, huffman_table, symbols
from fzdask.codecs.standard_codebooks import standard_lengths
from fzdask.errors import ConfigError

__all__ = [
    "FITTED",
    "Codebook",
    "Coding",
    "count_runs",
    "fitted_coding",
    "own_coding",
    "run_symbol",
]

FITTED = "fitted:"
# Runs are tried above this share of the most frequent symbol, and kept if they save this much
# before zstd: it finds shorter stretches of a one-bit code by itself, and decodes them faster
# (on 29 real fields at rel 1e-3 plain codes with zstd were smaller down to a saving of 25 %).
TRY_RUNS = 0.7
KEEP_RUNS = 0.7
SAMPLE_GROUPS = 8

SMOOTHING = 64  # weight of a count against that of a symbol that might come


@dataclass(frozen=True, eq=False)
class Codebook:
    """A codebook in its compact form, and everything derived from it, made once.

    Attributes
    ----------
    packed : bytes
        Code lengths in the compact form of the stream; one byte is the number of a standard book.
    mode : int
        Symbol whose runs are coded, or -1.
    """

    packed: bytes
    mode: int

    @cached_property
    def lengths(self) -> NDArray[np.uint8]:
        """Code length of every symbol; all 0 where the compact form is none."""
        if len(self.packed) == 1:
            known = standard_lengths(self.packed[0], self.mode)
            return np.zeros(symbols.ALPHABET, np.uint8) if known is None else known
        lengths = np.zeros(symbols.ALPHABET, np.uint8)
        if not codebook.unpack_lengths(np.frombuffer(self.packed, np.uint8), lengths):
            lengths[:] = 0
        return lengths

    @cached_property
    def codes(self) -> NDArray[np.uint32]:
        codes: NDArray[np.uint32] = codebook.canonical_codes(self.lengths)
        return codes

    @cached_property
    def _opened(self) -> tuple[NDArray[np.uint16], NDArray[np.int64], bool, bool]:
        opened: tuple[Any, ...] = codebook.for_decoding(self.lengths, self.mode)
        return opened

    @property
    def decoding_tables(self) -> tuple[NDArray[np.uint16], NDArray[np.int64]]:
        return self._opened[:2]

    @cached_property
    def several_table(self) -> NDArray[np.uint64]:
        """For decoding on lanes; empty where the run symbol is not 0."""
        if self.mode > 0:
            return np.zeros(0, np.uint64)
        slow = self._opened[1]
        table: NDArray[np.uint64] = huffman_table.several_table(slow, self.mode == 0)
        return table

    @property
    def usable(self) -> bool:
        """Whether it is a complete prefix code that fits its run symbol."""
        return self._opened[2]

    @property
    def narrow(self) -> bool:
        """Whether no symbol that it can code needs more than 16 bits."""
        return self._opened[3]

    @cached_property
    def name(self) -> bytes:
        """First 8 bytes of the SHA-256 of run symbol and compact form."""
        mode = struct.pack("<H", self.mode & 0xFFFF)
        return hashlib.sha256(mode + self.packed).digest()[:8]

    @classmethod
    def of(cls, packed: bytes, mode: int) -> Codebook:
        """The codebook of a compact form; the same object for the same bytes, while remembered."""
        return _remembered(packed, mode)

    @classmethod
    def build(cls, counts: NDArray[np.int64], mode: int) -> Codebook:
        """The best codebook for these counts."""
        lengths, packed, codes = codebook.for_encoding(counts)
        book = cls(packed.tobytes(), mode)
        book.__dict__.update(lengths=lengths, codes=codes)  # known already
        return book

    @classmethod
    def build_shared(cls, counts: NDArray[np.int64], mode: int, escape: bool) -> Codebook:
        """A codebook for counts like these: with codes for what lies between, and an escape."""
        weights = counts * SMOOTHING
        used = np.flatnonzero(counts[: symbols.DIRECT])
        reach = min(int(used[-1]) * 5 // 4 + 8, symbols.DIRECT) if used.size else 0
        weights[:reach] = np.maximum(weights[:reach], 1)
        if mode >= 0:
            weights[mode] = 0
            longest = symbols.RUN + np.flatnonzero(counts[symbols.RUN : symbols.ESCAPE])[-1]
            run = slice(symbols.RUN, int(longest) + 1)
            weights[run] = np.maximum(weights[run], 1)
        weights[symbols.ESCAPE] = escape
        return cls.build(weights, mode)

    @property
    def text(self) -> str:
        """Form for a codec's configuration: ``fitted:RUN SYMBOL OR -:BASE64``."""
        mode = "-" if self.mode < 0 else str(self.mode)
        return f"{FITTED}{mode}:{base64.b64encode(self.packed).decode()}"

    @classmethod
    def from_text(cls, text: str) -> Codebook:
        """Inverse of :attr:`text`; ConfigError where it is none."""
        return _from_text(text)


@lru_cache(maxsize=256)
def _from_text(text: str) -> Codebook:
    try:
        kind, mode, packed = text.split(":")
        book = Codebook.of(
            base64.b64decode(packed, validate=True), -1 if mode == "-" else int(mode)
        )
        in_range = -1 <= book.mode < symbols.DIRECT and kind + ":" == FITTED
    except (ValueError, binascii.Error):
        in_range = False
    if not in_range or not book.usable:
        raise ConfigError(
            f"FZCodec: codebook={text[:60]!r} must be 'own', 'shared' or what FZCodec.fit gave."
        )
    return book


@lru_cache(maxsize=512)
def _remembered(packed: bytes, mode: int) -> Codebook:
    return Codebook(packed, mode)


@dataclass(frozen=True, slots=True)
class Coding:
    """A codebook chosen for a chunk, and the bits that the chunk takes with it."""

    book: Codebook
    bits: int
    counts: NDArray[np.int64]

    @classmethod
    def best(cls, counts: NDArray[np.int64], mode: int) -> Coding:
        """With a book built for these counts."""
        book = Codebook.build(counts, mode)
        return cls(book, int(huffman.coded_bits(counts, book.lengths)), counts)

    @property
    def total_bits(self) -> int:
        """Bits with those of the book's compact form."""
        return self.bits + 8 * len(self.book.packed)


def own_coding(coded: Any, group: int, counts: NDArray[np.int64] | None = None) -> Coding:
    """The best codebook for the symbols of one chunk, with runs where they pay.

    ``counts`` are those of the chunk, where the caller has them.
    """
    counts = coded.counts if counts is None else counts
    mode = run_symbol(counts, coded.z.size)
    if mode >= 0:
        plain = choice.likely_bits(counts)
        # A sample first, since most data is better without; it takes no book of its own.
        for every, bits_of in ((SAMPLE_GROUPS, choice.entropy_bits), (1, choice.likely_bits)):
            with_runs, taken = count_runs(coded, group, every, mode)
            if bits_of(with_runs) * coded.z.size >= KEEP_RUNS * plain * taken:
                mode = -1
                break
        else:
            counts = with_runs
    return Coding.best(counts, mode)


def run_symbol(counts: NDArray[np.int64], size: int) -> int:
    """The symbol whose runs are worth trying, or -1."""
    mode, many = choice.most_frequent(counts)
    return mode if many > TRY_RUNS * size and mode < symbols.DIRECT else -1


def count_runs(coded: Any, group: int, every: int, mode: int) -> tuple[NDArray[np.int64], int]:
    if hasattr(coded, "count_runs"):  # symbols on a device are counted there
        counts, taken = coded.count_runs(group, every, mode)
        return counts, taken
    counts = np.zeros(symbols.ALPHABET, np.int64)
    return counts, huffman.count_runs(coded.z, coded.wide, group, every, mode, counts)


def fitted_coding(coded: Any, group: int, book: Codebook) -> Coding:
    """The given book or, where a chunk's own seems to make a smaller stream and does, that."""
    counts = coded.counts
    if book.mode >= 0:
        counts, _ = count_runs(coded, group, 1, book.mode)
    bits = int(huffman.coded_bits(counts, book.lengths))
    if 0 <= bits <= int(choice.likely_bits(counts)):  # its own would hardly be smaller
        return Coding(book, bits, counts)
    own = own_coding(coded, group)
    return Coding(book, bits, counts) if 0 <= bits <= own.total_bits else own
