"""``InSituWriter(..., client=client)``: its arguments, for a cluster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fzdask.cluster import hooks
from fzdask.cluster.scheduler_plugin import FZSchedulerPlugin
from fzdask.cluster.writer import ClusterWriter
from fzdask.errors import ConfigError
from fzdask.insitu.rules import Rules

__all__ = ["writer_for_client"]

OF_A_PROCESS = {
    "comm": "the cluster's workers write the parts",
    "rank": "the cluster's workers write the parts",
    "size": "the cluster's workers write the parts",
    "run_id": "the cluster's workers write the parts",
    "timeout": "give it to flush()",
    "cpus": "workers are pinned where they are started",
    "engine": "every worker has its own, from FZSchedulerPlugin",
}


def writer_for_client(
    client: Any,
    target: Any,
    encoding: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    buffer: int | str | None = None,
    windows: str = "auto",
    rules: Rules | None = None,
    **settings: Any,
) -> ClusterWriter:
    """A `ClusterWriter` from the arguments of `InSituWriter`.

    Parameters
    ----------
    buffer, windows, rules
        Registered with the cluster as those of its engines, unless it has some already.
    **settings
        Of `ClusterWriter`.

    Raises
    ------
    ConfigError
        An argument that means nothing on a cluster, or settings of engines for a cluster that
        has engines with others.
    """
    for name, why in OF_A_PROCESS.items():
        if settings.pop(name, None) is not None:
            raise ConfigError(f"InSituWriter: {name}= means nothing with client=: {why}")
    if rules is not None and windows != "auto":
        raise ConfigError("InSituWriter: give windows= or rules=Rules(windows=...), not both")
    wanted = rules or Rules(windows="marked" if windows == "auto" else windows)  # type: ignore[arg-type]
    found = client.run_on_scheduler(_engine_settings)
    if found is None:
        client.register_plugin(FZSchedulerPlugin(wanted, buffer=buffer or "256MiB"))
    elif (rules is not None or windows != "auto" or buffer is not None) and found != (
        wanted,
        buffer or "256MiB",
    ):
        raise ConfigError(
            "InSituWriter: the cluster has engines with other settings of its FZSchedulerPlugin "
            f"({found[0]}, buffer={found[1]!r}); leave out buffer=, windows= and rules=, or give "
            "the same"
        )
    return ClusterWriter(client, target, encoding, **settings)


def _engine_settings(dask_scheduler: Any = None) -> tuple[Rules, int | str] | None:
    plugin = hooks.find_scheduler_plugin(dask_scheduler)
    return None if plugin is None else plugin.settings
