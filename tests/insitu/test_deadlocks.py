"""Every deadlock that was met or feared: each of these once waited for ever, or would have."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from engine_cases import PATIENCE, Source, stays, wait_until

from fzdask.errors import ConfigError
from fzdask.insitu import Engine, InSituError
from fzdask.insitu.iteration import Expectation
from fzdask.scheduling.predict import Margins

Make = Callable[..., Engine]


def test_gated_blocks_do_not_starve_when_no_window_comes_again(engine: Make) -> None:
    source, e = Source(), engine(deadline=0.1)
    with e.idle("the last window"):
        pass
    snapshot = e.submit(source.blocks(3))
    snapshot.future.result(PATIENCE)  # nobody waits in the engine, no window opens
    assert e.statistics["blocks begun out of windows"] == 3


def test_a_block_paused_by_the_last_window_is_finished_at_its_deadline(engine: Make) -> None:
    source, e = Source(), engine(deadline=0.2)
    snapshot = e.submit([source.block("long", slices=100, seconds=0.002)])
    with e.idle():
        wait_until(lambda: source.slices >= 2)
    snapshot.future.result(PATIENCE)
    assert source.slices == 100


def test_a_write_gated_by_a_core_task_that_never_comes_is_done(engine: Make) -> None:
    source, e = Source(), engine(deadline=60.0)
    with e.iteration("learnt"):
        e.submit(source.blocks(1, "first"))
        e.flush(PATIENCE)
    with e._state.lock:
        e._state.recorder.expected = Expectation({}, (0.01,), 1.0)
        e._state.margins = Margins(0.0, 0.0, 0.0)
    with e.iteration("without its core task"), e.idle():
        snapshot = e.submit(source.blocks(1, "gated"))
        with e._state.lock:
            snapshot.tasks[0].expected_write = 0.5  # does not fit before the core task
        snapshot.future.result(PATIENCE)


def test_flush_does_not_wait_for_a_window(engine: Make) -> None:
    source, e = Source(), engine()
    e.submit(source.blocks(3))
    e.flush(PATIENCE)
    assert len(source.sink.keys) == 3


def test_flush_does_not_overtake_the_admission_of_a_snapshot(engine: Make) -> None:
    """A flush while another thread waits to submit: both end, and the barrier holds."""
    source, e = Source(), engine()
    source.sink.open.clear()
    e.submit(source.blocks(1, "first"))
    done = threading.Event()

    def admit() -> None:
        e.wait(0, PATIENCE)
        e.submit(source.blocks(1, "second")).future.result(PATIENCE)
        done.set()

    thread = threading.Thread(target=admit)
    thread.start()
    wait_until(lambda: e._state.pressed == 1)
    flusher = threading.Thread(target=e.flush, args=(PATIENCE,))
    flusher.start()
    assert stays(flusher.is_alive, 0.02)
    source.sink.open.set()
    flusher.join(PATIENCE)
    with e.idle():
        assert done.wait(PATIENCE)
    thread.join()
    assert source.sink.keys == ["first0", "second0"]


@pytest.mark.parametrize("what", ["flush", "wait"])
def test_a_barrier_in_the_only_thread_that_could_serve_it_is_refused(
    engine: Make, what: str
) -> None:
    source, e = Source(), engine(windows="always")
    source.sink.open.clear()
    e.submit(source.blocks(1))
    barrier = e.core("barrier", getattr(e, what))
    source.sink.open.set()
    with pytest.raises(ConfigError, match="would wait for itself"):
        barrier.result(PATIENCE)
    refused: list[BaseException] = []

    def announce() -> None:
        try:
            getattr(e, what)()
        except ConfigError as error:
            refused.append(error)

    e.submit(source.blocks(1, "n"), on_stored=announce)
    e.flush(PATIENCE)
    assert len(refused) == 1


def test_a_block_larger_than_the_buffer_passes(engine: Make) -> None:
    source, e = Source(), engine(buffer=100, windows="always")
    e.submit([*source.blocks(3), source.block("huge", nbytes=1000), *source.blocks(3, "c")])
    e.flush(PATIENCE)
    assert len(source.sink.keys) == 7


def test_a_full_buffer_stops_encoding_and_nothing_else(engine: Make) -> None:
    source, e = Source(), engine(buffer=100, windows="always")
    source.sink.open.clear()
    e.submit(source.blocks(20, nbytes=40))
    wait_until(lambda: len(source.encoded) >= 3)
    # 40 in the sink's hands, 40 and 40 that wait; expected sizes are not known yet.
    assert stays(lambda: len(source.encoded) <= 4)
    assert e.core("core tasks wait for the write only", lambda: 1).running()
    source.sink.open.set()
    e.flush(PATIENCE)
    assert len(source.sink.keys) == 20
    assert e.statistics["buffer peak"] <= 100 + 40


def test_an_error_wakes_whoever_waits_for_room(engine: Make) -> None:
    source, e = Source(), engine(windows="always")
    source.sink.open.clear()
    source.sink.error = OSError("the disk is gone")
    e.submit(source.blocks(3))
    waited: list[bool] = []
    thread = threading.Thread(target=lambda: waited.append(e.wait(0, PATIENCE)))
    thread.start()
    wait_until(lambda: e._state.pressed == 1)
    source.sink.open.set()
    thread.join(PATIENCE)
    assert waited == [True]
    e.submit([source.block("bad", error=ValueError())])
    with pytest.raises(InSituError):
        e.flush(PATIENCE)


def test_a_flush_that_takes_too_long_says_so_and_harms_nothing(engine: Make) -> None:
    source, e = Source(), engine(windows="always")
    source.sink.open.clear()
    e.submit(source.blocks(2))
    with pytest.raises(TimeoutError, match="1 of 1 snapshots are not stored"):
        e.flush(0.02)
    source.sink.open.set()
    e.flush(PATIENCE)
    assert len(source.sink.keys) == 2
