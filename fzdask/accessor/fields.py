"""Which variables of a dataset are fields, and which values stand for missing data in them.

A bound given for all variables is for fields: floating-point or complex data variables with a
dimension. What locates or describes other values stays exact (CF-1.12, §3.5, §5, §7): an error in
a cell boundary would shift every value in the cell.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from fzdask.codecs.prepare import is_numeric
from fzdask.errors import ConfigError

if TYPE_CHECKING:
    import xarray as xr

__all__ = [
    "FILLS",
    "check_can_lose",
    "check_fills",
    "customary_fill",
    "field_names",
    "helper_names",
    "is_packed",
    "sentinels",
]

FILLS = ("_FillValue", "missing_value")
# Attributes by which CF names helper variables.
_REFERENCES = ("coordinates", "bounds", "climatology", "grid_mapping", "cell_measures")
_FLAGS = ("flag_values", "flag_masks", "flag_meanings")
# By which files mark missing values without saying so; netCDF's own default first.
_CUSTOMARY = (9.969209968386869e36, 1e36, 1e35, 1e30, 1e20, 99999.0, 9999.0, 999.0)
_PACKING = ("scale_factor", "add_offset", "_Unsigned")


def field_names(dataset: xr.Dataset) -> list[Hashable]:
    """Names of the fields, in the order of the dataset; decoded as xarray does or raw."""
    helpers = _helpers(dataset)
    return [
        name
        for name, variable in dataset.data_vars.items()
        if name not in helpers and _is_field(variable.variable)
    ]


def _is_field(variable: xr.Variable) -> bool:
    if variable.dtype.kind not in "fc" or not is_numeric(variable.dtype) or not variable.ndim:
        return False
    if any(key in variable.attrs for key in _FLAGS):
        return False
    stored = variable.encoding.get("dtype")
    if stored is None or is_packed(variable.encoding):
        return True
    # Whole numbers with missing ones among them: xarray reads them as floats.
    return np.dtype(stored).kind in "fc"


def _helpers(dataset: xr.Dataset) -> set[Hashable]:
    """Names that CF attributes point to; xarray moves such attributes to encodings."""
    words: set[Hashable] = set()
    sources: list[Mapping[Any, Any]] = [dataset.attrs, dataset.encoding]
    for variable in dataset.variables.values():
        sources += [variable.attrs, variable.encoding]
        for own in (variable.attrs, variable.encoding):
            for word in _words(own.get("formula_terms", "")):
                # Coefficients lie along the vertical coordinate; surface pressure does not.
                if word in dataset.variables and set(dataset[word].dims) <= set(variable.dims):
                    words.add(word)
    for source in sources:
        words |= helper_names(source)
    return words


def helper_names(attributes: Mapping[Any, Any]) -> set[str]:
    """Names of coordinates, cell bounds and the like that these attributes point to."""
    return {word for key in _REFERENCES for word in _words(attributes.get(key, ""))}


def _words(text: Any) -> list[str]:
    return str(text).replace(":", " ").split()


def is_packed(encoding: Mapping[str, Any]) -> bool:
    """Whether the stored numbers are scaled ones."""
    return any(encoding.get(key) is not None for key in _PACKING)


def sentinels(dtype: np.dtype[Any], source: Mapping[str, Any]) -> tuple[float, ...]:
    """The finite values of ``_FillValue`` and ``missing_value``, as they are in this dtype."""
    found: list[float] = []
    for key in FILLS:
        value = source.get(key)
        if value is None:
            continue
        listed = np.atleast_1d(np.asarray(value))
        if listed.dtype.kind == "c":
            listed = listed[listed.imag == 0].real
        if listed.dtype.kind not in "iuf":
            continue
        real = np.dtype(f"f{dtype.itemsize // 2}") if dtype.kind == "c" else dtype
        for number in listed.tolist():
            if not math.isfinite(number):
                continue
            if real.kind in "iu":
                info = np.iinfo(real)
                if number == int(number) and info.min <= number <= info.max:
                    found.append(int(number))
                continue
            with np.errstate(over="ignore"):
                cast = float(real.type(number))
            if math.isfinite(cast):
                found.append(cast)
    return tuple(dict.fromkeys(found))


def customary_fill(low: float, high: float) -> float | None:
    """An end of a range that is a customary fill value, of either sign."""
    marks = {narrow for mark in _CUSTOMARY for narrow in (mark, float(np.float32(mark)))}
    return next((end for end in (low, high) if math.fabs(end) in marks), None)


def check_fills(name: Hashable, sources: Iterable[Mapping[str, Any]], who: str) -> None:
    """Raise `ConfigError` for a fill value that a codec cannot preserve: one off the real axis."""
    for source in sources:
        for key in FILLS:
            value = source.get(key)
            parts = np.atleast_1d(np.asarray(value))
            if parts.dtype.kind == "c" and (parts[np.isfinite(parts)].imag != 0).any():
                raise ConfigError(
                    f"{who}: variable {name!r} has {key}={value!r}, and a codec with a bound "
                    "preserves real numbers only, so missing values would not stay missing. Choose "
                    "a real one or NaN, or keep the variable lossless."
                )


def check_can_lose(dataset: xr.Dataset, name: Hashable, kind: str, who: str) -> None:
    """Raise `ConfigError` if a bound was asked by name of a variable that cannot have it."""
    variable = dataset.variables[name]
    if kind == "lossless":
        if variable.dtype.hasobject or variable.dtype.kind not in "iufcbmMSU":
            raise ConfigError(
                f"{who}: lossless= names {name!r}, but its values ({variable.dtype}) have no fixed "
                "size; leave it out, and it is stored as xarray stores it, which is exact."
            )
        return
    if name in dataset.coords:
        raise ConfigError(
            f"{who}: {kind}= names {name!r}, which is a coordinate, and coordinates stay exact: an "
            f"error in one shifts every value it locates. Leave it out, or make it a data "
            f"variable with ds.reset_coords({name!r})."
        )
    if not is_numeric(variable.dtype):
        raise ConfigError(
            f"{who}: {kind}= names {name!r}, but a bound has no meaning for dtype "
            f"{variable.dtype}; leave it out, or keep it exactly with lossless={{{name!r}: True}}."
        )
