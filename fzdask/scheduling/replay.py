"""The state of a replay as arrays, stepped by the compiled kernel one iteration at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fzdask.scheduling.crew import Crew, Dump, Execution
from fzdask.scheduling.kernels import replay as kernel
from fzdask.scheduling.kernels import replay_state as codes
from fzdask.scheduling.kernels.timers import tree_size
from fzdask.scheduling.model import to_ns
from fzdask.scheduling.program import Distances
from fzdask.scheduling.rivals import Policy

__all__ = ["Ordering", "Replay"]

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Ordering:
    """How the jobs of one class are to be executed: positions, not names (ns).

    Attributes
    ----------
    first, second : ndarray
        Order of compressions and of writes.
    start1, start2 : ndarray
        Planned starts by job; only a timetable looks at them.
    compress, write : ndarray
        Expected durations by job, margins applied; only gates look at them.
    """

    first: Ints
    second: Ints
    start1: Ints
    start2: Ints
    compress: Ints
    write: Ints


class Replay:
    """One run of all workers under one policy.

    Parameters
    ----------
    crew : Crew
        Workers and jobs.
    policy : Policy
        Rules to replay under.
    last : int
        Index of the last iteration: at its end every snapshot has to be complete.
    trace : bool
        Whether to log every task.
    """

    def __init__(self, crew: Crew, policy: Policy, last: int, trace: bool) -> None:
        self.crew = crew
        self.policy = policy
        self.last = last
        self.now = 0
        self._state = _state(crew, policy, trace)

    def iterate(
        self,
        iteration: int,
        execution: Execution,
        dump: Dump,
        orderings: Sequence[Ordering],
        distances: Sequence[Distances],
        bandwidth_factor: float = 1.0,
    ) -> Ints:
        """Release a snapshot, run one iteration; return when each worker was through with it.

        Raises
        ------
        RuntimeError
            No event is left although the iteration is not over: a defect of the replay.
        """
        self._program(iteration, execution, distances, bandwidth_factor)
        self._release(iteration, dump, orderings)
        kernel.begin(self._state, self.now)
        while (outcome := kernel.run(self._state)) != kernel.ARRIVED_ALL:
            if outcome == kernel.DEADLOCK:
                raise RuntimeError(
                    f"replay of policy {self.policy.name!r} came to a halt in iteration "
                    f"{iteration}; this is a defect of the simulator, please report it"
                )
            self._grow_log()
        arrived: Ints = self._state.workers[:, codes.ARRIVAL].copy()
        self.now = int(arrived.max())
        return arrived

    # -- what came out ----------------------------------------------------------------------

    @property
    def lost(self) -> Ints:
        """Time that the application of each worker lost: [w, (thread, core task, dump)]."""
        lost: Ints = self._state.workers[:, codes.LOST_THREAD : codes.LOST_DUMP + 1]
        return lost

    @property
    def log(self) -> tuple[Ints, Ints]:
        """(what [entry, kind/worker/snapshot/index], when [entry, start/end])."""
        n = int(self._state.count[codes.LOGGED])
        return self._state.log_what[:n], self._state.log_when[:n]

    def completed(self, snapshot: int) -> bool:
        """Whether all workers are through with a snapshot that is still in its slot."""
        s, r = self._state, snapshot % self.policy.horizon
        current = int(s.snapshots[r, codes.WHICH]) == snapshot
        return current and not s.shots[r, :, codes.OPEN].any()

    def write_times(self, snapshot: int) -> Ints:
        """How long each write of a completed snapshot took: [w, j]."""
        took: Ints = self._state.jobs[snapshot % self.policy.horizon, :, :, codes.TOOK]
        return took

    # -- filling the arrays -----------------------------------------------------------------

    def _program(
        self,
        iteration: int,
        execution: Execution,
        distances: Sequence[Distances],
        bandwidth_factor: float,
    ) -> None:
        s, crew = self._state, self.crew
        program = np.zeros((crew.classes, execution.duration.shape[1], codes.N_PROGRAM), np.int64)
        for c, (p, d) in enumerate(zip(execution.programs, distances, strict=True)):
            columns = (p.code, p.arg, p.tail, d.window, d.core, d.end)
            program[c, : p.code.size] = np.stack(columns, axis=1)
            s.classes[c, codes.TO_FIRST] = d.first
        self._state = s._replace(program=program, duration=execution.duration, core=execution.core)
        s.count[codes.ITERATION] = iteration
        if crew.storage is not None:
            s.fluid[:, codes.BANDWIDTH] = crew.storage.bandwidth * 1e-9 * bandwidth_factor

    def _release(self, iteration: int, dump: Dump, orderings: Sequence[Ordering]) -> None:
        s, crew = self._state, self.crew
        r = iteration % self.policy.horizon
        for c, (o, jobs) in enumerate(zip(orderings, crew.jobs, strict=True)):
            release = np.array([to_ns(job.release) for job in jobs], np.int64)
            columns = (o.first, o.second, o.start1, o.start2, release, o.compress, o.write)
            s.plans[r, c, : release.size] = np.stack(columns, axis=1)
        s.jobs[r, :, :, codes.LEFT] = dump.compress
        s.jobs[r, :, :, codes.WRITE_TIME] = dump.write
        s.status[r] = np.where(dump.compress > 0, codes.PENDING, codes.UNRELEASED)
        s.jobs[r, :, :, codes.TOOK] = 0
        if crew.storage is not None:
            s.draws[r] = dump.nbytes / np.maximum(dump.write, 1)
        s.shots[r] = 0
        s.shots[r, :, codes.OPEN] = crew.counts[crew.cls]
        # The snapshots of the last iterations fall due together, at the very end.
        due = min(iteration + self.policy.horizon - 1, self.last)
        s.snapshots[r] = (due, self.now, iteration)

    def _grow_log(self) -> None:
        s = self._state
        grown = [np.concatenate([log, np.zeros_like(log)]) for log in (s.log_what, s.log_when)]
        self._state = s._replace(log_what=grown[0], log_when=grown[1])


def _rules(policy: Policy) -> Ints:
    rules = np.zeros(codes.N_RULES, np.int64)
    rules[codes.SYNC] = policy.synchronous
    rules[codes.GATE_COMPRESS] = policy.gate_compress and not policy.timetable
    rules[codes.GATE_WRITE] = policy.gate_write and not policy.timetable
    rules[codes.SKIP] = policy.skip
    rules[codes.TIMETABLE] = policy.timetable
    rules[codes.SLICE] = -1 if policy.slice is None else to_ns(policy.slice)
    # At least one part in 1024, so that a runnable compression never starves.
    rules[codes.SHARE] = max(1, round(policy.share * 1024)) if policy.share else 0
    return rules


def _state(crew: Crew, policy: Policy, trace: bool) -> codes.State:
    w, c, n, slots = crew.size, crew.classes, crew.width, policy.horizon
    groups = crew.first.size - 1
    entries = 4096 if trace else 0

    def zeros(*shape: int) -> Ints:
        return np.zeros(shape, np.int64)

    workers = zeros(w, codes.N_WORKER)
    workers[:, codes.CLASS] = crew.cls
    workers[:, codes.GROUP] = crew.group
    workers[:, codes.COMP_JOB] = -1
    workers[:, codes.APP] = codes.AT_BARRIER
    workers[:, codes.APP_TIMER : codes.WAKE_TIMER + 1] = codes.INF
    classes = zeros(c, codes.N_CLASS)
    classes[:, codes.JOBS] = crew.counts
    snapshots = zeros(slots, codes.N_SNAPSHOT)
    snapshots[:] = (codes.INF, 0, -1)
    ranges = zeros(groups + 1, codes.N_GROUP)
    ranges[:, codes.FIRST] = crew.first
    fluid = np.zeros((groups, codes.N_FLUID))
    fluid[:, codes.RATE] = 1.0
    return codes.State(
        rules=_rules(policy),
        count=zeros(codes.N_COUNTERS),
        program=zeros(c, 1, codes.N_PROGRAM),
        classes=classes,
        snapshots=snapshots,
        workers=workers,
        duration=zeros(w, 1),
        core=zeros(w, 1),
        jobs=zeros(slots, w, n, codes.N_JOB),
        status=np.full((slots, w, n), codes.DONE, np.int8),
        draws=np.zeros((slots, w, n)),
        plans=zeros(slots, c, n, codes.N_PLAN),
        shots=zeros(slots, w, codes.N_SHOT),
        groups=ranges,
        fluid=fluid,
        ends=np.full(tree_size(w), np.inf),
        timers=np.full(tree_size(w + groups), codes.INF, np.int64),
        log_what=zeros(entries, 4),
        log_when=zeros(entries, 2),
    )
