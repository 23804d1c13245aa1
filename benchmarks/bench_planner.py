"""asv suite of the planner: cost from 10^2 to 10^6 jobs, and how good its plans are.

    asv run --quick -E existing --bench bench_planner

``python -m benchmarks.bench_planner`` prints the growth of the cost as a table instead, in
processor time, so that other work on the machine matters less. There is one busy interval on
each thread for every ten jobs.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from fzdask.scheduling.backfill import backfilled_johnson
from fzdask.scheduling.bound import lower_bound
from fzdask.scheduling.families import FAMILIES
from fzdask.scheduling.instance import Instance
from fzdask.scheduling.listing import extended_johnson, one_list_greedy, two_list_greedy
from fzdask.scheduling.model import Job, Storage, Worker
from fzdask.scheduling.planner import plan

SIZES = (10**2, 10**3, 10**4, 10**5, 10**6)
LOAD = (0.8, 0.95)


def draw(jobs: int):
    """Jobs and busy intervals of an iteration with a busy interval for every ten jobs."""
    intervals = max(1, jobs // 10)
    family = replace(FAMILIES["mixed"], compute_intervals=intervals, background_intervals=intervals)
    return family.draw(np.random.default_rng(jobs), jobs, LOAD)


class Growth:
    """Time of each step of a plan over the number of jobs."""

    params = SIZES
    param_names = ("jobs",)
    timeout = 300

    def setup(self, jobs):
        extended_johnson(Instance.from_jobs(*draw(10)))  # compile
        backfilled_johnson(Instance.from_jobs(*draw(10)))
        backfilled_johnson(Instance.from_jobs(*draw(6000)))
        self.jobs, self.busy = draw(jobs)
        self.instance = Instance.from_jobs(self.jobs, self.busy)

    def time_to_arrays(self, jobs):
        Instance.from_jobs(self.jobs, self.busy)

    def time_johnson(self, jobs):
        extended_johnson(self.instance)

    def time_johnson_and_backfill(self, jobs):
        backfilled_johnson(self.instance)

    def time_lower_bound(self, jobs):
        lower_bound(self.instance)

    def time_plan_johnson_and_backfill(self, jobs):
        plan(self.jobs, self.busy, "johnson+backfill")

    def time_plan_auto(self, jobs):
        plan(self.jobs, self.busy)

    def peakmem_plan_auto(self, jobs):
        plan(self.jobs, self.busy)


class Greedy:
    """The greedy lists, whose cost grows with the third and the fourth power."""

    params = (10, 20, 40)
    param_names = ("jobs",)

    def setup(self, jobs):
        rng = np.random.default_rng(jobs)
        self.instance = Instance.from_jobs(*FAMILIES["mixed"].draw(rng, jobs, LOAD))
        one_list_greedy(self.instance)
        two_list_greedy(self.instance)

    def time_one_list(self, jobs):
        one_list_greedy(self.instance)

    def time_two_list(self, jobs):
        two_list_greedy(self.instance)


class Crew:
    """Plans for several workers, alone and with a shared storage."""

    params = ([4, 16, 64], ["apart", "node", "all"])
    param_names = ("workers", "storage")

    def setup(self, workers, storage):
        rng = np.random.default_rng(workers)
        self.workers, self.jobs = [], []
        for w in range(workers):
            mine, busy = FAMILIES["fields"].draw(rng, 24, (0.7, 0.85))
            node = f"n{w // 4}"
            self.workers.append(Worker(f"w{w}", busy, node))
            self.jobs += [
                Job(f"{w}/{j.name}", j.compress, j.write, nbytes=int(j.write * 1e9), node=node)
                for j in mine
            ]
        bandwidth = {"apart": None, "node": Storage(3e9, "node"), "all": Storage(75e7 * workers)}
        self.storage = bandwidth[storage]
        plan(self.jobs[:2], self.workers, storage=self.storage)

    def time_plan(self, workers, storage):
        plan(self.jobs, self.workers, storage=self.storage)

    def track_makespan(self, workers, storage):
        return plan(self.jobs, self.workers, storage=self.storage).makespan

    track_makespan.unit = "seconds of an iteration of 1 s"


class Quality:
    """Overhead above the lower bound on the quoted family, at a load of 0.8 to 1."""

    params = ([12, 24, 48, 96, 400], ["johnson", "johnson+backfill", "auto"])
    param_names = ("jobs", "method")

    def setup(self, jobs, method):
        rng = np.random.default_rng([7, jobs])
        self.drawn = [FAMILIES["mixed"].draw(rng, jobs, (0.8, 1.0)) for _ in range(20)]

    def track_overhead_above_bound(self, jobs, method):
        plans = [plan(*drawn, method) for drawn in self.drawn]
        return 100.0 * float(np.mean([p.overhead - p.overhead_bound for p in plans]))

    track_overhead_above_bound.unit = "percent of an iteration"


def _seconds(call: Callable[[int], object], jobs: int) -> float:
    best = np.inf
    for _ in range(5 if jobs < 10**5 else 3 if jobs < 10**6 else 1):
        begun = time.process_time()
        call(jobs)
        best = min(best, time.process_time() - begun)
    return float(best)


def main() -> int:
    steps = {
        "to arrays": "time_to_arrays",
        "Johnson": "time_johnson",
        "Johnson + backfill": "time_johnson_and_backfill",
        "lower bound": "time_lower_bound",
        "plan(johnson+backfill)": "time_plan_johnson_and_backfill",
        "plan(auto)": "time_plan_auto",
    }
    print("milliseconds of processor time, best of five (10^5: three, 10^6: one);")
    print("busy intervals of each thread: a tenth of the jobs\n")
    print("| jobs | " + " | ".join(steps) + " |")
    print("|" + " ---: |" * (len(steps) + 1))
    for jobs in SIZES:
        case = Growth()
        case.setup(jobs)
        times = [1e3 * _seconds(getattr(case, name), jobs) for name in steps.values()]
        print(f"| {jobs:,} | " + " | ".join(f"{t:.3g}" for t in times) + " |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
