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
from fzdask.errors import ConfigError, FormatError

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
DRIFT = 0.03  # cost of the shared books over a chunk's own from which one more is built
ESCAPE_FROM = 1 << 17  # bits of a chunk; the compact form is some 14 bytes longer with an escape
ACCEPTED = 0.005  # cost of a shared book that is taken all the same

RESTLESS = 3
SURE = 8  # times in a row that something paid, or not, before it is taken to do so again
ANSWERS = 7  # chunks for which what was found to pay, or not, counts without being asked again
RETRY = 4  # after more misses in a row than there are books, only every so many-th chunk tries
LESSONS = (3, 8)  # chunks after which a book is made anew, from all of them
LEAST_BOOK = 24  # bits of the smallest compact form
MOST_BOOKS = 8  # of one key: variables that share a configuration need not share a book
MOST_KEYS = 256
_DUMPED = struct.Struct("<hHHd")
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
        fast, slow = codebook.decoding_tables(self.lengths, codebook.LARGE, symbols.RUN)
        return fast, slow

    @cached_property
    def several_table(self) -> NDArray[np.uint64]:
        """For decoding on lanes; empty where that would be slower, or the run symbol is not 0."""
        fast, slow = self.decoding_tables
        if self.mode > 0 or slow[codebook.SLOW_LARGE] >= huffman.WIDE_BOOK:
            return np.zeros(0, np.uint64)
        table: NDArray[np.uint64] = codebook.several_table(fast, self.mode == 0, symbols.RUN)
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
        lengths = codebook.code_lengths(counts)
        book = cls(codebook.pack_lengths(lengths).tobytes(), mode)
        book.__dict__["lengths"] = lengths  # known already
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


@lru_cache(maxsize=256)
def _remembered(packed: bytes, mode: int) -> Codebook:
    return Codebook(packed, mode)


@dataclass(frozen=True, slots=True)
class Coding:
    """A codebook chosen for a chunk, and the bits that the chunk takes with it."""

    book: Codebook
    bits: int
    counts: NDArray[np.int64]

    @property
    def total_bits(self) -> int:
        """Bits with those of the book's compact form."""
        return self.bits + 8 * len(self.book.packed)


def own_coding(coded: Any, group: int, counts: NDArray[np.int64] | None = None) -> Coding:
    """The best codebook for the symbols of one chunk, with runs where they pay.

    ``counts`` are those of the chunk, where the caller has them.
    """
    counts = coded.counts if counts is None else counts
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
    if hasattr(coded, "count_runs"):  # symbols on a device are counted there
        counts, taken = coded.count_runs(group, every, mode)
        return counts, taken
    counts = np.zeros(symbols.ALPHABET, np.int64)
    return counts, huffman.count_runs(coded.z, coded.wide, group, every, mode, counts)


def fitted_coding(coded: Any, group: int, book: Codebook) -> Coding:
    """The given book or, where a chunk's own makes a smaller stream, that."""
    counts = coded.counts
    if book.mode >= 0:
        counts, _ = _count_runs(coded, group, 1, book.mode)
    bits = int(huffman.coded_bits(counts, book.lengths))
    # Even a book of the least size that coded at the entropy would be no better.
    if 0 <= bits <= int(choice.entropy_bits(counts)) + LEAST_BOOK:
        return Coding(book, bits, counts)
    own = own_coding(coded, group)
    return Coding(book, bits, counts) if 0 <= bits <= own.total_bits else own


