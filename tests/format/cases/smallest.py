"""Fixtures of ``smallest``: each of its ways, and behind a logarithm."""

from __future__ import annotations

from typing import Any

import numpy as np
from format_cases import field
from numpy.typing import NDArray


def fixtures() -> dict[str, tuple[NDArray[Any], dict[str, Any]]]:
    """Arrays and options by name."""
    bowl = np.add.outer(np.arange(60) ** 2, np.arange(70) ** 2) / 8
    spots = field((30, 40), "f8")
    spots[4, 5:9] = np.nan
    signed = field((25, 30), "f4", 5)
    signed[7:9] = 0
    return {
        "smallest-interpolation": (bowl.astype("f4"), {"abs": 8, "pipeline": "smallest"}),
        "smallest-neighbours": (spots, {"abs": 1 / 16, "pipeline": "smallest | zstd"}),
        "smallest-pointwise": (signed, {"pw_rel": 1e-2, "pipeline": "ratio"}),
    }
