"""Several processes that write disjoint parts of one store: who makes steps visible, and when.

Every process counts, in a key of its own, the steps of which it has stored everything. Rank 0
watches the counts and makes a step visible once all have reached it. Nothing but the store is
shared, so the processes may be MPI ranks or any others.
"""

from __future__ import annotations

import hashlib
import json
import struct
import time
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from fzdask.errors import ConfigError
from fzdask.insitu.layout import Document
from fzdask.insitu.ownership import run_of
from fzdask.insitu.stores import Keys

__all__ = ["Ranks", "layout_hash"]

FOLDER = "fz_ranks"
POLL = 0.01  # seconds between looks at the store; a step becomes visible so much later at most
_COUNT = struct.Struct("<qqq")


def _number(text: str) -> int:
    """63 bits of a hash."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


def layout_hash(documents: Mapping[str, Document], fields: Iterable[str]) -> int:
    """A number that two processes share if they mean the same arrays by these fields."""
    plain = {
        name: {k: v for k, v in documents[name].items() if k not in ("shape", "attributes")}
        for name in fields
    }
    return _number(json.dumps(plain, sort_keys=True))


@dataclass(frozen=True, slots=True)
class Ranks:
    """This process among those that write one store.

    Parameters
    ----------
    rank, size : int
        As in MPI.
    run_id : str
        The same in all processes of a run, another in every run.
    """

    rank: int = 0
    size: int = 1
    run_id: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.rank < self.size:
            raise ConfigError(
                f"InSituWriter: rank={self.rank!r} must be at least 0 and below size={self.size!r}"
            )
        if self.size > 1 and not self.run_id:
            raise ConfigError(
                f"InSituWriter: size={self.size} processes need run_id=, a text that is the same "
                "in all of them and new in every run (a job number, a uuid); or give comm= of "
                "mpi4py, which agrees on one"
            )

    @classmethod
    def of(cls, comm: Any, rank: int, size: int, run_id: str | None) -> Ranks:
        """From an MPI communicator (collective), or from plain numbers."""
        if comm is None:
            return cls(rank, size, run_id or (uuid.uuid4().hex if size == 1 else ""))
        return cls(
            comm.Get_rank(),
            comm.Get_size(),
            comm.bcast(run_id or uuid.uuid4().hex if comm.Get_rank() == 0 else None, root=0),
        )

    @property
    def alone(self) -> bool:
        """Whether there are no others."""
        return self.size == 1

    @property
    def first(self) -> bool:
        """Whether this one makes steps visible."""
        return self.rank == 0

    # -- the counts -------------------------------------------------------------------------

    def announce(self, keys: Keys, count: int, layout: int) -> None:
        """This process has stored everything of its first `count` writes."""
        keys.set(self._key(self.rank), _COUNT.pack(count, layout, _number(self.run_id)))

    def completed(self, keys: Keys, layouts: Mapping[int, int]) -> tuple[int, list[int]]:
        """Writes that all other processes have stored, and the ranks that are furthest behind.

        Parameters
        ----------
        layouts : mapping of int to int
            `layout_hash` of rank 0 after each number of writes; what it has not reached itself
            is checked later.

        Raises
        ------
        ConfigError
            A process means other arrays than this one.
        """
        counts = {}
        for rank in range(1, self.size):
            counts[rank] = 0
            found = keys.get(self._key(rank))
            if found is None or len(found) != _COUNT.size:
                continue
            count, theirs, run_id = _COUNT.unpack(found)
            if run_id != _number(self.run_id):
                continue
            if layouts.get(count, theirs) != theirs:
                raise ConfigError(
                    f"InSituWriter: rank {rank} writes other arrays than rank 0 (shapes, chunks, "
                    "dtypes, codecs or names differ); give all processes the same encoding, with "
                    "chunks="
                )
            counts[rank] = count
        least = min(counts.values())
        return least, [rank for rank, count in counts.items() if count == least]

    def clear(self, keys: Keys) -> None:
        """Remove the counts, at the beginning or the end of a run."""
        stale = [key for key in keys.list(f"{FOLDER}/") if key]
        if stale:
            keys.delete(stale)

    def await_first(self, keys: Keys, timeout: float) -> None:
        """Wait until rank 0 has opened the store for this run.

        Raises
        ------
        TimeoutError
            It has not, in time.
        """
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            if run_of(keys.get("zarr.json")) == self.run_id:
                return
            time.sleep(POLL)
        raise TimeoutError(
            f"InSituWriter: rank {self.rank} waited {timeout:g} s for rank 0 to open {keys.store} "
            f"for run_id {self.run_id!r}; is rank 0 running, with the same path and run_id?"
        )

    @staticmethod
    def _key(rank: int) -> str:
        return f"{FOLDER}/{rank}"
