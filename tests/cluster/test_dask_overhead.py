"""The benchmark of dumps on a Dask worker: its cases, and what it says of its rows."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("distributed")

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from benchmarks import dask_overhead  # noqa: E402


def test_loads_are_what_they_say() -> None:
    case = dask_overhead.Case(0.4, (0.95, 0.8), 24)
    computing, waiting, compressing, writing = (sum(x) for x in case.lists)
    np.testing.assert_allclose(computing + waiting, 0.4)
    np.testing.assert_allclose(compressing / waiting, 0.95)
    np.testing.assert_allclose(writing / 0.4, 0.8)
    # One thread does one thing after the other.
    np.testing.assert_allclose(case.simulated("plain", 6), (compressing + writing) / 0.4, rtol=0.01)
    assert case.simulated("fzdask", 12) < 0.03


@pytest.mark.parametrize(
    ("overhead", "plain", "word"),
    [
        (0.019, 0.6, "reached"),
        (0.021, 0.6, "MISSED"),
        (0.019, 0.4, "MISSED"),
        (-0.01, 0.4, "reach"),
    ],
)
def test_what_was_wanted_is_told_from_what_was_reached(
    overhead: float, plain: float, word: str, tmp_path: Path
) -> None:
    load = (0.8, 0.7)
    rows: list[Any] = [
        (load, "none", 0.4, 0.0, 0.01, 0.0),
        (load, "plain", 0.64, plain, 0.01, 1.1),
        (load, "fzdask", 0.41, overhead, 0.01, 0.0),
    ]
    lines = list(dask_overhead.report(rows))
    assert len(lines) == 1 + len(rows) + 1
    assert word in lines[-1]
    dask_overhead.picture(rows, tmp_path / "dask.png")
    assert (tmp_path / "dask.png").stat().st_size > 5_000


@pytest.mark.slow
def test_it_measures() -> None:
    case = dask_overhead.Case(0.05, (0.5, 0.5), 4)
    for way in dask_overhead.TITLES:
        lengths = dask_overhead.run(way, case.lists, 3, True)
        assert lengths.shape == (3,)
        assert (lengths > 0.05).all()
    found = dask_overhead.machinery(12)
    assert 0.0 < found["submitted"] < found["stored"]
    assert found["processor"] > 0.0
