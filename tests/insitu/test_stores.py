"""Places to write to, and what happens when they end, fail or exist already."""

from __future__ import annotations

import asyncio
import pickle
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from engine_cases import wait_until
from writer_cases import BOUND, assert_within, opened, smooth

from fzdask import ConfigError, FZCodec, InSituWriter
from fzdask.insitu import InSituError, RateLimitedStore
from fzdask.insitu.stores import Keys

LOSSY = {"compressors": FZCodec(abs=BOUND), "chunks": (6, 16, 20)}


def write_steps(target: Any, steps: range, **kwargs: Any) -> None:
    with InSituWriter(target, {"t": LOSSY}, **kwargs) as w:
        for step in steps:
            w.write(step, {"t": smooth(step)}, coords={"time": float(step)})


def check_steps(target: Any, steps: range) -> None:
    ds = opened(target)
    np.testing.assert_array_equal(ds.step, steps)
    np.testing.assert_array_equal(ds.coords["time"], np.array(steps, float))
    for k, step in enumerate(steps):
        assert_within(ds.t[k], smooth(step))


def test_zip(tmp_path: Path) -> None:
    path = tmp_path / "run.zip"
    write_steps(str(path), range(3))
    check_steps(zarr.storage.ZipStore(path, mode="r"), range(3))
    with pytest.raises(ConfigError, match="cannot be continued"):
        InSituWriter(path)
    write_steps(path, range(2), mode="w")
    check_steps(zarr.storage.ZipStore(path, mode="r"), range(2))


def test_memory_store_object_and_dictionary() -> None:
    for target in (zarr.storage.MemoryStore(), {}):
        write_steps(target, range(3))
        store = target if not isinstance(target, dict) else zarr.storage.MemoryStore(target)
        check_steps(store, range(3))


def test_fsspec_url() -> None:
    pytest.importorskip("fsspec")
    url = "memory://insitu-test/run.zarr"
    write_steps(url, range(3), mode="w")
    check_steps(url, range(3))


def test_any_other_store_through_a_wrapper() -> None:
    class Asynchronous(zarr.storage.WrapperStore[Any]):
        """Has no synchronous face, as stores of Zarr 3.1.0 and object stores have none."""

    inner = zarr.storage.MemoryStore()
    write_steps(Asynchronous(inner), range(3))
    check_steps(inner, range(3))


class Counting(zarr.storage.WrapperStore[Any]):
    """Counts how often each key is set, and how many at a time."""

    def __init__(self, store: Any) -> None:
        super().__init__(store)
        self.times: Counter[str] = Counter()
        self.now = self.most = 0

    async def set(self, key: str, value: Any) -> None:
        self.times[key] += 1
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0.001)
        await self._store.set(key, value)
        self.now -= 1


def test_every_chunk_is_written_once_and_small_ones_together() -> None:
    store = Counting(zarr.storage.MemoryStore())
    small = {"t": {**LOSSY, "chunks": (2, 16, 20)}}
    with InSituWriter(store, small, windows="marked") as w:
        for step in range(4):
            with w.iteration(step), w.idle():
                pass
            w.write(step, {"t": smooth(step)})
    blocks = {key: n for key, n in store.times.items() if key.startswith("t/c/")}
    assert len(blocks) == 4 * 6
    assert set(blocks.values()) == {1}
    assert store.most > 1  # a store with a latency is handed several at a time


def test_fsync_reaches_files_and_directories(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    synced: list[bool] = []
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (synced.append(True), fsync(fd))[1])
    write_steps(tmp_path / "plain.zarr", range(1))
    assert not synced
    write_steps(tmp_path / "run.zarr", range(2), fsync=True)
    files = sum(path.is_file() for path in (tmp_path / "run.zarr").rglob("*"))
    assert len(synced) >= 2 * files  # each file, and at least the directory that it is in
    check_steps(tmp_path / "run.zarr", range(2))


