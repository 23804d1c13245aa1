"""What a Gantt chart shows, whichever way it is drawn: lanes, bars, ends of iterations."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

from fzdask.errors import ConfigError
from fzdask.scheduling.model import Task, Worker
from fzdask.scheduling.plan_record import Plan

__all__ = ["COLOURS", "Bar", "Chart", "Iteration", "Record", "chart_of", "time_unit"]

COLOURS = (
    "#3069b0",
    "#e8973a",
    "#2f9e77",
    "#c45a94",
    "#63b5e0",
    "#c8502f",
    "#8c6bb8",
    "#a8a13a",
    "#5c7a8a",
    "#d98c8c",
)
"""One per field, in order of appearance; told apart also by the colour-blind, in pairs of hue
and lightness after Okabe and Ito (2008)."""

BUSY_COLOUR = "#d5d9df"
LATE_COLOUR = "#c8202f"
EDGED_SHARE = 0.004
"""Bars thinner than this share of a chart, about 3 points, are drawn without edges."""

_OWN = re.compile(r"(compute|core)( \d+)?")


@runtime_checkable
class Run(Protocol):
    """A simulated or recorded run: its tasks, and how long iterations took and should take."""

    @property
    def tasks(self) -> Sequence[Task]: ...

    @property
    def durations_ns(self) -> Any: ...

    @property
    def base_ns(self) -> Any: ...


Record = Plan | Run | Iterable[Task]


@dataclass(frozen=True, slots=True)
class Bar:
    """One interval in a lane; `kind` is "busy" for the simulation's own work."""

    lane: int
    start: float
    end: float
    kind: Literal["busy", "compress", "write"]
    job: str
    field: str | None


@dataclass(frozen=True, slots=True)
class Iteration:
    """Ends of an iteration in seconds: without any dump, and as it is."""

    base_end: float
    end: float


@dataclass(frozen=True, slots=True)
class Chart:
    """Lanes (worker, machine), bars and iterations; seconds throughout."""

    lanes: list[tuple[str, str]]
    bars: list[Bar]
    iterations: list[Iteration]
    end: float
    title: str
    lower_bound: float | None = None

    @property
    def fields(self) -> list[str]:
        """Fields of the jobs in order of appearance; jobs without one count as "jobs"."""
        return list(dict.fromkeys(b.field or "jobs" for b in self.bars if b.kind != "busy"))

    @property
    def colours(self) -> dict[str, str]:
        """Colour of every field."""
        return {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(self.fields)}


def chart_of(
    record: Record,
    workers: Sequence[Worker] = (),
    *,
    only: Collection[str] | None = None,
    title: str | None = None,
) -> Chart:
    """The chart of a plan, of a run, or of any tasks.

    Parameters
    ----------
    record : Plan, Simulation or iterable of Task
        Tasks called "compute", "core", "compute 3" and the like, without a field, are the
        simulation's own: they are shown as busy.
    workers : sequence of Worker
        Their busy intervals are shown as well (a plan knows its workers by itself).
    only : collection of str, optional
        Names of the workers to show; default: all.
    title : str, optional
        Default: the figures of the plan, or of the run.

    Raises
    ------
    ConfigError
        There is nothing to show.
    """
    iterations: list[Iteration] = []
    bound = None
    heading = ""
    if isinstance(record, Plan):
        workers = record.workers
        tasks: Sequence[Task] = record.tasks
        iterations = [Iteration(record.iteration, record.end)]
        bound = record.lower_bound
        heading = _heading(record)
    elif isinstance(record, Run):
        tasks = record.tasks
        begin = 0.0
        for took, base in zip(record.durations_ns, record.base_ns, strict=True):
            iterations.append(Iteration(begin + base * 1e-9, begin + took * 1e-9))
            begin = iterations[-1].end
        heading = str(record)
    else:
        tasks = list(record)
    names = [worker.name for worker in workers]
    names += [name for name in dict.fromkeys(t.worker for t in tasks) if name not in set(names)]
    if only is not None:
        names = [name for name in names if name in only]
    lanes = [(name, machine) for name in names for machine in ("compute", "background")]
    index = {lane: i for i, lane in enumerate(lanes)}
    bars = []
    for worker in workers:
        for machine in ("compute", "background"):
            for start, end in getattr(worker.busy, machine):
                if (worker.name, machine) in index:
                    lane = index[worker.name, machine]
                    bars.append(Bar(lane, start, end, "busy", machine, None))
    for task in tasks:
        if (task.worker, task.machine) not in index or task.end <= task.start:
            continue
        lane = index[task.worker, task.machine]
        own = task.field is None and _OWN.fullmatch(task.job)
        kind: Literal["busy", "compress", "write"]
        kind = "busy" if own else "compress" if task.machine == "compute" else "write"
        bars.append(Bar(lane, task.start, task.end, kind, task.job, task.field))
    if not bars:
        raise ConfigError(
            f"gantt: nothing to show for {type(record).__name__} with {len(tasks)} tasks on "
            f"{len(names)} workers; a simulation keeps its tasks with trace=True"
        )
    end = max([bar.end for bar in bars] + [i.end for i in iterations])
    return Chart(lanes, bars, iterations, end, heading if title is None else title, bound)


def _heading(plan: Plan) -> str:
    scale, unit = time_unit(plan.end)
    jobs = f"{len(plan.jobs)} jobs"
    if len(plan.workers) > 1:
        jobs += f" on {len(plan.workers)} workers"
    return (
        f"{jobs}, {plan.method}: ends at {plan.makespan * scale:.4g} {unit}, "
        f"overhead {100 * plan.overhead:.2f} % (at least {100 * plan.overhead_bound:.2f} %)"
    )


def time_unit(longest: float) -> tuple[float, str]:
    """Factor from seconds, and name, of the unit in which `longest` reads well."""
    if longest >= 1.0:
        return 1.0, "s"
    return (1e3, "ms") if longest >= 1e-3 else (1e6, "µs")
