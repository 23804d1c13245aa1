"""``ds.fz.to_zarr``: bounds into encodings for what is new, checks for what the store has."""

from __future__ import annotations

import inspect
from collections.abc import Hashable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from fzdask.accessor.bounds import Asked, Bound, asked_bounds
from fzdask.accessor.encoding import LAYOUT, MEANING, Options, absolute, encodings, plan_bounds
from fzdask.accessor.fields import FILLS, sentinels
from fzdask.accessor.keywords import BOUNDS, OPTIONS
from fzdask.accessor.messages import check_keywords, check_names, warn
from fzdask.accessor.ranges import whole_ranges
from fzdask.accessor.stored import StoredArray, stored_arrays
from fzdask.codecs.zarr_codec import FZCodec
from fzdask.errors import ConfigError

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["check_writing_keywords", "new_encodings", "with_every_chunk", "write"]

WHO = "ds.fz.to_zarr"


def write(
    dataset: xr.Dataset,
    store: Any,
    given: Mapping[str, Any],
    options: Options,
    user: Mapping[Hashable, Mapping[str, Any]] | None,
    kwargs: dict[str, Any],
) -> Any:
    """Write a dataset within bounds; see `DatasetAccessor.to_zarr`."""
    check_writing_keywords(kwargs, (), WHO)
    user = user or {}
    check_names(user, dataset.variables, "encoding", WHO)
    asked = asked_bounds(given, dataset.variables, WHO)
    existing = _existing(store, kwargs)
    new = dataset.drop_vars([name for name in dataset.variables if name in existing])
    if not existing and not asked.named and asked.rest is None:
        raise ConfigError(
            f"{WHO}: no bound; give one of {', '.join(BOUNDS)}, for example rel=1e-3 for all "
            "fields or abs={'t': 0.01} for one. Without one, ds.to_zarr writes as it is."
        )
    _check_existing(dataset, asked, existing)
    _warn_of_fills(dataset, existing)
    named = {name: bound for name, bound in asked.named.items() if name not in existing}
    encoding = new_encodings(
        new, Asked(named, asked.rest), options, user, WHO, _format(kwargs, existing)
    )
    kwargs = with_every_chunk(kwargs, encoding.values())
    return dataset.to_zarr(store, encoding=encoding or None, **kwargs)


def check_writing_keywords(given: Iterable[str], more: tuple[str, ...], who: str) -> None:
    """Raise `ConfigError` for a keyword that neither ``Dataset.to_zarr`` nor the accessor has."""
    import xarray as xr

    _, *theirs = inspect.signature(xr.Dataset.to_zarr).parameters  # not self
    valid = (*theirs, *more)
    check_keywords([key for key in given if key not in valid], (*BOUNDS, *OPTIONS, *valid), who)


def with_every_chunk(
    kwargs: dict[str, Any], entries: Iterable[Mapping[str, Any]]
) -> dict[str, Any]:
    """Keywords by which every chunk is written, unless they or an encoding say otherwise."""
    said = kwargs.get("write_empty_chunks") is not None
    if said or any("write_empty_chunks" in entry for entry in entries):
        return kwargs
    return {**kwargs, "write_empty_chunks": True}


def new_encodings(
    dataset: xr.Dataset,
    asked: Asked,
    options: Options,
    user: Mapping[Hashable, Mapping[str, Any]],
    who: str,
    zarr_format: int | None,
) -> dict[Hashable, Any]:
    """Encodings of variables that the store does not have, the user's among them.

    They are fit for that format of Zarr, if one is given.
    """
    encoding: dict[Hashable, Any] = {name: dict(entry) for name, entry in user.items()}
    encoding.update(encodings(dataset, asked, options, who, user))
    if zarr_format is not None:
        _drop_foreign(dataset, encoding, user, zarr_format)
    return encoding


def _existing(store: Any, kwargs: Mapping[str, Any]) -> dict[Hashable, StoredArray]:
    """Arrays of the store that are written into, not replaced; see ``mode`` of to_zarr."""
    mode = kwargs.get("mode")
    if mode is None:
        appends, region = kwargs.get("append_dim") is not None, kwargs.get("region") is not None
        mode = "a" if appends else "r+" if region else "w-"
    if mode in ("w", "w-"):
        return {}
    return stored_arrays(store, kwargs.get("group"), kwargs.get("storage_options"))


def _format(kwargs: Mapping[str, Any], existing: Mapping[Hashable, StoredArray]) -> int:
    import zarr

    if kwargs.get("zarr_format") is not None:
        return int(kwargs["zarr_format"])
    for array in existing.values():
        return array.zarr_format
    return int(zarr.config.get("default_zarr_format", 3))


