"""Huffman codebooks as objects: own, fitted, and shared between chunks and iterations.

Building and describing a codebook costs about the same however small the chunk is, so chunks of
tens of KiB share theirs. Whatever book is used, decoding is exact: a symbol that a shared book
lacks is an escape.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import struct
import threading
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fzdask.codecs.kernels.cpu import choice, codebook, huffman, symbols
from fzdask.errors import ConfigError

__all__ = [
    "FITTED",
    "Codebook",
    "Coding",
    "SharedBooks",
    "fitted_coding",
    "own_coding",
    "shared_books",
]

FITTED = "fitted:"
# Runs are tried above this share of the most frequent symbol, and kept if they save this much
# before zstd: it finds shorter stretches of a one-bit code by itself, and decodes them faster
# (on 29 real fields at rel 1e-3 plain codes with zstd were smaller down to a saving of 25 %).
TRY_RUNS = 0.7
KEEP_RUNS = 0.7
SAMPLE_GROUPS = 8
DRIFT = 0.03  # a shared book may cost this much more, over the entropy, than when it was new
MISFIT = 0.15  # over the entropy; a good book of few symbols may already cost 10 %
MOST_BOOKS = 8  # of one key: variables that share a configuration need not share a book
MOST_KEYS = 256
CHOOSE_AXES_EVERY = 16
SMOOTHING = 64  # weight of a count against that of a symbol that might come


@dataclass(frozen=True, eq=False)
class Codebook:
    """A codebook in its compact form, and everything derived from it, made once.

    Attributes
    ----------
    packed : bytes
        Code lengths in the compact form of the stream.
    mode : int
        Symbol whose runs are coded, or -1.
    """

    packed: bytes
    mode: int

    @cached_property
    def lengths(self) -> NDArray[np.uint8]:
        """Code length of every symbol; all 0 where the compact form is none."""
        lengths = np.zeros(symbols.ALPHABET, np.uint8)
        if not codebook.unpack_lengths(np.frombuffer(self.packed, np.uint8), lengths):
            lengths[:] = 0
        return lengths

    @cached_property
    def codes(self) -> NDArray[np.uint32]:
        codes: NDArray[np.uint32] = codebook.canonical_codes(self.lengths)
        return codes

    @cached_property
    def decoding_tables(self) -> tuple[NDArray[np.uint16], NDArray[np.int64]]:
        fast, slow = codebook.decoding_tables(self.lengths, symbols.DIRECT)
        return fast, slow

    @cached_property
    def several_table(self) -> NDArray[np.uint64]:
        table: NDArray[np.uint64] = codebook.several_table(self.decoding_tables[0], symbols.DIRECT)
        return table

    @property
    def usable(self) -> bool:
        """Whether it is a complete prefix code that fits its run symbol."""
        runs = self.lengths[symbols.RUN : symbols.ESCAPE]
        fits = not runs.any() if self.mode < 0 else not self.lengths[self.mode]
        return bool(fits and self.decoding_tables[0].size)

    @property
    def narrow(self) -> bool:
        """Whether no symbol that it can code needs more than 16 bits."""
        wide = self.lengths[symbols.BEYOND_16_BITS : symbols.RUN].any()
        return not (wide or self.lengths[symbols.ESCAPE])

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
        return cls(codebook.pack_lengths(codebook.code_lengths(counts)).tobytes(), mode)

    @classmethod
    def build_shared(cls, counts: NDArray[np.int64], mode: int) -> Codebook:
        """A codebook for counts like these: with an escape, and codes for what lies between."""
        weights = counts * SMOOTHING
        used = np.flatnonzero(counts[: symbols.DIRECT])
        reach = min(int(used[-1]) + 8, symbols.DIRECT) if used.size else 0
        weights[:reach] = np.maximum(weights[:reach], 1)
        if mode >= 0:
            weights[mode] = 0
            longest = symbols.RUN + np.flatnonzero(counts[symbols.RUN : symbols.ESCAPE])[-1]
            run = slice(symbols.RUN, int(longest) + 1)
            weights[run] = np.maximum(weights[run], 1)
        weights[symbols.ESCAPE] = 1
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


@lru_cache(maxsize=256)
def _remembered(packed: bytes, mode: int) -> Codebook:
    return Codebook(packed, mode)


@dataclass(frozen=True, slots=True)
class Coding:
    """A codebook chosen for a chunk, and the bits that the chunk takes with it."""

    book: Codebook
    bits: int
    counts: NDArray[np.int64]


def own_coding(coded: Any, group: int) -> Coding:
    """The best codebook for the symbols of one chunk, with runs where they pay."""
    counts = coded.counts
    book = Codebook.build(counts, -1)
    bits = int(huffman.coded_bits(counts, book.lengths))
    mode = _run_symbol(counts, coded.z.size)
    if mode >= 0:
        # A sample first, since most data is better without.
        for every in (SAMPLE_GROUPS, 1):
            with_runs, taken = _count_runs(coded, group, every, mode)
            run_book = Codebook.build(with_runs, mode)
            run_bits = int(huffman.coded_bits(with_runs, run_book.lengths))
            if run_bits * coded.z.size >= KEEP_RUNS * bits * taken:
                break
        else:
            return Coding(run_book, run_bits, with_runs)
    return Coding(book, bits, counts)


def _run_symbol(counts: NDArray[np.int64], size: int) -> int:
    """The symbol whose runs are worth trying, or -1."""
    mode = int(counts.argmax())
    return mode if counts[mode] > TRY_RUNS * size and mode < symbols.DIRECT else -1


def _count_runs(coded: Any, group: int, every: int, mode: int) -> tuple[NDArray[np.int64], int]:
    counts = np.zeros(symbols.ALPHABET, np.int64)
    return counts, huffman.count_runs(coded.z, coded.wide, group, every, mode, counts)


def fitted_coding(coded: Any, group: int, book: Codebook) -> Coding:
    """The given book or, where the chunk is too unlike its sample, the chunk's own."""
    counts = coded.counts
    if book.mode >= 0:
        counts, _ = _count_runs(coded, group, 1, book.mode)
    bits = int(huffman.coded_bits(counts, book.lengths))
    if 0 <= bits <= (1 + MISFIT) * int(choice.entropy_bits(counts)) + 8 * len(book.packed):
        return Coding(book, bits, counts)
    return own_coding(coded, group)


