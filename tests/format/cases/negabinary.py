"""Fixtures of ``negabinary``: as codes, and before bit planes."""

from __future__ import annotations

from typing import Any

import numpy as np
from format_cases import field, raw_bits
from numpy.typing import NDArray


def fixtures() -> dict[str, tuple[NDArray[Any], dict[str, Any]]]:
    """Arrays and options by name."""
    one = {"pipeline": "quantize | negabinary | zstd"}
    return {
        "negabinary": (field((20, 23), "f4"), {"abs": 1 / 16, **one}),
        "negabinary-wide": (raw_bits(60, 7).view("i8"), {"lossless": True, **one}),
        "negabinary-bitshuffle": (
            np.asfortranarray(field((9, 31), "f8")),
            {"abs": 1 / 16, "pipeline": "quantize | lorenzo | negabinary | bitshuffle | zstd"},
        ),
    }
