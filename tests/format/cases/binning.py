"""Streams with `binning`."""

from __future__ import annotations

import numpy as np
from format_cases import Case, field


def fixtures() -> dict[str, Case]:
    """Arrays and options by name."""
    x = field((9, 11, 13), "f4")
    options = {"abs": 1 / 16}
    return {
        "binning": (x, {**options, "pipeline": "quantize | binning | huffman"}),
        "binning-plane-fortran": (
            np.asfortranarray(x[0].astype("f8")),
            {**options, "pipeline": "quantize | binning(levels=1, axes=(1,)) | zstd"},
        ),
    }
