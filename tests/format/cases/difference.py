"""Streams with `difference`."""

from __future__ import annotations

import numpy as np
from format_cases import Case, field


def fixtures() -> dict[str, Case]:
    """Arrays and options by name."""
    x = field((6, 9, 11), "f4")
    options = {"abs": 1 / 16}
    return {
        "difference": (x, {**options, "pipeline": "quantize | difference | huffman"}),
        "difference-second-fortran": (
            np.asfortranarray(x),
            {**options, "pipeline": "quantize | difference(axis=1, order=2)"},
        ),
        "difference-no-such-axis": (
            x.astype("f8")[0],
            {**options, "pipeline": "quantize | difference(axis=5) | zstd"},
        ),
    }
