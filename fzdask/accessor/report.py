"""``ds.fz.report``: what a stored copy keeps of a dataset, variable by variable."""

from __future__ import annotations

import html
import math
import warnings
from collections.abc import Hashable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fzdask.accessor.bounds import Bound
from fzdask.accessor.distortion import Found, measure_block, merged
from fzdask.accessor.fields import sentinels
from fzdask.accessor.ranges import as_objects
from fzdask.accessor.stored import StoredArray, bound_of, stored_arrays
from fzdask.errors import ConfigError
from fzdask.reports.table import as_table

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Report", "VariableReport", "report"]

_HEAD = (
    "variable",
    "ratio",
    "stored",
    "asked",
    "worst error",
    "of bound",
    "PSNR dB",
    "bound holds",
)


@dataclass(frozen=True, slots=True)
class VariableReport:
    """One variable of a `Report`.

    Attributes
    ----------
    name : str
    dtype : str
    nbytes : int
        In memory.
    stored : int or None
        Bytes in the store, the array's metadata included; None where there is no store.
    asked : str
        Bound of the stored codec, as in ``"abs=0.01"``; ``"exact"`` for coordinates; empty where
        none is known.
    bound : float or None
        The absolute bound, if it is one: for a codec with ``rel``, the widest of the chunks'.
    max_error : float or None
        Largest ``|x - x'|``, in float64; None where there is no distance, as between texts.
    violations : int
        Values beyond the bound, decided without rounding.
    changed : int
        Values that must come back exactly and did not: missing ones, infinities, -0.0, fill
        values, texts.
    psnr : float or None
        In dB, over the whole variable; None where there is no distance or no value.
    holds : bool or None
        Whether the bound holds, missing values included; None where none is known and something
        changed.
    span : float or None
        ``max - min`` of the values that a bound is for; None where there are none.
    """

    name: str
    dtype: str
    nbytes: int
    stored: int | None
    asked: str
    bound: float | None
    max_error: float | None
    violations: int
    changed: int
    psnr: float | None
    holds: bool | None
    span: float | None = None

    @property
    def too_wide(self) -> bool:
        """The bound is half the range or more, so that a constant would keep it."""
        if not self.bound or not self.span:
            return False
        return 2 * self.bound >= self.span

    @property
    def ratio(self) -> float | None:
        """Bytes in memory over bytes in the store."""
        return self.nbytes / self.stored if self.stored else None

    @property
    def of_bound(self) -> float | None:
        """Worst error over the bound; above 1 if some value exceeds it."""
        if self.bound is None or self.max_error is None or not self.asked.startswith("abs"):
            return None
        if self.max_error == 0:
            return 0.0
        over = self.max_error / self.bound if self.bound else math.inf
        return max(over, math.nextafter(1, 2)) if self.violations else min(over, 1.0)

    def to_dict(self) -> dict[str, Any]:
        """All figures as plain Python values."""
        return asdict(self) | {"ratio": self.ratio, "of_bound": self.of_bound}

    def _cells(self) -> tuple[str, ...]:
        verdict = {True: "yes", False: "NO", None: "unknown"}[self.holds]
        if self.holds is False:
            verdict += f": {self.violations} beyond it, {self.changed} exact ones changed"
        return (
            self.name,
            "" if self.ratio is None else f"{self.ratio:.2f}",
            "" if self.stored is None else str(self.stored),
            self.asked,
            "" if self.max_error is None else f"{self.max_error:.4g}",
            "" if self.of_bound is None else _beside_one(self.of_bound),
            "" if self.psnr is None else f"{self.psnr:.2f}",
            verdict,
        )


