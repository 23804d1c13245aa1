"""Shared Huffman codebooks from worker to worker: what one has learnt, the others need not."""

from __future__ import annotations

import pickle
from collections.abc import Hashable, Iterable

from fzdask.codecs import codebooks

__all__ = ["KnownBooks", "merged"]

Dumped = dict[Hashable, bytes]


class KnownBooks:
    """The shared books of this process, as last told to the others."""

    def __init__(self) -> None:
        self._told: Dumped = {}

    def news(self) -> bytes | None:
        """Books that have changed since the last call, for `take`; None if none have."""
        # A snapshot of the registry: sets are added by the threads that encode.
        now = {key: books.dump() for key, books in list(codebooks._registry.items())}
        changed = {k: v for k, v in now.items() if v and self._told.get(k) != v}
        self._told = now
        return pickle.dumps(changed) if changed else None

    def take(self, dumped: bytes) -> None:
        """Take over books of other processes where this one has none.

        Where it has its own they suit its blocks better, and a set of books holds but a few.
        """
        for key, books in pickle.loads(dumped).items():
            own = codebooks.shared_books(key)
            if not own.dump():
                own.load(books)
                self._told[key] = own.dump()


def merged(parts: Iterable[bytes]) -> bytes | None:
    """Of several workers' news, the latest of each key; None if there are none."""
    found: Dumped = {}
    for part in parts:
        found.update(pickle.loads(part))
    return pickle.dumps(found) if found else None
