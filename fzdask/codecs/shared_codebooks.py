"""Huffman codebooks shared between chunks and iterations, and the registry of a process.

Among the standard books, which every reader knows, and those of earlier chunks the one is taken
that makes a chunk's stream shortest, if it costs hardly more than a book of the chunk's own.
"""

from __future__ import annotations

import struct
import threading
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fzdask.codecs.codebooks import (
    KEEP_RUNS,
    Codebook,
    Coding,
    count_runs,
    own_coding,
    run_symbol,
)
from fzdask.codecs.kernels.cpu import choice, symbols
from fzdask.codecs.standard_codebooks import MODES, standard_costs
from fzdask.errors import FormatError

__all__ = ["SharedBooks", "shared_books"]

DRIFT = 0.03  # cost of the shared books over a chunk's own from which one more is built
ESCAPE_FROM = 1 << 17  # bits of a chunk; the compact form is some 14 bytes longer with an escape
ACCEPTED = 0.005  # cost of a book at hand that is taken all the same
MOST_EXCESS = 1.01  # of an own book over what seems likely that is expected of other chunks too
AFFORDED = 0.03  # and where earlier chunks of the variable saved as much
SURE = 8  # times in a row that something paid, or not, before it is taken to do so again
RETRY = (
    8  # after more own books in a row than are kept, only every so many-th chunk looks at others
)
MUCH = 1.5  # times as many bits as the chunk before, or as few, are another regime
ANSWERS = 7  # chunks for which what was found to pay, or not, counts without being asked again
LESSONS = (3, 8)  # chunks after which a book is made anew, from all of them
MOST_BOOKS = 8  # of one key: variables that share a configuration need not share a book
MOST_KEYS = 256
_DUMPED = struct.Struct("<hHd")


@dataclass(frozen=True, slots=True, eq=False)
class Shared:
    """A shared book and what it was made from.

    Attributes
    ----------
    book : Codebook
        The shared book.
    excess : float
        What a book of its own took the chunk that it was made from, over what seemed likely.
    counts : int64 array, optional
        Symbol counts of the chunks that it was made from; None once it learns no more.
    chunks : int
        How many these are.
    """

    book: Codebook
    excess: float = 1.0
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
        return Shared(book, self.excess, kept, chunks)

    def dump(self) -> bytes:
        """The inverse of what :meth:`SharedBooks.load` reads."""
        size = len(self.book.packed)
        return _DUMPED.pack(self.book.mode, size, self.excess) + self.book.packed


@dataclass(frozen=True, slots=True)
class Shelf:
    """Books of one run symbol to choose from, as the kernel takes them.

    Attributes
    ----------
    entries : tuple of Shared
        The shared books; none of the standard books.
    costs : uint8 array
        What :func:`choice.costs_of` makes of their lengths.
    packed_bits : int64 array
        What each takes in a stream.
    mode : int
        Their run symbol, or -1.
    """

    entries: tuple[Shared, ...]
    costs: NDArray[np.uint8]
    packed_bits: NDArray[np.int64]
    mode: int

    @classmethod
    def of(cls, entries: tuple[Shared, ...]) -> Shelf:
        """Put shared books on a shelf."""
        costs = choice.costs_of(np.array([e.book.lengths for e in entries]))
        packed_bits = np.array([8 * len(e.book.packed) for e in entries], np.int64)
        return cls(entries, costs, packed_bits, entries[0].book.mode)

    def cheapest(self, counts: NDArray[np.int64]) -> Candidate:
        """The book with which a stream of these symbols is shortest."""
        which, bits, complete = choice.cheapest_book(counts, self.costs, self.packed_bits)
        entry = self.entries[which] if self.entries else None
        book = Codebook.of(bytes([which]), self.mode) if entry is None else entry.book
        return Candidate(Coding(book, bits, counts), entry, complete)