@dataclass(frozen=True)
class Report:
    """What a stored copy keeps; made by ``ds.fz.report(other)``.

    Attributes
    ----------
    rows : tuple of VariableReport
        Data variables, then coordinates.
    missing : tuple of str
        Variables that the copy does not have.
    """

    rows: tuple[VariableReport, ...]
    missing: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """No variable is missing, and of none is a known bound broken."""
        return not self.missing and all(row.holds is not False for row in self.rows)

    @property
    def nbytes(self) -> int:
        """Bytes in memory of the variables whose stored size is known."""
        return sum(row.nbytes for row in self.rows if row.stored is not None)

    @property
    def stored(self) -> int | None:
        """Stored bytes of these; None where none is known."""
        sizes = [row.stored for row in self.rows if row.stored is not None]
        return sum(sizes) if sizes else None

    @property
    def ratio(self) -> float | None:
        """Bytes in memory over stored bytes, of all of these together."""
        return self.nbytes / self.stored if self.stored else None

    def __getitem__(self, name: Hashable) -> VariableReport:
        for row in self.rows:
            if row.name == str(name):
                return row
        raise KeyError(name)

    def to_dict(self) -> dict[str, Any]:
        """All figures as plain Python values, for a JSON file."""
        return {
            "ok": self.ok,
            "nbytes": self.nbytes,
            "stored": self.stored,
            "ratio": self.ratio,
            "missing": list(self.missing),
            "variables": {row.name: row.to_dict() for row in self.rows},
        }

    def _summary(self) -> str:
        text = "every known bound holds" if self.ok else "BOUND BROKEN OR VARIABLE MISSING"
        if self.ratio is not None:
            text += f"; {self.nbytes} bytes -> {self.stored}, ratio {self.ratio:.2f}"
        if self.missing:
            text += f"; missing: {', '.join(self.missing)}"
        if wide := [row.name for row in self.rows if row.too_wide]:
            text += f"; a bound of half the range or more, as a constant keeps: {', '.join(wide)}"
        return text

    def __str__(self) -> str:
        return f"{as_table(_HEAD, [row._cells() for row in self.rows])}\n{self._summary()}"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        def line(cells: tuple[str, ...], tag: str) -> str:
            return "<tr>" + "".join(f"<{tag}>{html.escape(c)}</{tag}>" for c in cells) + "</tr>"

        body = "".join(line(row._cells(), "td") for row in self.rows)
        return (
            f"<table><thead>{line(_HEAD, 'th')}</thead><tbody>{body}</tbody>"
            f"<caption>{html.escape(self._summary())}</caption></table>"
        )


def report(dataset: xr.Dataset, other: Any, open_kwargs: Mapping[str, Any]) -> Report:
    """Compare a dataset with a stored copy; see `DatasetAccessor.report`."""
    import dask
    import xarray as xr

    if isinstance(other, xr.Dataset):
        opened, arrays = other, _arrays_of(other)
    else:
        opened = _open(other, open_kwargs)
        arrays = stored_arrays(other, open_kwargs.get("group"), open_kwargs.get("storage_options"))
    names = [*dataset.data_vars, *dataset.coords]
    common = [name for name in names if name in opened.variables]
    if not common:
        raise ConfigError(
            f"ds.fz.report: the two have no variable in common: {', '.join(map(repr, names))} "
            f"here, {', '.join(map(repr, opened.variables))} there. Is group= missing?"
        )
    bounds = {name: _bound(opened.variables[name], name in dataset.coords) for name in common}
    lazy = {
        name: _lazy(name, dataset.variables[name], opened.variables[name], bounds[name])
        for name in common
    }
    computed = dask.compute(*lazy.values())
    rows = []
    for name, parts in zip(lazy, computed, strict=True):
        found = merged(np.asarray(parts, object).reshape(-1))
        stored = arrays.get(name)
        variable = dataset.variables[name]
        if stored is not None and stored.array.shape != opened.variables[name].shape:
            stored = None  # an array of this name, but of another group
        exact = name in dataset.coords
        rows.append(_row(name, variable, found, bounds[name], stored, exact))
    return Report(tuple(rows), tuple(str(name) for name in names if name not in common))


def _open(other: Any, open_kwargs: Mapping[str, Any]) -> xr.Dataset:
    import xarray as xr

    with warnings.catch_warnings():
        # A store without consolidated metadata is as good here.
        warnings.filterwarnings("ignore", message="Failed to open Zarr store with consolidated")
        opened: xr.Dataset = xr.open_zarr(other, **open_kwargs)
        return opened


