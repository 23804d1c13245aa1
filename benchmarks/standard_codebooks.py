"""Make the standard Huffman codebooks that every reader knows.

    python -m benchmarks.standard_codebooks --fields FOLDER          # how well books serve
    python -m benchmarks.standard_codebooks --fields FOLDER --write  # make the file anew

Residuals of smooth data have few shapes of histogram. The candidates are the codes of a few
thousand model histograms: a share of zeros (or of runs of zeros), and magnitudes by a
generalised Gaussian. Of these the ones are taken, one after the other, that bring most over
chunks of 64 KiB of real fields at three bounds, and of noise of any scale; no count of the data
itself is in a book.

The file, ``fzdask/codecs/standard_codebooks.bin``, is part of the format: writing it anew breaks
every stream that names a book by its number, so after 1.0 books may only be added behind those
that are there.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.codebooks import CHUNK_NBYTES, chunks_of, symbols_of
from fzdask.codecs import standard_codebooks
from fzdask.codecs.codebooks import Codebook, own_coding
from fzdask.codecs.kernels.cpu import choice, codebook, symbols
from fzdask.codecs.stages.symbols import Symbols

BOUNDS = (1e-2, 1e-3, 1e-4)
BOOKS = 128  # of each set; twice as many bring 0.02 % more
CAP = 0.02  # a book that costs more than this is not taken, however much more
WEIGHT = 1 << 30  # what integer weights of a book add up to
RAREST = 2.0**-18  # below this share a symbol is an escape
GROUP = 4096
LONGEST_RUN = 14  # exponent of a run that fills the largest group

SHAPES = {0.25: 0.01, 0.35: 0.05, 0.5: 0.5, 0.7: 1.0, 1.0: 1.4, 1.5: 1.0, 2.2: 1.0}
"""Exponents of generalised Gaussians, and their scale where the median is about 1."""
ZEROS = (
    *(0.003, 0.008, 0.015, 0.03, 0.05, 0.08, 0.12, 0.17, 0.22, 0.28),
    *(0.34, 0.4, 0.46, 0.52, 0.58, 0.64, 0.7, 0.76, 0.82),
)
RUN_SHARES = (0.05, 0.12, 0.2, 0.28, 0.36, 0.43, 0.49, 0.9)
RUN_EXPONENTS = (0.3, 0.8, 1.4, 2.0, 2.7, 3.5, 4.5, 6.0, 12.0)


def magnitudes(scale: float, exponent: float) -> NDArray[np.float64]:
    """Shares of the symbols of non-zero residuals r, of weight exp(-(|r| / scale)**exponent)."""
    reach = 1 << 18
    weight = np.exp(-((np.arange(1, reach) / scale) ** exponent))
    zigzagged = np.concatenate([[0.0], np.repeat(weight, 2)])
    edges = [symbols.DIRECT]
    for at in range(symbols.CLASSES):
        above = symbols.DIRECT_BITS + (at >> symbols.SUB_BITS)
        edges.append(edges[-1] + (1 << (above - symbols.SUB_BITS)))
        if edges[-1] >= zigzagged.size:
            break
    shares = np.zeros(symbols.ALPHABET)
    shares[: symbols.DIRECT] = zigzagged[: symbols.DIRECT]
    classes = np.add.reduceat(zigzagged, edges[:-1])
    shares[symbols.DIRECT : symbols.DIRECT + classes.size] = classes
    return shares / shares.sum()


def run_lengths(kind: str, middle: float) -> NDArray[np.float64]:
    """Shares of the run symbols: geometric, scale-free or about one length."""
    e = np.arange(symbols.RUNS)
    if kind == "geometric":
        stays = 1 - 2.0**-middle
        shares = stays ** (2.0**e - 1) - stays ** (2.0 ** (e + 1) - 1)
    elif kind == "scale-free":
        shares = 2.0 ** (-e / (middle + 0.3))
    else:
        shares = np.exp(-(((e - middle) / (1.5 + middle / 3)) ** 2))
    return shares / shares.sum()


def code_of(shares: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Code lengths for shares of symbols; the rarest have none but the escape, save runs."""
    counts = np.where(shares < RAREST, 0, np.round(shares * WEIGHT)).astype(np.int64)
    if shares[symbols.RUN :].any():  # these cannot be escaped
        runs = slice(symbols.RUN, symbols.RUN + LONGEST_RUN + 1)
        counts[runs] = np.maximum(counts[runs], WEIGHT >> codebook.MAX_LENGTH)
    counts[symbols.ESCAPE] = WEIGHT >> codebook.MAX_LENGTH
    lengths: NDArray[np.uint8] = codebook.code_lengths(counts)
    return lengths


def candidates(mode: int) -> NDArray[np.uint8]:
    """Code lengths of every model histogram, without runs (-1) or with runs of zeros (0)."""
    codes = []
    for (exponent, scale), octave in itertools.product(
        SHAPES.items(), np.arange(-2, 15 if mode < 0 else 10, 0.5 if mode < 0 else 1)
    ):
        some = magnitudes(scale * 2.0**octave, exponent)
        if mode < 0:
            zero = np.eye(1, symbols.ALPHABET)[0]
            codes += [code_of(share * zero + (1 - share) * some) for share in ZEROS]
            continue
        for kind, middle in itertools.product(("geometric", "scale-free", "one"), RUN_EXPONENTS):
            runs = np.zeros(symbols.ALPHABET)
            runs[symbols.RUN : symbols.ESCAPE] = run_lengths(kind, middle)
            codes += [code_of(share * runs + (1 - share) * some) for share in RUN_SHARES]
    return np.unique(np.array(codes), axis=0)