@lru_cache(maxsize=2)
def _standard_shelf(mode: int) -> Shelf:
    costs = standard_costs(mode)
    return Shelf((), costs, np.full(costs.shape[1], 8, np.int64), mode)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A book that might be taken.

    Attributes
    ----------
    coding : Coding
        With that book. What it lacks is rated as a long escape.
    entry : Shared, optional
        The shared book; None for a standard one.
    complete : bool
        Whether the book can code every symbol.
    """

    coding: Coding
    entry: Shared | None
    complete: bool

    @property
    def excess(self) -> float:
        """By what factor an own book for symbols like these takes more than seems likely."""
        return 1.0 if self.entry is None else self.entry.excess


@dataclass(eq=False)
class SharedBooks:
    """Codebooks of earlier chunks of one variable and pipeline, for the next ones.

    Safe to use from any number of threads. A chunk takes the standard or shared book that makes
    its stream shortest, unless that seems to be longer than with a book of its own, and earlier
    chunks did not save as much: then that is built, and the smaller kept. Unless a shared one is
    nearer than ``drift``, the next chunks share it.

    Parameters
    ----------
    drift : float
        Cost of the best shared book, relative to a chunk's own, above which a new one is added.
    standard : bool
        Whether the standard books are at hand too.
    """

    drift: float = DRIFT
    standard: bool = True
    built: int = 0
    """Books built so far."""
    _books: tuple[Shared, ...] = ()
    _shelves: dict[int, Shelf] = field(default_factory=dict)
    _unlike: int = 0  # own books since a shared one was taken,
    _alone: int = 0  # and since any other was
    _usual: float = 0.0  # bits a value of the last chunk
    _saved: float = 0.0  # bits, by books at hand instead of own ones
    _unasked: dict[Hashable, int] = field(default_factory=dict)  # times left to take an answer
    _agreed: dict[Hashable, int] = field(
        default_factory=dict
    )  # times in a row that it was the same
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def coding(self, coded: Any, group: int) -> Coding:
        """A book at hand for the symbols of one chunk or, if that is smaller, the chunk's own."""
        alone = self._alone > MOST_BOOKS
        if alone and self._alone % RETRY:  # looking would be in vain
            self._alone += 1
            self._ask_again()
            return own_coding(coded, group)
        mode, counts = self._runs(coded, group)
        # Some chunks may be:
        alike = alone or self._unlike <= MOST_BOOKS or self._unlike % RETRY == 0
        found = self._candidates(mode, counts, alike)
        best = found[0] if found else None
        likely = choice.likely_bits(counts)
        self._notice(likely / coded.z.size)
        if best is not None and self._affords(best, likely * best.excess):
            self._take(best)
            return best.coding
        own = Coding.best(counts, mode)
        if best is not None and self._affords(best, own.total_bits):
            self._take(best)
            return best.coding
        self._unlike += 1
        self._alone += 1
        if not alike:
            return own
        for known in found:
            near = known.coding.total_bits <= (1 + self.drift) * own.total_bits
            if known.entry is not None and near:
                self._teach(known.entry, counts)
                return own
        self._share(own, min(own.total_bits / likely, MOST_EXCESS))
        self._ask_again()
        return own

    def _notice(self, bits: float) -> None:
        """See whether a chunk of so many bits a value is of another regime than the one before."""
        if not self._usual <= MUCH * bits <= MUCH * MUCH * self._usual:
            self._ask_again()
        self._usual = bits

    def _ask_again(self) -> None:
        """Let no answer of an earlier chunk count any more."""
        self._unasked.clear()
        self._agreed.clear()

    def _affords(self, best: Candidate, own_bits: float) -> bool:
        """Whether a book may be taken instead of one that makes a stream of that many bits.

        One that costs over 0.5 % more is paid from what others saved, so that all together are
        about as small as with own books, or smaller.
        """
        cost = best.coding.total_bits - own_bits
        affords = best.complete and cost <= max(
            ACCEPTED * own_bits, min(AFFORDED * own_bits, self._saved)
        )
        if affords:
            self._saved = min(max(self._saved - cost, 0), own_bits)
        return affords

    def _runs(self, coded: Any, group: int) -> tuple[int, NDArray[np.int64]]:
        """The symbol whose runs are coded or -1, and the counts that go with it."""
        plain: NDArray[np.int64] = coded.counts
        mode = run_symbol(plain, coded.z.size)
        share = int(plain[mode]) * 16 // coded.z.size  # chunks that differ in it are not alike
        if mode < 0 or self.recall(("runs", share, False)):
            return -1, plain
        counts, _ = count_runs(coded, group, 1, mode)
        pay = self.recall(("runs", share, True))
        if not pay:
            pay = choice.likely_bits(counts) < KEEP_RUNS * choice.likely_bits(plain)
            for answer in (True, False):
                self.remember(("runs", share, answer), pay == answer)
        return (mode, counts) if pay else (-1, plain)

    def _candidates(self, mode: int, counts: NDArray[np.int64], alike: bool) -> list[Candidate]:
        """The best of the standard books and, if chunks are alike, the shared; the better first."""
        found = []
        if self.standard and mode in MODES:
            found.append(_standard_shelf(mode).cheapest(counts))
        shelf = self._shelves.get(mode) if alike else None
        if shelf is not None:
            found.append(shelf.cheapest(counts))
            found.sort(key=lambda c: (not c.complete, c.coding.total_bits))
        return found

    def _take(self, best: Candidate) -> None:
        self._alone = 0
        if best.entry is not None:
            self._unlike = 0
            self._teach(best.entry, best.coding.counts)

    def _teach(self, entry: Shared, counts: NDArray[np.int64]) -> None:
        if entry.counts is not None:
            taught = entry.taught(counts)
            mode = entry.book.mode
            with self._lock:
                # Of two threads that teach the same entry at once, one is not heard.
                self._books = tuple(taught if e is entry else e for e in self._books)
                if taught.book is not entry.book:
                    self._fill_shelf(mode)
                elif mode in self._shelves:
                    self._shelves[mode] = replace(self._shelves[mode], entries=self._of_mode(mode))

    def _share(self, own: Coding, excess: float) -> None:
        book = Codebook.build_shared(own.counts, own.book.mode, own.bits > ESCAPE_FROM)
        with self._lock:
            self._add(Shared(book, excess, own.counts))

    def _add(self, entry: Shared) -> None:
        self.built += 1
        gone = self._books[MOST_BOOKS - 1 :]
        self._books = (entry, *self._books)[:MOST_BOOKS]
        for mode in {e.book.mode for e in (entry, *gone)}:
            self._fill_shelf(mode)

    def _of_mode(self, mode: int) -> tuple[Shared, ...]:
        return tuple(entry for entry in self._books if entry.book.mode == mode)

    def _fill_shelf(self, mode: int) -> None:
        entries = self._of_mode(mode)
        if entries:
            self._shelves[mode] = Shelf.of(entries)
        else:
            self._shelves.pop(mode, None)

    @property
    def newest(self) -> Codebook | None:
        """The book built last, if any."""
        return self._books[0].book if self._books else None

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
        agreed = self._agreed.get(question, 0) + 1 if same else 0
        self._agreed[question] = agreed  # which another thread may forget at any moment
        if agreed >= SURE:
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
            mode, size, excess = _DUMPED.unpack(head)
            at += _DUMPED.size + size
            book = Codebook.of(dumped[at - size : at], mode)
            valid = -1 <= mode < symbols.DIRECT and book.usable and 0 < excess < np.inf
            if at > len(dumped) or not valid:
                raise FormatError(
                    f"SharedBooks.load: these {len(dumped)} bytes hold no codebooks; give what "
                    "SharedBooks.dump returned."
                )
            entries.append(Shared(book, excess))
        with self._lock:
            for entry in entries:
                self._add(entry)


_registry: OrderedDict[Hashable, SharedBooks] = OrderedDict()
_registry_lock = threading.Lock()


def shared_books(key: Hashable) -> SharedBooks:
    """The shared books of a variable and pipeline in this process; one object per key."""
    with _registry_lock:
        books = _registry.get(key)
        if books is None:
            books = _registry[key] = SharedBooks()
        _registry.move_to_end(key)
        while len(_registry) > MOST_KEYS:
            _registry.popitem(last=False)
        return books
