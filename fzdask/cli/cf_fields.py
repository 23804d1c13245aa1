"""Which variables of a raw dataset are fields, and what marks missing data in them (CF-1.12)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fzdask.cli.console import CommandError

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["field_names", "fill_values", "select_variable"]

# Attributes by which CF names helper variables (coordinates, cell bounds, ...): CF-1.12, §5, §7.
_CF_REFERENCES = ("coordinates", "bounds", "climatology", "grid_mapping", "cell_measures")


def _referenced(attributes: Mapping[Any, Any]) -> set[str]:
    """Names of variables that CF attributes point to."""
    words: set[str] = set()
    for key in _CF_REFERENCES:
        words.update(str(attributes.get(key, "")).replace(":", " ").split())
    return words


def field_names(dataset: xr.Dataset) -> list[str]:
    """Names of the fields: floating-point or complex variables that hold data.

    Coordinates, cell bounds and what else CF attributes name as helpers are left out: they are
    small, and an error in them would shift every value that they locate.
    """
    helpers = _referenced(dataset.attrs)
    for variable in dataset.variables.values():
        helpers |= _referenced(variable.attrs)
    return [
        str(name)
        for name, variable in dataset.data_vars.items()
        if variable.dtype.kind in "fc" and str(name) not in helpers
    ]


def select_variable(dataset: xr.Dataset, name: str, path: Path) -> xr.Dataset:
    """Keep one variable with the helpers that its attributes name.

    Raises
    ------
    CommandError
        There is no such variable; the message lists those there are.
    """
    if name not in dataset.variables:
        there = ", ".join(str(v) for v in dataset.data_vars) or "none"
        raise CommandError(f"{path}: no variable {name!r}; it has {there}.")
    helpers = [h for h in sorted(_referenced(dataset[name].attrs)) if h in dataset.data_vars]
    return dataset[[name, *(h for h in helpers if h != name)]]


def fill_values(variable: xr.DataArray) -> tuple[float, ...]:
    """Values that mark missing data, from ``_FillValue`` and ``missing_value``."""
    values: list[float] = []
    for key in ("_FillValue", "missing_value"):
        value = variable.attrs.get(key)
        if value is not None:
            numbers = np.atleast_1d(np.asarray(value))
            if numbers.dtype.kind in "iuf":
                values.extend(float(number) for number in numbers)
    return tuple(dict.fromkeys(v for v in values if math.isfinite(v)))
