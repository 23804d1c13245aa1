"""Streams with `lorenzo(order=2)`."""

from __future__ import annotations

import numpy as np
from format_cases import Case, field


def fixtures() -> dict[str, Case]:
    """Arrays and options by name."""
    x = np.cumsum(field((7, 9, 41), "f8"), axis=-1)
    options = {"abs": 1 / 16}
    return {
        "lorenzo-order-2": (x, {**options, "pipeline": "quantize | lorenzo(order=2) | huffman"}),
        "lorenzo-order-2-all": (
            x.astype("f4"),
            {**options, "pipeline": "quantize | lorenzo(axes='all', order=2) | zstd"},
        ),
        "lorenzo-order-2-behind-order-1": (  # which do not commute
            x,
            {**options, "pipeline": "quantize | lorenzo(axes=all) | lorenzo(order=2) | huffman"},
        ),
    }
