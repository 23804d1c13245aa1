"""Streams with `lorenzo_tiles` and `block_mean`."""

from __future__ import annotations

import numpy as np
from format_cases import Case, field, raw_bits


def fixtures() -> dict[str, Case]:
    """Arrays and options by name."""
    x = field((9, 11, 13), "f4")
    x[:4] += (raw_bits(4 * 11 * 13, 3) % np.uint64(99)).astype("f4").reshape(4, 11, 13)
    curve = np.cumsum(np.cumsum(field((600,), "f8")))
    options = {"abs": 1 / 16}
    return {
        "lorenzo-tiles": (x, {**options, "pipeline": "quantize | lorenzo_tiles | huffman"}),
        "lorenzo-tiles-line": (
            curve,
            {**options, "pipeline": "quantize | lorenzo_tiles(edge=64) | zstd"},
        ),
        "block-mean": (x, {**options, "pipeline": "quantize | block_mean | huffman"}),
        "block-mean-fortran": (
            np.asfortranarray(x[0].astype("f8")),
            {"abs": 1 / 1024**3, "pipeline": "quantize | block_mean(edge=4)"},
        ),
    }
