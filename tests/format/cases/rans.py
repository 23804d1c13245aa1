"""Fixtures of ``rans``: one table, one for each context, groups, wide symbols."""

from __future__ import annotations

from typing import Any

import numpy as np
from format_cases import field, raw_bits, whole_field
from numpy.typing import NDArray


def fixtures() -> dict[str, tuple[NDArray[Any], dict[str, Any]]]:
    """Arrays and options by name."""
    patchy = whole_field((9, 12, 40), 2, step=1) * (1 + 20 * (np.arange(40) % 20 > 14))
    huge = np.where(raw_bits(600, 3) % np.uint64(9) == 0, raw_bits(600, 4), np.uint64(3))
    far = patchy.copy()
    far[::2, ::5, ::7] = -5000
    one = {"pipeline": "quantize | lorenzo | rans"}
    return {
        "rans": (field((20, 23), "f4"), {"abs": 1 / 16, **one}),
        "rans-groups-of-256": (
            field((40, 33), "f4"),
            {"abs": 1 / 16, "pipeline": "quantize | lorenzo | rans(group=256)"},
        ),
        "rans-wide-symbols": (huge.view("i8"), {"lossless": True, **one}),
        "rans-contexts": (
            patchy,
            {"abs": 1, "pipeline": "quantize | lorenzo(axes=()) | rans(contexts=6, group=1024)"},
        ),
        "rans-contexts-around-far-ones": (
            far,
            {"abs": 1, "pipeline": "quantize | lorenzo(axes=()) | rans(contexts=6, group=2048)"},
        ),
    }
