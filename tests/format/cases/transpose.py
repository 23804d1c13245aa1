"""Streams with `transpose`."""

from __future__ import annotations

import numpy as np
from format_cases import Case, field


def fixtures() -> dict[str, Case]:
    """Arrays and options by name."""
    x = field((6, 9, 11), "f4")
    return {
        "transpose": (
            x,
            {"abs": 1 / 16, "pipeline": "transpose(axes=(2, 0, 1)) | quantize | lorenzo | huffman"},
        ),
        "transpose-complex-fortran": (
            np.asfortranarray(field((6, 9), "c8")),
            {"abs": 1 / 16, "pipeline": "quantize | transpose | zstd"},
        ),
    }
