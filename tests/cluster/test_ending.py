"""The end of a ClusterWriter, in good and bad order: nothing of it runs on, nothing is lost."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from cluster_cases import PATIENCE, addresses, engine_of, eventually, gate
from distributed import Client
from zarr.storage import LocalStore, WrapperStore

from fzdask.cluster import ClusterWriter, submit_snapshot
from fzdask.cluster.ending import end_session
from fzdask.errors import ConfigError
from fzdask.insitu import InSituError

ENCODING = {"t": {"compressors": None, "dims": ("y", "x")}}
RUNNING: list[str] = []
"""Keys that are being stored by some worker: all are threads of this process."""

FAILURES: dict[str, int] = {}
"""How often the blocks of a store are still to fail."""


class Gated(WrapperStore[Any]):
    """Blocks of step 1 wait for the gate of their store's name; or fail as often as told."""

    set_sync: Any = None  # of newer releases of Zarr: all goes through `set`

    def __init__(self, store: Any, name: str, held: str = "t/c/1/") -> None:
        super().__init__(store)
        self.name, self.held = name, held

    async def set(self, key: str, value: Any) -> None:
        if FAILURES.get(self.name, 0) and key.startswith("t/c/"):
            FAILURES[self.name] -= 1
            raise OSError(28, "No space left on device")
        if key.startswith(self.held):
            RUNNING.append(key)
            gate(f"{self.name} began").set()
            while not gate(self.name).is_set():
                await asyncio.sleep(0.001)
            await self._store.set(key, value)
            RUNNING.remove(key)
        else:
            await self._store.set(key, value)

    def __reduce__(self) -> Any:
        return type(self), (self._store, self.name, self.held)


def field(step: int) -> da.Array:
    return da.from_array(values(step), chunks=(4, 8))


def values(step: int) -> np.ndarray:
    return np.arange(64.0).reshape(8, 8) + 100 * step


def check(folder: Path, steps: int) -> None:
    found = xr.open_zarr(folder, chunks=None)
    assert list(found.step.values) == list(range(steps))
    np.testing.assert_array_equal(found.t, [values(step) for step in range(steps)])


def stays_alive(thread: threading.Thread) -> bool:
    """What must not happen has had its chance."""
    thread.join(0.1)
    return thread.is_alive()


@pytest.fixture(autouse=True)
def nothing_is_left_running() -> Iterator[None]:
    yield
    assert RUNNING == []


def held_up(client: Any, folder: Path, name: str, **settings: Any) -> ClusterWriter:
    """A writer with step 0 visible and step 1 in the middle of being stored."""
    w = ClusterWriter(client, Gated(LocalStore(folder), name), ENCODING, **settings)
    w.write(0, {"t": field(0)})
    w.flush(20)
    w.write(1, {"t": field(1)})
    assert gate(f"{name} began").wait(PATIENCE)
    return w


def test_closing_with_cancel_waits_for_what_is_being_stored(client: Any, tmp_path: Path) -> None:
    w = held_up(client, tmp_path / "r", "cancelled")
    closing = threading.Thread(target=w.close, kwargs={"cancel": True})
    closing.start()
    assert stays_alive(closing)
    gate("cancelled").set()
    closing.join(PATIENCE)
    assert RUNNING == []
    assert not any(engine_of(client, a).outstanding for a in addresses(client))
    assert not w._thread.is_alive()
    check(tmp_path / "r", 1)
    with ClusterWriter(client, tmp_path / "r", ENCODING) as again:  # the documented state
        assert again.resumed_at == 0
        assert [p for p in (tmp_path / "r/t/c/1").rglob("*") if p.is_file()] == []
        for step in range(3):
            again.write(step, {"t": field(step)})
    check(tmp_path / "r", 3)


def test_closing_with_cancel_says_what_is_still_running(client: Any, tmp_path: Path) -> None:
    w = held_up(client, tmp_path / "r", "stuck")
    with pytest.raises(TimeoutError, match=r"still running: .*step 1: storing 't/") as caught:
        w.close(cancel=True, timeout=0.05)
    assert any(address in str(caught.value) for address in addresses(client))
    assert not w._thread.is_alive()
    w.close()  # again: nothing
    gate("stuck").set()
    eventually(lambda: not RUNNING)
    check(tmp_path / "r", 1)


def test_closing_after_a_failure_waits_for_the_other_workers(client: Any, tmp_path: Path) -> None:
    """One part of the step fails while another is being stored."""

    class HalfFull(Gated):
        async def set(self, key: str, value: Any) -> None:
            if key.startswith("t/c/1/1"):
                assert await asyncio.to_thread(gate(f"{self.name} began").wait, PATIENCE)
                raise OSError(28, "No space left on device")
            await super().set(key, value)

    store = HalfFull(LocalStore(tmp_path / "r"), "half", "t/c/1/0")
    HalfFull.__qualname__ = "HalfFull"
    globals()["HalfFull"] = HalfFull  # to be pickled
    w = ClusterWriter(client, store, ENCODING, retries=0, balance=False)
    w.write(0, {"t": field(0)})
    w.flush(20)
    w.write(1, {"t": field(1)})
    errors: list[BaseException] = []

    def close() -> None:
        try:
            w.close()
        except InSituError as error:
            errors.append(error)

    closing = threading.Thread(target=close)
    closing.start()
    assert gate("half began").wait(PATIENCE)
    assert stays_alive(closing)
    gate("half").set()
    closing.join(PATIENCE)
    assert len(errors) == 1
    assert "step 1 failed" in str(errors[0])
    assert RUNNING == []
    check(tmp_path / "r", 1)


