"""Snapshot tasks that Dask moves: stolen before they begin, never while they wait."""

from __future__ import annotations

from typing import Any

from cluster_cases import (
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
)
from distributed import Client

from fzdask.cluster import submit_snapshot
from fzdask.scheduling import FZSchedulerPlugin


def task_of(client: Any, future: Any) -> Any:
    return client.cluster.scheduler.tasks[future.key]


def worker_of(client: Any, address: str) -> Any:
    return client.cluster.scheduler.workers[address]


def test_a_task_that_is_stolen_before_it_begins_runs_where_it_came_to(client: Any) -> None:
    first, second = addresses(client)
    busy = [client.submit(hold, f"h{a}", workers=[a], pure=False) for a in (first, second)]
    assert all(gate(f"h{a} began").wait(PATIENCE) for a in (first, second))
    futures = submit_snapshot(client, "stolen", make, {first: ("stolen", (1, 2, 3))})
    eventually(lambda: futures[0].key in client.cluster.scheduler.tasks)
    task = task_of(client, futures[0])
    eventually(lambda: task.processing_on is not None)
    assert task.processing_on.address == first
    stealing = client.cluster.scheduler.extensions["stealing"]
    thief, victim = worker_of(client, second), worker_of(client, first)
    client.cluster.scheduler.loop.add_callback(stealing.move_task_request, task, victim, thief)
    eventually(lambda: task.processing_on is thief)
    for a in (first, second):
        gate(f"h{a}").set()
    client.gather(busy)
    assert futures[0].result(timeout=PATIENCE).nbytes == 6
    assert {key: len(STORED[key]) for key in STORED} == {f"stolen/{i}": i + 1 for i in range(3)}


def test_a_snapshot_that_waits_for_its_storage_is_not_stolen(client: Any) -> None:
    first, _ = addresses(client)
    future = submit_snapshot(client, "kept", make, {first: ("kept", (1,), "kept")})[0]
    eventually(lambda: engine_of(client, first).outstanding)
    task = task_of(client, future)
    eventually(lambda: task in worker_of(client, first).long_running)
    assert task not in client.cluster.scheduler.extensions["stealing"].key_stealable
    # Its worker looks idle, and takes other work.
    assert client.submit(identity, 1, workers=[first], pure=False).result(timeout=PATIENCE) == 1
    gate("kept").set()
    assert future.result(timeout=PATIENCE).nbytes == 1


def test_adaptive_scaling_takes_the_worker_that_stores_nothing() -> None:
    with make_cluster(2) as cluster, Client(cluster) as client:
        client.register_plugin(FZSchedulerPlugin(RULES))
        first = addresses(client)[1]  # the other one would be chosen first
        parts = {first: ("adaptive", (1,), "adaptive")}
        future = submit_snapshot(client, "adaptive", make, parts)[0]
        eventually(lambda: engine_of(client, first).outstanding)
        cluster.adapt(minimum=1, maximum=2, interval="50ms", wait_count=1)
        eventually(lambda: len(cluster.scheduler.workers) == 1)
        assert list(cluster.scheduler.workers) == [first]
        gate("adaptive").set()
        assert future.result(timeout=PATIENCE).nbytes == 1
