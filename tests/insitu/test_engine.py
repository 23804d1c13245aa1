"""The engine: what is stored, in which order, and when its gates let it."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable

import pytest
from engine_cases import PATIENCE, Source, stays, wait_until

from fzdask.errors import ConfigError
from fzdask.insitu import CancelledDumpError, Engine, InSituError

Make = Callable[..., Engine]


def test_a_snapshot_is_stored_block_by_block_and_then_announced(engine: Make) -> None:
    source, announced = Source(), []
    e = engine(windows="always")
    snapshot = e.submit(source.blocks(5), name="one", on_stored=lambda: announced.append("one"))
    snapshot.future.result(PATIENCE)
    assert sorted(source.sink.keys) == [f"b{i}" for i in range(5)]
    assert announced == ["one"]
    assert [data.rstrip(b".").decode() for _, data in source.sink.stored] == source.sink.keys
    e.flush(PATIENCE)
    found = e.statistics
    assert found["snapshots stored"] == 1
    assert found["blocks stored"] == 5
    assert found["stored bytes"] == 50
    assert found["raw bytes"] == 200
    assert found["outstanding"] == found["buffered bytes"] == 0


def test_nothing_is_encoded_before_a_window_opens(engine: Make) -> None:
    source, e = Source(), engine()
    snapshot = e.submit(source.blocks(2))
    assert stays(lambda: source.slices == 0)
    with e.idle("wait"):
        snapshot.future.result(PATIENCE)
    assert source.slices == 6
    assert "blocks begun out of windows" not in e.statistics


def test_a_block_pauses_between_slices_when_the_window_closes(engine: Make) -> None:
    source, e = Source(), engine()
    snapshot = e.submit([source.block("long", slices=40, seconds=0.002)])
    with e.idle():
        wait_until(lambda: source.slices >= 3)
    reached = source.slices
    wait_until(lambda: e.statistics.get("pauses within blocks", 0) == 1)
    paused = source.slices
    assert paused <= reached + 2  # the slice in progress, and one that had just been let through
    assert stays(lambda: source.slices == paused)
    with e.idle():
        snapshot.future.result(PATIENCE)
    assert source.slices == 40


def test_without_slices_a_block_is_finished_past_its_window(engine: Make) -> None:
    source, e = Source(), engine(slices=False)
    snapshot = e.submit([source.block("long", slices=10, seconds=0.002)])
    with e.idle():
        wait_until(lambda: source.slices >= 1)
    snapshot.future.result(PATIENCE)
    assert e.statistics["blocks past their window"] == 1


def test_windows_within_windows_count_once(engine: Make) -> None:
    source, e = Source(), engine()
    with e.idle("outer"):
        with e.idle("inner"):
            pass
        e.submit(source.blocks(1)).future.result(PATIENCE)
    assert stays(lambda: e.outstanding == 0, 0.01)
    e.submit(source.blocks(1))
    assert stays(lambda: e.outstanding == 1)


def test_blocks_follow_the_order_that_is_handed_over(engine: Make) -> None:
    source, e = Source(), engine()
    snapshot = e.submit(source.blocks(6))
    compress, write = [5, 3, 1, 0, 2, 4], [0, 1, 2, 3, 4, 5]
    source.sink.open.clear()  # so that all are encoded before the writes are chosen among them
    e.core("hold", source.sink.open.wait, PATIENCE)
    e.set_order(snapshot, compress, write)
    with e.idle():
        wait_until(lambda: len(source.encoded) == 6)
        time.sleep(0.02)
        source.sink.open.set()
        snapshot.future.result(PATIENCE)
    assert source.encoded == [f"b{i}" for i in compress]
    assert source.sink.keys == [f"b{i}" for i in write]


def test_an_order_that_is_no_permutation_is_refused(engine: Make) -> None:
    e = engine()
    snapshot = e.submit(Source().blocks(3))
    with pytest.raises(ConfigError, match="every position from 0 to 2 once"):
        e.set_order(snapshot, [0, 1, 1], [0, 1, 2])


def test_older_snapshots_go_first_and_are_announced_in_order(engine: Make) -> None:
    source, announced, e = Source(), [], engine()
    for name in ("first", "second", "third"):
        e.submit(
            source.blocks(3, name), name=name, on_stored=lambda name=name: announced.append(name)
        )
    with e.idle():
        e.flush(PATIENCE)
    assert announced == ["first", "second", "third"]
    assert [key[:-1] for key in source.encoded] == ["first"] * 3 + ["second"] * 3 + ["third"] * 3


def test_core_tasks_go_before_writes(engine: Make) -> None:
    source, e = Source(), engine(windows="always")
    ran: list[str] = []
    source.sink.open.clear()
    e.submit(source.blocks(3, nbytes=300_000))  # too large to go to the sink together
    wait_until(lambda: len(source.encoded) == 3)
    done = [e.core(f"halo {i}", lambda i=i: ran.append(f"{i} after {len(source.sink.keys)}"))
            for i in range(2)]  # fmt: skip
    source.sink.open.set()
    for future in done:
        future.result(PATIENCE)
    assert ran[0] in ("0 after 0", "0 after 1")  # at most the write that had begun was before it
    e.flush(PATIENCE)


def test_a_core_task_returns_its_result_or_its_error(engine: Make) -> None:
    e = engine()
    assert e.core("sum", lambda a, b: a + b, 2, b=3).result(PATIENCE) == 5
    with pytest.raises(ZeroDivisionError):
        e.core("bad", lambda: 1 / 0).result(PATIENCE)
    assert e.core("still alive", lambda: 1).result(PATIENCE) == 1


def test_an_empty_snapshot_completes_after_those_before_it(engine: Make) -> None:
    source, announced, e = Source(), [], engine()
    e.submit(source.blocks(2), on_stored=lambda: announced.append("full"))
    empty = e.submit([], on_stored=lambda: announced.append("empty"))
    assert stays(lambda: announced == [], 0.02)
    e.flush(PATIENCE)
    assert empty.future.done()
    assert announced == ["full", "empty"]


@pytest.mark.parametrize("where", ["encode", "store", "announce"])
def test_an_error_reaches_the_future_and_flush_with_its_cause(engine: Make, where: str) -> None:
    source, e = Source(), engine()
    error = OSError("no space left")
    blocks = source.blocks(3)
    on_stored = None
    if where == "encode":
        blocks[1] = source.block("b1", error=error)
    elif where == "store":
        source.sink.error = error
    else:

        def on_stored() -> None:
            raise error

    bad = e.submit(blocks, name="bad", on_stored=on_stored)
    with pytest.raises(InSituError, match="'bad' failed") as caught:
        e.flush(PATIENCE)
    assert caught.value.__cause__ is error
    assert bad.future.exception(PATIENCE) is caught.value
    # The engine lives: what comes after is another matter.
    source.sink.error = None
    e.submit(source.blocks(2, "next"))
    e.flush(PATIENCE)
    assert {"next0", "next1"} <= set(source.sink.keys)
    assert e.statistics["buffered bytes"] == 0
    assert e.statistics["snapshots failed"] == 1


def test_cancelling_drops_what_is_not_stored(engine: Make) -> None:
    source, e = Source(), engine()
    kept = e.submit(source.blocks(1, "kept"))
    dropped = e.submit([source.block("dropped", slices=1000, seconds=0.001)])
    with e.idle():
        kept.future.result(PATIENCE)
        wait_until(lambda: source.slices > 5)
        assert e.cancel(dropped)
    with pytest.raises(CancelledDumpError):
        dropped.future.result(PATIENCE)
    assert not e.cancel(dropped)
    e.flush(PATIENCE)
    assert source.sink.keys == ["kept0"]
    reached = source.slices
    assert stays(lambda: source.slices <= reached + 1)


def test_closing_with_cancel_ends_at_once(engine: Make) -> None:
    source, e = Source(), engine()
    snapshot = e.submit(source.blocks(4))
    e.close(cancel=True)
    assert isinstance(snapshot.future.exception(), CancelledDumpError)
    assert source.sink.keys == []
    assert all(not t.is_alive() for t in e._threads)
    with pytest.raises(ConfigError, match="the engine is closed"):
        e.submit(source.blocks(1))
    e.close()  # again: nothing


def test_leaving_a_with_block_stores_everything() -> None:
    source = Source()
    with Engine() as e:
        e.submit(source.blocks(4))
    assert len(source.sink.keys) == 4


def test_two_blocks_of_one_name_are_refused(engine: Make) -> None:
    source = Source()
    with pytest.raises(ConfigError, match="2 blocks have 1 names"):
        engine().submit([source.block("same"), source.block("same")])


def test_a_dead_thread_fails_everything_instead_of_hanging(
    engine: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, e = Source(), engine()
    snapshot = e.submit(source.blocks(2))
    monkeypatch.setattr(e._state, "encoded", lambda task: 1 / 0)  # a defect of the engine itself
    with pytest.raises(InSituError, match="thread of the engine died"), e.idle():
        snapshot.future.result(PATIENCE)
    with pytest.raises(InSituError, match="a background thread died"):
        e.submit(source.blocks(1))
    e.close(cancel=True)


def test_many_threads_may_submit_and_flush(engine: Make) -> None:
    source, e, errors = Source(), engine(windows="always"), []

    def work(k: int) -> None:
        try:
            for i in range(20):
                e.submit(source.blocks(2, f"t{k}.{i}."))
                if i % 5 == 0:
                    e.flush(PATIENCE)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    e.flush(PATIENCE)
    assert errors == []
    assert len(set(source.sink.keys)) == len(source.sink.keys) == 160


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_process_is_told_that_it_has_no_threads(engine: Make) -> None:
    e = engine()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            e.submit(Source().blocks(1))
        except ConfigError as error:
            code = 0 if "forked" in str(error) else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
