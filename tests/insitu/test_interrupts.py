"""Programs that are interrupted, end early or forget to close: nothing acknowledged is lost."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engine_cases import PATIENCE, wait_until
from faulty_stores import Failing, Gated
from writer_cases import opened
from zarr.storage import MemoryStore, ZipStore

from fzdask import InSituWriter
from fzdask.insitu import InSituError

RAW: dict[str, Any] = {"t": {"compressors": None, "chunks": (4, 4)}}


def values(step: int) -> np.ndarray:
    return np.arange(64.0).reshape(8, 8) + 100 * step


def shown(target: Any) -> int:
    """How many steps are visible; each is right."""
    ds = opened(target)
    count = int(ds.sizes.get("step", 0))
    if count:
        np.testing.assert_array_equal(ds.t, [values(step) for step in range(count)])
    return count


def test_an_interrupt_within_an_iteration_keeps_what_was_written() -> None:
    store = MemoryStore()

    def simulate(w: InSituWriter) -> None:
        with w:
            for step in range(5):
                with w.iteration(step), w.idle("solve"):
                    if step == 3:
                        raise KeyboardInterrupt
                w.write(step, {"t": values(step)})

    w = InSituWriter(store, RAW, windows="marked")
    with pytest.raises(KeyboardInterrupt):
        simulate(w)
    assert shown(store) == 3
    assert not any(t.is_alive() for t in w._engine._threads)


@pytest.mark.parametrize("where", ["_blocks", "_note_cost"])
def test_an_interrupt_within_a_write_loses_no_earlier_step(
    monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """The step that was being written is there as a whole or not at all."""
    store = MemoryStore()
    w = InSituWriter(store, RAW, windows="marked")
    w.write(0, {"t": values(0)})

    def interrupt(*_: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(w, where, interrupt)
    with pytest.raises(KeyboardInterrupt):
        w.write(1, {"t": values(1)})
    monkeypatch.undo()
    again = {"_blocks": 1, "_note_cost": 2}[where]  # before, and after it was handed over
    w.write(again, {"t": values(again)})
    w.close()
    assert shown(store) == again + 1


def test_an_interrupt_while_closing_waits_for_storing_ends_it() -> None:
    """A store that hangs: what is being stored is waited for, and what was visible stays.

    In a process of its own: the signal is a real one, and handlers of others are none of ours.
    """
    program = "import test_interrupts; test_interrupts.interrupted_while_closing()"
    ended = subprocess.run(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parent,
        timeout=120,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr


def interrupted_while_closing() -> None:
    # A background job of a shell inherits that it is ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    store = Gated(MemoryStore())
    w = InSituWriter(store, RAW, windows="marked")
    w.write(0, {"t": values(0)})

    def interrupt() -> None:
        assert store.began.wait(PATIENCE)
        wait_until(lambda: w._engine._state.pressed > 0)
        os.kill(os.getpid(), signal.SIGINT)
        store.open.set()  # the write in progress ends, and is waited for

    helper = threading.Thread(target=interrupt)
    helper.start()
    with pytest.raises(KeyboardInterrupt):
        w.close()
    helper.join()
    assert store.running == 0
    assert not any(t.is_alive() for t in w._engine._threads)
    with InSituWriter(store, RAW) as w:
        for step in range(2):
            w.write(step, {"t": values(step)})
    assert shown(store) == 2


def test_a_failure_is_never_overtaken_by_a_barrier() -> None:
    """Between the moment at which a snapshot is given up and that at which its error is told."""
    store = Failing(MemoryStore(), 2)
    w = InSituWriter(store, RAW, windows="marked")
    w.write(0, {"t": values(0)})
    future = w._submitted[0].future
    given_up, tell = threading.Event(), threading.Event()
    set_exception = future.set_exception

    def late(error: BaseException | None) -> None:
        given_up.set()
        assert tell.wait(PATIENCE)
        set_exception(error)

    future.set_exception = late  # type: ignore[method-assign]
    w._engine._state.pressed += 1  # no window is needed
    with w._engine._state.lock:
        w._engine._state.compress_turn.notify()
    assert given_up.wait(PATIENCE)
    threading.Timer(0.05, tell.set).start()
    with pytest.raises(InSituError, match="step 0"):
        w.flush()
    w.close(cancel=True)


# -- without close ------------------------------------------------------------------------------


def test_a_writer_that_is_dropped_is_closed_all_the_same(tmp_path: Path) -> None:
    def simulate() -> Any:
        w = InSituWriter(tmp_path / "run.zip", RAW, windows="always")
        w.write(0, {"t": values(0)})
        return w._engine._threads

    def ended() -> bool:
        gc.collect()
        names = {t.name for t in threading.enumerate()}
        return "fzdask-close" not in names and not any(t.is_alive() for t in threads)

    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        threads = simulate()
        wait_until(ended)  # the engine keeps the writer until the snapshot is stored
    assert any("run.zip was dropped without close" in str(each.message) for each in seen)
    assert shown(ZipStore(tmp_path / "run.zip", mode="r")) == 1


FORGETS = """
import signal
import sys
import numpy as np
import zarr
from zarr.storage import LocalStore, WrapperStore
from fzdask import InSituWriter

folder, kind = sys.argv[1:]


def writer(target, codec=None):
    encoding = {"t": {"compressors": codec}}
    return InSituWriter(target, encoding, windows="marked", max_outstanding=4)


def simulate(w):
    for step in range(3):
        w.write(step, {"t": np.arange(64.0).reshape(8, 8) + 100 * step})


if kind == "terminated":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with writer(folder + "/plain") as w:
        simulate(w)
        print("ready", flush=True)
        signal.pause()
else:
    plain = writer(folder + "/plain")
    wrapped = writer(WrapperStore(LocalStore(folder + "/wrapped")))
    gzip = writer(folder + "/gzip", zarr.codecs.GzipCodec())
    for each in plain, wrapped, gzip:
        simulate(each)
"""


@pytest.mark.skipif(
    (3, 12) <= sys.version_info < (3, 12, 3),
    reason="these start no threads once the program ends (python/cpython#113964)",
)
def test_a_program_that_forgets_to_close(tmp_path: Path) -> None:
    """Stores and codecs that work in thread pools, too: those have ended when `atexit` begins."""
    ended = subprocess.run(
        [sys.executable, "-c", FORGETS, str(tmp_path), "forgets"],
        check=True,
        timeout=120,
        capture_output=True,
        text=True,
    )
    assert "Error" not in ended.stderr
    for name in ("plain", "wrapped", "gzip"):
        assert shown(tmp_path / name) == 3


@pytest.mark.skipif(not hasattr(signal, "pause"), reason="needs signal.pause")
def test_a_termination_that_is_made_an_exit_stores_everything(tmp_path: Path) -> None:
    """What docs/insitu.md advises for batch systems."""
    command = [sys.executable, "-c", FORGETS, str(tmp_path), "terminated"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.terminate()
        assert process.wait(120) == 143
    assert shown(tmp_path / "plain") == 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_process_does_not_end_its_parents_writer(tmp_path: Path) -> None:
    """It has none of the threads, and an archive that it closed would be the parent's."""
    with InSituWriter(tmp_path / "run.zip", RAW) as w:
        w.write(0, {"t": values(0)})
        child = os.fork()
        if child == 0:
            code = 1
            try:
                w.close()
                code = 0
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        w.write(1, {"t": values(1)})
    assert shown(ZipStore(tmp_path / "run.zip", mode="r")) == 2
