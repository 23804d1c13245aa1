"""The asv suite runs, at tiny size, and tracks what it says."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from benchmarks import bench_insitu  # noqa: E402


def test_the_machinery_suites_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_insitu, "BLOCKS", 8)
    suite = bench_insitu.EngineMachinery()
    suite.setup()
    suite.time_snapshot()
    suite.time_window()
    assert suite.track_processor_us_per_block() > 0.0
    assert suite.engine.statistics["blocks stored"] == 8 * (3 + 1 + 10)
    suite.teardown()
    writer = bench_insitu.WriterMachinery()
    writer.setup(4)
    assert writer.track_processor_us_per_block(4) > 0.0
    assert writer.writer.statistics["snapshots stored"] == writer.step
    writer.teardown(4)


def test_the_suite_of_copies_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_insitu.Copies, "blocks", 2)
    for copy in (True, "late", False):
        suite = bench_insitu.Copies()
        suite.setup(copy)
        assert suite.track_us_per_mebibyte(copy) > 0.0
        assert suite.writer.statistics["snapshots stored"] == suite.step
        assert suite.writer.statistics["blocks copied late"] == 0
        assert (suite.writer.statistics["pool bytes"] > 0) == (copy is True)
        suite.teardown(copy)


def test_the_suite_of_block_sizes_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_insitu.BlockSize, "field_nbytes", 1 << 16)
    suite = bench_insitu.BlockSize()
    suite.setup(1 << 14)
    lengths, nbytes = suite.slices()
    assert len(lengths) >= 4 * len(suite.blocks) == 16
    # Blocks share codebooks, and which they take depends on those before.
    assert suite.track_ratio(1 << 14) == pytest.approx((1 << 16) / nbytes, rel=0.01)
    assert suite.track_slice_ms(1 << 14) > 0.0
    assert suite.track_gb_per_s(1 << 14) > 0.0
