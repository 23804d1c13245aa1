"""From bounds to the dictionary that ``to_zarr(encoding=...)`` takes, one codec per variable.

What xarray does on the way to the store is part of the error that a reader sees. So a variable
with a bound is stored in the dtype that it has in memory: packing (``scale_factor``,
``add_offset``) and a narrower ``dtype`` of the file it came from are left out, since either would
add a rounding error of its own and the codec would see packed integers instead of values.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fzdask.accessor.bounds import Asked, Bound, of_variable
from fzdask.accessor.fields import (
    FILLS,
    check_can_lose,
    check_fills,
    customary_fill,
    field_names,
    is_packed,
    sentinels,
)
from fzdask.accessor.messages import check_names, warn
from fzdask.accessor.ranges import Range, whole_ranges
from fzdask.bounds import psnr_error, relative_bound
from fzdask.codecs.config import CodecConfig
from fzdask.codecs.zarr_codec import FZCodec
from fzdask.errors import ConfigError

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["LAYOUT", "MEANING", "Options", "absolute", "encodings", "plan_bounds"]

# What is kept of the encoding that a variable has. Compressors, filters and serializer are
# replaced; what netCDF sources leave behind means nothing to Zarr; `fill_value`, which format 2
# refuses, is for chunks that were never written.
LAYOUT = ("chunks", "shards", "write_empty_chunks", "chunk_key_encoding")
MEANING = ("dtype", "scale_factor", "add_offset", "_Unsigned", "units", "calendar")
# What may not stand between the values and a bound.
_CHANGES = ("scale_factor", "add_offset", "_Unsigned", "filters")
_OWN_CODEC = ("compressors", "serializer", "compressor")
_RANGED = {"rel": relative_bound, "psnr": psnr_error}
_EXACT_KINDS = "iufcbmM"


@dataclass(frozen=True, slots=True)
class Options:
    """What goes into every codec besides its bound; each may be a mapping by variable."""

    preserve: Any = ()
    pipeline: Any = "default"
    codebook: Any = "own"

    def check(self, known: tuple[Hashable, ...], who: str) -> None:
        """Raise `ConfigError` if a mapping names variables that there are not."""
        for keyword in ("preserve", "pipeline", "codebook"):
            value = getattr(self, keyword)
            if isinstance(value, Mapping):
                check_names(value, known, keyword, who)

    def preserved(self, name: Hashable) -> tuple[float, ...]:
        """Values to preserve in a variable, besides its fill values."""
        return CodecConfig(lossless=True, preserve=of_variable(self.preserve, name, ())).preserve


@dataclass(slots=True)
class _Plan:
    """One variable: its bound, its entry so far, and what stands for missing data in the store."""

    bound: Bound
    entry: dict[str, Any]
    fills: tuple[float, ...] = ()


def plan_bounds(dataset: xr.Dataset, asked: Asked, who: str) -> dict[Hashable, Bound]:
    """The bound of every variable that gets a codec, in the order of the dataset.

    Raises
    ------
    ConfigError
        A bound was asked by name of a variable that cannot have it.
    """
    for name, (kind, _) in asked.named.items():
        check_can_lose(dataset, name, kind, who)
    bounds: dict[Hashable, Bound] = {}
    fields = set(field_names(dataset))
    for name, variable in dataset.variables.items():
        if name in asked.named:
            bounds[name] = asked.named[name]
        elif asked.rest is None or name in dataset.coords:
            continue
        elif name in fields:
            bounds[name] = asked.rest
        elif variable.dtype.kind in _EXACT_KINDS and not variable.dtype.hasobject:
            bounds[name] = ("lossless", 0.0)
    return bounds


def encodings(
    dataset: xr.Dataset,
    asked: Asked,
    options: Options,
    who: str,
    user: Mapping[Hashable, Mapping[str, Any]] | None = None,
) -> dict[Hashable, dict[str, Any]]:
    """Entries of the variables that get a codec; computes ranges where a bound needs them.

    Parameters
    ----------
    dataset : xarray.Dataset
    asked : Asked
    options : Options
    who : str
        The method, for messages.
    user : mapping, optional
        Encodings that the user gave beside the bounds; they win.
    """
    options.check(tuple(dataset.variables), who)
    user = user or {}
    plans: dict[Hashable, _Plan] = {}
    for name, bound in plan_bounds(dataset, asked, who).items():
        theirs = user.get(name, {})
        if any(theirs.get(key) is not None for key in _OWN_CODEC):
            if name in asked.named:
                raise ConfigError(
                    f"{who}: variable {name!r} has a bound, {bound[0]}=, and a codec in encoding=; "
                    "give one of them."
                )
            continue
        exact_rest = name not in asked.named and bound[0] == "lossless"
        plain = dataset.variables[name].dtype.kind in "iufc" and (
            not exact_rest or (asked.rest is not None and asked.rest[0] == "lossless")
        )
        plans[name] = _plan(dataset.variables[name], name, bound, theirs, plain, who)
    ranges = _ranges(dataset, plans, options)
    _warn_of_undeclared_fills(plans, ranges, who)
    found = {}
    for name, plan in plans.items():
        plan.entry["compressors"] = _codec(name, plan, ranges.get(name), options)
        found[name] = plan.entry
    return found


def _plan(
    variable: xr.Variable,
    name: Hashable,
    bound: Bound,
    theirs: Mapping[str, Any],
    plain: bool,
    who: str,
) -> _Plan:
    ours = variable.encoding
    keys = (*LAYOUT, *FILLS) if plain else (*LAYOUT, *FILLS, *MEANING)
    # shards=None is what an opened variable without shards says, and format 2 takes no shards.
    entry = {
        key: ours[key] for key in keys if key in ours and (ours[key] is not None or key in FILLS)
    }
    if plain:
        for key in _CHANGES:
            if theirs.get(key):
                raise ConfigError(
                    f"{who}: encoding= gives variable {name!r} {key}={theirs[key]!r}, which "
                    "changes its values before the codec sees them, so its bound "
                    f"{bound[0]}= would not hold for what is read. Leave one of them out."
                )
        if theirs.get("dtype") is not None and np.dtype(theirs["dtype"]) != variable.dtype:
            raise ConfigError(
                f"{who}: encoding= stores variable {name!r} ({variable.dtype}) as "
                f"{np.dtype(theirs['dtype'])}, a rounding beside its bound {bound[0]}=. Leave "
                f"dtype out, or convert it first: ds[{name!r}].astype(...)."
            )
        if is_packed(ours):  # its fill value is a packed number as well
            for key in FILLS:
                entry.pop(key, None)
            if variable.dtype.kind in "fc" and any(ours.get(key) is not None for key in FILLS):
                entry["_FillValue"] = variable.dtype.type(np.nan)
    entry.update(theirs)
    fills: tuple[float, ...] = ()
    if plain:
        if bound[0] != "lossless":
            check_fills(name, (entry, variable.attrs), who)
        both = (*sentinels(variable.dtype, entry), *sentinels(variable.dtype, variable.attrs))
        fills = tuple(dict.fromkeys(both))
    return _Plan(bound, entry, fills)


def _ranges(
    dataset: xr.Dataset, plans: Mapping[Hashable, _Plan], options: Options
) -> dict[Hashable, Range]:
    wanted = {
        name: (dataset.variables[name], (*plan.fills, *options.preserved(name)))
        for name, plan in plans.items()
        if plan.bound[0] in _RANGED
    }
    return whole_ranges(wanted) if wanted else {}


def _warn_of_undeclared_fills(
    plans: Mapping[Hashable, _Plan], ranges: Mapping[Hashable, Range], who: str
) -> None:
    """A fill value that nothing names makes a range, and so the bound, far too wide."""
    for name, (low, high) in ranges.items():
        end = customary_fill(low, high)
        if end is not None:
            kind, value = plans[name].bound
            warn(
                f"{who}: the range of variable {name!r} ends at {end:g}, a customary mark of "
                f"missing values that neither its attributes nor its encoding name, and "
                f"{kind}={value:g} is relative to that range. If it is one, give "
                f"preserve={{{name!r}: {end!r}}}, or name it in _FillValue."
            )


def absolute(bound: Bound, found: Range) -> float:
    """A bound as an absolute one over a range, computed as the codec does; 0 over none."""
    kind, value = bound
    if kind not in _RANGED:
        return value
    low, high = found
    return _RANGED[kind](value, low, high) if low <= high else 0.0


def _codec(name: Hashable, plan: _Plan, found: Range | None, options: Options) -> FZCodec:
    kind, value = plan.bound
    if kind in _RANGED and found is not None:
        kind, value = "abs", absolute(plan.bound, found)
        if value == 0:  # a constant variable, or one without values
            kind = "lossless"
    if kind == "lossless":
        return FZCodec(lossless=True)
    config: dict[str, Any] = {
        kind: value,
        "preserve": tuple(dict.fromkeys((*plan.fills, *options.preserved(name)))),
        "pipeline": of_variable(options.pipeline, name, "default"),
        "codebook": of_variable(options.codebook, name, "own"),
    }
    return FZCodec(**config)