@dataclass
class Chunks:
    """What chunks of one mode need: counts, bits with a book of their own, and their field."""

    counts: NDArray[np.int64]
    own_bits: NDArray[np.int64]
    field: NDArray[np.str_]

    @property
    def weight(self) -> NDArray[np.float64]:
        """Every field counts alike."""
        many = Counter(self.field.tolist())
        return np.array([1 / many[name] for name in self.field])


def collect(folder: Path, most: int) -> dict[int, Chunks]:
    """Chunks of 64 KiB of all fields at all bounds, by mode."""
    found: dict[int, list[tuple[NDArray[np.int64], int, str]]] = {-1: [], 0: []}
    for name, chunk, bound in _chunks(folder, most):
        own = own_coding(symbols_of(chunk, bound), GROUP)
        if own.book.mode in found:
            found[own.book.mode].append((own.counts, own.total_bits, name))
    for name, residuals in _noises():
        own = own_coding(Symbols.of(residuals), GROUP)
        if own.book.mode in found:
            found[own.book.mode].append((own.counts, own.total_bits, name))
    return {
        mode: Chunks(*(np.array(column) for column in zip(*rows, strict=True)))
        for mode, rows in found.items()
    }


def _chunks(folder: Path, most: int) -> Iterator[tuple[str, NDArray[np.generic], float]]:
    from benchmarks.peer_fields import load_fields

    for field in load_fields(folder, kinds="float", min_mb=1.0):
        for rel, chunk in itertools.product(BOUNDS, chunks_of(field.array, CHUNK_NBYTES, most)):
            yield field.name, chunk, rel * field.value_range


def _noises() -> Iterator[tuple[str, NDArray[np.int64]]]:
    rng = np.random.default_rng(0)
    values = CHUNK_NBYTES // 4
    for scale in 2.0 ** np.arange(-3, 14, 0.5):
        yield "normal noise", np.rint(rng.normal(0, scale, values)).astype(np.int64)
        yield "Laplacian noise", np.rint(rng.laplace(0, scale, values)).astype(np.int64)


def excess(chunks: Chunks, codes: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Cost of every code for every chunk beyond its own book, as a share of that."""
    raw = [symbols.extra_bits(s) for s in range(symbols.ALPHABET)]
    costs = choice.costs_of(codes).T + np.array(raw, np.float64)
    bits = chunks.counts.astype(np.float64) @ costs.T  # exact: below 2**53
    return (bits + 8) / chunks.own_bits[:, None] - 1


def choose(excess: NDArray[np.float64], weight: NDArray[np.float64], many: int) -> list[int]:
    """Codes that bring most together, each the best beside those before it."""
    capped = np.minimum(excess, CAP)
    now = np.full(len(capped), CAP)
    chosen: list[int] = []
    while len(chosen) < many:
        gain = weight @ np.maximum(now[:, None] - capped, 0)
        best = int(gain.argmax())
        if gain[best] <= 0:
            break
        chosen.append(best)
        now = np.minimum(now, capped[:, best])
    return chosen


def cross_validated(excess: NDArray[np.float64], chunks: Chunks, many: int) -> NDArray[np.float64]:
    """Excess of the best of the books that were chosen without any chunk of the same field."""
    names = np.unique(chunks.field)
    best = np.empty(len(excess))
    for part in range(5):
        held = np.isin(chunks.field, names[part::5])
        if held.any() and not held.all():
            books = choose(excess[~held], chunks.weight[~held], many)
            best[held] = excess[held][:, books].min(axis=1)
    return best


def main(arguments: list[str] | None = None) -> int:
    """Choose the books, say how well they serve, and write them where asked."""
    parser = argparse.ArgumentParser(prog="benchmarks.standard_codebooks", description=__doc__)
    parser.add_argument("--fields", type=Path, required=True, help="folder with .npy arrays")
    parser.add_argument("--chunks", type=int, default=40, help="most chunks of a field")
    parser.add_argument("--books", type=int, default=BOOKS, help="of each set")
    parser.add_argument("--write", action="store_true", help="replace the file of the package")
    asked = parser.parse_args(arguments)
    sets = []
    for mode, chunks in collect(asked.fields, asked.chunks).items():
        codes = candidates(mode)
        costs = excess(chunks, codes)
        chosen = choose(costs, chunks.weight, asked.books)
        sets.append([Codebook(codebook.pack_lengths(codes[k]).tobytes(), mode) for k in chosen])
        print(
            f"mode {mode}: {len(chunks.field)} chunks, {len(codes)} candidates, {len(chosen)} books"
        )
        for what, best in (
            ("chosen from all", costs[:, chosen].min(axis=1)),
            ("cross-validated", cross_validated(costs, chunks, asked.books)),
        ):
            mine = [100 * (best <= cost).mean() for cost in (0, 0.005, 0.02)]
            print(
                f"  {what}: median {100 * np.median(best):+.2f} % of a book of its own; "
                "not larger {:.0f} %, within 0.5 % {:.0f} %, within 2 % {:.0f} %".format(*mine)
            )
    if asked.write:
        written = standard_codebooks.pack([[book.packed for book in books] for books in sets])
        standard_codebooks.PATH.write_bytes(written)
        print(f"{standard_codebooks.PATH.name}: {len(written)} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
