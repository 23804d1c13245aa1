"""Replay dumps during a simulation, in virtual time, under noise: what would a policy cost?

`simulate` is the public entry; docs/simulator.md states the rules of the replay in words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from fzdask.errors import ConfigError
from fzdask.scheduling.crew import Crew, Dump, Execution, work_of
from fzdask.scheduling.forecast_errors import ForecastErrors
from fzdask.scheduling.foresight import Foresight, Knowledge
from fzdask.scheduling.ideal import IdealBound, Released
from fzdask.scheduling.kernels import replay_state as codes
from fzdask.scheduling.model import Busy, Job, Machine, Storage, Task, Worker, from_ns
from fzdask.scheduling.noise import Noise, NoiseSource
from fzdask.scheduling.predict import Margins
from fzdask.scheduling.replay import Replay
from fzdask.scheduling.rivals import Policy, find_policy

__all__ = ["Simulation", "simulate"]

_LONGEST = 1 << 60  # ns, 36 years: sums of two such times are still below `INF` of the replay

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Simulation:
    """What a replay took.

    Attributes
    ----------
    policy : Policy
        What was replayed.
    durations_ns, base_ns : ndarray of int64, shape (iterations,)
        Length of every iteration with the dump, and without any, in ns. The last iteration
        includes the completion of all snapshots.
    bound_ns : int
        What all iterations together take at least, in ns, under any policy (`IdealBound`) and
        for the same noise.
    lost : dict of str to float
        Seconds per iteration, on average over the workers, that the simulation waited for the
        compute thread ("thread"), for late core tasks ("core") and for the dump ("dump").
    gated : ndarray of bool, shape (iterations, worker classes)
        Whether the forecast of each class was relied on.
    errors : tuple of ForecastErrors
        Errors of the learned forecasts, per class of workers; empty for other knowledge.
    tasks : tuple of Task
        Every task executed, in order of its end, if a trace was asked for: the simulation's own
        ("compute 0", "core 0") and those of the jobs. A job appears once per snapshot and
        machine, or once per slice.
    snapshots : ndarray of int64, shape (tasks,)
        Snapshot of each task of a job, iteration of each task of the simulation.
    """

    policy: Policy
    durations_ns: Ints
    base_ns: Ints
    bound_ns: int
    lost: dict[str, float]
    gated: npt.NDArray[np.bool_]
    errors: tuple[ForecastErrors, ...] = ()
    tasks: tuple[Task, ...] = ()
    snapshots: Ints = field(default_factory=lambda: np.zeros(0, np.int64))

    @property
    def overheads(self) -> Floats:
        """(iteration with dump minus without) / without, for every iteration."""
        return np.asarray((self.durations_ns - self.base_ns) / self.base_ns)

    @property
    def overhead(self) -> float:
        """The same for all iterations together; the completion of the last dump is included."""
        return self._over(int(self.durations_ns.sum()))

    @property
    def bound_overhead(self) -> float:
        """The least overhead that any policy could have had: an ideal preemptive bound."""
        return self._over(self.bound_ns)

    def _over(self, time: int) -> float:
        base = int(self.base_ns.sum())
        return (time - base) / base

    def __str__(self) -> str:
        n = self.durations_ns.size
        lost = ", ".join(f"{k} {1e3 * v:.3g} ms" for k, v in self.lost.items() if v) or "nothing"
        return (
            f"{self.policy.name}: overhead {100 * self.overhead:.2f} % over {n} iterations "
            f"(bound {100 * self.bound_overhead:.2f} %), lost per iteration: {lost}"
        )


def simulate(
    jobs: Sequence[Job],
    workers: Busy | Worker | Sequence[Worker],
    *,
    policy: str | Policy = "fzdask",
    iterations: int = 1,
    noise: Noise | None = None,
    seed: int = 0,
    storage: Storage | None = None,
    replicas: int = 1,
    ratio: float | Mapping[str, float] | None = None,
    knowledge: Knowledge = "learned",
    warmup: int = 3,
    margins: Margins | None = None,
    changes: Mapping[int, Busy | Worker | Sequence[Worker]] | None = None,
    budget: float = 0.02,
    trace: bool = False,
) -> Simulation:
    """Replay iterations that each dump the snapshot of the one before, under one policy.

    The same seed gives the same noise to every policy, and the same result every time. No policy
    comes out below the bound (`Simulation.bound_ns`).

    Parameters
    ----------
    jobs : sequence of Job
        One snapshot: every iteration releases such a one at its start. With several workers
        each job names its worker.
    workers : Busy, Worker or sequence of Worker
        The simulation's busy intervals. All workers meet at the end of every iteration, as
        those of a simulation with neighbours do.
    policy : str or Policy
        A name from `POLICIES`, or a policy of your own.
    iterations : int
        How many are replayed.
    noise : Noise, optional
        What makes the truth differ from the forecast; default: nothing.
    seed : int
        Of the noise.
    storage : Storage, optional
        Bandwidth that writes share; while they ask for more, all slow down alike.
    replicas : int
        Copies of every worker with noise of their own, each on nodes of its own.
    ratio : float or mapping of field to float, optional
        Compression ratio, for policies that write raw data: such a write takes `ratio` times
        as long.
    knowledge : {"learned", "nominal", "exact"}
        What forecasts rest on: recorded iterations (see `Predictor`), durations without noise,
        or an oracle.
    warmup : int
        Iterations, and dumps, recorded before the replay starts; only for "learned".
    margins : Margins, optional
        Fixed safety margins; default: chosen from the errors of the forecasts.
    changes : mapping of iteration to workers, optional
        From that iteration on the workers have these busy intervals (same names, same order).
    budget : float
        Of `plan`, in nominal seconds per snapshot and worker (not per replica).
    trace : bool
        Return every task. Memory grows with the number of tasks.

    Returns
    -------
    Simulation

    Raises
    ------
    ConfigError
        Bad counts, unknown policy, jobs without a worker among several, a raw policy without
        `ratio`, an iteration of no length.
    """
    rules = find_policy(policy)
    _check_counts(iterations, warmup)
    if not isinstance(seed, int | np.integer) or seed < 0:
        raise ConfigError(f"simulate: seed={seed!r} must be a whole number that is not negative")
    if knowledge not in ("learned", "nominal", "exact"):
        raise ConfigError(
            f"simulate: knowledge={knowledge!r} must be 'learned', 'nominal' or 'exact'"
        )
    crew = Crew(_as_workers(workers), jobs, replicas, storage)
    return _Run(crew, rules, noise or Noise(), int(seed), ratio, changes or {}).go(
        iterations, warmup, Foresight(crew, rules, knowledge, margins, budget), trace
    )


class _Run:
    """One call of `simulate`."""

    def __init__(
        self,
        crew: Crew,
        policy: Policy,
        noise: Noise,
        seed: int,
        ratio: float | Mapping[str, float] | None,
        changes: Mapping[int, Busy | Worker | Sequence[Worker]],
    ) -> None:
        self.crew = crew
        self.policy = policy
        self.source = NoiseSource(noise, seed)
        self.quiet = NoiseSource(Noise(), seed)
        self.ratios = crew.ratios(ratio, policy.name) if policy.raw else None
        self.busy = tuple(w.busy for w in crew.workers)
        self.changes = changes
        self.bound = IdealBound()

    def go(self, iterations: int, warmup: int, foresight: Foresight, trace: bool) -> Simulation:
        crew = self.crew
        plain = crew.dump(self.ratios, self.quiet)
        for _ in range(warmup):
            execution, dump, _factor = self._draw()
            foresight.see_iteration(execution)
            foresight.see_dump(dump, dump.write)

        replay = Replay(crew, self.policy, iterations - 1, trace)
        pending: dict[int, Dump] = {}
        durations, base, gated = [], [], []
        for i in range(iterations):
            if i in self.changes:
                self._change(self.changes[i])
            execution, dump, factor = self._draw()
            orderings, distances = foresight.ahead(execution, self.busy, dump, plain)
            began = replay.now
            self._check_span(began, execution, dump, factor)
            replay.iterate(i, execution, dump, orderings, distances, factor)
            durations.append(replay.now - began)
            base.append(int(execution.base.max()))
            gated.append(list(foresight.gated))
            pending[i] = dump
            self._note(execution, dump, base[-1], factor)
            foresight.see_iteration(execution)
            for snapshot in sorted(pending):
                if replay.completed(snapshot):
                    foresight.see_dump(pending.pop(snapshot), replay.write_times(snapshot))
        if min(base) <= 0:
            raise ConfigError(
                "simulate: an iteration without a dump takes no time, so there is no overhead to "
                "speak of; give busy intervals, or Busy(length=...)"
            )
        tasks, snapshots = _tasks(crew, replay) if trace else ((), np.zeros(0, np.int64))
        lost = replay.lost.mean(axis=0) * 1e-9 / iterations
        learned = foresight.predictors if foresight.learns else ()
        return Simulation(
            policy=self.policy,
            durations_ns=np.array(durations, np.int64),
            base_ns=np.array(base, np.int64),
            bound_ns=self.bound.total(),
            lost=dict(zip(("thread", "core", "dump"), lost.tolist(), strict=True)),
            gated=np.array(gated),
            errors=tuple(p.errors for p in learned),
            tasks=tasks,
            snapshots=snapshots,
        )

    def _draw(self) -> tuple[Execution, Dump, float]:
        execution = self.crew.execute(self.busy, self.source)
        dump = self.crew.dump(self.ratios, self.source)
        factor = self.source.storage()
        self.source.next_iteration()
        return execution, dump, factor

    def _check_span(self, now: int, execution: Execution, dump: Dump, factor: float) -> None:
        """Nothing in an iteration may come near the largest time that 64 bits hold."""
        longest = float(execution.base.max())
        longest += float((dump.compress + dump.write).sum(axis=1, dtype=np.float64).max())
        if self.crew.storage is not None:
            longest += float(dump.nbytes.sum()) / (self.crew.storage.bandwidth * factor * 1e-9)
        # Sharing a core multiplies what is left of a task by 1024 before it divides.
        limit = _LONGEST / 1024 if self.policy.share else _LONGEST
        if now + longest > _LONGEST or longest > limit:
            raise ConfigError(
                f"simulate: an iteration with its dump may take {1e-9 * longest:.3g} s after "
                f"{1e-9 * now:.3g} s, too many nanoseconds for 64 bits under policy "
                f"{self.policy.name!r}; are the times in seconds?"
            )

    def _change(self, workers: Busy | Worker | Sequence[Worker]) -> None:
        new = Crew(_as_workers(workers), (), 1, None).workers
        if [w.name for w in new] != [w.name for w in self.crew.workers]:
            raise ConfigError(
                f"simulate: changes name the workers {[w.name for w in new]}, the replay has "
                f"{[w.name for w in self.crew.workers]}; only their busy intervals may change"
            )
        self.busy = tuple(w.busy for w in new)

    def _note(self, execution: Execution, dump: Dump, base: int, factor: float) -> None:
        crew = self.crew
        compute, core = work_of(execution, crew.cls)
        real = np.arange(crew.width) < crew.counts[crew.cls][:, None]
        far = np.iinfo(np.int64).max

        def least(x: Ints) -> Ints:
            shortest = np.where(real, x, far).min(axis=1)
            return np.where(shortest == far, 0, shortest)

        bandwidth = np.inf if crew.storage is None else crew.storage.bandwidth * 1e-9 * factor
        self.bound.add(
            Released(
                base,
                compute,
                core,
                dump.compress.sum(axis=1),
                dump.write.sum(axis=1),
                least(dump.compress),
                least(dump.write),
                np.add.reduceat(dump.nbytes.sum(axis=1), crew.first[:-1]),
                float(bandwidth),
            )
        )


def _as_workers(workers: Busy | Worker | Sequence[Worker]) -> tuple[Worker, ...]:
    if isinstance(workers, Busy):
        return (Worker(busy=workers),)
    if isinstance(workers, Worker):
        return (workers,)
    return tuple(workers)


def _check_counts(iterations: int, warmup: int) -> None:
    if iterations < 1:
        raise ConfigError(f"simulate: iterations={iterations!r} must be at least 1")
    if warmup < 0:
        raise ConfigError(f"simulate: warmup={warmup!r} must not be negative")


_MACHINES: dict[int, Machine] = {
    codes.LOG_RUN: "compute",
    codes.LOG_CORE: "background",
    codes.LOG_COMPRESS: "compute",
    codes.LOG_WRITE: "background",
}


def _tasks(crew: Crew, replay: Replay) -> tuple[tuple[Task, ...], Ints]:
    what, when = replay.log
    tasks = []
    for (kind, w, _, index), (start, end) in zip(what.tolist(), when.tolist(), strict=True):
        span = (from_ns(start), from_ns(end))
        worker = crew.name(w)
        if kind == codes.LOG_RUN:
            tasks.append(Task(f"compute {index}", "compute", worker, *span))
        elif kind == codes.LOG_CORE:
            tasks.append(Task(f"core {index}", "background", worker, *span))
        else:
            job = crew.jobs[w % crew.classes][index]
            tasks.append(Task(job.name, _MACHINES[kind], worker, *span, job.field))
    return tuple(tasks), what[:, 2].copy()
