"""One task per snapshot per worker: admission, slots, order, cancellation, failure."""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np
import pytest
from cluster_cases import (
    FAILURES,
    LOG,
    PATIENCE,
    RULES,
    STORED,
    addresses,
    engine_of,
    eventually,
    gate,
    hold,
    identity,
    make,
    make_cluster,
    plugin_of,
)
from distributed import Client

from fzdask.cluster import idle, iteration, statistics, statistics_dataset, submit_snapshot
from fzdask.cluster.profiles import Order
from fzdask.cluster.snapshots import press
from fzdask.errors import ConfigError
from fzdask.insitu import InSituError, Rules
from fzdask.scheduling import FZSchedulerPlugin


def test_a_future_is_done_when_its_blocks_are_stored(client: Any) -> None:
    where = addresses(client)
    parts = {a: (f"s{i}", (1, 2, 3)) for i, a in enumerate(where)}
    profiles = client.gather(submit_snapshot(client, "s", make, parts))
    assert [p.nbytes for p in profiles] == [6, 6]
    assert set(STORED) == {f"s{i}/{b}" for i in range(2) for b in range(3)}


def test_a_waiting_snapshot_holds_no_slot(client: Any) -> None:
    """One slot per worker: a task must run while a snapshot waits for its storage."""
    worker = addresses(client)[0]
    snapshot = submit_snapshot(client, "slow", make, {worker: ("slow", (1,), "store")})
    eventually(lambda: engine_of(client, worker).outstanding)
    assert client.submit(identity, 7, workers=[worker], pure=False).result(timeout=PATIENCE) == 7
    assert not snapshot[0].done()
    gate("store").set()
    assert client.gather(snapshot)[0].nbytes == 1


def test_snapshots_without_a_window_are_stored_when_somebody_waits(client: Any) -> None:
    """The only slot computes all the time: no window ever comes, and none is needed."""
    worker = addresses(client)[0]
    rounds = [client.submit(identity, 0, workers=[worker], pure=False)]
    client.gather(rounds)
    admitted = submit_snapshot(
        client, "early", make, {worker: ("early", (1,), "early")}, session="A", number=0
    )
    eventually(lambda: engine_of(client, worker).outstanding)
    busy = client.submit(hold, "busy", workers=[worker], pure=False)
    assert gate("busy began").wait(PATIENCE)
    assert not plugin_of(client, worker).tracker.is_open
    press(client, "A", 0)
    gate("early").set()
    client.gather(admitted)
    assert "early/0" in STORED
    assert not busy.done()
    gate("busy").set()
    busy.result(timeout=PATIENCE)


def test_a_barrier_does_not_overtake_admission(client: Any) -> None:
    """Pressed before the snapshot has arrived: it still counts when it does."""
    worker = addresses(client)[0]
    plugin = plugin_of(client, worker)
    press(client, "late", 3)
    eventually(lambda: plugin._wanted.get("late") == 3)
    plugin.tracker.started("a task that never ends")
    try:
        parts = {worker: ("late", (1, 1))}
        done = submit_snapshot(client, "late", make, parts, session="late", number=3)
        assert client.gather(done)[0].nbytes == 2
    finally:
        plugin.tracker.ended("a task that never ends")


def test_a_gated_snapshot_does_not_starve(client: Any) -> None:
    """No window, nobody waits: the deadline of the engine's rules sees to it."""
    worker = addresses(client)[0]
    plugin = plugin_of(client, worker)
    plugin.engine._deadline = lambda: 0.05
    plugin.tracker.started("a task that never ends")
    try:
        done = submit_snapshot(client, "gated", make, {worker: ("gated",)})
        assert client.gather(done)[0].nbytes == 2
    finally:
        del plugin.engine._deadline
        plugin.tracker.ended("a task that never ends")


def test_cancelling_a_future_drops_its_snapshot(client: Any) -> None:
    worker = addresses(client)[0]
    parts = {worker: ("dropped", (1, 1, 1), "never", True)}
    future = submit_snapshot(client, "dropped", make, parts)[0]
    eventually(lambda: engine_of(client, worker).outstanding)
    future.cancel()
    eventually(lambda: not engine_of(client, worker).outstanding)
    gate("never").set()
    after = submit_snapshot(client, "after", make, {worker: ("after",)})
    assert client.gather(after)[0].nbytes == 2
    # The write that was in progress has ended; none has begun after it.
    assert sum(key.startswith("dropped/") for key in STORED) <= 1


def test_a_write_that_fails_is_tried_again(client: Any) -> None:
    worker = addresses(client)[0]
    FAILURES["again"] = 2
    done = submit_snapshot(client, "again", make, {worker: ("again", (1,))}, retries=2)
    assert client.gather(done)[0].nbytes == 1
    assert STORED["again/0"] == b"x"


def test_a_write_that_always_fails_is_reported_with_its_cause(client: Any) -> None:
    worker = addresses(client)[0]
    FAILURES["full"] = 99
    done = submit_snapshot(client, "full", make, {worker: ("full", (1,))}, retries=1)
    with pytest.raises(InSituError, match="No space left"):
        client.gather(done)
    FAILURES.clear()
    assert client.gather(submit_snapshot(client, "next", make, {worker: ("next",)}))


