"""Studies: the policies over one thing that varies, as tables.

Overheads are (iterations with dumps minus without) / without, over all iterations of a replay
and averaged over replays; docs/simulator.md says what each study assumes and found.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from fzdask.scheduling.families import FAMILIES
from fzdask.scheduling.model import Busy, Job, Storage
from fzdask.scheduling.noise import Noise
from fzdask.scheduling.predict import Margins
from fzdask.scheduling.rivals import POLICIES
from fzdask.scheduling.simulator import Simulation, simulate
from fzdask.scheduling.workloads import NYX, WARPX, Application

__all__ = [
    "Table",
    "study_blocks",
    "study_claim",
    "study_iterations",
    "study_load",
    "study_margins",
    "study_noise",
    "study_paper",
    "study_stages",
    "study_workers",
]

BOUND = "bound"
"""Name under which tables list the ideal preemptive lower bound."""

PUBLISHED = (3.78, 2.57)
"""Overhead of synchronous and of asynchronous raw writing over that of the paper's method."""

SHOWN = ("sync-raw", "async-raw", "threads", "idle-threads", "fifo", "johnson", "paper", "fzdask")
HIDING = ("threads", "idle-threads", "fifo", "johnson", "paper", "planned", "sliced", "fzdask")


@dataclass(frozen=True)
class Table:
    """Rows of a study.

    Attributes
    ----------
    title : str
    columns : tuple of str
    rows : tuple of tuple
        Texts and numbers; overheads are shares, not percent.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str | float | int | bool, ...], ...]

    def column(self, name: str) -> list[str | float | int | bool]:
        """All values of one column."""
        k = self.columns.index(name)
        return [row[k] for row in self.rows]

    def where(self, **values: str | float) -> Table:
        """The rows that have these values in the columns of these names."""
        at = {self.columns.index(name): value for name, value in values.items()}
        rows = tuple(r for r in self.rows if all(r[k] == v for k, v in at.items()))
        return Table(self.title, self.columns, rows)

    def value(self, column: str, **values: str | float) -> float:
        """The only value of a column among the rows that have these values."""
        (found,) = self.where(**values).column(column)
        return float(found)


def _mean(results: Iterable[Simulation]) -> tuple[float, float]:
    """Mean overhead and mean bound."""
    both = [(r.overhead, r.bound_overhead) for r in results]
    overhead, bound = np.mean(both, axis=0)
    return float(overhead), float(bound)


def _of_application(
    app: Application, policy: str, iterations: int, noise: Noise, seeds: int
) -> list[Simulation]:
    results = []
    for seed in range(seeds):
        w = app.workload(seed)
        results.append(
            simulate(
                w.jobs,
                w.busy,
                policy=policy,
                iterations=iterations,
                noise=noise,
                seed=seed,
                ratio=w.ratio,
            )
        )
    return results


def study_paper(
    applications: Sequence[Application] = (NYX, WARPX),
    policies: Sequence[str] = tuple(POLICIES),
    iterations: int = 40,
    seeds: int = 3,
    noise: Noise | None = None,
) -> Table:
    """Figure 24 of the survey: every policy on its setting."""
    noise = Noise.typical() if noise is None else noise
    rows: list[tuple[str | float, ...]] = []
    for app in applications:
        found = {
            p: _mean(_of_application(app, p, iterations, noise, seeds))
            for p in {*policies, "sync-raw", "async-raw"}
        }
        overheads = {p: found[p][0] for p in policies}
        compressing = [p for p in policies if not POLICIES[p].raw]
        overheads[BOUND] = found[compressing[-1]][1] if compressing else 0.0
        for policy, overhead in overheads.items():
            below = [_times(found[p][0], overhead) for p in ("sync-raw", "async-raw")]
            rows.append((app.name, policy, overhead, *below))
    return Table(
        "The paper's setting",
        ("application", "policy", "overhead", "times below sync-raw", "times below async-raw"),
        tuple(rows),
    )


def _times(more: float, less: float) -> float:
    return more / less if less > 0.0 else float("inf")


def study_claim(
    app: Application = NYX,
    loads: Sequence[float] = (0.5, 0.7, 0.8, 0.9, 1.0, 1.1, 1.25, 1.5, 1.75, 2.0, 2.25),
    iterations: int = 20,
    seeds: int = 3,
    noise: Noise | None = None,
) -> Table:
    """How far the published factors carry: the paper's setting over its unknown compression load.

    Above a load of 1 compression alone takes more than all idle time, and the ideal bound is
    what remains to be had.
    """
    noise = Noise.typical() if noise is None else noise
    rows = []
    for load in loads:
        found = {
            p: _mean(_of_application(app.but(compress_load=load), p, iterations, noise, seeds))
            for p in ("sync-raw", "async-raw", "paper", "fzdask")
        }
        sync, asynchronous, paper, ours = (o for o, _ in found.values())
        below = _times(sync, ours), _times(asynchronous, ours)
        met = below[0] >= PUBLISHED[0] and below[1] >= PUBLISHED[1]
        rows.append((load, sync, asynchronous, paper, ours, found["fzdask"][1], *below, met))
    return Table(
        f"{app.name}: the published factors over the load of compression",
        (
            *("compression load", "sync-raw", "async-raw", "paper", "fzdask", BOUND),
            *("times below sync-raw", "times below async-raw", "both published factors met"),
        ),
        tuple(rows),
    )


def study_stages(
    app: Application = NYX,
    stages: Sequence[tuple[str, float, float]] = (
        ("beginning", 2.5, 0.8),
        ("middle", 1.0, 1.0),
        ("end", 0.6, 1.25),
    ),
    policies: Sequence[str] = ("sync-raw", "async-raw", "paper", "fzdask"),
    iterations: int = 40,
    seeds: int = 3,
    noise: Noise | None = None,
) -> Table:
    """Figure 25 of the survey: stages of a run, whose data compress less and less well.

    A stage is a name, a factor on all compression ratios and one on the compression time.
    """
    noise = Noise.typical() if noise is None else noise
    rows = []
    for stage, factor, slower in stages:
        now = app.scaled_ratios(factor).but(compress_load=app.compress_load * slower)
        together = len(now.fields) / sum(1.0 / r for _, r in now.fields)
        for policy in policies:
            overhead, _ = _mean(_of_application(now, policy, iterations, noise, seeds))
            rows.append((stage, together, policy, overhead))
    return Table(
        f"{app.name}: stages of a run", ("stage", "ratio", "policy", "overhead"), tuple(rows)
    )


def study_iterations(
    applications: Sequence[Application] = (NYX, WARPX),
    policies: Sequence[str] = ("sync-raw", "async-raw", "threads", "fifo", "paper", "fzdask"),
    iterations: int = 40,
    seeds: int = 5,
    noise: Noise | None = None,
) -> Table:
    """Overhead of every single iteration, from the first that is dumped."""
    noise = Noise.typical() if noise is None else noise
    rows = []
    for app in applications:
        for policy in policies:
            runs = _of_application(app, policy, iterations, noise, seeds)
            for i, overhead in enumerate(np.mean([r.overheads for r in runs], axis=0)):
                rows.append((app.name, policy, i, float(overhead)))
    return Table(
        "Overhead over the iterations",
        ("application", "policy", "iteration", "overhead"),
        tuple(rows),
    )


def _instances(family: str, count: int, jobs: int, load: float) -> list[tuple[list[Job], Busy]]:
    rng = np.random.default_rng(20240422)
    return [FAMILIES[family].draw(rng, jobs, (load, load)) for _ in range(count)]


def _over_instances(
    instances: Sequence[tuple[list[Job], Busy]],
    policy: str,
    iterations: int,
    noise: Noise,
    margins: Margins | None = None,
) -> tuple[float, float]:
    return _mean(
        simulate(
            jobs,
            busy,
            policy=policy,
            iterations=iterations,
            noise=noise,
            seed=k,
            ratio=16.0,
            margins=margins,
        )
        for k, (jobs, busy) in enumerate(instances)
    )


def study_load(
    loads: Sequence[float] = (0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 1.0, 1.1, 1.2),
    policies: Sequence[str] = HIDING,
    jobs: int = 48,
    instances: int = 8,
    iterations: int = 6,
    noise: Noise | None = None,
    family: str = "mixed",
) -> Table:
    """Random iterations over the load of both threads."""
    noise = Noise.typical() if noise is None else noise
    rows: list[tuple[float | str, ...]] = []
    for load in loads:
        drawn = _instances(family, instances, jobs, load)
        bound = 0.0
        for policy in policies:
            overhead, bound = _over_instances(drawn, policy, iterations, noise)
            rows.append((load, policy, overhead))
        rows.append((load, BOUND, bound))
    return Table(
        f"Overhead over the load ({family}, {jobs} blocks)",
        ("load", "policy", "overhead"),
        tuple(rows),
    )


def study_noise(
    levels: Sequence[float] = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0),
    policies: Sequence[str] = ("idle-threads", "johnson", "timetable", *HIDING[4:]),
    load: float = 0.85,
    jobs: int = 48,
    instances: int = 8,
    iterations: int = 12,
    family: str = "mixed",
) -> Table:
    """Random iterations over the level of noise (`Noise.typical`)."""
    drawn = _instances(family, instances, jobs, load)
    rows: list[tuple[float | str, ...]] = []
    for level in levels:
        bound = 0.0
        for policy in policies:
            noise = Noise.typical(level)
            overhead, bound = _over_instances(drawn, policy, iterations, noise)
            rows.append((level, policy, overhead))
        rows.append((level, BOUND, bound))
    return Table(
        f"Overhead over the noise ({family}, {jobs} blocks, load {load:g})",
        ("noise", "policy", "overhead"),
        tuple(rows),
    )


def study_blocks(
    counts: Sequence[int] = (1, 2, 4, 8, 16, 32, 64, 128, 256),
    policies: Sequence[str] = ("fifo", "paper", "planned", "sliced", "fzdask"),
    app: Application = NYX,
    load: float = 0.8,
    iterations: int = 6,
    seeds: int = 2,
    noise: Noise | None = None,
) -> Table:
    """Blocks per field: large ones fit no window, small ones pay their fixed costs too often.

    Fixed costs are 2 ms a block to build a codebook and 2 ms a write of latency, or 0.2 ms each
    with a shared codebook and a buffer that coalesces writes.
    """
    noise = Noise.typical() if noise is None else noise
    rows: list[tuple[str | float | int, ...]] = []
    for costs, fixed in (("own codebooks, direct writes", 2e-3), ("shared, buffered", 0.2e-3)):
        for blocks in counts:
            now = app.but(
                blocks=blocks, compress_load=load, block_seconds=fixed, write_latency=fixed
            )
            bound = 0.0
            for policy in policies:
                overhead, bound = _mean(_of_application(now, policy, iterations, noise, seeds))
                rows.append((costs, blocks, policy, overhead))
            rows.append((costs, blocks, BOUND, bound))
    return Table(
        f"{app.name}: overhead over the blocks per field (load {load:g})",
        ("fixed costs", "blocks per field", "policy", "overhead"),
        tuple(rows),
    )


def study_workers(
    counts: Sequence[int] = (1, 10, 100, 1000, 10_000, 30_000, 100_000),
    policies: Sequence[str] = ("sync-raw", "async-raw", "paper", "fzdask"),
    app: Application = NYX,
    blocks: int = 2,
    iterations: int = 3,
    full_speed: int = 16_000,
    noise: Noise | None = None,
) -> Table:
    """Processes that share one storage, whose bandwidth serves `full_speed` of them at once."""
    noise = Noise.typical() if noise is None else noise
    w = app.but(blocks=blocks).workload()
    one = app.raw_nbytes / (app.raw * app.iteration)
    rows: list[tuple[str | float | int, ...]] = []
    for count in counts:
        bound = 0.0
        for policy in policies:
            result = simulate(
                w.jobs,
                w.busy,
                policy=policy,
                iterations=iterations,
                noise=noise,
                ratio=w.ratio,
                replicas=count,
                storage=Storage(full_speed * one),
            )
            bound = result.bound_overhead
            rows.append((count, policy, result.overhead))
        rows.append((count, BOUND, bound))
    return Table(
        f"{app.name}: overhead over the processes (storage serves {full_speed} at full speed)",
        ("processes", "policy", "overhead"),
        tuple(rows),
    )


def study_margins(
    margins: Sequence[float] = (-0.5, -0.3, -0.2, -0.1, 0.0, 0.1, 0.2, 0.4),
    loads: Sequence[float] = (0.6, 0.85, 0.95),
    policies: Sequence[str] = ("planned", "fzdask"),
    jobs: int = 24,
    instances: int = 10,
    iterations: int = 8,
    noise: Noise | None = None,
    family: str = "mixed",
) -> Table:
    """Constant safety margins against those chosen from the errors and the load ("chosen")."""
    noise = Noise.typical() if noise is None else noise
    rows: list[tuple[str | float, ...]] = []
    for load in loads:
        drawn = _instances(family, instances, jobs, load)
        for policy in policies:
            for m in margins:
                constant = Margins(m, m, 0.0)
                overhead, _ = _over_instances(drawn, policy, iterations, noise, constant)
                rows.append((load, policy, f"{m:+g}", overhead))
            overhead, _ = _over_instances(drawn, policy, iterations, noise)
            rows.append((load, policy, "chosen", overhead))
    return Table(
        f"Overhead over the safety margin ({family}, {jobs} blocks)",
        ("load", "policy", "margin", "overhead"),
        tuple(rows),
    )
