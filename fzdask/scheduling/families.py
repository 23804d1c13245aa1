"""Random iterations on which planners are compared; docs/planner.md says why these.

All have a length of one second. A family fixes how fragmented and how busy the two threads are
and how unequal the jobs; the load is the ratio of the jobs' time to the free time of a thread.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fzdask.scheduling.model import Busy, Interval, Job

__all__ = ["FAMILIES", "Family"]


@dataclass(frozen=True, slots=True)
class Family:
    """A distribution of iterations.

    Attributes
    ----------
    compute_intervals, background_intervals : int
        Number of busy intervals of each thread. Their lengths, and those of the gaps before,
        between and after them, are Dirichlet distributed with parameters 2 and 1.5.
    compute_busy, background_busy : tuple of float
        Range of the share of the second that each thread is busy, uniform.
    spread : float
        Standard deviation of the logarithm of the durations: 0.6 makes one job in six nearly
        twice as long as the median.
    fields : int
        0: all durations are independent. Otherwise the jobs are equal blocks of that many
        fields: compression times vary by 10 %, write times by field (the spread) and by block
        (a third of it).
    """

    compute_intervals: int = 8
    background_intervals: int = 4
    compute_busy: tuple[float, float] = (0.4, 0.7)
    background_busy: tuple[float, float] = (0.1, 0.4)
    spread: float = 0.6
    fields: int = 0

    def draw(
        self, rng: np.random.Generator, jobs: int, load: tuple[float, float]
    ) -> tuple[list[Job], Busy]:
        """One iteration: `jobs` jobs, each thread loaded within `load` (drawn independently)."""
        busy1 = rng.uniform(*self.compute_busy)
        busy2 = rng.uniform(*self.background_busy)
        load1 = rng.uniform(*load)
        load2 = rng.uniform(*load)
        intervals1 = _intervals(rng, self.compute_intervals, busy1)
        intervals2 = _intervals(rng, self.background_intervals, busy2)
        if self.fields:
            field = np.arange(jobs) % self.fields
            compress = rng.lognormal(0.0, 0.1, jobs)
            write = rng.lognormal(0.0, self.spread, self.fields)[field]
            write = write * rng.lognormal(0.0, self.spread / 3.0, jobs)
        else:
            field = np.zeros(jobs, np.int64)
            compress = rng.lognormal(0.0, self.spread, jobs)
            write = rng.lognormal(0.0, self.spread, jobs)
        compress *= load1 * (1.0 - busy1) / compress.sum()
        write *= load2 * (1.0 - busy2) / write.sum()
        return (
            [
                Job(f"field {f}/{i}", float(a), float(b), field=f"field {f}")
                for i, (f, a, b) in enumerate(zip(field, compress, write, strict=True))
            ],
            Busy(intervals1, intervals2, length=1.0),
        )


def _intervals(rng: np.random.Generator, count: int, share: float) -> tuple[Interval, ...]:
    lengths = rng.dirichlet(np.full(count, 2.0)) * share
    gaps = rng.dirichlet(np.full(count + 1, 1.5)) * (1.0 - share)
    ends = np.cumsum(lengths + gaps[:-1])
    # Rounding may carry a sum of shares past the end of the second.
    ends = np.minimum(ends, 1.0)
    starts = np.minimum(np.maximum(ends - lengths, np.append(0.0, ends[:-1])), ends)
    return tuple(zip(starts.tolist(), ends.tolist(), strict=True))


FAMILIES = {
    "mixed": Family(),
    "fields": Family(fields=6),
    "unequal": Family(spread=1.0),
    "fragmented": Family(compute_intervals=40, background_intervals=20),
    "coarse": Family(compute_intervals=3, background_intervals=2),
}
"""Families by name. "mixed" is the one that figures are quoted for; "fields" has the six fields
of a Nyx snapshot in equal blocks, "unequal" a heavy tail of long jobs, "fragmented" short holes,
"coarse" few long ones."""
