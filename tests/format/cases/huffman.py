"""Fixtures of ``huffman`` with a standard codebook: without runs, with runs, with an escape."""

from __future__ import annotations

from typing import Any

import numpy as np
from format_cases import field, raw_bits, whole_field
from numpy.typing import NDArray


def fixtures() -> dict[str, tuple[NDArray[Any], dict[str, Any]]]:
    """Arrays and options by name."""
    chain = {"pipeline": "quantize | lorenzo(axes=()) | huffman(group=512)", "codebook": "shared"}
    random = raw_bits(9000, 6)
    spots = np.log2((random >> np.uint64(40)) + np.uint64(1)) - 24  # exponential, below 0
    spots = np.where(random % np.uint64(61) == 0, spots * (-1.0) ** (random >> np.uint64(9)), 0)
    spots = spots.astype("f4")
    peak = whole_field((40, 50), 5, step=2)
    peak.reshape(-1)[777] = 2.0**33
    return {
        "huffman-standard": (field((60, 50), "f4"), {"abs": 1 / 16, **chain}),
        "huffman-standard-runs": (spots, {"abs": 0.25, **chain}),
        "huffman-standard-escape": (peak, {"abs": 0.5, **chain}),
    }