def test_rate_limited_store_takes_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    from fzdask.insitu import stores

    clock = [100.0]
    monkeypatch.setattr(stores.time, "perf_counter", lambda: clock[0])
    slept: list[float] = []
    monkeypatch.setattr(stores.time, "sleep", slept.append)
    store = RateLimitedStore({}, bandwidth=1000.0, latency=0.5)
    keys = Keys(store)
    keys.set("a", b"x" * 250)
    assert slept == [0.75]
    keys.set("b", b"x" * 500)  # begins when the first has ended
    assert slept[1] == 0.75 + 1.0
    assert keys.get("a") == b"x" * 250
    clock[0] += 10.0
    keys.set("c", b"")
    assert slept[2] == 0.5


def test_rate_limited_store_holds_what_is_written() -> None:
    inner = zarr.storage.MemoryStore()
    write_steps(RateLimitedStore(inner, bandwidth=1e9), range(2))
    check_steps(inner, range(2))
    with pytest.raises(ConfigError, match="must be positive"):
        RateLimitedStore({}, bandwidth=0.0)


def test_rate_limited_store_can_be_pickled(tmp_path: Path) -> None:
    store = RateLimitedStore(tmp_path / "run.zarr", bandwidth=1e9, latency=1e-4)
    copy = pickle.loads(pickle.dumps(store))
    assert (copy.bandwidth, copy.latency) == (1e9, 1e-4)
    write_steps(copy, range(2))
    check_steps(store, range(2))


def test_keys_are_replaced_as_a_whole(tmp_path: Path) -> None:
    keys = Keys(zarr.storage.LocalStore(tmp_path / "s"))
    keys.set("a/b/c", b"1" * 1000)
    keys.set("a/b/c", b"2")
    assert keys.get("a/b/c") == b"2"
    assert keys.list("a") == ["a/b/c"]
    assert sorted(p.name for p in (tmp_path / "s/a/b").iterdir()) == ["c"]
    assert keys.get("a/none") is None
    keys.delete(["a/b/c"])
    assert keys.list() == []


def test_a_failed_write_leaves_neither_the_key_nor_a_partial_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    keys = Keys(zarr.storage.LocalStore(tmp_path / "s"))
    keys.set("k", b"old")

    def refuse(*_: Any) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", refuse)
    with pytest.raises(OSError, match="No space"):
        keys.set("k", b"new")
    monkeypatch.undo()
    assert keys.get("k") == b"old"
    assert [p.name for p in (tmp_path / "s").iterdir()] == ["k"]


class Full(zarr.storage.WrapperStore[Any]):
    """Refuses blocks from a given step on."""

    step = 2

    async def set(self, key: str, value: Any) -> None:
        if f"/c/{self.step}/" in key:
            raise OSError(28, "No space left on device")
        await self._store.set(key, value)


def test_a_background_error_reaches_the_next_write_and_flush_with_its_cause() -> None:
    inner = zarr.storage.MemoryStore()
    w = InSituWriter(Full(inner), {"t": LOSSY}, windows="always")
    for step in range(3):
        w.write(step, {"t": smooth(step)}, coords={"time": float(step)})
    wait_until(lambda: w.statistics.get("snapshots failed", 0) == 1)
    for again in (lambda: w.write(3, {"t": smooth(3)}), w.flush, w.close):
        with pytest.raises(InSituError, match="'step 2' failed while storing") as caught:
            again()
        assert isinstance(caught.value.__cause__, OSError)
    check_steps(inner, range(2))  # what came before is there
    # Once there is room again, the run is continued where it stopped.
    write_steps(inner, range(5))
    check_steps(inner, range(5))


def test_a_step_after_a_failed_one_never_becomes_visible() -> None:
    inner = zarr.storage.MemoryStore()
    store = Full(inner)
    store.step = 1
    w = InSituWriter(store, {"t": LOSSY}, windows="marked", max_outstanding=4)
    for step in range(4):
        w.write(step, {"t": smooth(step)}, coords={"time": float(step)})
    with pytest.raises(InSituError):
        w.flush()
    with pytest.raises(InSituError):
        w.close()
    check_steps(inner, range(1))