def _arrays_of(opened: xr.Dataset) -> dict[Hashable, StoredArray]:
    """Arrays of the store that a dataset was opened from, if it says so and it is a Zarr store."""
    source = opened.encoding.get("source")
    if not isinstance(source, str) or not any(
        "preferred_chunks" in v.encoding and "compressors" in v.encoding
        for v in opened.variables.values()
    ):
        return {}
    return stored_arrays(source)


def _bound(variable: xr.Variable, is_coordinate: bool) -> Bound | None:
    if is_coordinate:
        return "lossless", 0.0
    listed = variable.encoding.get("compressors") or ()
    codecs = list(listed) if isinstance(listed, tuple | list) else [listed]
    return bound_of([*codecs, variable.encoding.get("serializer")])


def _lazy(name: Hashable, ours: xr.Variable, theirs: xr.Variable, bound: Bound | None) -> Any:
    """A lazy array with a `Found` for every block."""
    import dask.array as da

    if set(ours.dims) == set(theirs.dims):
        theirs = theirs.transpose(*ours.dims)
    if ours.shape != theirs.shape:
        raise ConfigError(
            f"ds.fz.report: variable {name!r} has shape {ours.shape} here and {theirs.shape} in "
            "the copy; select the same part of both first."
        )
    marks = sentinels(ours.dtype, ours.attrs) if ours.dtype.kind in "iufc" else ()
    chunks: Any = ours.chunks or theirs.chunks or "auto"
    stored = theirs.encoding.get("chunks")
    if bound is not None and bound[0] in ("rel", "psnr") and stored is not None:
        chunks = tuple(stored)  # which such a bound is relative to
    if chunks == "auto" and ours.dtype.hasobject:
        chunks = -1
    a, b = (_as_dask(variable, chunks) for variable in (ours, theirs))

    def compare(x: Any, y: Any) -> Any:
        found = measure_block(np.asarray(x), np.asarray(y), bound, marks)
        return as_objects((found,), (1,) * np.ndim(x))

    return da.map_blocks(
        compare,
        a,
        b,
        chunks=tuple((1,) * count for count in a.numblocks),
        dtype=object,
        meta=np.empty((0,) * a.ndim, object),
    )


def _as_dask(variable: xr.Variable, chunks: Any) -> Any:
    import dask.array as da

    if variable.chunks is not None:
        return variable.data.rechunk(chunks)
    # name=False: no hash over all the values.
    return da.from_array(np.asarray(variable.data), chunks=chunks, name=False)


def _row(
    name: Hashable,
    variable: xr.Variable,
    found: Found,
    bound: Bound | None,
    stored: StoredArray | None,
    is_coordinate: bool,
) -> VariableReport:
    numeric = variable.dtype.kind in "iufcbmM"
    asked = ""
    if is_coordinate:
        asked = "exact"
    elif bound is not None:
        asked = bound[0] if bound[0] == "lossless" else f"{bound[0]}={bound[1]:g}"
    same = found.changed == 0 and found.max_error == 0
    kept = found.changed == 0 and found.violations == 0
    holds = kept if bound is not None else (True if same else None)
    return VariableReport(
        name=str(name),
        dtype=str(variable.dtype),
        nbytes=int(variable.nbytes),
        stored=None if stored is None else stored.nbytes,
        asked=asked,
        bound=found.bound,
        max_error=found.max_error if numeric else None,
        violations=found.violations,
        changed=found.changed,
        psnr=found.psnr if numeric and found.ordinary else None,
        holds=holds,
        span=found.high - found.low if numeric and found.ordinary else None,
    )


def _beside_one(over: float) -> str:
    """Short, but never rounded across 1: 1.00000001 must not read as 1."""
    for digits in range(3, 17):
        text = f"{over:.{digits}g}"
        if not math.isfinite(over) or (over > 1) == (float(text) > 1):
            return text
    return repr(over)
