"""Opening the store of an in-situ run: new, from scratch, or where a killed run has ended."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from zarr.core.sync import sync
from zarr.storage import ZipStore

from fzdask.errors import ConfigError
from fzdask.insitu.catalog import Catalog
from fzdask.insitu.layout import check_attrs
from fzdask.insitu.ranks import Ranks
from fzdask.insitu.stores import PARTIAL, Keys, open_store

__all__ = ["open_catalog"]


def open_catalog(
    target: Any,
    mode: str,
    fsync: bool,
    ranks: Ranks,
    attrs: Mapping[str, Any],
    timeout: float,
    coords: Mapping[str, Any],
) -> tuple[Keys, Catalog]:
    """The store and what it holds, ready for further steps.

    Rank 0 clears away what a killed run left: temporary files, blocks of steps that are not
    visible, counts of processes. The others wait for that. In a store that something else wrote
    nothing is changed, unless `mode` says so.

    Raises
    ------
    ConfigError
        A mode that is neither, a store that holds something else, a ZIP archive that exists.
    """
    if mode not in ("a", "w"):
        raise ConfigError(f"InSituWriter: mode={mode!r} must be 'a' (continue) or 'w' (overwrite)")
    check_attrs("the dataset", attrs)
    if mode == "w" and isinstance(target, str | os.PathLike) and str(target).endswith(".zip"):
        Path(target).unlink(missing_ok=True)
    store = open_store(target)
    keys = Keys(store, fsync=fsync)
    catalog = Catalog(keys, attrs, ranks.run_id)
    if not ranks.first:
        ranks.await_first(keys, timeout)
        root = keys.get("zarr.json")
        assert root is not None  # it was waited for
        catalog.resume(root)
        return keys, catalog
    if mode == "w" and not isinstance(store, ZipStore) and not keys.is_empty():
        sync(store.clear())
    root = keys.get("zarr.json")
    if root is not None:
        if not keys.replaces:
            raise ConfigError(
                f"InSituWriter: {store} exists, and a ZIP archive cannot be continued; give "
                "mode='w' to write it anew, or another path"
            )
        catalog.resume(root)
    elif not keys.is_empty() and any(not key.endswith(PARTIAL) for key in keys.list()):
        raise ConfigError(
            f"InSituWriter: {store} is not empty and holds no Zarr group; choose another place, "
            "or mode='w' to delete what is there"
        )
    if keys.replaces and ranks.alone:
        # This run's from now on, and an empty dataset: before anything is deleted, which another
        # writer would go on with, and before coordinates, of which nobody could say whose they are.
        catalog.store(catalog.rendered(), first=True)
    keys.delete(catalog.leftovers([] if keys.is_empty() else keys.list()))
    ranks.clear(keys)
    for name, given in coords.items():
        dims, values = given if isinstance(given, tuple) else ((name,), given)
        dims = (dims,) if isinstance(dims, str) else tuple(dims)
        catalog.add_coordinate(name, np.asarray(values), dims, {})
    if keys.replaces and (coords or not ranks.alone):
        catalog.store(catalog.rendered(), first=True)  # what the other ranks wait for
    return keys, catalog
