"""Ways to get a dump out of a simulation: the project's own, the paper's, and their rivals."""

from __future__ import annotations

from dataclasses import dataclass

from fzdask.errors import ConfigError

__all__ = ["POLICIES", "RIVALS", "Policy", "find_policy"]


@dataclass(frozen=True)
class Policy:
    """How compressions and writes are ordered, when they may run, and what they interrupt.

    Parameters
    ----------
    name, title : str
        Short name, and what tables and pictures call it.
    raw : bool
        Writes uncompressed data; nothing is compressed.
    synchronous : bool
        The simulation stops at the end of the iteration, compresses and writes block by block.
    order : str
        "fifo" or "johnson" (the orders alone), or another method of `plan`.
    skip : bool
        "Planned order, online skip": take the first task in order that fits the time expected
        to be left; without it only the very first is considered.
    gate_compress, gate_write : bool
        Start only what is expected to end before the window closes, or before the next core
        task is launched. A snapshot that holds up the simulation is not gated.
    slice : float, optional
        Compression gives way within so many seconds of being asked (cooperative preemption);
        None: a started compression is never interrupted.
    share : float
        Share of the core that a runnable compression gets while the simulation computes
        (operating system threads); 0: never both at once.
    timetable : bool
        Follow the plan's start times instead of its order.
    horizon : int
        Snapshots that may be outstanding at once: 1 completes each within one iteration.
    """

    name: str
    title: str
    raw: bool = False
    synchronous: bool = False
    order: str = "fifo"
    skip: bool = False
    gate_compress: bool = True
    gate_write: bool = True
    slice: float | None = None
    share: float = 0.0
    timetable: bool = False
    horizon: int = 1

    def __post_init__(self) -> None:
        if self.horizon < 1:
            raise ConfigError(f"Policy {self.name!r}: horizon={self.horizon!r} must be at least 1")
        if not 0.0 <= self.share < 1.0:
            raise ConfigError(f"Policy {self.name!r}: share={self.share!r} must be in [0, 1)")
        if self.slice is not None and not self.slice >= 0.0:
            raise ConfigError(f"Policy {self.name!r}: slice={self.slice!r} must not be negative")
        if self.share > 0.0 and self.slice is not None:
            raise ConfigError(
                f"Policy {self.name!r}: share={self.share!r} and slice={self.slice!r} exclude each "
                "other; a compression either shares the core or gives way"
            )
        if self.timetable and (self.horizon > 1 or self.order in ("fifo", "johnson")):
            raise ConfigError(
                f"Policy {self.name!r}: a timetable needs a planned order and horizon=1"
            )


# Linux gives a SCHED_IDLE thread weight 3 against 1024 of an ordinary one.
_IDLE_SHARE = 3 / 1027

_ALL = (
    Policy("sync-raw", "synchronous, raw", raw=True, synchronous=True),
    Policy("sync", "synchronous, compressed", synchronous=True),
    Policy("async-raw", "asynchronous, raw", raw=True, gate_write=False),
    Policy(
        "threads",
        "first in first out, ungated threads",
        gate_compress=False,
        gate_write=False,
        share=0.5,
    ),
    Policy(
        "idle-threads",
        "idle-priority threads",
        gate_compress=False,
        gate_write=False,
        share=_IDLE_SHARE,
    ),
    Policy("fifo", "first in first out, gated"),
    Policy("johnson", "Johnson, no backfilling", order="johnson"),
    Policy("timetable", "planned start times", order="auto", timetable=True),
    Policy("paper", "Johnson + backfilling", order="johnson+backfill", skip=True),
    Policy("planned", "planned order, online skip", order="auto", skip=True),
    Policy("sliced", "planned order, slices", order="auto", skip=True, slice=0.5e-3),
    Policy(
        "fzdask",
        "planned order, slices, rolling horizon",
        order="auto",
        skip=True,
        slice=0.5e-3,
        horizon=2,
    ),
)

POLICIES: dict[str, Policy] = {p.name: p for p in _ALL}
"""All policies by name, from the plainest to `fzdask`."""

RIVALS: tuple[str, ...] = tuple(name for name in POLICIES if name != "fzdask")
"""Names of all policies but the project's own."""


def find_policy(policy: str | Policy) -> Policy:
    """The policy of that name, or the one given.

    Raises
    ------
    ConfigError
        No policy has that name.
    """
    if isinstance(policy, Policy):
        return policy
    found = POLICIES.get(policy)
    if found is None:
        raise ConfigError(
            f"simulate: policy={policy!r} is unknown; known are {', '.join(POLICIES)}"
        )
    return found
