"""What the engines of a cluster have done, as a dictionary and as an xarray Dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fzdask.cluster import hooks
from fzdask.errors import ConfigError

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["statistics", "statistics_dataset"]

_UNITS = {
    "blocks": "1",
    "raw_nbytes": "byte",
    "stored_nbytes": "byte",
    "compress": "s",
    "write": "s",
    "latency": "s",
}


def statistics(client: Any) -> dict[str, Any]:
    """Counts of the scheduler's plugin ("scheduler") and of every worker's engine ("workers").

    Raises
    ------
    ConfigError
        The cluster has no `FZSchedulerPlugin`.
    """
    found = client.run_on_scheduler(_scheduler_part)
    if found is None:
        raise ConfigError(
            "statistics: the cluster has no FZSchedulerPlugin; register it first: "
            "client.register_plugin(fzdask.scheduling.FZSchedulerPlugin())"
        )
    counts, rows = found
    workers = client.run(_worker_part, on_error="ignore")  # one may die meanwhile
    raw, stored = sum(r["raw_nbytes"] for r in rows), sum(r["stored_nbytes"] for r in rows)
    return {
        "scheduler": counts,
        "workers": {address: part for address, part in workers.items() if part is not None},
        "rows": rows,
        "raw bytes": raw,
        "stored bytes": stored,
        "ratio": raw / stored if stored else float("nan"),
    }


def statistics_dataset(client: Any) -> xr.Dataset:
    """One row per snapshot and worker, along ``dump``: sizes in bytes, times in seconds.

    Raises
    ------
    ConfigError
        As `statistics`.
    """
    import xarray as xr

    found = statistics(client)
    rows = found["rows"]
    data: dict[str, Any] = {
        name: ("dump", np.array([row[name] for row in rows], np.float64), {"units": unit})
        for name, unit in _UNITS.items()
    }
    coordinates = {
        name: ("dump", np.array([row[name] for row in rows], dtype=str))
        for name in ("snapshot", "worker")
    }
    return xr.Dataset(data, coords=coordinates, attrs=dict(found["scheduler"]))


def _scheduler_part(dask_scheduler: Any = None) -> Any:
    plugin = hooks.find_scheduler_plugin(dask_scheduler)
    return None if plugin is None else (dict(plugin.counts), list(plugin.rows))


def _worker_part(dask_worker: Any = None) -> Any:
    plugin = hooks.find_worker_plugin(dask_worker)
    if plugin is None:
        return None
    return {**plugin.engine.statistics, "engines replaced": plugin.replaced}
