"""Fixtures of ``sign_magnitude``: as codes, and before bit planes."""

from __future__ import annotations

from typing import Any

import numpy as np
from format_cases import field, raw_bits
from numpy.typing import NDArray


def fixtures() -> dict[str, tuple[NDArray[Any], dict[str, Any]]]:
    """Arrays and options by name."""
    one = {"pipeline": "quantize | sign_magnitude | zstd"}
    return {
        "sign-magnitude": (field((20, 23), "f4"), {"abs": 1 / 16, **one}),
        "sign-magnitude-wide": (raw_bits(60, 7).view("i8"), {"lossless": True, **one}),
        "sign-magnitude-bitshuffle": (
            np.asfortranarray(field((9, 31), "f8")),
            {"abs": 1 / 16, "pipeline": "quantize | lorenzo | sign_magnitude | bitshuffle | zstd"},
        ),
    }
