"""What the simulation does in an iteration, as it is seen: idle windows, core tasks, time lost."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass

from fzdask.scheduling.predict import Forecast
from fzdask.scheduling.recorded import Recorded, Span

__all__ = ["Expectation", "IterationRecorder"]

_BEFORE = "before "
_REST = "rest of the iteration"


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a forecast says of the coming iteration, in the form in which the gates ask for it.

    Attributes
    ----------
    windows : dict of (name, occurrence) to float
        Length of each idle window, in seconds.
    cores : tuple of float
        When each core task starts, in seconds from the start of the iteration.
    length : float
        Of the iteration, in seconds; 0 if nothing is known.
    """

    windows: dict[tuple[str, int], float]
    cores: tuple[float, ...]
    length: float

    @classmethod
    def nothing(cls) -> Expectation:
        """Before anything was seen, or while the pattern cannot be relied on."""
        return cls({}, (), 0.0)

    @classmethod
    def of(cls, forecast: Forecast) -> Expectation:
        """From the spans of a forecast; nothing if it is not to be relied on."""
        if not forecast.gated:
            return cls.nothing()
        windows: dict[tuple[str, int], float] = {}
        seen: Counter[str] = Counter()
        spans = forecast.compute
        for span, after in itertools.pairwise(spans):
            name = span.label.removeprefix(_BEFORE)
            windows[name, seen[name]] = after.start - span.end
            seen[name] += 1
        return cls(windows, tuple(s.start for s in forecast.background), forecast.length)


class IterationRecorder:
    """Records the iteration in progress. Guarded by the engine's lock.

    Times are those of the simulation's own clock: what it spent blocked by the dump is left out
    (`exclude`), so that what is learnt is the iteration as it would be without one.
    """

    def __init__(self) -> None:
        self.expected = Expectation.nothing()
        self.began: float | None = None
        self._lost = 0.0
        self._windows: list[tuple[str, float, float]] = []
        self._cores: list[tuple[str, float, float]] = []
        self._seen: Counter[str] = Counter()
        self._opened: tuple[str, float] | None = None

    def begin(self, now: float) -> None:
        """An iteration begins."""
        self.began = now
        self._lost = 0.0
        self._windows.clear()
        self._cores.clear()
        self._seen.clear()
        self._opened = None

    def open_window(self, name: str, now: float) -> float | None:
        """A window opens; the time at which it is expected to close, if anything is known."""
        length = self.expected.windows.get((name, self._seen[name]))
        self._seen[name] += 1
        if self.began is not None:
            self._opened = (name, now - self.began - self._lost)
        return None if length is None else now + length

    def close_window(self, now: float) -> None:
        """The window closes."""
        if self.began is not None and self._opened is not None:
            self._windows.append((*self._opened, now - self.began - self._lost))
        self._opened = None

    def core(self, label: str, start: float, end: float) -> None:
        """A core task ran on the background thread."""
        if self.began is not None and start >= self.began:
            offset = self.began + self._lost
            self._cores.append((label, max(0.0, start - offset), max(0.0, end - offset)))

    def next_core(self) -> float | None:
        """When the next core task is expected to start; None if none is expected."""
        index = len(self._cores)
        if self.began is None or index >= len(self.expected.cores):
            return None
        return self.began + self._lost + self.expected.cores[index]

    def exclude(self, seconds: float) -> None:
        """The simulation was held up by the dump for so long."""
        self._lost += seconds

    def end(self, now: float) -> Recorded | None:
        """The iteration ends: what it did, or None if none had begun."""
        if self.began is None:
            return None
        length = max(0.0, now - self.began - self._lost)
        spans, time = [], 0.0
        for name, start, end in self._windows:
            spans.append(Span(_BEFORE + name, time, max(time, start)))
            time = max(time, start, end)
        length = max(length, time)
        spans.append(Span(_REST, time, length))
        cores, free = [], 0.0
        for name, start, end in self._cores:
            begin = min(max(free, start), length)
            free = min(max(begin, end), length)
            cores.append(Span(name, begin, free))
        self.began = None
        return Recorded(tuple(spans), tuple(cores), length)
