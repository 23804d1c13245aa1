"""What one iteration of the simulation was seen to do: labelled spans on its two threads."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from fzdask.errors import ConfigError
from fzdask.scheduling.model import Busy, Task

__all__ = ["Recorded", "Span"]


class Span(NamedTuple):
    """One busy interval of a thread, named; seconds from the start of the iteration."""

    label: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Recorded:
    """One recorded iteration of the simulation, without what fzdask itself did to it.

    Times are those of the simulation's own clock: time that the simulation spent waiting for a
    compression or a dump is to be left out (a recorder subtracts it), so that what is learnt is
    the iteration as it would be without any dump.

    Parameters
    ----------
    compute, background : sequence of (label, start, end)
        Busy spans of the two threads, sorted and disjoint, in seconds from the start of the
        iteration. A label says what the work is ("pressure solve"), and may occur repeatedly.
    length : float, optional
        Length of the iteration; default: the end of the last span.

    Raises
    ------
    ConfigError
        Times that `Busy` would refuse.
    """

    compute: tuple[Span, ...] = ()
    background: tuple[Span, ...] = ()
    length: float | None = None

    def __post_init__(self) -> None:
        compute = tuple(Span(*s) for s in self.compute)
        background = tuple(Span(*s) for s in self.background)
        checked = Busy(
            [(s.start, s.end) for s in compute],
            [(s.start, s.end) for s in background],
            self.length,
        )
        object.__setattr__(self, "compute", compute)
        object.__setattr__(self, "background", background)
        object.__setattr__(self, "length", checked.iteration)

    @property
    def seconds(self) -> float:
        """Length of the iteration, in seconds."""
        assert self.length is not None  # set in __post_init__
        return self.length

    @property
    def busy(self) -> Busy:
        """The spans as the planner takes them."""
        return Busy(
            tuple((s.start, s.end) for s in self.compute),
            tuple((s.start, s.end) for s in self.background),
            self.length,
        )

    @classmethod
    def from_busy(cls, busy: Busy) -> Recorded:
        """Spans labelled by their position, for callers without names."""
        return cls(
            tuple(Span(f"compute {i}", *pair) for i, pair in enumerate(busy.compute)),
            tuple(Span(f"core {i}", *pair) for i, pair in enumerate(busy.background)),
            busy.iteration,
        )

    @classmethod
    def from_tasks(cls, tasks: Iterable[Task], start: float, end: float) -> Recorded:
        """The simulation's own tasks of one worker between two times of a trace.

        Raises
        ------
        ConfigError
            The tasks are of several workers.
        """
        inside = sorted(
            (t for t in tasks if start <= t.start and t.end <= end), key=lambda t: (t.start, t.end)
        )
        if len({t.worker for t in inside}) > 1:
            raise ConfigError(
                "Recorded.from_tasks: the tasks are of several workers; an iteration is recorded "
                "per worker: filter them by `worker` first"
            )

        def spans(machine: str) -> tuple[Span, ...]:
            return tuple(
                Span(t.job, t.start - start, t.end - start) for t in inside if t.machine == machine
            )

        return cls(spans("compute"), spans("background"), end - start)