@dataclass(frozen=True, slots=True, eq=False)
class Shared:
    """A shared book, and what a book of its own cost the chunk that it was made from.

    Attributes
    ----------
    book : Codebook
        The shared book.
    excess : float
        Bits of the chunk with its own book over its entropy.
    own_nbytes : int
        Compact form of that book.
    counts : int64 array, optional
        Symbol counts of the chunks that it was made from; None once it learns no more.
    chunks : int
        How many these are.
    """

    book: Codebook
    excess: float
    own_nbytes: int
    counts: NDArray[np.int64] | None = None
    chunks: int = 1

    def taught(self, counts: NDArray[np.int64]) -> Shared:
        """The entry with the counts of one more chunk like those before.

        A book of one chunk fits the chance in its counts; one of several is better and smaller.
        """
        if self.counts is None:
            return self
        book, total, chunks = self.book, self.counts + counts, self.chunks + 1
        if chunks in LESSONS:
            escape = bool(book.lengths[symbols.ESCAPE])
            book = Codebook.build_shared(total, book.mode, escape)
        kept = None if chunks == LESSONS[-1] else total
        return Shared(book, self.excess, self.own_nbytes, kept, chunks)

    def dump(self) -> bytes:
        """The inverse of what :meth:`SharedBooks.load` reads."""
        sizes = len(self.book.packed), self.own_nbytes
        return _DUMPED.pack(self.book.mode, *sizes, self.excess) + self.book.packed


@dataclass(frozen=True, slots=True)
class Shelf:
    """The shared books of one run symbol, as the kernel takes them."""

    entries: tuple[Shared, ...]
    lengths: NDArray[np.uint8]
    packed_bits: NDArray[np.int64]

    @classmethod
    def of(cls, entries: tuple[Shared, ...]) -> Shelf:
        """Put books on a shelf."""
        lengths = np.empty((len(entries), symbols.ALPHABET), np.uint8)
        for row, entry in zip(lengths, entries, strict=True):
            row[:] = entry.book.lengths
        return cls(entries, lengths, np.array([8 * len(e.book.packed) for e in entries], np.int64))


