"""The standard codebooks: Huffman codes that every reader knows, named in a stream by one byte.

Residuals of smooth data have few shapes of histogram. For a chunk of some 10 KiB a code chosen
among these is often shorter than the chunk's own, which has to be described in the stream, and
it is found without being built. The file is part of the format;
``benchmarks/standard_codebooks.py`` says how it was made.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fzdask.codecs.kernels.cpu import choice, codebook, symbols

__all__ = ["MODES", "PATH", "pack", "standard_costs", "standard_lengths"]

PATH = Path(__file__).with_suffix(".bin")
MODES = (-1, 0)  # the sets, as in the file: without runs, with runs of symbol 0


def pack(sets: Sequence[Sequence[bytes]]) -> bytes:
    """The file: for each set the number of books less one, then size and compact form of each."""
    return b"".join(
        bytes([len(books) - 1]) + b"".join(bytes([len(book)]) + book for book in books)
        for books in sets
    )


@lru_cache(maxsize=1)
def _sets() -> dict[int, NDArray[np.uint8]]:
    """Code lengths by mode; a row for each book."""
    packed = np.frombuffer(PATH.read_bytes(), np.uint8)
    sets: dict[int, NDArray[np.uint8]] = {}
    at = 0
    for mode in MODES:
        sets[mode] = np.empty((int(packed[at]) + 1, symbols.ALPHABET), np.uint8)
        at += 1
        for row in sets[mode]:
            size = int(packed[at])
            codebook.unpack_lengths(packed[at + 1 : at + 1 + size], row)
            at += 1 + size
    return sets


def standard_lengths(number: int, mode: int) -> NDArray[np.uint8] | None:
    """Code lengths of a standard codebook, or None where there is none of that number."""
    books = _sets().get(mode, ())
    return books[number] if number < len(books) else None


def standard_costs(mode: int) -> NDArray[np.uint8]:
    """What :func:`choice.cheapest_book` takes: the bits of every symbol, a column for each book."""
    costs: NDArray[np.uint8] = choice.costs_of(_sets()[mode])
    return costs
