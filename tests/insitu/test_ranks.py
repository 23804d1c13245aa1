"""Several processes that write disjoint parts of one store."""

from __future__ import annotations

import multiprocessing
import os
import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from writer_cases import BOUND, assert_within, opened, smooth

from fzdask import ConfigError, FZCodec, InSituWriter
from fzdask.insitu import InSituError
from fzdask.insitu.publication import StoredWrite
from fzdask.insitu.ranks import FOLDER

SHAPE = (12, 6, 10)  # in parts of 4 planes

fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


def encoding(rank: int, chunks: tuple[int, ...] = (4, 6, 10)) -> dict[str, Any]:
    settings = {"compressors": FZCodec(abs=BOUND), "chunks": chunks, "shape": SHAPE}
    return {"t": {**settings, "start": (4 * rank, 0, 0)}}


def part(step: int, rank: int) -> Any:
    return smooth(step, SHAPE)[4 * rank : 4 * rank + 4]


def run_rank(path: Path, rank: int, size: int, run_id: str, steps: range) -> None:
    with InSituWriter(path, encoding(rank), rank=rank, size=size, run_id=run_id, timeout=60.0) as w:
        for step in steps:
            with w.iteration(step), w.idle():
                pass
            w.write(step, {"t": part(step, rank)}, coords={"time": float(step)})


def run_all(path: Path, steps: range, size: int = 3) -> None:
    context = multiprocessing.get_context("fork")
    run_id = uuid.uuid4().hex
    others = [
        context.Process(target=run_rank, args=(path, rank, size, run_id, steps))
        for rank in range(1, size)
    ]
    for process in others:
        process.start()
    run_rank(path, 0, size, run_id, steps)
    for process in others:
        process.join(60)
        assert process.exitcode == 0


@fork
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_processes_write_one_store_and_continue_it(tmp_path: Path) -> None:
    path = tmp_path / "run.zarr"
    run_all(path, range(3))
    run_all(path, range(1, 5))  # continued, from a step before the last
    ds = opened(path)
    np.testing.assert_array_equal(ds.step, range(5))
    for step in range(5):
        assert_within(ds.t[step], smooth(step, SHAPE))
    assert not (path / FOLDER).exists() or not list((path / FOLDER).iterdir())


def in_process(path: Any, rank: int, run_id: str = "s", **kwargs: Any) -> InSituWriter:
    kwargs.setdefault("timeout", 100.0)
    return InSituWriter(path, encoding(rank), rank=rank, size=2, run_id=run_id, **kwargs)


def test_a_step_is_visible_once_all_have_stored_it(tmp_path: Path) -> None:
    path = tmp_path / "run.zarr"
    first = in_process(path, 0)
    second = in_process(path, 1)
    for w, rank in ((first, 0), (second, 1)):
        w.write(0, {"t": part(0, rank)})
    second.flush()
    first.flush()
    assert opened(path).sizes["step"] == 1
    first.write(1, {"t": part(1, 0)})
    with pytest.raises(TimeoutError, match=r"rank\(s\) \[1\] have stored 1 of 2 writes"):
        first.flush(0.1)
    assert opened(path).sizes["step"] == 1
    second.write(1, {"t": part(1, 1)})
    second.close()
    first.close()
    assert opened(path).sizes["step"] == 2


def test_a_process_that_means_another_array_is_found_out(tmp_path: Path) -> None:
    path = tmp_path / "run.zarr"
    first = in_process(path, 0)
    other = encoding(1, chunks=(2, 6, 10))
    second = InSituWriter(path, other, rank=1, size=2, run_id="s")
    second.write(0, {"t": part(0, 1)})
    second.close()
    first.write(0, {"t": part(0, 0)})
    with pytest.raises(InSituError, match="rank 1 writes other arrays"):
        first.flush()
    with pytest.raises(InSituError):
        first.close()


