"""Streams with `constant`."""

from __future__ import annotations

import numpy as np
from format_cases import Case, field


def fixtures() -> dict[str, Case]:
    """Arrays and options by name."""
    x = field((12, 100), "f4")
    x[2:9] = x[2:9, :1]
    x[5, 3] += 1 / 64
    whole = (x * 64).astype("i8")
    return {
        "constant": (x, {"abs": 1 / 32, "pipeline": "constant(block=16) | quantize | huffman"}),
        "constant-lattice": (
            np.asfortranarray(x.astype("f8")),
            {"abs": 1 / 16, "pipeline": "quantize | constant(block=8, share=0) | zstd"},
        ),
        "constant-few": (
            whole,
            {"abs": 2, "pipeline": "constant(share=0.9) | quantize | lorenzo | huffman"},
        ),
        "constant-integers": (whole, {"abs": 2, "pipeline": "constant(block=32) | quantize"}),
    }
