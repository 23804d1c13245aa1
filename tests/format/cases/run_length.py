"""Fixtures of ``run_length``: alone, and before another back end."""

from __future__ import annotations

from typing import Any

from format_cases import field
from numpy.typing import NDArray


def fixtures() -> dict[str, tuple[NDArray[Any], dict[str, Any]]]:
    """Arrays and options by name."""
    plane = field((20, 23), "f4")
    return {
        "run-length": (plane, {"abs": 1 / 16, "pipeline": "quantize | lorenzo | run_length"}),
        "run-length-then-zstd": (
            plane.astype("f8"),
            {"abs": 1 / 16, "pipeline": "quantize | lorenzo | run_length | zstd"},
        ),
    }
