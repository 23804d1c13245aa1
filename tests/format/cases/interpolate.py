"""Fixtures of ``interpolate``: one to four axes, outliers, integers, differences in any order."""

from __future__ import annotations

from typing import Any

import numpy as np
from format_cases import raw_bits
from numpy.typing import NDArray

PIPELINE = {"pipeline": "interpolate(predictor=interpolation) | huffman | zstd"}


def smooth(shape: tuple[int, ...], seed: int) -> NDArray[np.float64]:
    """Products of parabolas with a little noise, in multiples of 1/1024: exact everywhere."""
    x = np.ones(())
    for n in shape:
        side = np.arange(n) - n // 3
        x = np.multiply.outer(x, 1 + side * side % 97 / 8)
    noise = (raw_bits(x.size, seed) % np.uint64(33)).astype(np.int64).reshape(shape) - 16
    return np.rint(x * 64) / 64 + noise / 1024


def fixtures() -> dict[str, tuple[NDArray[Any], dict[str, Any]]]:
    """Arrays and options by name."""
    holes = smooth((14, 33), 3).astype("f4")
    holes[3:6, 10:20] = np.nan
    holes[::5, ::7] = -0.0
    steep = (np.arange(900).reshape(30, 30) ** 2 % 3001 - 1500).astype("i2")
    noise = (raw_bits(600, 5) % np.uint64(999)).astype("f8")
    quiet = (raw_bits(48 * 5 * 8, 6) % np.uint64(41)).astype("f4").reshape(48, 5, 8)
    quiet[:, raw_bits(40, 7).reshape(5, 8) % np.uint64(4) > 0] = 9  # most places never change
    differences = "interpolate(predictor=lorenzo)"
    then_huffman = {"pipeline": f"{differences} | huffman"}
    return {
        "interpolate": (smooth((9, 11, 20), 1).astype("f4"), {"abs": 1 / 32, **PIPELINE}),
        "interpolate-outliers": (holes, {"abs": 1 / 64, **PIPELINE}),
        "interpolate-four-axes": (smooth((4, 5, 6, 3), 4), {"abs": 1 / 16, **PIPELINE}),
        "interpolate-integers": (steep, {"abs": 3, **PIPELINE}),
        "interpolate-differences": (noise, {"abs": 1 / 2, **then_huffman}),
        "interpolate-differences-time-last": (quiet, {"abs": 1 / 2, **then_huffman}),
        "interpolate-differences-reordered-then-lorenzo": (
            quiet.reshape(2, 24, 5, 1, 8).astype("f8"),
            {"abs": 1 / 2, "pipeline": f"{differences} | lorenzo | huffman"},
        ),
    }