def test_an_error_that_comes_once_is_tried_again(client: Any, tmp_path: Path) -> None:
    FAILURES["once"] = 1
    with ClusterWriter(client, Gated(LocalStore(tmp_path / "r"), "once", "-"), ENCODING) as w:
        for step in range(3):
            w.write(step, {"t": field(step)})
    assert FAILURES["once"] == 0
    check(tmp_path / "r", 3)


def test_a_step_that_cannot_be_made_visible(
    client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full when the client, not a worker, writes."""
    w = ClusterWriter(client, tmp_path / "r", ENCODING)
    w.write(0, {"t": field(0)})
    w.flush(20)

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(w._keys, "set", full)
    w.write(1, {"t": field(1)})
    with pytest.raises(InSituError, match="step 1 failed") as caught:
        w.flush(20)
    assert isinstance(caught.value.__cause__, OSError)
    with pytest.raises(InSituError):
        w.close()
    monkeypatch.undo()
    check(tmp_path / "r", 1)
    with ClusterWriter(client, tmp_path / "r", ENCODING) as w:
        for step in range(3):
            w.write(step, {"t": field(step)})
    check(tmp_path / "r", 3)


def test_a_step_that_is_submitted_in_part_is_not_begun_again(
    client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    w = ClusterWriter(client, tmp_path / "r", ENCODING)
    w.write(0, {"t": field(0)})
    submit, calls = client.submit, []

    def interrupted(*args: Any, **kwargs: Any) -> Any:
        if kwargs.get("key", "").startswith("fz-dump"):
            calls.append(args)
            if len(calls) == 2:
                raise KeyboardInterrupt
        return submit(*args, **kwargs)

    monkeypatch.setattr(client, "submit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        w.write(1, {"t": field(1)})
    monkeypatch.undo()
    with pytest.raises(ConfigError, match="comes after step 1"):
        w.write(1, {"t": field(7)})
    with pytest.raises(InSituError, match=r"step 1 failed.*not all submitted"):
        w.close()
    check(tmp_path / "r", 1)


def test_a_second_writer_takes_the_store_over(client: Any, tmp_path: Path) -> None:
    first = ClusterWriter(client, tmp_path / "r", ENCODING, retries=0)
    first.write(0, {"t": field(0)})
    first.flush(20)
    second = ClusterWriter(client, tmp_path / "r", ENCODING)
    second.write(1, {"t": field(1)})
    second.flush(20)
    first.write(1, {"t": field(-1)})
    with pytest.raises(InSituError, match="step 1 failed"):
        first.close()
    second.write(2, {"t": field(2)})
    second.close()
    check(tmp_path / "r", 3)


def test_memory_of_one_process_is_no_target(client: Any) -> None:
    pytest.importorskip("fsspec")
    with pytest.raises(ConfigError, match="copy of its own"):
        ClusterWriter(client, "memory://cluster/run.zarr")


def test_a_client_that_was_closed_before(client: Any, tmp_path: Path) -> None:
    """Or died: an error, no hanging, no half step; the next writer goes on behind what is there."""
    with Client(client.cluster) as own:
        w = held_up(own, tmp_path / "r", "left")
    with pytest.raises(InSituError, match=r"step 1 failed|close the writer before its"):
        w.close()
    eventually(lambda: not w._thread.is_alive())
    gate("left").set()
    eventually(lambda: not RUNNING)
    check(tmp_path / "r", 1)
    with ClusterWriter(client, tmp_path / "r", ENCODING) as again:
        assert again.resumed_at == 0
        for step in range(3):
            again.write(step, {"t": field(step)})
    check(tmp_path / "r", 3)


def test_a_session_that_was_dropped_is_refused_by_its_workers(client: Any) -> None:
    """A part that arrives late, behind the cancellation, is not begun."""
    from cluster_cases import STORED, make, plugin_of

    worker = addresses(client)[0]
    assert plugin_of(client, worker).drop("gone") == []
    late = submit_snapshot(client, "late", make, {worker: ("late",)}, session="gone", retries=0)[0]
    with pytest.raises(InSituError, match="cancelled before it began"):
        late.result(timeout=PATIENCE)
    assert not any(key.startswith("late") for key in STORED)


def test_workers_that_do_not_answer_are_not_waited_for_for_ever() -> None:
    class Silent:
        status = "running"
        run = run_on_scheduler = None
        asked: ClassVar[list[float]] = []

        def sync(self, *_: Any, callback_timeout: float) -> Any:
            self.asked.append(callback_timeout)
            raise TimeoutError

    with pytest.raises(TimeoutError, match="a worker, or the scheduler, does not answer"):
        end_session(Silent(), "session", 0.0)
    assert all(0.0 < timeout < 1.0 for timeout in Silent.asked)


FORGETS = """
import sys
import dask.array as da
import numpy as np
from distributed import Client, LocalCluster
from fzdask.cluster import ClusterWriter

if __name__ == "__main__":
    cluster = LocalCluster(1, threads_per_worker=1, processes=False, dashboard_address=":0")
    client = Client(cluster)
    w = ClusterWriter(client, sys.argv[1], {"t": {"compressors": None, "dims": ("y", "x")}})
    for step in range(2):
        w.write(step, {"t": da.from_array(np.arange(64.0).reshape(8, 8) + 100 * step, chunks=4)})
"""


@pytest.mark.skipif(
    (3, 12) <= sys.version_info < (3, 12, 3),
    reason="these start no threads once the program ends (python/cpython#113964)",
)
def test_a_program_that_forgets_to_close(tmp_path: Path) -> None:
    script = tmp_path / "forgets.py"
    script.write_text(FORGETS)
    subprocess.run([sys.executable, str(script), str(tmp_path / "r")], check=True, timeout=120)
    check(tmp_path / "r", 2)
