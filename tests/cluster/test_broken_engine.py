"""A thread of a worker's engine dies: the error is told, and the worker goes on with another."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from cluster_cases import PATIENCE, STORED, addresses, engine_of, eventually, make, plugin_of
from distributed.core import error_message

from fzdask.cluster import ClusterWriter, statistics, submit_snapshot
from fzdask.insitu import InSituError


class DefectError(Exception):
    """Of the engine itself, not of a block."""


def sabotage(engine: Any, thread: str) -> None:
    """Let the engine's compression or I/O thread die over the next block."""

    def die(*_: Any) -> None:
        raise DefectError(f"the {thread} thread")

    setattr(engine._state, {"compress": "encoded", "io": "stored"}[thread], die)


def causes(error: BaseException | None) -> list[BaseException]:
    found = []
    while error is not None:
        found.append(error)
        error = error.__cause__
    return found


@pytest.mark.parametrize("thread", ["compress", "io"])
def test_the_worker_goes_on_with_a_new_engine(client: Any, thread: str) -> None:
    worker = addresses(client)[0]
    before = engine_of(client, worker)
    replaced = statistics(client)["workers"][worker]["engines replaced"]
    sabotage(before, thread)
    lost = submit_snapshot(client, "lost", make, {worker: ("lost",)}, retries=0)[0]
    with pytest.raises(InSituError, match="a background thread of the engine died") as caught:
        lost.result(timeout=PATIENCE)
    assert isinstance(causes(caught.value)[-1], DefectError)
    after = submit_snapshot(client, "after", make, {worker: ("after", (1, 2))}, retries=0)[0]
    assert after.result(timeout=PATIENCE).nbytes == 3
    assert STORED["after/1"] == b"xx"
    assert engine_of(client, worker) is not before
    assert statistics(client)["workers"][worker]["engines replaced"] == replaced + 1
    eventually(lambda: not any(t.is_alive() for t in before._threads))
    # The gate of the new one follows the tasks of the worker.
    plugin = plugin_of(client, worker)
    eventually(lambda: plugin.tracker.is_open)
    assert plugin.engine._state.gate.is_open
    plugin.tracker.started("a task")
    assert not plugin.engine._state.gate.is_open
    plugin.tracker.ended("a task")


def test_a_retry_finds_the_new_engine(client: Any) -> None:
    worker = addresses(client)[0]
    sabotage(engine_of(client, worker), "compress")
    done = submit_snapshot(client, "again", make, {worker: ("again", (3,))}, retries=1)[0]
    assert done.result(timeout=PATIENCE).nbytes == 3


def test_the_next_write_and_flush_raise_with_the_cause(client: Any, tmp_path: Path) -> None:
    x = da.from_array(np.arange(64.0).reshape(8, 8), chunks=(4, 8))
    w = ClusterWriter(client, tmp_path / "run.zarr", retries=0)
    w.write(0, {"x": x})
    w.flush(20)
    for worker in addresses(client):
        sabotage(engine_of(client, worker), "compress")
    w.write(1, {"x": x + 1})
    for again in (lambda: w.flush(20), lambda: w.write(2, {"x": x}), w.close):
        with pytest.raises(InSituError, match="step 1 failed") as caught:
            again()
        assert isinstance(causes(caught.value)[-1], DefectError)
    # The part of the other worker may have been cancelled before it came to its engine.
    with ClusterWriter(client, tmp_path / "run.zarr", retries=1) as w:
        assert w.resumed_at == 0
        for step in range(3):
            w.write(step, {"x": x + step})
    ds = xr.open_zarr(tmp_path / "run.zarr")
    assert list(ds.step.values) == [0, 1, 2]
    np.testing.assert_array_equal(ds.x[2], x + 2)


def test_a_cause_goes_from_process_to_process() -> None:
    error = InSituError("failed")
    error.__cause__ = DefectError("of the engine")
    message = error_message(error)  # as a worker sends it
    sent = message["exception"].data
    found = pickle.loads(sent if isinstance(sent, bytes) else pickle.dumps(sent))
    assert type(found) is InSituError
    assert [str(e) for e in causes(found)] == ["failed", "of the engine"]
