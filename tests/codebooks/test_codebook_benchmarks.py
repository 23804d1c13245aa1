"""The benchmarks of codebooks run, at tiny size, and give figures that can be."""

from __future__ import annotations

import itertools
import json
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from benchmarks import bench_codebooks  # noqa: E402
from benchmarks import codebooks as command  # noqa: E402


@pytest.mark.parametrize("name", ["EncodeChunks", "MakeCodebook"])
def test_asv_suite_runs(name, monkeypatch):
    monkeypatch.setattr(bench_codebooks, "MOST_NBYTES", 1 << 14)
    suite = getattr(bench_codebooks, name)
    methods = [m for m in dir(suite) if m.startswith(("time_", "track_"))]
    assert any(m.startswith("time_") for m in methods)
    for chosen in itertools.product(*suite.params):
        benchmark = suite()
        benchmark.setup(*chosen)
        for method in methods:
            result = getattr(benchmark, method)(*chosen)
            assert method.startswith("time_") or result > 0


def test_chunks_cover_the_array_once():
    array = np.arange(32 * 64 * 128, dtype="f4").reshape(32, 64, 128)
    chunks = command.chunks_of(array, 1 << 16, 1000)
    assert {c.nbytes for c in chunks} == {1 << 16}
    assert sorted(np.concatenate([c.ravel() for c in chunks])) == list(range(array.size))


def test_command_on_generated_fields(tmp_path, capsys):
    out = tmp_path / "figures.json"
    arguments = ["--values", "30000", "--chunks", "2", "--repeat", "1", "--no-pin"]
    assert command.main([*arguments, "--json", str(out)]) == 0
    figures = json.loads(out.read_text())
    assert len(figures["chunks"]) >= 5
    for row in figures["chunks"]:
        assert set(row["nbytes"]) == set(row["microseconds"]) == {"own", "shared", "fitted"}
        assert min(row["nbytes"].values()) > 0
    assert figures["series"][0]["field"] == "turbulence_t6"
    assert all(0 < row["nbytes"] < 938 for row in figures["books"])
    assert "geometric mean" in capsys.readouterr().out