def test_blocks_go_in_the_order_of_the_scheduler(
    client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = addresses(client)[0]
    # What the scheduler says is said here, and by nobody else.
    scheduler = client.cluster.scheduler.plugins[FZSchedulerPlugin.name]
    monkeypatch.setattr(scheduler._coordinator, "orders", dict)
    plugin = plugin_of(client, worker)
    names = [f"b/{i}" for i in range(5)]
    # The engine has an order of its own for blocks that it has seen before.
    client.gather(submit_snapshot(client, "first", make, {worker: ("first", (1,) * 5)}))
    eventually(lambda: tuple(names) in plugin.engine._plans._orders)
    order = Order(
        tuple(names[i] for i in (3, 1, 4, 0, 2)), tuple(names[i] for i in (1, 3, 0, 4, 2))
    )
    plugin._on_order(order=order.packed())
    plugin.tracker.started("a task")  # no window until all are there
    LOG.clear()
    done = submit_snapshot(client, "o", make, {worker: ("o", (1, 1, 1, 1, 1), "o", True)})
    eventually(lambda: plugin.engine.outstanding)
    plugin.tracker.ended("a task")
    eventually(lambda: sum(what == "compress" for what, _ in LOG) == 5)
    gate("o").set()
    client.gather(done)
    ran = [n for what, n in LOG if what == "compress"]
    assert ran == [f"o/{i}" for i in (3, 1, 4, 0, 2)]
    stored = [n for what, n in LOG if what == "write"]
    # One was being stored before all were there; the others followed as planned.
    assert stored[1:] == [n for n in ("o/1", "o/3", "o/0", "o/4", "o/2") if n != stored[0]]
    plugin._orders.clear()


def test_the_scheduler_plans_from_profiles(client: Any) -> None:
    plugin = client.cluster.scheduler.plugins[FZSchedulerPlugin.name]
    before = plugin.counts["orders sent"]
    where = addresses(client)
    for k in range(3):
        parts = {a: (f"p{k}{i}", (1, 2, 3, 4)) for i, a in enumerate(where)}
        client.gather(submit_snapshot(client, f"p{k}", make, parts, number=k))
    kind = frozenset(f"b/{i}" for i in range(4))
    eventually(lambda: all(kind in plugin_of(client, a)._orders for a in where))
    assert plugin.counts["orders sent"] >= before + 2


def test_registering_twice_keeps_the_engines(client: Any) -> None:
    engines = [engine_of(client, a) for a in addresses(client)]
    client.register_plugin(FZSchedulerPlugin(RULES))
    assert [engine_of(client, a) for a in addresses(client)] == engines


def test_statistics(client: Any) -> None:
    client.gather(submit_snapshot(client, "told", make, {addresses(client)[0]: ("t", (1, 2))}))
    eventually(lambda: any(r["snapshot"] == "told" for r in statistics(client)["rows"]))
    found = statistics(client)
    assert set(found["workers"]) == set(addresses(client))
    table = statistics_dataset(client)
    row = table.isel(dump=int(np.argmax(table.snapshot.values == "told")))
    assert (int(row.blocks), int(row.stored_nbytes)) == (2, 3)
    assert table.stored_nbytes.attrs["units"] == "byte"


def test_the_dashboard_has_a_page(client: Any) -> None:
    from urllib.request import urlopen

    client.gather(submit_snapshot(client, "seen", make, {addresses(client)[0]: ("seen",)}))
    scheduler = client.cluster.scheduler
    eventually(lambda: scheduler.plugins[FZSchedulerPlugin.name].history.tasks(time.time()))
    port = scheduler.http_server.port
    with urlopen(f"http://localhost:{port}/fzdask", timeout=PATIENCE) as answer:
        page = answer.read().decode()
    assert "<svg" in page
    assert "b/0" in page
    assert "planned overhead" in page


def test_a_cluster_without_the_plugin_says_so(bare_client: Any) -> None:
    worker = addresses(bare_client)[0]
    done = submit_snapshot(bare_client, "s", make, {worker: ("s",)}, retries=0)
    with pytest.raises(ConfigError, match=r"FZSchedulerPlugin"):
        bare_client.gather(done)
    with pytest.raises(ConfigError, match=r"FZSchedulerPlugin"):
        statistics(bare_client)


def test_a_plugin_that_watches_threads_is_refused() -> None:
    with pytest.raises(ConfigError, match="watches the thread"):
        FZSchedulerPlugin(Rules(windows="watched"))
    with pytest.raises(ConfigError, match="storage_bandwidth"):
        FZSchedulerPlugin(storage_bandwidth="fast")


def test_marks_do_nothing_outside_of_workers() -> None:
    with iteration("1"), idle("wait"):
        pass


def marked_task() -> list[bool]:
    from fzdask.cluster.hooks import current_worker, find_worker_plugin

    tracker = find_worker_plugin(current_worker()).tracker
    found = [tracker.is_open]
    with iteration("0"):
        with idle("halo exchange"):
            found.append(tracker.is_open)
        found.append(tracker.is_open)
    return found


def test_marks_within_tasks_open_the_gate(client: Any) -> None:
    worker = addresses(client)[0]
    done = client.submit(marked_task, workers=[worker], pure=False)
    assert done.result(timeout=PATIENCE) == [False, True, False]
    eventually(lambda: plugin_of(client, worker).tracker.is_open)


def test_engines_come_and_go_with_their_workers() -> None:
    """A worker that joins late has one, and hears what others heard; closing leaves no thread."""
    before = set(threading.enumerate())
    with make_cluster(1) as cluster, Client(cluster) as client:
        client.register_plugin(FZSchedulerPlugin(RULES))
        press(client, "before", 7)
        cluster.scale(2)
        client.wait_for_workers(2, timeout=PATIENCE)
        eventually(lambda: all(plugin_of(client, a) for a in addresses(client)))
        plugins = [plugin_of(client, a) for a in addresses(client)]
        eventually(lambda: [p._wanted.get("before") for p in plugins] == [7, 7])
        where = addresses(client)
        done = submit_snapshot(client, "s", make, {a: (a, (1,)) for a in where})
        assert len(client.gather(done)) == 2
    left = [t.name for t in set(threading.enumerate()) - before if t.name.startswith("fz")]
    assert left == []
