"""Dask: in-situ output of computations on a cluster, and overlapped writes of Zarr arrays.

Dask does admission, placement, retries and durability; in every worker process one
`fzdask.insitu.Engine` decides when what is compressed and stored. Everything public is imported
on first use; what needs the package ``distributed`` says so where it is missing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fzdask.cluster.adapter import writer_for_client
    from fzdask.cluster.figures import statistics, statistics_dataset
    from fzdask.cluster.marks import idle, iteration
    from fzdask.cluster.overlapping import overlap
    from fzdask.cluster.scheduler_plugin import FZSchedulerPlugin
    from fzdask.cluster.snapshots import submit_snapshot
    from fzdask.cluster.writer import ClusterWriter

_LAZY = {
    "ClusterWriter": "fzdask.cluster.writer",
    "FZSchedulerPlugin": "fzdask.cluster.scheduler_plugin",
    "idle": "fzdask.cluster.marks",
    "iteration": "fzdask.cluster.marks",
    "overlap": "fzdask.cluster.overlapping",
    "statistics": "fzdask.cluster.figures",
    "statistics_dataset": "fzdask.cluster.figures",
    "submit_snapshot": "fzdask.cluster.snapshots",
    "writer_for_client": "fzdask.cluster.adapter",
}

__all__ = [
    "ClusterWriter",
    "FZSchedulerPlugin",
    "idle",
    "iteration",
    "overlap",
    "statistics",
    "statistics_dataset",
    "submit_snapshot",
    "writer_for_client",
]


def __getattr__(name: str) -> Any:
    module = _LAZY.get(name)
    if module is None:
        raise AttributeError(f"module 'fzdask.cluster' has no attribute {name!r}")
    try:
        value = getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        if error.name and error.name.split(".")[0] == "distributed":
            raise ImportError(
                f"fzdask.cluster.{name} needs the package 'distributed', which is not installed; "
                'install it with: pip install "fzdask[distributed]"'
            ) from error
        raise
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
