"""Fixtures of ``zero_blocks``: behind bit planes, of other blocks, twice."""

from __future__ import annotations

from typing import Any

import numpy as np
from format_cases import field
from numpy.typing import NDArray


def fixtures() -> dict[str, tuple[NDArray[Any], dict[str, Any]]]:
    """Arrays and options by name."""
    spots = np.zeros((60, 100), "f4")
    spots.reshape(-1)[::571] = 3
    planes = "quantize | lorenzo | sign_magnitude | bitshuffle"
    return {
        "zero-blocks": (
            field((40, 33), "f4"),
            {"abs": 1 / 16, "pipeline": f"{planes} | zero_blocks"},
        ),
        "zero-blocks-of-64": (
            field((40, 33), "f8"),
            {"abs": 1 / 16, "pipeline": f"{planes} | zero_blocks(block=64)"},
        ),
        "zero-blocks-twice": (
            spots,
            {"abs": 1 / 16, "pipeline": f"{planes} | zero_blocks(block=8) | zero_blocks"},
        ),
    }
