"""asv suite of Huffman codebooks: encoding with own, shared and fitted ones, and their making.

    asv run --quick -E existing --bench bench_codebooks

Each call encodes the next of several like chunks, as a field cut into chunks gives them.
"""

from __future__ import annotations

import itertools
import os

import numpy as np

from fzdask import FZCodec
from fzdask.codecs.codebooks import Codebook
from fzdask.codecs.kernels.cpu import codebook, symbols
from fzdask.metrics import fields, value_range

MOST_NBYTES = int(os.environ.get("FZDASK_BENCH_CHUNK", 1 << 26))
CHUNK_NBYTES = [1 << k for k in range(14, 27, 2)]  # 16 KiB to 64 MiB
WAYS = ["own", "shared", "fitted"]
CHUNKS = 4


class EncodeChunks:
    """`FZCodec.encode` of turbulence, over chunk size and origin of the codebook."""

    params = (CHUNK_NBYTES, WAYS)
    param_names = ("chunk_nbytes", "codebook")

    def setup(self, chunk_nbytes, way):
        chunks = CHUNKS if chunk_nbytes < 1 << 22 else 1
        values = min(chunk_nbytes, MOST_NBYTES) // 4
        field = fields.generate("turbulence", chunks * values)
        flat = field.reshape(-1)
        per_chunk = flat.size // chunks
        self.chunks = [flat[k * per_chunk : (k + 1) * per_chunk] for k in range(chunks)]
        bound = {"abs": 1e-3 * value_range(field)}
        fitted = way == "fitted"
        self.codec = FZCodec.fit(flat, **bound) if fitted else FZCodec(**bound, codebook=way)
        self.sizes = [len(self.codec.encode(c)) for c in self.chunks]  # also loads the kernels
        self.following = itertools.cycle(self.chunks)

    def time_encode(self, chunk_nbytes, way):
        self.codec.encode(next(self.following))

    def track_ratio(self, chunk_nbytes, way):
        return sum(c.nbytes for c in self.chunks) / sum(self.sizes)

    track_ratio.unit = "original bytes / stored byte"


class MakeCodebook:
    """Construction of length-limited codes, and their compact form."""

    params = ([16, 128, symbols.ALPHABET],)
    param_names = ("symbols",)

    def setup(self, used):
        self.counts = np.zeros(symbols.ALPHABET, np.int64)
        self.counts[:used] = 1 + (1e6 * 0.98 ** np.arange(used)).astype(np.int64)
        self.lengths = codebook.code_lengths(self.counts)
        codebook.pack_lengths(self.lengths)

    def time_code_lengths(self, used):
        codebook.code_lengths(self.counts)

    def time_pack_lengths(self, used):
        codebook.pack_lengths(self.lengths)

    def track_compact_nbytes(self, used):
        return len(Codebook.build(self.counts, -1).packed)

    track_compact_nbytes.unit = "bytes"
