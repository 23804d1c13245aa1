"""Fixtures of ``golomb_rice``: both widths, several block lengths."""

from __future__ import annotations

from typing import Any

import numpy as np
from format_cases import field, raw_bits
from numpy.typing import NDArray


def fixtures() -> dict[str, tuple[NDArray[Any], dict[str, Any]]]:
    """Arrays and options by name."""
    chain = "quantize | lorenzo | zigzag | golomb_rice"
    huge = np.where(raw_bits(600, 3) % np.uint64(9) == 0, raw_bits(600, 4), np.uint64(3))
    return {
        "golomb_rice": (field((20, 23), "f4"), {"abs": 1 / 16, "pipeline": chain}),
        "golomb_rice-blocks-of-32": (
            field((40, 33), "f4"),
            {"abs": 1 / 16, "pipeline": f"{chain}(block=32)"},
        ),
        "golomb_rice-wide": (huge.view("i8"), {"lossless": True, "pipeline": chain}),
    }
