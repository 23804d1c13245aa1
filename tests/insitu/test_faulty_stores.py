"""A full disk, an error that comes once, and what a killed run leaves: nothing wrong is shown."""

from __future__ import annotations

import errno
import functools
import gzip
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from engine_cases import PATIENCE, stays
from faulty_stores import Failing, Gated
from writer_cases import opened
from zarr.storage import FsspecStore, LocalStore, LoggingStore, MemoryStore, WrapperStore

from fzdask import ConfigError, InSituWriter
from fzdask.insitu import Engine, InSituError, RateLimitedStore
from fzdask.insitu.encoders import make_encoder
from fzdask.insitu.stores import Keys

RAW: dict[str, Any] = {"compressors": None, "chunks": (4, 4)}
STEPS = 2


def values(step: int) -> np.ndarray:
    return np.arange(64.0).reshape(8, 8) + 100 * step


def run(target: Any, acknowledged: list[int], **kwargs: Any) -> None:
    """Every step, flushed; what has been acknowledged is noted at once."""
    kwargs.setdefault("coords", {"x": np.arange(8.0)})
    with InSituWriter(target, {"t": {**RAW, "dims": ("y", "x")}}, windows="always", **kwargs) as w:
        for step in range(STEPS):
            w.write(step, {"t": values(step)}, coords={"time": float(step)})
            w.flush()
            acknowledged.append(step)


def error_of(call: Callable[[], None]) -> Exception | None:
    """What a writer raises when its store fails, in whichever call."""
    try:
        call()
    except (InSituError, OSError) as error:
        return error
    return None


def shown(target: Any) -> int:
    """How many steps are visible; each is right."""
    ds = opened(target)
    count = int(ds.sizes.get("step", 0))
    if count:
        np.testing.assert_array_equal(ds.step, range(count))
        np.testing.assert_array_equal(ds.t, [values(step) for step in range(count)])
    return count


@pytest.mark.parametrize("times", [1_000_000, 1], ids=["from then on", "once"])
def test_a_disk_that_is_full_at_any_moment(times: int) -> None:
    """Whichever call is the first to fail: an error is raised, and what was acknowledged is there.

    With room again the run is continued, and then complete.
    """
    at = failed = 0
    while failed == at:
        at += 1
        inner = MemoryStore()
        acknowledged: list[int] = []
        error = error_of(functools.partial(run, Failing(inner, at, times), acknowledged))
        if error is not None:
            assert "No space left" in f"{error} {error.__cause__}"
            failed += 1
        if "zarr.json" in inner._store_dict:
            assert shown(inner) >= len(acknowledged)
        run(inner, [])
        assert shown(inner) == STEPS
    assert failed > 4 * STEPS  # blocks, coordinates, root and arrays of every step


def test_a_write_that_fails_waits_for_those_that_were_begun_with_it() -> None:
    """Else one could end later, when its key is another writer's."""
    inner = MemoryStore()

    class OneFails(Gated):
        async def set(self, key: str, value: Any) -> None:
            if key == "bad":
                raise OSError("bad")
            await super().set(f"a/c/{key}", value)

    store = OneFails(inner)
    keys = Keys(store)
    errors: list[BaseException] = []

    def write() -> None:
        try:
            keys.set_many([("slow", b"1"), ("bad", b"2")])
        except OSError as error:
            errors.append(error)

    thread = threading.Thread(target=write)
    thread.start()
    assert store.began.wait(PATIENCE)
    assert stays(thread.is_alive, 0.02)
    store.open.set()
    thread.join(PATIENCE)
    assert len(errors) == 1
    assert keys.get("a/c/slow") == b"1"


