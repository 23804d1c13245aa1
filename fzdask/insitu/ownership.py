"""One writer at a time: a store that another writer has opened is left to it."""

from __future__ import annotations

import json

from fzdask.insitu.failures import InSituError
from fzdask.insitu.stores import Keys, Signature

__all__ = ["MARK", "Ownership"]

MARK = "fzdask_insitu"
"""Attribute of the root group: what wrote it, and in which run."""


class Ownership:
    """Whether the store is still this run's.

    Whoever opens a store to write takes it over, by the root's ``zarr.json``, which names the
    run. The one that had it before notices that, and stores nothing more. It is noticed, not
    prevented: a write that has begun ends.

    Parameters
    ----------
    keys : Keys
        The store.
    run_id : str
        Of this run.
    """

    def __init__(self, keys: Keys, run_id: str) -> None:
        self._keys = keys
        self._run_id = run_id
        self._root: bytes | None = None
        self._seen: Signature | None = None

    def take(self, root: bytes) -> None:
        """This run has replaced the root's ``zarr.json``, by this."""
        self._root = root

    def check(self) -> None:
        """Before anything is made visible.

        Raises
        ------
        InSituError
            Another writer has opened the store since, or it was deleted or replaced.
        """
        root = self._keys.get("zarr.json")
        if root is not None and root == self._root:
            return
        if run_of(root) != self._run_id:
            if root is None:
                raise InSituError(
                    f"InSituWriter: {self._keys.store} is gone while this run was writing it, and "
                    "what it held with it: leave a store where it is until its writer is closed"
                )
            raise InSituError(
                f"InSituWriter: {self._keys.store} was opened by another writer or replaced while "
                "this run was writing it; a store has one writer (or group of ranks) at a time, "
                "and the last one that opened it goes on: end one of the two runs, or give each "
                "its own path"
            )
        self._root = root

    def check_cheaply(self) -> None:
        """Before blocks are stored: the same where it costs next to nothing, else nothing.

        Raises
        ------
        InSituError
            As `check`.
        """
        try:
            now = self._keys.signature("zarr.json")
        except OSError:
            self.check()
            raise
        if now is not None and now != self._seen:
            self.check()
            self._seen = now


def run_of(root: bytes | None) -> str | None:
    """The run that a root's ``zarr.json`` names; None if no writer of ours wrote it."""
    if root is None:
        return None
    try:
        found = json.loads(root)["attributes"][MARK]["run_id"]
    except (ValueError, KeyError, TypeError):
        return None
    return str(found)
