"""The planner's benchmarks run, and the random families are what they say."""

from __future__ import annotations

import inspect
import itertools
import sys
from pathlib import Path

import numpy as np
import pytest

from fzdask.scheduling.families import FAMILIES

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from benchmarks import bench_planner, planner_quality  # noqa: E402

SMALL = {
    "Growth": [(30,)],
    "Greedy": [(6,)],
    "Crew": [(2, "apart"), (2, "node"), (2, "all")],
    "Quality": [(12, "johnson+backfill")],
}
CASES = [c for _, c in inspect.getmembers(bench_planner, inspect.isclass) if hasattr(c, "params")]


def test_every_class_of_the_suite_is_tried():
    assert {case.__name__ for case in CASES} == set(SMALL)
    for case in CASES:
        axes = case.params if isinstance(case.params[0], list | tuple) else (case.params,)
        assert len(axes) == len(case.param_names)
        assert len([*itertools.product(*axes)]) > 1


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_the_suite_runs(case):
    for values in SMALL[case.__name__]:
        bench = case()
        bench.setup(*values)
        for name, method in inspect.getmembers(bench, inspect.ismethod):
            if name.startswith("track_"):
                assert np.isfinite(method(*values))
                assert method.__func__.unit
            elif name.startswith(("time_", "peakmem_")):
                method(*values)


def test_the_quality_table_is_printed_and_says_whether_targets_are_met(capsys):
    met = planner_quality.main(
        ["--instances", "1", "--jobs", "12", "--optimum-jobs", "4", "--family", "mixed"]
    )
    out = capsys.readouterr().out
    assert met in (0, 1)
    assert out.rstrip().endswith("MISSED" if met else "met")
    rows = [line for line in out.splitlines() if line.startswith("| 12 |")]
    assert len(rows) == 3
    bound, gap = (float(x) for x in rows[0].split("|")[-5:-3])
    assert gap >= 0.0
    assert bound >= 0.0


@pytest.mark.parametrize("name", FAMILIES)
def test_families_have_the_load_and_the_busy_share_that_they_say(name):
    family = FAMILIES[name]
    rng = np.random.default_rng(1)
    for _ in range(10):
        jobs, busy = family.draw(rng, 30, (0.8, 1.0))
        assert busy.iteration == 1.0
        for intervals, count, share, key in (
            (busy.compute, family.compute_intervals, family.compute_busy, "compress"),
            (busy.background, family.background_intervals, family.background_busy, "write"),
        ):
            assert len(intervals) <= count
            taken = sum(end - start for start, end in intervals)
            assert share[0] - 1e-9 <= taken <= share[1] + 1e-9
            load = sum(getattr(job, key) for job in jobs) / (1.0 - taken)
            assert 0.8 - 1e-9 <= load <= 1.0 + 1e-9
        assert len({job.field for job in jobs}) == max(1, family.fields)
