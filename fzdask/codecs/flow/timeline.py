"""What ran where and when."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fzdask.codecs.flow.task import Task

__all__ = ["Span", "Timeline"]


@dataclass(frozen=True, slots=True)
class Span:
    """One task or copy.

    Attributes
    ----------
    name : str
        Of the task; of a copy: of the datum.
    kind : "task", "upload" or "download"
    place : str
        ``host 0``, ``stream 2``, ``upload``, ``download``.
    tag : object
        What the task belongs to.
    start, end : float
        Seconds of ``time.perf_counter``; on a device those of its events.
    nbytes : int
        Moved between host and device.
    failed : bool
    """

    name: str
    kind: str
    place: str
    tag: Any
    start: float
    end: float
    nbytes: int = 0
    failed: bool = False

    @classmethod
    def of(
        cls, task: Task, place: str, start: float, end: float, error: BaseException | None
    ) -> Span:
        """The span of a task that has run."""
        failed = error is not None
        return cls(task.name, task.kind, place, task.tag, start, end, task.nbytes, failed)


class Timeline:
    """The spans of one or more flows; fills while they run, safe to read from other threads.

    Parameters
    ----------
    spans : iterable of Span, optional
        To begin with.
    """

    def __init__(self, spans: Iterable[Span] = ()) -> None:
        self._spans = list(spans)
        self._lock = threading.Lock()

    def add(self, span: Span) -> None:
        with self._lock:
            self._spans.append(span)

    @property
    def spans(self) -> list[Span]:
        """In the order of their starts."""
        with self._lock:
            return sorted(self._spans, key=lambda span: (span.start, span.end, span.place))

    @property
    def places(self) -> list[str]:
        """Host threads first, then streams, then copies, each in the order of their numbers."""
        ranks = {"host": 0, "stream": 1, "upload": 2, "download": 3}

        def rank(place: str) -> tuple[int, int, str]:
            word, _, number = place.partition(" ")
            return ranks.get(word, 4), int(number) if number.isdigit() else 0, place

        return sorted({span.place for span in self.spans}, key=rank)

    @property
    def elapsed(self) -> float:
        """Seconds from the first start to the last end."""
        spans = self.spans
        return max(s.end for s in spans) - spans[0].start if spans else 0.0

    @property
    def uploaded(self) -> int:
        """Bytes copied to the device."""
        return sum(span.nbytes for span in self.spans if span.kind == "upload")

    @property
    def downloaded(self) -> int:
        """Bytes copied to the host."""
        return sum(span.nbytes for span in self.spans if span.kind == "download")

    def busy(self, place: str | None = None) -> float:
        """Seconds in which the place, or any place, does something."""
        return sum(end - start for start, end, n in self._profile() if (place in n if place else n))

    def overlapped(self, least: int = 2) -> float:
        """Seconds in which at least so many places do something at once."""
        return sum(end - start for start, end, busy in self._profile() if len(busy) >= least)

    def by_name(self) -> dict[str, tuple[int, float, int]]:
        """For each name how often it ran, its seconds, and the bytes it moved."""
        out: dict[str, tuple[int, float, int]] = {}
        for span in self.spans:
            name = span.name if span.kind == "task" else f"{span.kind} of {span.name}"
            count, seconds, nbytes = out.get(name, (0, 0.0, 0))
            out[name] = (count + 1, seconds + span.end - span.start, nbytes + span.nbytes)
        return out

    def to_trace(self) -> dict[str, Any]:
        """As a trace that Perfetto and Chrome's tracing page show, to be written with json.dump."""
        spans = self.spans
        origin = spans[0].start if spans else 0.0
        lanes = {place: number for number, place in enumerate(self.places)}
        events: list[dict[str, Any]] = [
            {"ph": "M", "name": "thread_name", "pid": 0, "tid": lane, "args": {"name": place}}
            for place, lane in lanes.items()
        ]
        for span in spans:
            event = {
                "ph": "X",
                "name": span.name,
                "cat": span.kind,
                "pid": 0,
                "tid": lanes[span.place],
                "ts": 1e6 * (span.start - origin),
                "dur": 1e6 * (span.end - span.start),
                "args": {"tag": str(span.tag), "nbytes": span.nbytes, "failed": span.failed},
            }
            events.append(event)
        return {"traceEvents": events, "displayTimeUnit": "ms"}

    def _profile(self) -> list[tuple[float, float, set[str]]]:
        """Stretches of time between changes, each with the places that are busy in it."""
        changes = sorted(
            [(span.start, 1, span.place) for span in self.spans]
            + [(span.end, -1, span.place) for span in self.spans],
            key=lambda change: change[0],
        )
        running: dict[str, int] = {}
        out: list[tuple[float, float, set[str]]] = []
        before = changes[0][0] if changes else 0.0
        for at, step, place in changes:
            if at > before:
                out.append((before, at, {p for p, n in running.items() if n}))
                before = at
            running[place] = running.get(place, 0) + step
        return out

    def __repr__(self) -> str:
        ms = 1e3 * self.elapsed
        return f"Timeline({len(self.spans)} spans at {len(self.places)} places, {ms:.3g} ms)"
