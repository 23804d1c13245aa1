"""Fixtures of ``dictionary``: places of a grid, values of 64 bits, data that pass."""

from __future__ import annotations

from typing import Any

import numpy as np
from format_cases import field, raw_bits, whole_field
from numpy.typing import NDArray


def fixtures() -> dict[str, tuple[NDArray[Any], dict[str, Any]]]:
    """Arrays and options by name."""
    chain = "quantize | dictionary | lorenzo | huffman"
    grid = whole_field((20, 30), 4) * 37 / 64
    wide = (raw_bits(9, 7).view("i8"))[raw_bits(400, 8) % np.uint64(9)]
    return {
        "dictionary": (grid.astype("f4"), {"abs": 1 / 64, "pipeline": chain}),
        "dictionary-64-bits": (wide, {"lossless": True, "pipeline": chain}),
        "dictionary-passes": (field((20, 23), "f4"), {"abs": 1 / 16, "pipeline": chain}),
    }
