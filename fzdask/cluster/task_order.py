"""The order of compress and write tasks of one graph, from how long they took before."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Sequence

import numpy as np

from fzdask.scheduling.johnson import johnson_order

__all__ = ["COMPRESS", "TaskOrder", "compress_name", "label_of"]

COMPRESS = "fz-compress"
"""What the names of compress tasks begin with; the label and the name of the write follow."""

KEEP = 100_000
"""Chunks whose times are remembered."""

_SEPARATOR = "|"


def compress_name(label: str, write_name: str) -> str:
    """Name (first part of the key) of the compress tasks that belong to write tasks."""
    return _SEPARATOR.join((COMPRESS, label.replace(_SEPARATOR, "/"), write_name))


def label_of(key: Hashable) -> tuple[str, tuple[Hashable, ...]] | None:
    """Array and chunk that a compress task belongs to; None for any other task."""
    if isinstance(key, tuple) and isinstance(key[0], str) and key[0].startswith(COMPRESS):
        return key[0].split(_SEPARATOR)[1], tuple(key[1:])
    return None


class TaskOrder:
    """Remembers times by array and chunk, and ranks the tasks of a graph by Johnson's rule."""

    def __init__(self) -> None:
        self._seconds: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()
        self._sums: dict[str, np.ndarray] = {}

    def learn(self, label: str, index: Iterable[int], compress: float, write: float) -> None:
        """A chunk of an array took so many seconds."""
        self._seconds[label, tuple(index)] = (compress, write)
        sums = self._sums.setdefault(label, np.zeros(3))
        sums += (compress, write, 1.0)
        while len(self._seconds) > KEEP:
            self._seconds.popitem(last=False)

    def ranks(
        self,
        tasks: Sequence[Hashable],
        dependencies: Callable[[Hashable], Iterable[Hashable]],
    ) -> dict[Hashable, int]:
        """Ranks for compress tasks, their writes and all that they need; empty if not known.

        Chunks go in Johnson's order, and each right after the tasks that only it needs, so that
        no more is in memory than has to be.

        Parameters
        ----------
        tasks : sequence of keys
            Of a graph.
        dependencies : callable
            Gives the keys that a task needs.
        """
        labels = {key: label for key in tasks if (label := label_of(key)) is not None}
        expected = [self._expected(*label) for label in labels.values()]
        if len(labels) < 2 or any(e is None for e in expected):
            return {}
        inside = set(tasks)
        writes: dict[Hashable, Hashable] = {}
        for key in tasks:
            for needed in dependencies(key):
                if needed in labels:
                    writes[needed] = key
        seconds = np.array([e for e in expected if e is not None])
        keys = list(labels)
        ranks: dict[Hashable, int] = {}
        for position in johnson_order(seconds[:, 0], seconds[:, 1]):
            compress = keys[int(position)]
            for key in (compress, writes.get(compress, compress)):
                _rank_after_needed(key, inside, dependencies, ranks)
        return ranks

    def _expected(self, label: str, index: tuple[Hashable, ...]) -> tuple[float, float] | None:
        known = self._seconds.get((label, index))
        if known is not None:
            return known
        sums = self._sums.get(label)
        return None if sums is None else (sums[0] / sums[2], sums[1] / sums[2])


def _rank_after_needed(
    key: Hashable,
    inside: set[Hashable],
    dependencies: Callable[[Hashable], Iterable[Hashable]],
    ranks: dict[Hashable, int],
) -> None:
    """Give a task the next rank, and before it those it needs that have none. Depth first."""
    pending = [(key, False)]
    while pending:
        now, expanded = pending.pop()
        if now in ranks:
            continue
        if expanded:
            ranks[now] = len(ranks)
            continue
        pending.append((now, True))
        pending += [(d, False) for d in dependencies(now) if d in inside and d not in ranks]
