"""The xarray accessor ``fz``: bounds for a whole dataset, written and checked in one line each.

``import fzdask`` registers it, before or after ``import xarray`` (see
:mod:`fzdask.accessor.registration`), and imports neither xarray nor a codec for that; what the
methods need is imported when they are called.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fzdask.accessor.dataset import DataArrayAccessor, DatasetAccessor
    from fzdask.accessor.report import Report, VariableReport
    from fzdask.accessor.tree import DataTreeAccessor

_LAZY = {
    "DataArrayAccessor": "fzdask.accessor.dataset",
    "DataTreeAccessor": "fzdask.accessor.tree",
    "DatasetAccessor": "fzdask.accessor.dataset",
    "Report": "fzdask.accessor.report",
    "VariableReport": "fzdask.accessor.report",
}

__all__ = ["DataArrayAccessor", "DataTreeAccessor", "DatasetAccessor", "Report", "VariableReport"]


def __getattr__(name: str) -> Any:
    module = _LAZY.get(name)
    if module is None:
        raise AttributeError(f"module 'fzdask.accessor' has no attribute {name!r}")
    value = getattr(importlib.import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
