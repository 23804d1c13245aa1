"""Fixtures of ``deflate``: on differences, and at the highest level."""

from __future__ import annotations

from typing import Any

from format_cases import field
from numpy.typing import NDArray


def fixtures() -> dict[str, tuple[NDArray[Any], dict[str, Any]]]:
    """Arrays and options by name."""
    plane = field((20, 23), "f4")
    return {
        "deflate": (plane, {"abs": 1 / 16, "pipeline": "quantize | lorenzo | deflate"}),
        "deflate-level-9": (plane, {"lossless": True, "pipeline": "shuffle | deflate(level=9)"}),
    }
