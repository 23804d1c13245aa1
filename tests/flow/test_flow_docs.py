"""The page on the task flow runs, and so do the benchmarks behind it."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "flow.md"


def test_the_page_runs(capsys):
    matplotlib = pytest.importorskip("matplotlib", reason="the extra 'plot' is not installed")
    matplotlib.use("Agg")
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    assert len(blocks) == 5
    names: dict = {}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)
    assert capsys.readouterr().out.startswith("Timeline(")
    matplotlib.pyplot.close("all")


def test_the_pictures_of_the_page_are_there():
    pictures = re.findall(r"!\[.*?\]\((.*?)\)", PAGE.read_text("utf-8"))
    assert pictures == ["images/flow_batch.png", "images/flow_device.png"]
    for picture in pictures:
        assert (PAGE.parent / picture).read_bytes()[1:4] == b"PNG"


def test_pictures_are_made_by_their_script(tmp_path, monkeypatch, capsys):
    pytest.importorskip("matplotlib", reason="the extra 'plot' is not installed")
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks import flow_pictures

    monkeypatch.setattr(flow_pictures, "CHUNK_VALUES", 1 << 12)
    monkeypatch.setattr(flow_pictures, "RUNS", 1)
    monkeypatch.setattr(flow_pictures, "TIMES", dict.fromkeys(flow_pictures.TIMES, 0.1))
    monkeypatch.setattr("sys.argv", ["flow_pictures", str(tmp_path)])
    assert flow_pictures.main() == 0
    assert {path.name for path in tmp_path.iterdir()} == {"flow_batch.png", "flow_device.png"}
    assert "compact outliers" in capsys.readouterr().out


def test_the_ways_of_the_benchmark_give_equal_streams(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks import bench_flow

    chunks = np.array_split(np.linspace(0, 9, 3000, dtype="f4"), 3)
    streams = [encode_all(chunks) for encode_all in bench_flow.WAYS.values()]
    assert streams[0] == streams[1] == streams[2]
    monkeypatch.setattr(bench_flow, "TASKS", 70)
    suite = bench_flow.Tasks()
    suite.setup()
    suite.time_host()
    suite.time_device()
    suite.teardown()
