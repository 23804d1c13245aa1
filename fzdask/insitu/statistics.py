"""Figures of a run as an xarray Dataset: one row per step, and per field."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fzdask.insitu.records import SnapshotRow

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["WriteRow", "as_dataset"]


class WriteRow(NamedTuple):
    """What a write cost the simulation's thread, in seconds."""

    step: int
    copy: float
    blocked: float


_UNITS = {
    "raw_nbytes": "byte",
    "stored_nbytes": "byte",
    "compress": "s",
    "write": "s",
    "copy": "s",
    "blocked": "s",
    "latency": "s",
}


def as_dataset(
    rows: Iterable[SnapshotRow], writes: Mapping[str, WriteRow], totals: Mapping[str, Any]
) -> xr.Dataset:
    """Sizes, times and ratios of the stored snapshots along ``step``, also by ``field``.

    Parameters
    ----------
    rows : iterable of SnapshotRow
        What the engine recorded.
    writes : mapping of snapshot name to WriteRow
        What the writer recorded.
    totals : mapping
        Becomes the attributes.
    """
    import xarray as xr

    both = [(row, writes[row.name]) for row in rows if row.name in writes]
    fields = list(dict.fromkeys(name for row, _ in both for name in row.fields))
    table = np.full((4, len(both), len(fields)), np.nan)
    for i, (row, _) in enumerate(both):
        for j, name in enumerate(fields):
            if name in row.fields:
                table[:, i, j] = row.fields[name]
    by_step = {
        "raw_nbytes": [row.raw_nbytes for row, _ in both],
        "stored_nbytes": [row.nbytes for row, _ in both],
        "compress": [row.compress_seconds for row, _ in both],
        "write": [row.write_seconds for row, _ in both],
        "latency": [row.latency for row, _ in both],
        "copy": [write.copy for _, write in both],
        "blocked": [write.blocked for _, write in both],
    }
    data: dict[str, Any] = {
        name: ("step", np.asarray(values, np.float64), {"units": _UNITS[name]})
        for name, values in by_step.items()
    }
    for name, values in zip(
        ("raw_nbytes", "stored_nbytes", "compress", "write"), table, strict=True
    ):
        data[f"field_{name}"] = (("step", "field"), values, {"units": _UNITS[name]})
    plain = {key: value for key, value in totals.items() if isinstance(value, int | float | str)}
    return xr.Dataset(
        data,
        coords={"step": np.asarray([w.step for _, w in both], np.int64), "field": fields},
        attrs=plain,
    )
