"""Planning and running compression and I/O around a simulation's busy intervals.

Everything public is imported on first use: importing this package loads neither Numba nor Dask.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fzdask.scheduling.gantt import plot_gantt
    from fzdask.scheduling.gantt_svg import gantt_html
    from fzdask.scheduling.model import Busy, Job, Storage, Task, Worker
    from fzdask.scheduling.planner import Plan, plan
    from fzdask.scheduling.simulator import simulate

_LAZY = {
    "Busy": "fzdask.scheduling.model",
    # By name only, so that the planner knows nothing of Dask.
    "FZSchedulerPlugin": "fzdask.cluster",
    "Job": "fzdask.scheduling.model",
    "Plan": "fzdask.scheduling.planner",
    "Storage": "fzdask.scheduling.model",
    "Task": "fzdask.scheduling.model",
    "Worker": "fzdask.scheduling.model",
    "gantt_html": "fzdask.scheduling.gantt_svg",
    "plan": "fzdask.scheduling.planner",
    "plot_gantt": "fzdask.scheduling.gantt",
    "simulate": "fzdask.scheduling.simulator",
}

__all__ = [
    "Busy",
    "FZSchedulerPlugin",
    "Job",
    "Plan",
    "Storage",
    "Task",
    "Worker",
    "gantt_html",
    "plan",
    "plot_gantt",
    "simulate",
]


def __getattr__(name: str) -> Any:
    module = _LAZY.get(name)
    if module is None:
        raise AttributeError(f"module 'fzdask.scheduling' has no attribute {name!r}")
    value = getattr(importlib.import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
