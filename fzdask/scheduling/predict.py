"""Predict iteration n+1 from the recorded ones: busy intervals, and every block's durations.

The premise is the one of in-situ task scheduling (Jin et al., "Concealing compression-accelerated
I/O for HPC applications through in situ task scheduling", EuroSys 2024): iterations of a
simulation resemble their predecessors. Where they stop doing so, the forecast says so and makes
no gating assumptions, instead of steering by a pattern that is gone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from fzdask.errors import ConfigError
from fzdask.scheduling.block_models import BlockModels, Source
from fzdask.scheduling.forecast_errors import ForecastErrors
from fzdask.scheduling.model import Busy, Job
from fzdask.scheduling.pattern import Pattern
from fzdask.scheduling.recorded import Recorded, Span

__all__ = [
    "BlockForecast",
    "Forecast",
    "Margins",
    "PatternWatch",
    "Predictor",
    "tolerated_overrun",
]


class Margins(NamedTuple):
    """Relative safety margins: durations grow by theirs, windows shrink by theirs.

    A margin below zero lets a task start that is expected to overrun a little.
    """

    compress: float
    write: float
    window: float

    def pressed(self, compress_load: float, write_load: float) -> Margins:
        """The margins less the overrun that is worth it at these loads of the two threads."""
        return Margins(
            self.compress - tolerated_overrun(compress_load),
            self.write - tolerated_overrun(write_load),
            self.window,
        )


def tolerated_overrun(load: float) -> float:
    """Share of its length by which a task may be expected to overrun, at this load of a thread.

    An overrun delays the simulation by the overrun; a withheld task costs nothing while there is
    idle time to spare, and its whole length once there is not. 0 up to a load of 0.7, then rising
    to 0.3 at 1.0: in replays of 12 to 48 jobs at loads from 0.6 to 0.95, never much worse than
    the best constant (benchmarks/scheduling_studies.py margins).
    """
    return min(max(0.0, load - 0.7), 0.3)


@dataclass(frozen=True, slots=True)
class Forecast:
    """What the next iteration is expected to look like.

    Attributes
    ----------
    gated : bool
        Whether the intervals may be relied on. False: no gating assumptions; `busy` then has no
        intervals, only the best guess of the length.
    reason : str
        Why they may not be relied on; empty if they may.
    compute, background : tuple of Span
        Expected busy spans with their labels.
    length : float
        Expected length without a dump, in seconds.
    margins : Margins
        Safety margins chosen from the errors of the past.
    """

    gated: bool
    reason: str
    compute: tuple[Span, ...]
    background: tuple[Span, ...]
    length: float
    margins: Margins

    @property
    def busy(self) -> Busy:
        """The spans as the planner takes them."""
        return Busy(
            tuple((s.start, s.end) for s in self.compute),
            tuple((s.start, s.end) for s in self.background),
            self.length,
        )


@dataclass(frozen=True, slots=True)
class BlockForecast:
    """Expected figures of one block, and where they come from.

    Attributes
    ----------
    compress, write : float
        Seconds.
    nbytes : float
        Compressed size in bytes.
    source : {"label", "field", "all"}
        The block's own past, or the rate models of its field, or of all blocks: `margins(new=
        source != "label")` of the predictor are those for it.
    """

    compress: float
    nbytes: float
    write: float
    source: Source


class Predictor:
    """Learns from recorded iterations and blocks; every prediction is scored when the truth comes.

    Spans are averaged by label and occurrence: busy durations and idle gaps of the compute
    thread, durations of background work, and its start relative to the edge of compute work that
    it followed when first seen (so that a late iteration shifts both).

    Parameters
    ----------
    alpha, reject, shift
        Of every `Average`: weight of the newest observation, distance of an outlier in mean
        deviations, outliers in a row that make a new level.
    coverage : float
        Share of the past predictions that the safety margins cover. An overrun costs the
        simulation the overrun, a needlessly withheld block costs its whole duration once idle
        time is scarce: of 0.5 to 0.8, replays at loads from 0.6 to 0.95 lose least around 0.6.
    settle : int
        After a change, so many iterations in a row that agree make a new pattern, trusted. The
        very first pattern is trusted at once: there is nothing better.
    tolerance : float
        Wrongly predicted time, as a share of the iteration, above which the timing counts as a
        changed pattern.
    keep : int
        Errors kept in detail per quantity.
    """

    def __init__(
        self,
        *,
        alpha: float = 0.3,
        reject: float = 6.0,
        shift: int = 3,
        coverage: float = 0.6,
        settle: int = 2,
        tolerance: float = 0.3,
        keep: int = 4096,
    ) -> None:
        if settle < 1:
            raise ConfigError(f"Predictor: settle={settle!r} must be at least 1")
        if not tolerance > 0.0:
            raise ConfigError(f"Predictor: tolerance={tolerance!r} must be positive")
        self.coverage = coverage
        self.settle = settle
        self.tolerance = tolerance
        self.errors = ForecastErrors(keep)
        self.errors.margin("", coverage=coverage)  # reject a bad coverage now
        self.iterations = 0
        self._settings: dict[str, float] = {"alpha": alpha, "reject": reject, "shift": shift}
        self._blocks = BlockModels(self._settings)
        self._patterns: dict[str, Pattern] = {}

    # -- busy intervals ---------------------------------------------------------------------

    def record_iteration(self, recorded: Recorded, kind: str = "") -> None:
        """Score the forecast of this iteration and learn from it.

        Parameters
        ----------
        recorded : Recorded
            What the simulation did.
        kind : str
            Iterations of different kinds (every tenth one regrids, say) are learnt apart.
        """
        pattern = self._patterns.get(kind)
        if pattern is None:
            pattern = Pattern(self._settings, self.settle, self.tolerance)
            self._patterns[kind] = pattern
        pattern.learn(recorded, self.errors, self.iterations)
        self.iterations += 1

    def forecast(self, kind: str = "") -> Forecast:
        """The next iteration of this kind; not gated before the first was recorded."""
        pattern = self._patterns.get(kind)
        margins = self.margins()
        if pattern is None:
            return Forecast(False, "no iteration was recorded yet", (), (), 0.0, margins)
        expected = pattern.expect()
        return Forecast(
            not pattern.reason,
            pattern.reason,
            expected.compute,
            expected.background,
            expected.length,
            margins,
        )

    def margins(self, *, new: bool = False) -> Margins:
        """Margins that cover the share `coverage` of past errors; `new`: of unseen blocks."""
        kind = "new " if new else ""
        margin, coverage = self.errors.margin, self.coverage
        return Margins(
            margin(f"{kind}compress", coverage=coverage),
            margin(f"{kind}write", coverage=coverage),
            margin("idle", side="shorter", coverage=coverage),
        )

    # -- blocks -----------------------------------------------------------------------------

    def record_block(
        self,
        name: str,
        *,
        raw_nbytes: int,
        compress: float,
        nbytes: int,
        write: float,
        field: str | None = None,
    ) -> None:
        """Score the forecast of one block and learn from it.

        Parameters
        ----------
        name, field : str
            Label of the block, and variable that it belongs to.
        raw_nbytes, nbytes : int
            Its size before and after compression, in bytes.
        compress, write : float
            Seconds that it took (of processor time for `compress`: not those it was held up).
        """
        expected = self.predict_block(name, raw_nbytes, field)
        if expected is not None:
            new = "" if expected.source == "label" else "new "
            add, n = self.errors.add, self.iterations
            add(n, f"{new}compress", name, expected.compress, compress)
            add(n, f"{new}nbytes", name, expected.nbytes, nbytes)
            add(n, f"{new}write", name, expected.write, write)
        self._blocks.learn(name, field, raw_nbytes, compress, nbytes, write)

    def predict_block(
        self, name: str, raw_nbytes: int, field: str | None = None
    ) -> BlockForecast | None:
        """Figures expected of a block in the next dump; None before any block was recorded.

        A block seen before at this size is predicted from its own past, any other from the rate
        models (latency and bandwidth, ratio) of its field, or of all blocks.
        """
        found = self._blocks.expect(name, field, raw_nbytes)
        if found is None:
            return None
        compress, nbytes, write, source = found
        return BlockForecast(compress, nbytes, write, source)

    def job(self, name: str, raw_nbytes: int, field: str | None = None) -> Job:
        """A `Job` with the expected durations, ready for the planner.

        Raises
        ------
        ConfigError
            No block was recorded yet: nothing is known of any rate.
        """
        found = self.predict_block(name, raw_nbytes, field)
        if found is None:
            raise ConfigError(
                f"Predictor: nothing is known of block {name!r}; record at least one block "
                "(record_block) before asking for jobs"
            )
        return Job(name, found.compress, found.write, field=field, nbytes=round(found.nbytes))

    def __str__(self) -> str:
        state = "; ".join(
            f"{kind or 'pattern'}: {p.reason or 'trusted'}" for kind, p in self._patterns.items()
        )
        return f"{self.iterations} iterations recorded. {state}\n{self.errors}"


class PatternWatch:
    """Notices within an iteration that it no longer follows its forecast.

    Feed it every span of the simulation as it starts; once it answers False, gating should stop
    for the rest of the iteration.

    Parameters
    ----------
    forecast : Forecast
        Of this iteration. One that is not gated is broken from the start.
    slack : float
        A span that starts this share of the iteration early or late breaks the pattern. The
        lateness is measured against the span before it on that thread: a delay counts once.
    """

    def __init__(self, forecast: Forecast, slack: float = 0.25) -> None:
        self.reason = forecast.reason
        self._expected = {"compute": forecast.compute, "background": forecast.background}
        self._next = {"compute": 0, "background": 0}
        self._late = {"compute": 0.0, "background": 0.0}
        self._limit = slack * forecast.length

    def starts(self, machine: Literal["compute", "background"], label: str, at: float) -> bool:
        """Whether the pattern still holds, now that `label` starts `at` seconds into it."""
        if self.reason:
            return False
        index = self._next[machine]
        expected = self._expected[machine]
        if index >= len(expected):
            self.reason = f"{machine}: {label!r} came after the last expected span"
        elif expected[index].label != label:
            self.reason = f"{machine}: {label!r} came instead of {expected[index].label!r}"
        else:
            late = at - expected[index].start
            if abs(late - self._late[machine]) > self._limit:
                self.reason = f"{machine}: {label!r} started {late:+.3g} s late"
            self._late[machine] = late
            self._next[machine] = index + 1
        return not self.reason
