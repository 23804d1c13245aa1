"""Shared Huffman codebooks from worker to worker: what one has learnt, the others need not."""

from __future__ import annotations

import pickle
from collections import OrderedDict
from collections.abc import Hashable

from fzdask.codecs import shared_codebooks

__all__ = ["KnownBooks", "Library"]

Dumped = dict[Hashable, bytes]


class KnownBooks:
    """The shared books of this process, as last told to the others."""

    def __init__(self) -> None:
        self._told: Dumped = {}

    def news(self) -> bytes | None:
        """Books that have changed since the last call, for `take`; None if none have."""
        # A snapshot of the registry: sets are added by the threads that encode.
        now = {key: books.dump() for key, books in list(shared_codebooks._registry.items())}
        changed = {k: v for k, v in now.items() if v and self._told.get(k) != v}
        self._told = now
        return pickle.dumps(changed) if changed else None

    def take(self, dumped: bytes) -> None:
        """Take over books of other processes where this one has none.

        Where it has its own they suit its blocks better, and a set of books holds but a few.
        """
        for key, books in pickle.loads(dumped).items():
            own = shared_codebooks.shared_books(key)
            if not own.dump():
                own.load(books)
                self._told[key] = own.dump()


class Library:
    """On the scheduler: the books of all workers, the latest of every key."""

    def __init__(self) -> None:
        self._books: OrderedDict[Hashable, bytes] = OrderedDict()

    def add(self, dumped: bytes) -> bytes | None:
        """Note a worker's news; returns what the others have not heard of yet, if anything.

        Only the first book of a key is passed on at once: whoever has one makes better ones
        from its own blocks.
        """
        books: Dumped = pickle.loads(dumped)
        first = {key: book for key, book in books.items() if key not in self._books}
        self._books.update(books)
        while len(self._books) > shared_codebooks.MOST_KEYS:
            self._books.popitem(last=False)
        return pickle.dumps(first) if first else None

    @property
    def everything(self) -> bytes | None:
        """For a worker that joins; None if there are no books."""
        return pickle.dumps(dict(self._books)) if self._books else None