def test_a_process_alone_is_told_who_is_missing(tmp_path: Path) -> None:
    with pytest.raises(TimeoutError, match=r"waited 0\.05 s for rank 0"):
        in_process(tmp_path / "run.zarr", 1, timeout=0.05)


def test_counts_of_an_earlier_run_do_not_count(tmp_path: Path) -> None:
    path = tmp_path / "run.zarr"
    first, second = in_process(path, 0, "one"), in_process(path, 1, "one")
    second.write(0, {"t": part(0, 1)})
    second.close()
    first.close(cancel=True)  # killed, as it were, before the step was visible
    first = in_process(path, 0, "two")
    first.write(0, {"t": part(0, 0)})
    with pytest.raises(TimeoutError, match="have stored 0 of 1 writes"):
        first.flush(0.1)
    second = in_process(path, 1, "two")
    second.write(0, {"t": part(0, 1)})
    second.close()
    first.close()
    assert_within(opened(path).t[0, :8], smooth(0, SHAPE)[:8])  # two of the three parts


class OneStepPerWait:
    """A condition on which every wait lasts until one more step is visible, or its time is up."""

    def __init__(self, publisher: Any, steps: int) -> None:
        self.publisher, self.steps = publisher, steps

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...

    def wait_for(self, condition: Callable[[], Any], timeout: float) -> bool:
        if self.steps:
            self.steps -= 1
            self.publisher._published += 1
            self.publisher._waiting.popleft()
        return bool(condition())


def test_ranks_that_are_slow_are_waited_for(tmp_path: Path) -> None:
    """`close` gives up `timeout` seconds after the last step that became visible, not earlier."""
    w = in_process(tmp_path / "run.zarr", 0)
    publisher = w._publisher
    publisher.end()

    def after(steps: int, *, patient: bool) -> None:
        publisher._waiting.clear()
        publisher._waiting.extend(StoredWrite(number, {}) for number in range(3))
        publisher._stored, publisher._published = 3, 0
        publisher._changed = OneStepPerWait(publisher, steps)  # type: ignore[assignment]
        publisher.barrier(1.0, patient=patient)

    after(3, patient=True)
    with pytest.raises(TimeoutError, match="2 of 3"):
        after(2, patient=True)
    with pytest.raises(TimeoutError, match="1 of 3"):
        after(3, patient=False)  # the caller's own time-out is one
    publisher._changed = threading.Condition()
    publisher._waiting.clear()
    w.close()


def test_parts_must_not_share_blocks() -> None:
    settings = {"t": {**encoding(0)["t"], "chunks": (3, 6, 10), "start": (4, 0, 0)}}
    with (
        InSituWriter({}, settings) as w,
        pytest.raises(ConfigError, match="one process"),
    ):
        w.write(0, {"t": part(0, 1)})


class Communicator:
    """What is used of a communicator of mpi4py, for ranks within one process."""

    agreed: str | None = None

    def __init__(self, rank: int, size: int) -> None:
        self.rank, self.size = rank, size

    def Get_rank(self) -> int:  # noqa: N802
        return self.rank

    def Get_size(self) -> int:  # noqa: N802
        return self.size

    def bcast(self, value: str | None, root: int) -> str | None:
        assert root == 0
        if self.rank == root:
            Communicator.agreed = value
        return Communicator.agreed


def test_a_communicator_says_who_is_who_and_agrees_on_a_run_id(tmp_path: Path) -> None:
    writers = [
        InSituWriter(tmp_path / "run.zarr", encoding(rank), comm=Communicator(rank, 3))
        for rank in range(3)
    ]
    for rank, w in enumerate(writers):
        assert w.rank == rank
        w.write(7, {"t": part(7, rank)})
    for w in reversed(writers):
        w.close()
    ds = opened(tmp_path / "run.zarr")
    np.testing.assert_array_equal(ds.step, [7])
    assert_within(ds.t[0], smooth(7, SHAPE))
    assert Communicator.agreed
