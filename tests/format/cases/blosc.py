"""Fixtures of ``blosc``: bytes shuffled, and bits before zstd."""

from __future__ import annotations

from typing import Any

from format_cases import field
from numpy.typing import NDArray


def fixtures() -> dict[str, tuple[NDArray[Any], dict[str, Any]]]:
    """Arrays and options by name."""
    plane = field((20, 23), "f4")
    return {
        "blosc": (plane, {"abs": 1 / 16, "pipeline": "quantize | lorenzo | blosc"}),
        "blosc-zstd-bits": (
            plane,
            {"abs": 1 / 16, "pipeline": "quantize | blosc(cname=zstd, shuffle=bit)"},
        ),
    }
