"""Fixtures of ``lz4``: on differences, and on shuffled bytes."""

from __future__ import annotations

from typing import Any

from format_cases import field
from numpy.typing import NDArray


def fixtures() -> dict[str, tuple[NDArray[Any], dict[str, Any]]]:
    """Arrays and options by name."""
    plane = field((20, 23), "f4")
    return {
        "lz4": (plane, {"abs": 1 / 16, "pipeline": "quantize | lorenzo | lz4"}),
        "lz4-shuffled": (
            field((40, 50), "i2"),
            {"lossless": True, "pipeline": "shuffle | lz4(acceleration=3)"},
        ),
    }
