"""Fixtures of ``wavelet``: several axes and levels, outliers, corrections, integers."""

from __future__ import annotations

from typing import Any

import numpy as np
from format_cases import whole_field
from numpy.typing import NDArray

PIPELINE = {"pipeline": "wavelet | huffman | zstd"}


def fixtures() -> dict[str, tuple[NDArray[Any], dict[str, Any]]]:
    """Arrays and options by name."""
    x = whole_field((9, 11, 20), 1).cumsum(0) / 64
    holes = (whole_field((14, 33), 3) / 64).astype("f4")
    holes[3:6, 10:20] = np.nan
    holes[::5, ::7] = -0.0
    steep = (np.arange(900).reshape(30, 30) ** 2 % 3001 - 1500).astype("i2")
    wide = {"pipeline": "wavelet(step=4.0) | zigzag | zstd"}
    return {
        "wavelet": (x.astype("f4"), {"abs": 1 / 32, **PIPELINE}),
        "wavelet-outliers": (holes, {"abs": 1 / 64, **PIPELINE}),
        "wavelet-corrections": (x[:4, :, :9], {"abs": 1 / 16, **wide}),
        "wavelet-integers": (steep, {"abs": 3, **PIPELINE}),
    }
