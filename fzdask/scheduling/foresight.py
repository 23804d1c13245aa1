"""What a replay may know in advance: forecasts of programs and jobs, and the orders they give."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from fzdask.scheduling.crew import Crew, Dump, Execution
from fzdask.scheduling.model import Busy, Job, from_ns, to_ns
from fzdask.scheduling.ordering import order_jobs
from fzdask.scheduling.predict import Margins, Predictor
from fzdask.scheduling.program import Distances, Program
from fzdask.scheduling.replay import Ordering
from fzdask.scheduling.rivals import Policy

__all__ = ["Foresight", "Knowledge"]

Ints = npt.NDArray[np.int64]
Knowledge = Literal["learned", "nominal", "exact"]

_NONE = Margins(0.0, 0.0, 0.0)


class Foresight:
    """Forecasts for every class of workers, and the plans made from them.

    Parameters
    ----------
    crew : Crew
        Workers and jobs.
    policy : Policy
        Whose orders are wanted.
    knowledge : {"learned", "nominal", "exact"}
        Forecasts by a `Predictor` per class, fed with what its replicas took on average; the
        durations without noise; or what really comes (on average over the replicas).
    margins : Margins, optional
        Fixed safety margins; default: chosen by the predictor, none otherwise.
    budget : float
        Of `plan`, in nominal seconds per snapshot and class.
    """

    def __init__(
        self,
        crew: Crew,
        policy: Policy,
        knowledge: Knowledge,
        margins: Margins | None,
        budget: float,
    ) -> None:
        self._crew = crew
        self._policy = policy
        self._knowledge = knowledge
        self._margins = margins
        self._budget = budget
        self.predictors = tuple(Predictor() for _ in crew.workers)
        self._cache: dict[tuple[object, ...], tuple[Ints, Ints, Ints, Ints]] = {}
        self.gated = [True] * crew.classes
        self.learns = knowledge == "learned"

    # -- learning ---------------------------------------------------------------------------

    def see_iteration(self, execution: Execution) -> None:
        """Record an iteration (averaged over the replicas of each class)."""
        if self._knowledge != "learned":
            return
        n = self._crew.classes
        for c, (program, predictor) in enumerate(
            zip(execution.programs, self.predictors, strict=True)
        ):
            duration = np.rint(execution.duration[c::n].mean(axis=0)).astype(np.int64)
            core = np.rint(execution.core[c::n].mean(axis=0)).astype(np.int64)
            predictor.record_iteration(
                program.recorded(duration[: program.code.size], core[: program.core.size])
            )

    def see_dump(self, dump: Dump, took: Ints) -> None:
        """Record the blocks of a completed snapshot (averaged over the replicas)."""
        if self._knowledge != "learned":
            return
        n = self._crew.classes
        for c, (jobs, predictor) in enumerate(zip(self._crew.jobs, self.predictors, strict=True)):
            compress = dump.compress[c::n].mean(axis=0) * 1e-9
            write = took[c::n].mean(axis=0) * 1e-9
            nbytes = dump.nbytes[c::n].mean(axis=0)
            for k, job in enumerate(jobs):
                predictor.record_block(
                    job.name,
                    field=job.field,
                    raw_nbytes=job.nbytes,
                    compress=float(compress[k]),
                    nbytes=round(float(nbytes[k])),
                    write=float(write[k]),
                )

    # -- forecasting ------------------------------------------------------------------------

    def ahead(
        self, execution: Execution, nominal: Sequence[Busy], dump: Dump, plain: Dump
    ) -> tuple[list[Ordering], list[Distances]]:
        """Orders and expected distances for the coming iteration.

        Parameters
        ----------
        execution, dump
            What will really come; looked at for "exact", and for the operations to gate.
        nominal, plain
            The same without noise.
        """
        orderings, distances = [], []
        n = self._crew.classes
        for c, program in enumerate(execution.programs):
            margins = self._margins or _NONE
            busy = nominal[c]
            expected: Program | None = program
            self.gated[c] = True
            source = dump if self._knowledge == "exact" else plain
            compress = np.rint(source.compress[c::n].mean(axis=0)).astype(np.int64)
            write = np.rint(source.write[c::n].mean(axis=0)).astype(np.int64)
            if self._knowledge == "exact":
                expected = _mean_program(execution, c, n)
                busy = expected.recorded(expected.duration, expected.core).busy
            elif self._knowledge == "learned":
                forecast = self.predictors[c].forecast()
                margins = self._margins or forecast.margins
                self.gated[c] = forecast.gated
                busy = forecast.busy
                expected = program.timed_by(busy) if forecast.gated else None
                compress, write = self._learned_durations(c, compress, write)
            if expected is None:
                self.gated[c] = False
                distances.append(Distances.unknown(program.code.size))
            else:
                distances.append(Distances.of(expected, margins.window))
            orderings.append(self._order(c, busy, compress, write, margins))
        return orderings, distances

    def _learned_durations(self, c: int, compress: Ints, write: Ints) -> tuple[Ints, Ints]:
        compress, write = np.zeros_like(compress), np.zeros_like(write)
        for k, job in enumerate(self._crew.jobs[c]):
            found = self.predictors[c].predict_block(job.name, job.nbytes, job.field)
            if found is not None:
                compress[k], write[k] = to_ns(found.compress), to_ns(found.write)
        return compress, write

    def _order(self, c: int, busy: Busy, compress: Ints, write: Ints, margins: Margins) -> Ordering:
        jobs = self._crew.jobs[c]
        n = len(jobs)
        compress, write = compress[:n], write[:n]
        # Replicas and noise-free iterations ask for the same plan again and again.
        key = (c, busy, compress.tobytes(), write.tobytes())
        if self._margins is None and self.learns:
            margins = margins.pressed(*_loads(busy, compress, write))
        found = self._cache.get(key)
        if found is None:
            expected = [
                Job(j.name, from_ns(int(a)), from_ns(int(b)), j.release, j.field)
                for j, a, b in zip(jobs, compress, write, strict=True)
            ]
            found = order_jobs(self._policy.order, expected, busy, self._budget)
            self._cache.clear() if len(self._cache) > 64 else None
            self._cache[key] = found
        return Ordering(
            *found,
            np.ceil(compress * (1.0 + margins.compress)).astype(np.int64),
            np.ceil(write * (1.0 + margins.write)).astype(np.int64),
        )


def _loads(busy: Busy, compress: Ints, write: Ints) -> tuple[float, float]:
    """Work of a snapshot over the idle time of an iteration, for the two threads."""
    loads = []
    for taken, work in ((busy.compute, compress), (busy.background, write)):
        idle = to_ns(busy.iteration) - sum(to_ns(b) - to_ns(a) for a, b in taken)
        loads.append(int(work.sum()) / idle if idle > 0 else np.inf)
    return loads[0], loads[1]


def _mean_program(execution: Execution, c: int, classes: int) -> Program:
    p = execution.programs[c]
    duration = np.rint(execution.duration[c::classes].mean(axis=0)).astype(np.int64)
    core = np.rint(execution.core[c::classes].mean(axis=0)).astype(np.int64)
    return Program(p.code, p.arg, duration[: p.code.size], core[: p.core.size])
