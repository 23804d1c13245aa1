"""Figures of a ClusterWriter: one row per step, from the profiles of its workers."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fzdask.cluster.profiles import SnapshotProfile
from fzdask.insitu.records import SnapshotRow
from fzdask.insitu.statistics import WriteRow, as_dataset

__all__ = ["StepRows"]

KEEP_ROWS = 5000


class StepRows:
    """What the latest steps took, in the client and on the workers.

    Attributes
    ----------
    seconds : dict of part to (compress, write)
        What each chunk took when it was last stored.
    """

    def __init__(self) -> None:
        self._rows: deque[SnapshotRow] = deque(maxlen=KEEP_ROWS)
        self._writes: OrderedDict[str, WriteRow] = OrderedDict()
        self.seconds: dict[str, tuple[float, float]] = {}

    def submitted(self, name: str, step: int, seconds: float, blocked: float) -> None:
        """A step was handed to the workers."""
        self._writes[name] = WriteRow(step, seconds, blocked)
        while len(self._writes) > KEEP_ROWS:
            self._writes.popitem(last=False)

    def stored(
        self,
        name: str,
        parts: Iterable[Sequence[str]],
        profiles: Sequence[SnapshotProfile],
        latency: float,
    ) -> None:
        """It is stored: `profiles` are those of the workers, `parts` their chunks."""
        blocks = [b for profile in profiles for b in profile.blocks]
        fields: dict[str, tuple[int, int, float, float]] = {}
        for b in blocks:
            raw, nbytes, compress, write = fields.get(b.field, (0, 0, 0.0, 0.0))
            more = (raw + b.raw_nbytes, nbytes + b.nbytes, compress + b.compress, write + b.write)
            fields[b.field] = more
        for mine, profile in zip(parts, profiles, strict=True):
            # A worker's time is shared out evenly: its parts are chunks of like size.
            compress = sum(b.compress for b in profile.blocks) / len(mine)
            write = sum(b.write for b in profile.blocks) / len(mine)
            self.seconds.update(dict.fromkeys(mine, (max(compress, 0.0), max(write, 0.0))))
        self._rows.append(
            SnapshotRow(
                name,
                len(blocks),
                sum(p.raw_nbytes for p in profiles),
                sum(p.nbytes for p in profiles),
                sum(b.compress for b in blocks),
                sum(b.write for b in blocks),
                latency,
                fields,
            )
        )

    @property
    def figures(self) -> dict[str, Any]:
        """Sums over the steps that are remembered."""
        rows, writes = tuple(self._rows), tuple(self._writes.values())
        raw, stored = sum(r.raw_nbytes for r in rows), sum(r.nbytes for r in rows)
        return {
            "steps stored": len(rows),
            "raw bytes": raw,
            "stored bytes": stored,
            "ratio": raw / stored if stored else float("nan"),
            "compress seconds": sum(r.compress_seconds for r in rows),
            "write seconds": sum(r.write_seconds for r in rows),
            "submit seconds": sum(w.copy for w in writes),
            "back-pressure seconds": sum(w.blocked for w in writes),
        }

    def as_dataset(self, totals: Mapping[str, Any]) -> Any:
        """Per step and field, as an `xarray.Dataset`."""
        return as_dataset(tuple(self._rows), self._writes, totals)
