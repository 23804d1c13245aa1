"""Fixtures of ``zero_bytes``: behind bit planes, of few bytes, of one level and of three."""

from __future__ import annotations

from typing import Any

import numpy as np
from format_cases import field
from numpy.typing import NDArray


def fixtures() -> dict[str, tuple[NDArray[Any], dict[str, Any]]]:
    """Arrays and options by name."""
    spots = np.zeros((60, 100), "f4")
    spots.reshape(-1)[::571] = 3
    one = {"abs": 1 / 16, "pipeline": "quantize | lorenzo | negabinary | bitshuffle | zero_bytes"}
    return {
        "zero-bytes": (field((40, 33), "f4"), one),
        "zero-bytes-few": (np.arange(13, dtype="f8") ** 2, one),
        "zero-bytes-sparse": (spots, one),
    }
