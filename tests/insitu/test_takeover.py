"""Two runs on one store: the last one that opened it goes on, the other one is told."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engine_cases import wait_until
from writer_cases import opened
from zarr.storage import LocalStore, MemoryStore, WrapperStore

from fzdask import InSituWriter
from fzdask.insitu import InSituError

RAW: dict[str, Any] = {"t": {"compressors": None, "chunks": (4, 4)}}
MATCH = "one writer"


def values(step: int) -> np.ndarray:
    return np.arange(64.0).reshape(8, 8) + 100 * step


@pytest.fixture(params=["directory", "wrapped directory", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Any]:
    """The same place, opened anew with each call."""
    if request.param == "directory":
        return lambda: tmp_path / "run.zarr"
    if request.param == "wrapped directory":
        return lambda: WrapperStore(LocalStore(tmp_path / "run.zarr"))
    memory: dict[str, Any] = {}
    return lambda: MemoryStore(memory)


def test_a_second_writer_takes_the_store_over(store: Callable[[], Any]) -> None:
    """Without a word of it the first would show steps whose blocks the second has deleted."""
    first = InSituWriter(store(), RAW, windows="marked", max_outstanding=4)
    first.write(0, {"t": values(0)})
    first.flush()
    first.write(1, {"t": values(-1)})  # handed over, not yet compressed
    second = InSituWriter(store(), RAW, windows="always")
    assert second.resumed_at == 0
    second.write(1, {"t": values(1)})
    second.flush()
    with pytest.raises(InSituError, match="step 1") as caught:
        first.flush()
    assert MATCH in str(caught.value.__cause__)
    with pytest.raises(InSituError):
        first.close()
    second.write(2, {"t": values(2)})
    second.close()
    ds = opened(store())
    np.testing.assert_array_equal(ds.step, range(3))
    for step in (0, 2):
        np.testing.assert_array_equal(ds.t[step], values(step))
    if isinstance(store(), Path):  # there blocks are held back, too
        np.testing.assert_array_equal(ds.t[1], values(1))


def test_a_store_that_is_deleted_meanwhile(tmp_path: Path) -> None:
    path = tmp_path / "run.zarr"
    w = InSituWriter(path, RAW, windows="marked")
    w.write(0, {"t": values(0)})
    w.flush()
    shutil.rmtree(path)
    w.write(1, {"t": values(1)})
    with pytest.raises(InSituError, match="step 1") as caught:
        w.flush()
    assert "is gone" in str(caught.value.__cause__)
    assert not path.exists()
    w.close(cancel=True)


def test_attributes_that_others_add_are_no_takeover(tmp_path: Path) -> None:
    """Only another writer is: whoever edits the root's metadata does no harm."""
    import zarr

    path = tmp_path / "run.zarr"
    with InSituWriter(path, RAW, windows="always") as w:
        w.write(0, {"t": values(0)})
        w.flush()
        zarr.open_group(path).attrs["note"] = "looked at"
        w.write(1, {"t": values(1)})
    assert opened(path).sizes["step"] == 2


def test_ranks_of_an_earlier_run_store_nothing_more(tmp_path: Path) -> None:
    """A rank that was left over would overwrite its part of a step of the next run."""
    path = tmp_path / "run.zarr"

    def rank(number: int, run_id: str) -> InSituWriter:
        part = {"t": {**RAW["t"], "shape": (8, 8), "start": (4 * number, 0)}}
        return InSituWriter(path, part, rank=number, size=2, run_id=run_id, windows="always")

    lost = [rank(0, "one"), rank(1, "one")]
    lost[0].close(cancel=True)
    new = [rank(0, "two"), rank(1, "two")]
    for number, w in enumerate(new):
        w.write(0, {"t": values(0)[4 * number :][:4]})
    new[1].flush()
    new[0].flush()
    lost[1].write(0, {"t": values(9)[4:]})
    wait_until(lambda: lost[1].statistics["outstanding"] == 0)
    with pytest.raises(InSituError) as caught:
        lost[1].flush()
    assert MATCH in str(caught.value.__cause__)
    with pytest.raises(InSituError):
        lost[1].close()
    for w in reversed(new):
        w.close()
    np.testing.assert_array_equal(opened(path).t[0], values(0))
