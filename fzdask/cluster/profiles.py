"""What workers and scheduler tell each other: what blocks took, and in which order they go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fzdask.insitu.block import Snapshot
from fzdask.insitu.engine import BlockProfile, Engine
from fzdask.scheduling.model import Busy

__all__ = ["Order", "SnapshotProfile"]


@dataclass(frozen=True, slots=True)
class SnapshotProfile:
    """A stored snapshot of one worker; also what its task returns.

    Attributes
    ----------
    name : str
        Of the snapshot.
    blocks : tuple of BlockProfile
        What each block took.
    busy : Busy
        When the worker's threads are expected to be busy in the coming iteration.
    latency : float
        Seconds from submission to the end of the last write.
    """

    name: str
    blocks: tuple[BlockProfile, ...]
    busy: Busy
    latency: float

    @classmethod
    def of(cls, snapshot: Snapshot, engine: Engine) -> SnapshotProfile:
        """After a snapshot was stored."""
        forecast = engine.forecast
        busy = Busy() if forecast is None else forecast.busy
        latency = snapshot.stored - snapshot.submitted
        return cls(snapshot.name, tuple(engine.profiles(snapshot)), busy, latency)

    def packed(self) -> dict[str, Any]:
        """Plain values, for a message."""
        busy = [list(self.busy.compute), list(self.busy.background), self.busy.iteration]
        return {
            "name": self.name,
            "blocks": [list(b) for b in self.blocks],
            "busy": busy,
            "latency": self.latency,
        }

    @classmethod
    def unpacked(cls, message: dict[str, Any]) -> SnapshotProfile:
        """The inverse."""
        compute, background, length = message["busy"]
        return cls(
            message["name"],
            tuple(BlockProfile(*b) for b in message["blocks"]),
            Busy([tuple(p) for p in compute], [tuple(p) for p in background], length),
            message["latency"],
        )

    @property
    def raw_nbytes(self) -> int:
        """Bytes before encoding."""
        return sum(b.raw_nbytes for b in self.blocks)

    @property
    def nbytes(self) -> int:
        """Bytes stored."""
        return sum(b.nbytes for b in self.blocks)


@dataclass(frozen=True, slots=True)
class Order:
    """Names of a worker's blocks in the orders in which they are compressed and written."""

    compress: tuple[str, ...]
    write: tuple[str, ...]

    def positions(self, names: Sequence[str]) -> tuple[list[int], list[int]]:
        """The same as positions in a list of these names."""
        at = {name: i for i, name in enumerate(names)}
        return [at[n] for n in self.compress], [at[n] for n in self.write]

    def packed(self) -> dict[str, Any]:
        """Plain values, for a message."""
        return {"compress": list(self.compress), "write": list(self.write)}

    @classmethod
    def unpacked(cls, message: dict[str, Any]) -> Order:
        """The inverse."""
        return cls(tuple(message["compress"]), tuple(message["write"]))
