"""Fixtures of ``context_mixing``: one to four axes, masks, wide values."""

from __future__ import annotations

from typing import Any

import numpy as np
from format_cases import field, raw_bits, whole_field
from numpy.typing import NDArray


def fixtures() -> dict[str, tuple[NDArray[Any], dict[str, Any]]]:
    """Arrays and options by name."""
    chain = "quantize | context_mixing"
    masked = whole_field((9, 12, 20), 2, step=2)
    masked[2:5, 3:9] = 4096
    wide = np.where(raw_bits(400, 3) % np.uint64(9) == 0, raw_bits(400, 4), np.uint64(3))
    return {
        "context-mixing": (field((30, 43), "f4"), {"abs": 1 / 16, "pipeline": chain}),
        "context-mixing-masked": (masked.astype("f8"), {"abs": 1 / 2, "pipeline": chain}),
        "context-mixing-four-axes": (field((3, 4, 9, 11), "f4"), {"abs": 1 / 4, "pipeline": chain}),
        "context-mixing-64-bits": (wide.view("i8"), {"lossless": True, "pipeline": chain}),
    }