# -- what is left half done ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrap",
    [
        lambda path: path,
        LocalStore,
        lambda path: WrapperStore(LocalStore(path)),
        lambda path: LoggingStore(LocalStore(path), log_level="ERROR"),
        lambda path: RateLimitedStore(WrapperStore(LocalStore(path)), bandwidth=1e9),
        lambda path: type("Own", (LocalStore,), {})(path),
        lambda path: FsspecStore.from_url(f"file://{path}"),
    ],
    ids=["path", "local", "wrapped", "logging", "wrapped twice", "derived", "fsspec"],
)
def test_partial_files_are_swept_whatever_the_store_is_wrapped_in(
    tmp_path: Path, wrap: Any
) -> None:
    path = tmp_path / "run.zarr"
    run(path, [])
    partial = [path / "t/c/1" / f"0.{32 * 'a'}.partial", path / f"zarr.{32 * 'b'}.partial"]
    for each in partial:
        each.write_bytes(b"torn")
    with InSituWriter(wrap(path)):
        assert [p for p in partial if p.exists()] == []
    assert shown(path) == STEPS


def test_partial_files_of_other_programs_are_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other"
    zarr.create_group(path)
    (path / "download.partial").write_bytes(b"somebody else's")
    with pytest.raises(ConfigError, match="did not write"):
        InSituWriter(path)
    assert (path / "download.partial").exists()


def test_a_damaged_root_is_refused_and_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "run.zarr"
    run(path, [])
    torn = (path / "zarr.json").read_bytes()[:100]
    (path / "zarr.json").write_bytes(torn)
    with pytest.raises(ConfigError, match="damaged"):
        InSituWriter(path)
    assert (path / "zarr.json").read_bytes() == torn


def test_a_run_that_was_killed_before_its_first_file_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "run.zarr"
    path.mkdir()
    (path / f"zarr.json.{32 * 'a'}.partial").write_bytes(b"torn")
    run(path, [])
    assert shown(path) == STEPS
    assert list(path.rglob("*.partial")) == []


def test_blocks_of_an_array_that_never_became_visible_are_not_read_as_steps_of_a_later_one() -> (
    None
):
    """Killed within the first step of `u`; the next run leaves it out there."""
    store: dict[str, Any] = {}
    with InSituWriter(store, windows="always") as w:
        w.write(0, {"t": values(0)})
    killed = Keys(MemoryStore(store))
    killed.set("u/c/1/0/0", values(7).tobytes())
    killed.set("v/zarr.json", b"{}")  # somebody else's: left alone
    killed.set("v/c/1/0/0", b"...")
    with InSituWriter(store, {"u": {**RAW, "chunks": (8, 8)}}) as w:
        w.write(1, {"t": values(1)})
        w.write(2, {"t": values(2), "u": values(2)})
    ds = opened(MemoryStore(store))
    assert np.isnan(ds.u[:2]).all()
    np.testing.assert_array_equal(ds.u[2], values(2))
    assert killed.get("v/c/1/0/0") == b"..."


def test_a_step_between_those_that_are_stored_is_refused_and_not_skipped() -> None:
    store: dict[str, Any] = {}
    with InSituWriter(store) as w:
        for step in (0, 10, 20):
            w.write(step, {"t": values(step)})
    with InSituWriter(store) as w:
        w.write(10, {"t": values(10)})
        assert w.statistics["steps skipped"] == 1
        with pytest.raises(ConfigError, match="step 15 comes after step 20"):
            w.write(15, {"t": values(15)})


# -- places -------------------------------------------------------------------------------------


def test_wrong_settings_do_not_cost_what_is_there(tmp_path: Path) -> None:
    """mode="w" empties the store: not before everything else is known to be right."""
    path = tmp_path / "run.zarr"
    run(path, [])
    wrong: list[dict[str, Any]] = [
        {"buffer": "some"},
        {"windows": "sometimes"},
        {"cpus": {"gpu": [0]}},
        {"encoding": {"t": {"compressor": None}}},
    ]
    for settings in wrong:
        with pytest.raises(ConfigError):
            InSituWriter(path, mode="w", **settings)
    assert shown(path) == STEPS


def test_a_simulation_that_changes_its_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    with InSituWriter("run.zarr") as w:
        w.write(0, {"t": values(0)})
        monkeypatch.chdir(tmp_path / "elsewhere")
        w.write(1, {"t": values(1)})
    assert shown(tmp_path / "run.zarr") == 2
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_file_url_is_a_directory(tmp_path: Path) -> None:
    """fsspec would write in place; here every key is replaced as a whole."""
    run(f"file://{tmp_path}/run.zarr", [], fsync=True)
    assert shown(tmp_path / "run.zarr") == STEPS