@dataclass(eq=False)
class SharedBooks:
    """Codebooks of earlier chunks of one variable and pipeline, for the next ones.

    Safe to use from any number of threads. A chunk takes the shared book that makes its stream
    shortest, unless that seems to be longer than with a book of its own: then that is built, and
    the smaller kept. If the difference is above ``drift``, the next chunks share it.

    Parameters
    ----------
    drift : float
        Cost of the shared books, relative to a chunk's own, above which a new one is added.
    """

    drift: float = DRIFT
    built: int = 0
    """Books built so far."""
    _books: tuple[Shared, ...] = ()
    _shelves: dict[int, Shelf] = field(default_factory=dict)
    _restless: int = 0  # changes of axes in a row
    _missed: int = 0  # chunks in a row that no book suited
    _axes: dict[tuple[int, ...], int] = field(default_factory=dict)
    _unasked: dict[Hashable, int] = field(default_factory=dict)  # times left to take an answer
    _agreed: dict[Hashable, int] = field(
        default_factory=dict
    )  # times in a row that it was the same
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def coding(self, coded: Any, group: int) -> Coding:
        """A shared book for the symbols of one chunk or, if that is smaller, the chunk's own."""
        if self._missed > MOST_BOOKS and self._missed % RETRY:  # no two chunks alike, it seems
            self._missed += 1
            return own_coding(coded, group)
        counts = plain = coded.counts
        own = None
        mode = _run_symbol(counts, coded.z.size)
        if mode >= 0:
            paid = next((p for p in (True, False) if self.recall(("runs", p))), None)
            if paid is None:
                own = own_coding(coded, group, plain)
                for answer in (True, False):
                    self.remember(("runs", answer), (own.book.mode >= 0) == answer)
                mode, counts = own.book.mode, own.counts
            elif paid:
                counts, _ = _count_runs(coded, group, 1, mode)
            else:
                mode = -1
        shared = None
        complete = False
        shelf = self._shelves.get(mode)
        if shelf is not None:
            found = choice.best_book(counts, shelf.lengths, shelf.packed_bits)
            row, bits, entropy, complete = found
            entry = shelf.entries[row]
            shared = Coding(entry.book, bits, counts)
            likely = entry.excess * entropy + 8 * entry.own_nbytes  # bits, with an own book
            if complete and own is None and shared.total_bits <= (1 + ACCEPTED) * likely:
                self._teach(entry, counts)
                return shared
        own = own or own_coding(coded, group, plain)
        if shared and shared.total_bits <= (1 + self.drift) * own.total_bits:
            self._teach(entry, counts)
            accepted = complete and shared.total_bits <= (1 + ACCEPTED) * own.total_bits
            return shared if accepted else own
        self._missed += 1
        self._share(own)
        self._unasked.clear()  # another regime: ask everything again
        self._agreed.clear()
        return own

    def _teach(self, entry: Shared, counts: NDArray[np.int64]) -> None:
        self._missed = 0
        if entry.counts is not None:
            taught = entry.taught(counts)
            with self._lock:
                # Of two threads that teach the same entry at once, one is not heard.
                self._books = tuple(taught if e is entry else e for e in self._books)
                self._fill_shelf(entry.book.mode)

    def _share(self, own: Coding) -> None:
        book = Codebook.build_shared(own.counts, own.book.mode, own.bits > ESCAPE_FROM)
        excess = own.bits / max(int(choice.entropy_bits(own.counts)), 1)
        with self._lock:
            self._add(Shared(book, excess, len(own.book.packed), own.counts))

    def _add(self, entry: Shared) -> None:
        self.built += 1
        gone = self._books[MOST_BOOKS - 1 :]
        self._books = (entry, *self._books)[:MOST_BOOKS]
        for mode in {e.book.mode for e in (entry, *gone)}:
            self._fill_shelf(mode)

    def _fill_shelf(self, mode: int) -> None:
        entries = tuple(e for e in self._books if e.book.mode == mode)
        if entries:
            self._shelves[mode] = Shelf.of(entries)
        else:
            self._shelves.pop(mode, None)

    @property
    def newest(self) -> Codebook | None:
        """The book built last, if any."""
        return self._books[0].book if self._books else None

    def recall_axes(self, shape: tuple[int, ...]) -> int | None:
        """Axes to difference that were chosen for an earlier chunk of that folded shape.

        None too while they change from chunk to chunk, so that a look at them would be in vain.
        """
        return self._axes.get(shape) if self._restless < RESTLESS else None

    def remember_axes(self, shape: tuple[int, ...], subset: int) -> None:
        """Keep the axes chosen for a chunk of that folded shape."""
        self._restless = self._restless + 1 if self._axes.get(shape) != subset else 0
        self._axes[shape] = subset

    def recall(self, question: Hashable) -> bool:
        """Whether the answer that an earlier chunk got to a question still counts.

        Answers count for a few chunks, and not beyond the next book that is built.
        """
        left = self._unasked.get(question, 0)
        if left:
            self._unasked[question] = left - 1
        return left > 0

    def remember(self, question: Hashable, same: bool) -> None:
        """Let an answer count for the next few chunks, if it was the same several times."""
        self._agreed[question] = self._agreed.get(question, 0) + 1 if same else 0
        if self._agreed[question] >= SURE:
            self._unasked[question] = ANSWERS

    def dump(self) -> bytes:
        """The books in a few hundred bytes, to hand to another process."""
        # The newest last, so that it is found first.
        return b"".join(entry.dump() for entry in reversed(self._books))

    def load(self, dumped: bytes) -> None:
        """Take over the books of another process.

        Raises
        ------
        FormatError
            The bytes are not what :meth:`dump` gave; nothing is then taken over.
        """
        entries = []
        at = 0
        while at < len(dumped):
            head = dumped[at : at + _DUMPED.size]
            if len(head) < _DUMPED.size:
                raise FormatError(f"SharedBooks.load: {len(dumped)} bytes end within a book.")
            mode, size, own_nbytes, excess = _DUMPED.unpack(head)
            at += _DUMPED.size + size
            book = Codebook.of(dumped[at - size : at], mode)
            valid = -1 <= mode < symbols.DIRECT and book.usable and 1 <= excess < np.inf
            if at > len(dumped) or not valid:
                raise FormatError(
                    f"SharedBooks.load: these {len(dumped)} bytes hold no codebooks; give what "
                    "SharedBooks.dump returned."
                )
            entries.append(Shared(book, excess, own_nbytes))
        with self._lock:
            for entry in entries:
                self._add(entry)


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