def _check_existing(
    dataset: xr.Dataset, asked: Asked, existing: Mapping[Hashable, StoredArray]
) -> None:
    """Compare what is asked of stored variables with the codecs that they have."""
    bounds = {
        name: bound for name, bound in plan_bounds(dataset, asked, WHO).items() if name in existing
    }
    loose: dict[Hashable, float] = {}
    for name, bound in bounds.items():
        if name not in asked.named and bound[0] == "lossless":
            continue  # no bound was asked of it
        array = existing[name]
        stored = array.bound
        if array.packed and dataset.variables[name].dtype.kind in "fc":
            stored = None
        if not _keeps(stored, bound):
            if stored is not None and stored[0] == "abs" and bound[0] in ("rel", "psnr"):
                loose[name] = stored[1]
                continue
            has = "no FZCodec on plain values" if stored is None else _text(stored)
            raise ConfigError(
                f"{WHO}: variable {name!r} is in the store already, with {has}, and {_text(bound)} "
                "is asked. What is written into a stored variable goes by its own codec: leave "
                "the bound out, or write to a new store."
            )
    _warn_of_wider(dataset, {name: bounds[name] for name in loose}, loose)


def _warn_of_fills(dataset: xr.Dataset, existing: Mapping[Hashable, StoredArray]) -> None:
    """Say where the codec of a stored variable leaves masks to chance."""
    for name in dataset.variables:
        array = existing.get(name)
        if array is not None and array.unpreserved:
            warn(
                f"{WHO}: variable {name!r} is in the store already, with a codec that does not "
                f"preserve {array.unpreserved[0]:g}, which marks missing data there: missing "
                "values may come back as numbers, and values within the bound of it as missing. "
                "To be sure of both, write to a new store."
            )


def _warn_of_wider(
    dataset: xr.Dataset, bounds: Mapping[Hashable, Bound], loose: Mapping[Hashable, float]
) -> None:
    """Say where a part alone would have a tighter bound than the stored one."""
    wanted = {}
    for name in bounds:
        variable = dataset.variables[name]
        both = (
            *sentinels(variable.dtype, variable.encoding),
            *sentinels(variable.dtype, variable.attrs),
        )
        wanted[name] = (variable, both)
    for name, found in (whole_ranges(wanted) if wanted else {}).items():
        resolved = absolute(bounds[name], found)
        if loose[name] > resolved:
            warn(
                f"{WHO}: variable {name!r} keeps the bound it was created with, "
                f"abs={loose[name]:g}; {_text(bounds[name])} of this part alone would be "
                f"{resolved:g}."
            )


def _keeps(stored: Bound | None, asked: Bound) -> bool:
    """Whether a codec with one bound keeps another for certain."""
    if stored is None:
        return False
    if stored[0] == "lossless" or asked == stored:
        return True
    if stored[0] != asked[0]:
        return False
    return stored[1] >= asked[1] if asked[0] == "psnr" else stored[1] <= asked[1]


def _text(bound: Bound) -> str:
    return "lossless=True" if bound[0] == "lossless" else f"{bound[0]}={bound[1]:g}"


def _drop_foreign(
    dataset: xr.Dataset,
    encoding: dict[Hashable, Any],
    user: Mapping[Hashable, Any],
    zarr_format: int,
) -> None:
    """Free variables from what the format to be written cannot hold.

    xarray keeps the codecs of the store that a dataset was opened from, and fails to write those
    of one format into the other. They are replaced by Zarr's defaults; shards are for format 3.
    """
    for name, variable in dataset.variables.items():
        if name in user:
            continue
        if name in encoding:
            if zarr_format == 2:
                encoding[name].pop("shards", None)
            continue
        ours = variable.encoding
        codecs = _listed(ours.get("compressors")) + _listed(ours.get("filters"))
        other = [codec for codec in codecs if not isinstance(codec, FZCodec)]
        if zarr_format == 2:
            foreign = ours.get("serializer") is not None or any(map(_is_of_format_3, other))
        else:
            foreign = not all(map(_is_of_format_3, other))
        if foreign:
            kept = (
                (*LAYOUT, *FILLS, *MEANING) if other else (*LAYOUT, *FILLS, *MEANING, "compressors")
            )
            dropped = ("shards",) if zarr_format == 2 else ()
            encoding[name] = {k: v for k, v in ours.items() if k in kept and k not in dropped}


def _listed(codecs: Any) -> list[Any]:
    return list(codecs) if isinstance(codecs, tuple | list) else [codecs] if codecs else []


def _is_of_format_3(codec: Any) -> bool:
    from zarr.abc.codec import Codec

    return isinstance(codec, Codec)
