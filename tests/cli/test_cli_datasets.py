"""Datasets as the command line sees them: raw, lazy, in uniform chunks."""

from __future__ import annotations

from pathlib import Path


def test_fields_and_fill_values_of_a_raw_dataset(netcdf: Path) -> None:
    raw = open_raw(netcdf)
    assert field_names(raw) == ["t", "p"]
    assert fill_values(raw.t) == (-999.0,)
    assert fill_values(raw.p) == (1e20,)
    assert raw.t.chunks is not None
