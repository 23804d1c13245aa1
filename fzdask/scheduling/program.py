"""An iteration of the simulation as a program: what it runs, waits for, launches and needs.

Busy intervals say when the threads are taken if nothing disturbs the simulation. To replay what
happens when something does, they are read as causes: compute work runs in order; the time
between is a wait of fixed length (for an accelerator, say); a core task is launched at that
point of the program where its interval starts, and needed before the first compute work that
starts at or after its end (or before the iteration ends). Undisturbed, the program takes exactly
the time of its intervals.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fzdask.scheduling.kernels.replay_state import END, INF, LAUNCH, NEED, RUN, WAIT
from fzdask.scheduling.model import Busy, from_ns, to_ns
from fzdask.scheduling.recorded import Recorded, Span

__all__ = ["Distances", "Program"]

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Program:
    """One iteration of one worker.

    Attributes
    ----------
    code, arg : ndarray of int64, shape (operations,)
        Operations in order, the last is END. `arg` is the busy interval for RUN, the core task
        for LAUNCH and NEED, 0 otherwise.
    duration : ndarray of int64, shape (operations,)
        Nanoseconds of RUN and WAIT, 0 for others.
    core : ndarray of int64, shape (core tasks,)
        Nanoseconds.
    """

    code: Ints
    arg: Ints
    duration: Ints
    core: Ints

    @classmethod
    def from_busy(cls, busy: Busy) -> Program:
        """The program that, undisturbed, occupies the threads in these intervals."""
        compute = [(to_ns(a), to_ns(b)) for a, b in busy.compute]
        cores = [(to_ns(a), to_ns(b)) for a, b in busy.background]
        length = to_ns(busy.iteration)
        # Points of the program in time; at equal times work ends, core tasks are launched,
        # finished ones are needed, work starts.
        points: list[tuple[int, int, int, int]] = []
        for i, (start, end) in enumerate(compute):
            points.append((start, 3, RUN, i))
            points.append((end, 0, RUN, i))
        for i, (start, end) in enumerate(cores):
            points.append((start, 1, LAUNCH, i))
            needed = min((s for s, _ in compute if s >= end), default=length)
            points.append((needed, 2, NEED, i))
        points.append((length, 4, END, 0))
        points.sort()

        ops: list[tuple[int, int, int]] = []
        now = 0
        running = -1  # busy interval in progress
        for time, _, what, i in points:
            if time > now:
                ops.append((RUN, running, time - now) if running >= 0 else (WAIT, 0, time - now))
                now = time
            if what == RUN:
                running = -1 if running == i else i
            else:
                ops.append((what, i, 0))
        table = np.array(ops, np.int64)
        core = np.array([end - start for start, end in cores], np.int64)
        return cls(table[:, 0].copy(), table[:, 1].copy(), table[:, 2].copy(), core)

    def timed_by(self, busy: Busy) -> Program | None:
        """The same operations with durations from other intervals, one for each of its own.

        For forecasts: a core task that is launched close to an edge of compute work may be
        expected on its other side; it stays where it is in the program, at that edge. None if
        the numbers of intervals differ.
        """
        runs = [to_ns(t) for pair in busy.compute for t in pair]
        launches = [to_ns(start) for start, _ in busy.background]
        if len(runs) != 2 * (int(self.arg[self.code == RUN].max(initial=-1)) + 1):
            return None
        if len(launches) != self.core.size:
            return None
        # When each operation is expected to end, from the last to the first: a stretch of work or
        # of waiting ends with its interval or gap, or, where it is cut, at the launch behind it.
        ends = np.zeros(self.code.size, np.int64)
        next_start = launch = to_ns(busy.iteration)
        behind = (END, -1)
        for o in range(self.code.size - 1, -1, -1):
            op, i = int(self.code[o]), int(self.arg[o])
            if op == LAUNCH:
                launch = launches[i]
            elif op in (RUN, WAIT):
                edge = runs[2 * i + 1] if op == RUN else next_start
                ends[o] = min(launch, edge) if behind == (op, i) else edge
                behind = (op, i)
                if op == RUN:
                    next_start = runs[2 * i]
        timed = np.isin(self.code, (RUN, WAIT))
        duration = np.zeros_like(self.duration)
        duration[timed] = np.diff(np.maximum.accumulate(ends[timed]), prepend=0)
        core = np.array([to_ns(end) - to_ns(start) for start, end in busy.background], np.int64)
        return Program(self.code, self.arg, duration, core)

    @property
    def tail(self) -> npt.NDArray[np.bool_]:
        """For each operation, whether no RUN follows it and it is none itself."""
        runs = self.code == RUN
        return np.logical_not(np.cumsum(runs[::-1])[::-1] > 0)

    def recorded(self, duration: Ints, core: Ints) -> Recorded:
        """The iteration as a recorder would see it, had it taken these durations undisturbed."""
        compute: list[Span] = []
        launched: list[Span] = []
        now = 0
        free = 0
        last = -1
        for op, i, d in zip(self.code, self.arg, duration, strict=True):
            if op == RUN:
                start = compute.pop().start if i == last else from_ns(now)
                compute.append(Span(f"compute {i}", start, from_ns(now + int(d))))
                last = int(i)
            elif op == LAUNCH:
                start_ns = max(free, now)
                free = start_ns + int(core[i])
                launched.append(Span(f"core {i}", from_ns(start_ns), from_ns(free)))
            elif op == NEED:
                # The simulation waits for this core task; FIFO, so those before it are done.
                now = max(now, to_ns(launched[int(i)].end))
            now += int(d)
        return Recorded(tuple(compute), tuple(launched), from_ns(max(now, free)))


@dataclass(frozen=True)
class Distances:
    """How far ahead, from the start of each operation, things are expected (ns; INF: unknown).

    Attributes
    ----------
    window : ndarray, shape (operations,)
        To the next RUN, or the end.
    core : ndarray, shape (operations,)
        To the next LAUNCH, INF where none follows in this iteration.
    end : ndarray, shape (operations,)
        To the end of the iteration.
    first : int
        From the start of an iteration to its first LAUNCH, INF without one.
    """

    window: Ints
    core: Ints
    end: Ints
    first: int

    @classmethod
    def of(cls, program: Program, shrink: float = 0.0) -> Distances:
        """From a program with the expected durations; every distance is shortened by `shrink`."""
        n = program.code.size
        window = np.zeros(n, np.int64)
        core = np.full(n, INF, np.int64)
        end = np.zeros(n, np.int64)
        for o in range(n - 2, -1, -1):
            d = int(program.duration[o])
            window[o] = 0 if program.code[o] == RUN else window[o + 1] + d
            end[o] = end[o + 1] + d
            if program.code[o] == LAUNCH:
                core[o] = 0
            elif core[o + 1] < INF:
                core[o] = core[o + 1] + d
        keep = 1.0 - shrink

        def shortened(x: Ints) -> Ints:
            return np.where(x >= INF, x, np.floor(x * keep).astype(np.int64))

        if shrink > 0.0:
            window, core, end = shortened(window), shortened(core), shortened(end)
        return cls(window, core, end, int(core[0]))

    @classmethod
    def unknown(cls, operations: int) -> Distances:
        """No gating assumptions: nothing is expected to come, windows never to close."""
        far = np.full(operations, INF, np.int64)
        return cls(far, far.copy(), far.copy(), INF)