def test_the_entry_of_a_new_store_is_durable_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: set[int] = set()
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (synced.add(os.fstat(fd).st_ino), fsync(fd))[1])
    run(tmp_path / "new/deep/run.zarr", [], fsync=True)
    for folder in ("", "new", "new/deep", "new/deep/run.zarr", "new/deep/run.zarr/t/c/0"):
        assert (tmp_path / folder).stat().st_ino in synced


# -- engines that are shared --------------------------------------------------------------------


def test_writers_that_share_an_engine_do_not_share_their_failures() -> None:
    good, bad = MemoryStore(), Failing(MemoryStore(), 2)
    with Engine() as engine:
        first = InSituWriter(bad, {"t": RAW}, engine=engine)
        second = InSituWriter(good, {"t": {**RAW, "dims": ("y", "x")}}, engine=engine)
        first.write(0, {"t": values(0)})
        second.write(0, {"t": values(0)})
        second.flush()
        with pytest.raises(InSituError, match="step 0"):
            first.close()
        second.close()
    assert shown(good) == 1


def test_closing_with_cancel_waits_for_the_write_of_a_shared_engine() -> None:
    store = Gated(MemoryStore())
    with Engine() as engine:
        w = InSituWriter(store, {"t": RAW}, engine=engine)
        w.write(0, {"t": values(0)})
        closing = threading.Thread(target=w.close, kwargs={"cancel": True})
        engine._state.pressed += 1  # no window is needed
        assert store.began.wait(PATIENCE)
        closing.start()
        assert stays(closing.is_alive, 0.02)
        store.open.set()
        closing.join(PATIENCE)
        assert store.running == 0
        assert engine.outstanding == 0
        assert w.visible_steps.get("step", []) == []


def test_one_encoder_in_two_threads_mixes_nothing() -> None:
    """Workers of a cluster may share a process, and with it the encoder of a field."""
    begun, results = threading.Event(), {}

    class Memory(dict[str, Any]):
        def __setitem__(self, key: str, value: Any) -> None:
            super().__setitem__(key, value)
            if "c" in key.split("/") and not begun.is_set():
                begun.set()
                other.start()
                other.join(0.1)  # ends only where nothing keeps it out

    settings: dict[str, Any] = {
        "shape": (4,),
        "chunks": (4,),
        "dtype": "i8",
        "compressors": zarr.codecs.GzipCodec(),
        "config": {"write_empty_chunks": True},
    }
    memory: Any = Memory()
    encode = make_encoder(zarr.create_array(MemoryStore(memory), **settings), memory, False)

    def use(number: int) -> None:
        slices = encode(np.full(4, number))
        try:
            while True:
                next(slices)
        except StopIteration as end:
            results[number] = end.value

    other = threading.Thread(target=use, args=(2,))
    use(1)
    other.join(PATIENCE)
    for number in (1, 2):
        assert gzip.decompress(results[number]) == np.full(4, number).tobytes()


def test_a_store_that_hangs_is_waited_for_as_long_as_the_caller_says() -> None:
    store = Gated(MemoryStore())
    w = InSituWriter(store, {"t": RAW}, windows="always")
    w.write(0, {"t": values(0)})
    assert store.began.wait(PATIENCE)
    with pytest.raises(TimeoutError, match="1 of 1 snapshots are not stored"):
        w.flush(0.02)
    assert w.visible_steps.get("step", []) == []
    store.open.set()
    w.flush(PATIENCE)  # again: it was not given up
    assert w.visible_steps == {"step": [0]}
    w.close()


def test_a_file_that_another_machine_replaces_while_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NFS calls the old one stale. A rank's count is read a hundred times a second."""
    keys = Keys(LocalStore(tmp_path))
    keys.set("count", b"2")
    stale = [True, True]
    read = Path.read_bytes

    def replaced(path: Path) -> bytes:
        if stale:
            stale.pop()
            raise OSError(errno.ESTALE, "Stale file handle")
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", replaced)
    assert keys.get("count") == b"2"
    stale += 10 * [True]
    with pytest.raises(OSError, match="Stale"):
        keys.get("count")
