"""The comparison of ways to dump runs, at small size, and says what was reached."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture
def overhead(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    yield importlib.import_module("insitu_overhead")
    for name in ("insitu_overhead", "insitu_rivals"):
        sys.modules.pop(name, None)


def test_a_small_comparison(
    overhead: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Any
) -> None:
    picture = tmp_path / "overhead.png"
    arguments = ["insitu_overhead.py", "--small", "--out", str(picture)]
    monkeypatch.setattr(sys, "argv", arguments)
    overhead.main()
    printed = capsys.readouterr().out
    assert printed.count("synchronous, compressed") == 2
    assert "stand-in, loads 0.8 / 0.7: 4 blocks" in printed
    assert "FZCodec, loads 0.8 / 0.7" in printed
    assert picture.stat().st_size > 10_000


def test_loads_are_what_they_say(overhead: Any) -> None:
    rivals = importlib.import_module("insitu_rivals")
    case = rivals.Case.make(0.4, (0.95, 0.8), 24)
    np.testing.assert_allclose(case.compute.sum() + case.wait.sum(), 0.4)
    np.testing.assert_allclose(case.compress.sum() / case.wait.sum(), 0.95)
    np.testing.assert_allclose(case.write.sum() / (0.4 - case.core.sum()), 0.8)
    seconds, nbytes = 1e-3 * np.array([0.9, 1.0, 1.1, 1.3]), 1e5 * np.array([0.5, 1, 2, 3])
    work = rivals.Workload(np.zeros((4, *rivals.SHAPE), "f4"), seconds, nbytes)
    real = work.case(case)
    np.testing.assert_allclose(real.compress.sum() / real.wait.sum(), 0.95, rtol=0.02)
    np.testing.assert_allclose(real.write.sum() / (0.4 - real.core.sum()), 0.8)
    assert sum(a.nbytes for a in work.fields(real).values()) == len(real.compress) * rivals.BLOCK


@pytest.mark.parametrize(
    ("writer", "compute", "missed"), [(0.01, 0.0, 0), (0.03, 0.0, 1), (0.05, 0.04, 3)]
)
def test_what_was_wanted_is_told_from_what_was_reached(
    overhead: Any, writer: float, compute: float, missed: int
) -> None:
    rows = {
        name: {"overhead": share, "compute": compute}
        for name, share in (("sync", 0.9), ("async-raw", 0.3), ("idle", 0.04),
                            ("backfill", 0.05), ("fzdask", writer))
    }  # fmt: skip
    cell = overhead.Cell("FZCodec", (0.8, 0.7))
    lines = list(overhead.verdicts(cell, rows))
    assert len(lines) == 5
    assert sum("MISSED" in line for line in lines) == missed
    assert "18.0 times below synchronous, compressed (wanted 15)" in lines[0]
