"""Draw the plan shown in docs/planner.md: ``python -m benchmarks.planner_picture FILE.png``."""

from __future__ import annotations

import sys

import numpy as np

from fzdask.scheduling.families import FAMILIES
from fzdask.scheduling.gantt import plot_gantt
from fzdask.scheduling.model import Job
from fzdask.scheduling.planner import Plan, plan

NYX = (
    "baryon density",
    "dark matter density",
    "temperature",
    "velocity x",
    "velocity y",
    "velocity z",
)


def example() -> Plan:
    """24 blocks of six fields, at a load that cannot be hidden completely."""
    jobs, busy = FAMILIES["fields"].draw(np.random.default_rng(17), 24, (0.95, 1.0))
    named = [
        Job(f"{NYX[i % 6]}/{i // 6}", job.compress, job.write, field=NYX[i % 6])
        for i, job in enumerate(jobs)
    ]
    return plan(named, busy)


def main() -> int:
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    import matplotlib

    matplotlib.use("Agg")
    plot_gantt(example()).figure.savefig(sys.argv[1], dpi=110)
    return 0


if __name__ == "__main__":
    sys.exit(main())
