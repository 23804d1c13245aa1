"""``dt.fz``: bounds for the variables of all groups of an xarray tree."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fzdask.accessor.keywords import BOUNDS, OPTIONS

if TYPE_CHECKING:
    import xarray as xr

    from fzdask.accessor.report import Report

__all__ = ["DataTreeAccessor"]

_MODES = ("w-", "w")


class DataTreeAccessor:
    """Error bounds for a tree of datasets: ``dt.fz``, once fzdask is imported.

    Bounds are those of :class:`~fzdask.accessor.dataset.DatasetAccessor`. A name in a mapping is
    that of data variables in any group, or the path of one: ``abs={"t": 0.1, "ocean/t": 0.01}`` is
    0.01 for ``t`` of the group ``ocean`` and 0.1 for all others of this name.
    """

    def __init__(self, tree: xr.DataTree) -> None:
        self._tree = tree

    def __repr__(self) -> str:
        return (
            f"<fz accessor of a tree of {len(self._tree.groups)} groups: "
            "encoding(...), to_zarr(path, ...), report(other)>"
        )

    def encoding(self, *positional: Any, **bounds_and_options: Any) -> dict[str, dict[Any, Any]]:
        """Encodings for ``dt.to_zarr(encoding=...)``, by group and variable.

        Guarantees what :meth:`DatasetAccessor.encoding` does, for each group.

        Parameters
        ----------
        **bounds_and_options
            As for :meth:`DatasetAccessor.encoding`; ranges are those of each variable.

        Raises
        ------
        ConfigError
            As there; a name or path that no group has.
        """
        return self._encoding(positional, bounds_and_options, {}, "dt.fz.encoding", None)

    def to_zarr(
        self,
        store: Any,
        *positional: Any,
        mode: str = "w-",
        encoding: Mapping[str, Mapping[Hashable, Mapping[str, Any]]] | None = None,
        **kwargs: Any,
    ) -> Any:
        """``dt.to_zarr(store, ...)`` within bounds.

        Guarantees what :meth:`DatasetAccessor.to_zarr` does, for each group.

        Parameters
        ----------
        store : path, URL or Zarr store
        mode : str
            ``w-`` (fails where there is a store) or ``w``. To add to a store, write its groups one
            by one: ``dt["ocean"].to_dataset().fz.to_zarr(store, group="ocean", mode="a")``.
        encoding : mapping, optional
            Further encodings by group and variable; they win.
        **kwargs
            Bounds and options as for :meth:`DatasetAccessor.encoding`, and whatever else
            ``DataTree.to_zarr`` takes.

        Returns
        -------
        ZarrStore or dask.delayed.Delayed
            What ``dt.to_zarr`` returns.

        Raises
        ------
        ConfigError
            As :meth:`encoding`; another mode; an encoding of a group that there is not.
        """
        import zarr

        from fzdask.accessor.messages import check_names
        from fzdask.accessor.writing import check_writing_keywords, with_every_chunk
        from fzdask.errors import ConfigError

        who = "dt.fz.to_zarr"
        if mode not in _MODES:
            raise ConfigError(
                f"{who}: mode={mode!r} must be 'w-' or 'w'. To add to a store, write its groups "
                "one by one: dt[group].to_dataset().fz.to_zarr(store, group=group, mode='a')."
            )
        user = {"/" + group.strip("/"): entries for group, entries in (encoding or {}).items()}
        check_names(user, self._tree.groups, "encoding", who)
        mine = {key: kwargs.pop(key) for key in (*BOUNDS, *OPTIONS) if key in kwargs}
        check_writing_keywords(kwargs, ("write_inherited_coords",), who)
        zarr_format = kwargs.get("zarr_format") or zarr.config.get("default_zarr_format", 3)
        entries = self._encoding(positional, mine, user, who, int(zarr_format))
        every = [entry for group in entries.values() for entry in group.values()]
        kwargs = with_every_chunk(kwargs, every)
        write: Any = self._tree.to_zarr
        return write(store, mode=mode, encoding=entries, **kwargs)

    def report(self, other: Any, **open_kwargs: Any) -> Report:
        """What a stored copy keeps of this tree, as :meth:`DatasetAccessor.report` for each group.

        Parameters
        ----------
        other : path, URL, Zarr store or xarray.DataTree
            The copy.
        **open_kwargs
            For ``xarray.open_zarr``; ``group=`` is the one in which the tree is.

        Returns
        -------
        Report
            A row per variable, named by its path.

        Raises
        ------
        ConfigError
            A variable of another shape, or a group that has no variable in common with the copy's.
        """
        from fzdask.accessor.report import Report, report

        rows, missing = [], []
        for path, dataset in self._groups():
            if not dataset.variables:
                continue
            there = _group_of(other, path, open_kwargs)
            if there is None:
                found = Report((), tuple(str(name) for name in dataset.variables))
            else:
                found = report(dataset, *there)
            rows += [replace(row, name=_of_group(path, row.name)) for row in found.rows]
            missing += [_of_group(path, name) for name in found.missing]
        return Report(tuple(rows), tuple(missing))

    def _groups(self) -> Iterator[tuple[str, xr.Dataset]]:
        """Path in the store (empty for its root) and own variables of each group."""
        for path, node in self._tree.subtree_with_keys:
            here = node is self._tree
            yield "" if here else path, node.to_dataset(inherit=here)

    def _encoding(
        self,
        positional: tuple[Any, ...],
        given: dict[str, Any],
        user: Mapping[str, Any],
        who: str,
        zarr_format: int | None,
    ) -> dict[str, dict[Any, Any]]:
        from fzdask.accessor.bounds import asked_bounds
        from fzdask.accessor.encoding import Options
        from fzdask.accessor.messages import check_keywords, check_names
        from fzdask.accessor.writing import new_encodings
        from fzdask.codecs.config import refuse_positional
        from fzdask.errors import ConfigError

        refuse_positional(positional, who, "store, " if zarr_format else "")
        valid = (*BOUNDS, *OPTIONS)
        check_keywords((key for key in given if key not in valid), valid, who)
        groups = list(self._groups())
        known: list[Hashable] = [name for _, dataset in groups for name in dataset.data_vars]
        known += [_of_group(path, name) for path, ds in groups for name in ds.variables]
        for keyword, value in given.items():
            if isinstance(value, Mapping):
                check_names(map(_bare, value), dict.fromkeys(known), keyword, who)
        if all(given.get(kind) in (None, False) for kind in BOUNDS):
            raise ConfigError(
                f"{who}: no bound; give one of {', '.join(BOUNDS)}, for example rel=1e-3 for all "
                "fields or abs={'t': 0.01} for those of one name."
            )
        entries = {}
        for full_path, (path, dataset) in zip(self._tree.groups, groups, strict=True):
            mine = _narrowed(given, path, dataset)
            where = f"{who}: group {full_path!r}"
            asked = asked_bounds(mine, dataset.variables, where)
            options = Options(**{key: mine[key] for key in OPTIONS if key in mine})
            own = user.get(full_path, {})
            check_names(own, dataset.variables, "encoding", where)
            entries[full_path] = new_encodings(dataset, asked, options, own, where, zarr_format)
        return entries


def _narrowed(given: Mapping[str, Any], path: str, dataset: xr.Dataset) -> dict[str, Any]:
    """Keywords with those entries of mappings that are for variables of a group.

    What a path says of a variable goes before what its name says, of bounds whichever they are.
    """
    by_path: dict[str, dict[Hashable, Any]] = {}
    for keyword, value in given.items():
        if isinstance(value, Mapping):
            bare = {_bare(key): one for key, one in value.items()}
            by_path[keyword] = {
                name: bare[_of_group(path, name)]
                for name in dataset.variables
                if path and _of_group(path, name) in bare
            }
    bound_by_path = {name for kind in BOUNDS for name in by_path.get(kind, ())}
    narrowed: dict[str, Any] = {}
    for keyword, value in given.items():
        if not isinstance(value, Mapping):
            narrowed[keyword] = value
            continue
        taken = bound_by_path if keyword in BOUNDS else by_path[keyword]
        by_name = {
            name: value[name] for name in dataset.data_vars if name in value and name not in taken
        }
        narrowed[keyword] = by_name | by_path[keyword]
    return narrowed


def _group_of(
    other: Any, path: str, open_kwargs: dict[str, Any]
) -> tuple[Any, dict[str, Any]] | None:
    """The dataset or store, and keywords, in which a group is compared; None if it is not there."""
    import xarray as xr
    import zarr

    if isinstance(other, xr.DataTree):
        there = dict(other.subtree_with_keys).get(path or ".")
        return None if there is None else (there.to_dataset(), {})
    options = open_kwargs.get("storage_options")
    above = (open_kwargs.get("group") or "").strip("/")
    group = "/".join(part for part in (above, path) if part) or None
    try:
        zarr.open_group(other, mode="r", path=group, storage_options=options)
    except FileNotFoundError:
        if not path:
            raise
        return None
    return other, {**open_kwargs, "group": group}


def _bare(name: Hashable) -> Hashable:
    return name.strip("/") if isinstance(name, str) else name


def _of_group(path: str, name: Hashable) -> str:
    return f"{path}/{name}" if path else str(name)