def test_leaving_the_block_raises_what_failed_in_the_background() -> None:
    with pytest.raises(InSituError, match="step 2"):
        write_steps(Full(zarr.storage.MemoryStore()), range(3))


# -- continuing ---------------------------------------------------------------------------------


def test_a_run_is_continued(tmp_path: Path) -> None:
    path = tmp_path / "run.zarr"
    write_steps(path, range(3))
    with InSituWriter(path, {"t": LOSSY}) as w:
        assert w.resumed_at == 2
        assert w.visible_steps == {"step": [0, 1, 2]}
        for step in range(1, 6):  # from a checkpoint before the last step that was stored
            w.write(step, {"t": smooth(step)}, coords={"time": float(step)})
        assert w.statistics["steps skipped"] == 2
    check_steps(path, range(6))


def test_what_a_killed_run_left_is_cleared_away(tmp_path: Path) -> None:
    path = tmp_path / "run.zarr"
    write_steps(path, range(2))
    keys = Keys(zarr.storage.LocalStore(path))
    keys.set("t/c/2/0/0/0", b"of a step that was not completed")
    (path / "t" / "c" / "1.0123.partial").write_bytes(b"torn")
    with InSituWriter(path, {"t": LOSSY}) as w:
        assert keys.get("t/c/2/0/0/0") is None
        assert list(path.rglob("*.partial")) == []
        assert w.visible_steps["step"] == [0, 1]


def test_array_metadata_ahead_of_the_root_is_put_back(tmp_path: Path) -> None:
    """Killed between the arrays' metadata and the root's: the root's is the truth."""
    import json

    path = tmp_path / "run.zarr"
    write_steps(path, range(2))
    document = json.loads((path / "t/zarr.json").read_text())
    document["shape"][0] = 3
    (path / "t/zarr.json").write_text(json.dumps(document))
    check_steps(path, range(2))
    with InSituWriter(path, {"t": LOSSY}):
        pass
    assert opened(path, consolidated=False).sizes["step"] == 2


def test_overwriting_what_is_there_or_is_not(tmp_path: Path) -> None:
    path = tmp_path / "run.zarr"
    write_steps(path, range(2), mode="w")
    with InSituWriter(path, {"other": LOSSY}, mode="w") as w:
        w.write(0, {"other": smooth(0)})
    ds = opened(path)
    assert list(ds.data_vars) == ["other"]
    assert ds.sizes["step"] == 1
    assert not (path / "t").exists()


def test_another_layout_is_not_continued(tmp_path: Path) -> None:
    path = tmp_path / "run.zarr"
    write_steps(path, range(2))
    other = {"t": {"compressors": FZCodec(abs=2 * BOUND), "chunks": (6, 16, 20)}}
    with InSituWriter(path, other) as w, pytest.raises(ConfigError, match="see codecs of its zarr"):
        w.write(2, {"t": smooth(2)}, coords={"time": 2.0})
    check_steps(path, range(2))


@pytest.mark.parametrize("kind", ["group", "file"])
def test_what_somebody_else_wrote_is_not_touched(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "other"
    if kind == "group":
        zarr.create_group(path, attributes={"mine": 1})
    else:
        path.mkdir()
        (path / "notes.txt").write_text("mine")
    before = sorted((p.name, p.read_bytes()) for p in path.iterdir())
    with pytest.raises(ConfigError, match="mode='w'"):
        InSituWriter(path)
    assert sorted((p.name, p.read_bytes()) for p in path.iterdir()) == before
    write_steps(path, range(1), mode="w")
    check_steps(path, range(1))


def test_more_steps_than_a_chunk_of_coordinates(monkeypatch: pytest.MonkeyPatch) -> None:
    from fzdask.insitu import catalog

    monkeypatch.setattr(catalog, "COORDINATE_CHUNK", 4)
    store = zarr.storage.MemoryStore()
    write_steps(store, range(5))
    check_steps(store, range(5))
    write_steps(store, range(11))
    check_steps(store, range(11))
