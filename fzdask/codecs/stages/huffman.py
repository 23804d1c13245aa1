"""Chunked canonical Huffman coding with a compact codebook and run symbols."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fzdask.codecs.kernels.cpu import codebook, huffman, symbols
from fzdask.codecs.stages.base import ArrayStage, Encoded, Form, Job, check_params
from fzdask.codecs.stages.symbols import Symbols
from fzdask.errors import ConfigError, FormatError

__all__ = ["Huffman"]

# Runs are tried above this share of the most frequent symbol, and kept if they save this much
# before zstd: it finds shorter stretches of a one-bit code by itself, and decodes them faster
# (on 29 real fields at rel 1e-3 plain codes with zstd were smaller down to a saving of 25 %).
TRY_RUNS = 0.7
KEEP_RUNS = 0.7
SAMPLE_GROUPS = 8
NO_TABLE = np.zeros(0, np.uint64)
WORST_BITS = codebook.MAX_LENGTH + 64  # of one value, for the bound on what a chunk can read


@dataclass(frozen=True)
class Huffman(ArrayStage):
    """Entropy coding of small integers; any residual of 64 bits can be coded.

    The codebook (at most 16 bits a code) is built from all values of the chunk and stored as
    code lengths. Values are coded in groups that start on a 32-bit word, so that they can be
    coded in parallel. Where it is smaller, runs of the most frequent symbol become one symbol.

    Parameters
    ----------
    group : int
        Values per independently decodable group, a power of two from 256 to 16384.

    Sources: Huffman 1952; Tian et al. 2020 (coarse-grained chunks).
    """

    name: ClassVar[str] = "huffman"
    code: ClassVar[int] = 3
    takes: ClassVar[str] = "lattice"
    gives: ClassVar[str] = "bytes"
    section_names: ClassVar[tuple[str, ...]] = ("codebook", "group_sizes")

    group: int = 4096

    def __post_init__(self) -> None:
        if not isinstance(self.group, int) or self.group not in [1 << k for k in range(8, 15)]:
            raise ConfigError(
                f"huffman: group={self.group!r} must be a power of two from 256 to 16384."
            )

    def encode(self, data: NDArray[Any] | Symbols, form: Form, job: Job) -> Encoded:
        coded = data if isinstance(data, Symbols) else Symbols.of(data)
        z, wide = coded.z, coded.wide
        groups = -(-z.size // self.group)
        counts = coded.counts
        lengths = codebook.code_lengths(counts)
        bits = huffman.coded_bits(counts, lengths)
        mode = int(counts.argmax())
        runs = counts[mode] > TRY_RUNS * z.size and mode < symbols.DIRECT
        for every in (SAMPLE_GROUPS, 1):  # a sample first, since most data is better without
            if runs:
                with_runs = np.zeros(symbols.ALPHABET, np.int64)
                taken = huffman.count_runs(z, wide, self.group, every, mode, with_runs)
                run_lengths = codebook.code_lengths(with_runs)
                run_bits = huffman.coded_bits(with_runs, run_lengths)
                runs = run_bits * z.size < KEEP_RUNS * bits * taken
        if runs:
            lengths, bits = run_lengths, run_bits
        words = np.empty(bits // 32 + groups + 2, np.uint32)
        sizes = np.empty(groups, np.uint16)
        codes = codebook.canonical_codes(lengths)
        used = huffman.encode(z, wide, self.group, mode if runs else -1, codes, words, sizes)
        params = bytes([self.group.bit_length() - 1])
        if runs:
            params += struct.pack("<H", mode)
        return Encoded(
            _little_endian(words[:used]).view(np.uint8),
            params,
            {
                "codebook": codebook.pack_lengths(lengths),
                "group_sizes": _little_endian(sizes).view(np.uint8),
            },
        )

    def form_after(self, form: Form, params: bytes) -> Form:
        _read_params(params)
        return Form((-1,), np.dtype(np.uint8))

    def decode(
        self,
        data: NDArray[Any],
        form: Form,
        params: bytes,
        sections: dict[str, NDArray[np.uint8]],
        bound: float,
    ) -> NDArray[Any]:
        coded = self.decode_symbols(data, form, params, sections)
        if coded.dtype == form.dtype:
            return coded
        out = np.empty(form.size, form.dtype)
        symbols.residual_of(coded, out)
        return out

    def decode_symbols(
        self,
        data: NDArray[Any],
        form: Form,
        params: bytes,
        sections: dict[str, NDArray[np.uint8]],
    ) -> NDArray[Any]:
        """Residuals of the form's dtype or, if all fit 16 bits, zigzagged ones as uint16."""
        group, mode = _read_params(params)
        lengths, fast, slow = _read_codebook(sections.get("codebook"), mode)
        sizes = sections.get("group_sizes")
        groups = -(-form.size // group)
        if sizes is None or sizes.size != 2 * groups or data.size % 4:
            raise FormatError("fzdask stream: huffman groups do not match the array; damaged.")
        starts = np.zeros(groups + 1, np.int64)
        np.cumsum(sizes.view("<u2"), out=starts[1:])
        if starts[-1] * 4 != data.size or (groups and not sizes.view("<u2").all()):
            raise FormatError("fzdask stream: huffman groups do not fill the payload; damaged.")
        # Zero words behind the payload: no group, however wrong, can read past them.
        words = np.zeros(data.size // 4 + group * WORST_BITS // 32 + 4, np.uint32)
        words[: data.size // 4] = data.view("<u4")
        narrow = not lengths[symbols.BEYOND_16_BITS : symbols.RUN].any()
        out = np.empty(form.size, np.uint16 if narrow else form.dtype)
        table = NO_TABLE
        if mode < 0 and groups >= 4 and slow[codebook.SLOW_CLASSES] < huffman.WIDE_BOOK:
            table = codebook.several_table(fast, symbols.DIRECT)
        if not huffman.decode(words, starts, group, mode, fast, slow, table, out):
            raise FormatError("fzdask stream: huffman payload does not decode; it is damaged.")
        return out


def _read_params(params: bytes) -> tuple[int, int]:
    """Values per group, and the symbol whose runs are coded or -1."""
    check_params(Huffman, params, 3 if len(params) == 3 else 1)
    mode = int.from_bytes(params[1:], "little") if len(params) == 3 else -1
    if not 8 <= params[0] <= 14 or mode >= symbols.DIRECT:
        raise FormatError("fzdask stream: huffman parameters out of range; it is damaged.")
    return 1 << params[0], mode


def _read_codebook(
    packed: NDArray[np.uint8] | None, mode: int
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Code lengths and the tables to decode with."""
    lengths = np.zeros(symbols.ALPHABET, np.uint8)
    if packed is None or not codebook.unpack_lengths(packed, lengths):
        raise FormatError("fzdask stream: the huffman codebook is missing or damaged.")
    if lengths[symbols.RUN :].any() if mode < 0 else lengths[mode]:
        raise FormatError("fzdask stream: the huffman codebook does not fit its runs; damaged.")
    fast, slow = codebook.decoding_tables(lengths, symbols.DIRECT)
    if not fast.size:
        raise FormatError("fzdask stream: the huffman codebook is no prefix code; it is damaged.")
    return lengths, fast, slow


def _little_endian(array: NDArray[Any]) -> NDArray[Any]:
    return array.astype(array.dtype.newbyteorder("<"), copy=False)