@dataclass(eq=False)
class SharedBooks:
    """Codebooks of earlier chunks of one variable and pipeline, for the next ones.

    Safe to use from any number of threads. A chunk takes the book that codes it shortest; if
    that costs more than ``drift`` above what the book cost when it was new (both over the
    entropy of the chunk coded), the chunk brings a book of its own, which the next ones share.

    Parameters
    ----------
    drift : float
        Tolerated extra cost.
    """

    drift: float = DRIFT
    built: int = 0
    """Books built so far."""
    _books: tuple[tuple[Codebook, float], ...] = ()
    _runs: dict[int, bool] = field(default_factory=lambda: {-1: False})
    _axes: dict[tuple[int, ...], tuple[int, int]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def coding(self, coded: Any, group: int) -> Coding:
        """A shared book that suits the symbols of one chunk, or a new one that is then shared."""
        counts = coded.counts
        mode = _run_symbol(counts, coded.z.size)
        runs = self._runs.get(mode)  # whether they paid when a book for such a chunk was built
        if runs:
            counts, _ = _count_runs(coded, group, 1, mode)
        if runs is not None:
            found = self._best(counts, mode if runs else -1)
            if found is not None:
                return found
        return self._renew(coded, group, mode)

    def _best(self, counts: NDArray[np.int64], mode: int) -> Coding | None:
        """The book for that run symbol that codes these counts shortest, unless it drifted."""
        books = [entry for entry in self._books if entry[0].mode == mode]
        if not books:
            return None
        row, bits = choice.best_book(counts, np.array([b.lengths for b, _ in books], np.uint8))
        if row < 0:
            return None
        book, excess = books[row]
        if bits > (1 + self.drift) * excess * int(choice.entropy_bits(counts)):
            return None
        return Coding(book, int(bits), counts)

    def _renew(self, coded: Any, group: int, mode: int) -> Coding:
        own = own_coding(coded, group)
        book = Codebook.build_shared(own.counts, own.book.mode)
        bits = int(huffman.coded_bits(own.counts, book.lengths))
        with self._lock:
            self._runs[mode] = book.mode >= 0
            self._add(book, bits / max(int(choice.entropy_bits(own.counts)), 1))
        return Coding(book, bits, own.counts)

    def _add(self, book: Codebook, excess: float) -> None:
        self.built += 1
        self._books = ((book, excess), *self._books)[:MOST_BOOKS]

    @property
    def newest(self) -> Codebook | None:
        """The book built last, if any."""
        return self._books[0][0] if self._books else None

    def recall_axes(self, shape: tuple[int, ...]) -> int | None:
        """Axes to difference that were chosen for an earlier chunk, now and then forgotten."""
        subset, left = self._axes.get(shape, (0, 0))
        if left == 0:
            return None
        self._axes[shape] = (subset, left - 1)
        return subset

    def remember_axes(self, shape: tuple[int, ...], subset: int) -> None:
        """Keep the axes chosen for a chunk of that folded shape."""
        self._axes[shape] = (subset, CHOOSE_AXES_EVERY)

    def dump(self) -> bytes:
        """The books in a few hundred bytes, to hand to another process."""
        out = []
        for book, excess in reversed(self._books):  # the newest last, so that it is found first
            out.append(struct.pack("<hHd", book.mode, len(book.packed), excess) + book.packed)
        return b"".join(out)

    def load(self, dumped: bytes) -> None:
        """Take over the books of another process."""
        at = 0
        with self._lock:
            while at < len(dumped):
                mode, size, excess = struct.unpack_from("<hHd", dumped, at)
                at += 12
                self._add(Codebook.of(dumped[at : at + size], mode), excess)
                self._runs.setdefault(mode, mode >= 0)
                at += size


_registry: OrderedDict[Hashable, SharedBooks] = OrderedDict()
_registry_lock = threading.Lock()


def shared_books(key: Hashable) -> SharedBooks:
    """The shared books of a variable and pipeline in this process; one object per key."""
    with _registry_lock:
        books = _registry.setdefault(key, SharedBooks())
        _registry.move_to_end(key)
        while len(_registry) > MOST_KEYS:
            _registry.popitem(last=False)
        return books
