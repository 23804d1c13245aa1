"""Fixtures of ``fixed_length``: the preset `speed` in its corners, other blocks, wide codes."""

from __future__ import annotations

from typing import Any

import numpy as np
from format_cases import field, raw_bits, whole_field, with_outliers
from numpy.typing import NDArray


def fixtures() -> dict[str, tuple[NDArray[Any], dict[str, Any]]]:
    """Arrays and options by name."""
    speed = {"abs": 1 / 16, "pipeline": "speed"}
    rough = whole_field((9, 11, 43), 2, step=900) / 64
    blocks = "quantize | lorenzo | fixed_length(block={}, outlier=True)"
    return {
        "speed-f4": (field((40, 53), "f4"), speed),
        "speed-f8-big-endian-fortran": (np.array(field((13, 7, 31), ">f8"), order="F"), speed),
        "speed-c8": (field((13, 17), "c8"), speed),
        "speed-rel": (field((7, 5, 6, 8), "f4"), {"rel": 1e-3, "pipeline": "speed"}),
        "speed-wide": (rough, {**speed, "abs": 1e-4}),
        "speed-wide-lattice": (rough[:2], {**speed, "abs": 1e-9}),
        "speed-outliers": (with_outliers(5000, 0.02), speed),
        "speed-constant": (np.full((90, 100), 7, "f4"), speed),
        "speed-i2": (field((20, 23), "i2"), {"abs": 2, "pipeline": "speed"}),
        "fixed-length-blocks-of-32": (rough, {**speed, "pipeline": blocks.format(32)}),
        "fixed-length-blocks-of-64": (
            np.where(raw_bits(900, 3) % np.uint64(9) == 0, raw_bits(900, 4), np.uint64(3)),
            {"lossless": True, "pipeline": blocks.format(64)},
        ),
    }
