"""The pattern of one kind of iteration: learn it, expect it, notice when it is gone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from fzdask.scheduling.averages import LabelledAverages
from fzdask.scheduling.forecast_errors import ForecastErrors
from fzdask.scheduling.recorded import Recorded, Span

__all__ = ["Expected", "Pattern"]

_START = ("start of the iteration", 0)
_Key = tuple[str, str, int]


@dataclass(frozen=True, slots=True)
class Expected:
    """Spans and length expected of an iteration."""

    compute: tuple[Span, ...]
    background: tuple[Span, ...]
    length: float


class Pattern:
    """What is believed of one kind of iteration, and a candidate that may replace it.

    An iteration whose labels differ from the believed ones, or whose spans were mispredicted by
    more than `tolerance` of its length in all, leaves the belief untouched but untrusted
    (`reason` says why). If the old pattern returns, it is trusted again; after `settle`
    iterations in a row that agree among themselves instead, those become the belief. So one
    disturbed iteration costs no knowledge, and a new pattern is learnt from clean data.

    Parameters
    ----------
    settings : dict
        Of the averages.
    settle, tolerance
        See above.
    """

    def __init__(self, settings: dict[str, float], settle: int, tolerance: float) -> None:
        self._settings = settings
        self._settle = settle
        self._tolerance = tolerance
        self._believed: _Timing | None = None
        self._candidate: _Timing | None = None
        self._length = 0.0
        self.reason = ""

    def learn(self, recorded: Recorded, errors: ForecastErrors, iteration: int) -> None:
        """Score what was expected of this iteration, then learn from it."""
        self._length = recorded.seconds
        if self._believed is None:
            self._believed = _Timing(recorded, self._settings)
            return
        limit = self._tolerance * recorded.seconds
        if not self._believed.same_spans(recorded):
            self.reason = "the sequence of busy spans changed"
        else:
            self._believed.score(recorded, errors, iteration)
            wrong = self._believed.mispredicted(recorded)
            if wrong <= limit:
                self._believed.take_in(recorded)
                self._candidate = None
                self.reason = ""
                return
            self.reason = (
                f"spans were mispredicted by {wrong:.3g} s of {recorded.seconds:.3g} s in all"
            )
        candidate = self._candidate
        if candidate is not None and (
            candidate.same_spans(recorded) and candidate.mispredicted(recorded) <= limit
        ):
            candidate.take_in(recorded)
        else:
            candidate = self._candidate = _Timing(recorded, self._settings)
        if candidate.count >= self._settle:
            self._believed, self._candidate, self.reason = candidate, None, ""

    def expect(self) -> Expected:
        """The next iteration as believed; while that is untrusted, only the latest length."""
        if self._believed is None or self.reason:
            return Expected((), (), self._length)
        return self._believed.expect()


class _Timing:
    """Averages of the spans of iterations with one sequence of labels.

    Averaged are busy durations and the idle gaps before them, durations of background work and
    its offset from the edge of compute work that it followed when first seen, so that a late
    iteration shifts both threads.
    """

    def __init__(self, recorded: Recorded, settings: dict[str, float]) -> None:
        self._compute = _numbered(s.label for s in recorded.compute)
        self._background = _numbered(s.label for s in recorded.background)
        self._averages = LabelledAverages(**settings)
        edges = self._edges(recorded.compute)
        # The latest edge at or before the start of each background span; of edges at the same
        # time the later one, which is nearer in cause.
        self._anchors = [
            max((t, i, edge) for i, (edge, t) in enumerate(edges.items()) if t <= span.start)[2]
            for span in recorded.background
        ]
        self.count = 0
        self.take_in(recorded)

    def same_spans(self, recorded: Recorded) -> bool:
        return [label for label, _ in self._compute] == [s.label for s in recorded.compute] and [
            label for label, _ in self._background
        ] == [s.label for s in recorded.background]

    def take_in(self, recorded: Recorded) -> None:
        for key, value in self._observations(recorded):
            self._averages.update(key, value)
        self.count += 1

    def mispredicted(self, recorded: Recorded) -> float:
        """Seconds by which durations, gaps and offsets were missed, in all."""
        return sum(abs(value - self._of(key)) for key, value in self._observations(recorded))

    def score(self, recorded: Recorded, errors: ForecastErrors, iteration: int) -> None:
        for key, value in self._observations(recorded):
            quantity, label, _ = key
            if value == 0.0 == self._of(key):
                continue  # spans that touch: there is no window to mispredict
            if quantity == "offset":
                # An offset is often zero: the length of the iteration is its scale.
                scale = recorded.seconds
                errors.add(iteration, "core start", label, self._of(key), value, scale)
            else:
                errors.add(iteration, quantity, label, self._of(key), value)
        errors.add(iteration, "iteration", "", self.expect().length, recorded.seconds)

    def expect(self) -> Expected:
        compute: list[Span] = []
        time = 0.0
        for label, nth in self._compute:
            start = time + self._of(("idle", label, nth))
            time = start + self._of(("busy", label, nth))
            compute.append(Span(label, start, time))
        length = time + self._of(("idle", "", 0))
        edges = self._edges(compute)
        background: list[Span] = []
        free = 0.0
        for (label, nth), anchor in zip(self._background, self._anchors, strict=True):
            start = max(free, edges[anchor] + self._of(("offset", label, nth)))
            free = start + self._of(("core", label, nth))
            background.append(Span(label, start, free))
        return Expected(tuple(compute), tuple(background), max(length, free))

    def _of(self, key: _Key) -> float:
        value = self._averages.get(key)
        assert value is not None  # every key is observed when the timing is made
        return value

    def _edges(self, compute: Iterable[Span]) -> dict[tuple[str, int], float]:
        edges = {_START: 0.0}
        for (label, nth), span in zip(self._compute, compute, strict=True):
            edges[f"start of {label}", nth] = span.start
            edges[f"end of {label}", nth] = span.end
        return edges

    def _observations(self, recorded: Recorded) -> list[tuple[_Key, float]]:
        found: list[tuple[_Key, float]] = []
        time = 0.0
        for (label, nth), span in zip(self._compute, recorded.compute, strict=True):
            found.append((("idle", label, nth), span.start - time))
            found.append((("busy", label, nth), span.end - span.start))
            time = span.end
        found.append((("idle", "", 0), recorded.seconds - time))
        edges = self._edges(recorded.compute)
        for (label, nth), span, anchor in zip(
            self._background, recorded.background, self._anchors, strict=True
        ):
            found.append((("offset", label, nth), span.start - edges[anchor]))
            found.append((("core", label, nth), span.end - span.start))
        return found


def _numbered(labels: Iterable[str]) -> list[tuple[str, int]]:
    """Each label with how often it occurred before."""
    seen: Counter[str] = Counter()
    numbered = []
    for label in labels:
        numbered.append((label, seen[label]))
        seen[label] += 1
    return numbered
