"""Compression and output behind a running simulation: the engine and the in-situ writer.

Everything public is imported on first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fzdask.insitu.block import Block, Snapshot
    from fzdask.insitu.engine import Engine
    from fzdask.insitu.failures import CancelledDumpError, InSituError
    from fzdask.insitu.rules import Rules
    from fzdask.insitu.stores import RateLimitedStore
    from fzdask.insitu.writer import InSituWriter

_LAZY = {
    "Block": "fzdask.insitu.block",
    "CancelledDumpError": "fzdask.insitu.failures",
    "Engine": "fzdask.insitu.engine",
    "InSituError": "fzdask.insitu.failures",
    "InSituWriter": "fzdask.insitu.writer",
    "RateLimitedStore": "fzdask.insitu.stores",
    "Rules": "fzdask.insitu.rules",
    "Snapshot": "fzdask.insitu.block",
}

__all__ = [
    "Block",
    "CancelledDumpError",
    "Engine",
    "InSituError",
    "InSituWriter",
    "RateLimitedStore",
    "Rules",
    "Snapshot",
]


def __getattr__(name: str) -> Any:
    module = _LAZY.get(name)
    if module is None:
        raise AttributeError(f"module 'fzdask.insitu' has no attribute {name!r}")
    value = getattr(importlib.import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
