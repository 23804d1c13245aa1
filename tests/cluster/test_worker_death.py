"""Workers that end during a snapshot: nothing acknowledged is lost, the rest is done again."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import threading
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from cluster_cases import RULES, STORED, addresses, engine_of, eventually, gate, make, make_cluster
from distributed import Client, LocalCluster
from zarr.storage import LocalStore, WrapperStore

from fzdask import FZCodec
from fzdask.cluster import ClusterWriter, submit_snapshot
from fzdask.scheduling import FZSchedulerPlugin

BOUND = 1e-3


def close_worker(client: Any, address: str, how: str) -> None:
    cluster = client.cluster
    if how == "retired":
        client.retire_workers([address])
        return
    worker = next(w for w in cluster.workers.values() if w.address == address)
    client.sync(worker.close, timeout=1, reason="test")


@pytest.mark.parametrize("how", ["closed", "retired"])
def test_a_snapshot_moves_to_another_worker(how: str) -> None:
    STORED.clear()
    with make_cluster(2) as cluster, Client(cluster) as client:
        client.register_plugin(FZSchedulerPlugin(RULES))
        first, second = addresses(client)
        name = f"moves {how}"
        parts = {first: (name, (1, 1, 1), name, True)}
        future = submit_snapshot(client, name, make, parts)[0]
        eventually(lambda: engine_of(client, first).outstanding)
        threading.Timer(0.2, gate(name).set).start()  # closing waits for the write in progress
        close_worker(client, first, how)
        assert future.result(timeout=20).nbytes == 3 * 300_000
        assert {k for k in STORED if k.startswith(name)} == {f"{name}/{i}" for i in range(3)}
        eventually(lambda: not engine_of(client, second).outstanding)


def test_workers_with_snapshots_are_not_scaled_down() -> None:
    with make_cluster(2) as cluster, Client(cluster) as client:
        client.register_plugin(FZSchedulerPlugin(RULES))
        first, second = addresses(client)
        future = submit_snapshot(client, "s", make, {first: ("scaled", (1,), "scaled")})[0]
        eventually(lambda: engine_of(client, first).outstanding)
        chosen = client.sync(client.scheduler.workers_to_close, n=1)
        assert first not in chosen
        gate("scaled").set()
        future.result(timeout=20)
        assert second in addresses(client)


def stored_steps(folder: Path, expected: Any) -> list[int]:
    """The visible steps, all of them within the bound."""
    found = xr.open_zarr(folder)
    for at, step in enumerate(found.step.values):
        error = np.abs(found.t[at].values.astype("f8") - expected(int(step)))
        assert error.max() <= BOUND
    return [int(s) for s in found.step.values]


def wave(step: int) -> np.ndarray:
    z, x = np.mgrid[0:64, 0:64]
    return np.sin(0.1 * x + step) * np.cos(0.2 * z)


def wave_block(step: int, block_info: Any = None) -> np.ndarray:
    (a, b), (c, d) = block_info[None]["array-location"]
    return wave(step)[a:b, c:d]


class SlowStore(WrapperStore[Any]):
    """Takes a while over every chunk."""

    async def set(self, key: str, value: Any) -> None:
        await asyncio.sleep(0.004)
        await self._store.set(key, value)

    def __reduce__(self) -> Any:
        return SlowStore, (self._store,)


def run_with_kills(folder: Path, steps: int, kills: int, seed: int) -> None:
    """Write steps from worker processes that are killed at random moments."""
    rng = random.Random(seed)
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        store = SlowStore(LocalStore(folder))
        encoding = {"t": {"compressors": FZCodec(abs=BOUND), "chunks": (16, 32)}}
        acknowledged: list[int] = []
        when = sorted(rng.sample(range(1, steps), kills))
        with ClusterWriter(client, store, encoding, retries=20) as w:
            for step in range(steps):
                x = da.map_blocks(
                    wave_block, step, chunks=((32, 32), (64,)), dtype="f8", meta=np.empty((0, 0))
                )
                w.write(step, {"t": x})
                if step in when:
                    pids = list(client.run(os.getpid).values())
                    victim = rng.choice(pids)
                    threading.Timer(
                        0.03 * rng.random(), lambda pid=victim: os.kill(pid, signal.SIGKILL)
                    ).start()
                    w.flush()
                    acknowledged = stored_steps(folder, wave)
                    assert acknowledged == list(range(step + 1))
    assert stored_steps(folder, wave) == list(range(steps))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_killed_processes(tmp_path: Path, seed: int) -> None:
    run_with_kills(tmp_path / "r", 12, 3, seed)
