"""Fixtures of ``bitshuffle``: values, a lattice, codes; whole and broken blocks."""

from __future__ import annotations

from typing import Any

import numpy as np
from format_cases import field
from numpy.typing import NDArray


def fixtures() -> dict[str, tuple[NDArray[Any], dict[str, Any]]]:
    """Arrays and options by name."""
    planes = {"lossless": True, "pipeline": "bitshuffle | zstd"}
    return {
        "bitshuffle": (field((40, 33), "f4"), planes),
        "bitshuffle-structured": (field((15, 7), [("a", "<i2"), ("b", ">f8")]), planes),
        "bitshuffle-lattice": (
            np.round(field((13, 11), "f8"), 3),
            {"abs": 1 / 16, "pipeline": "quantize | lorenzo | bitshuffle(block=64) | zstd"},
        ),
    }
