"""Workers that end during a snapshot: nothing acknowledged is lost, the rest is done again."""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from cluster_cases import (
    PATIENCE,
    RULES,
    STORED,
    addresses,
    engine_of,
    eventually,
    gate,
    make,
    make_cluster,
)
from distributed import Client, LocalCluster

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
        assert future.result(timeout=PATIENCE).nbytes == 3 * 300_000
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
        future.result(timeout=PATIENCE)
        assert second in addresses(client)


# -- processes that are killed ------------------------------------------------------------------


def wave(step: int) -> np.ndarray:
    z, x = np.mgrid[0:64, 0:64]
    return np.sin(0.1 * x + step) * np.cos(0.2 * z)


def wave_block(step: int, block_info: Any = None) -> np.ndarray:
    (a, b), (c, d) = block_info[None]["array-location"]
    return wave(step)[a:b, c:d]


def wave_array(step: int) -> Any:
    chunks = ((32, 32), (64,))
    return da.map_blocks(wave_block, step, chunks=chunks, dtype="f8", meta=np.empty((0, 0)))


def visible_steps(folder: Path, newest: int | None = None) -> int:
    """How many steps are visible, without a gap; all (or the newest) are within the bound."""
    with xr.open_zarr(folder, chunks=None) as found:
        count = found.sizes.get("step", 0)
        if count:
            assert list(found.step.values) == list(range(count))
        for step in range(max(0, count - (newest or count)), count):
            assert np.abs(found.t[step].values - wave(step)).max() <= BOUND
    return int(count)


class Killer(threading.Thread):
    """Kills worker processes at random moments of a run; the nanny of each starts another.

    Between two kills at least one step becomes visible: a worker is killed at work.
    """

    def __init__(self, cluster: Any, folder: Path, kills: int, seed: int) -> None:
        super().__init__(daemon=True)
        self.cluster, self.folder, self.kills = cluster, folder, kills
        self.rng = random.Random(seed)
        self.killed = 0

    def run(self) -> None:
        while self.killed < self.kills:
            before = self.shown()
            eventually(lambda before=before: self.shown() > before, 600.0)
            time.sleep(self.rng.uniform(0.0, 0.3))
            pids = [n.pid for n in self.cluster.workers.values() if n.pid is not None]
            if pids:  # else all are just starting
                os.kill(self.rng.choice(pids), signal.SIGKILL)
                self.killed += 1

    def shown(self) -> int:
        """Steps that are visible now."""
        root = self.folder / "zarr.json"
        if not root.exists():
            return 0
        arrays = json.loads(root.read_bytes())["consolidated_metadata"]["metadata"]
        return int(arrays["t"]["shape"][0]) if "t" in arrays else 0


PATIENT = {
    # Every task in work on a worker that dies counts against this, whoever's fault it is.
    "distributed.scheduler.allowed-failures": 1000,
    # Else a LocalCluster gives a worker up that takes long to start on a busy machine.
    "distributed.deploy.lost-worker-timeout": "1 hour",
}


def write_for_a_while(client: Any, encoding: Any, visible: int, killer: Killer) -> int:
    """A run from its first step on, which ends without a word; how many steps are visible then.

    It goes on behind the visible ones. What was acknowledged is there at once and for ever.
    """
    folder = killer.folder
    w = ClusterWriter(client, folder, encoding, retries=1000, fsync=True)
    assert w.resumed_at == (visible - 1 if visible else None)
    acknowledged = visible
    for step in itertools.count():
        w.write(step, {"t": wave_array(step)})
        if step < visible:
            continue  # it was skipped
        if killer.rng.random() < 0.3:
            w.flush(240)
            acknowledged = step + 1
            assert visible_steps(folder, newest=4) == acknowledged
        if not killer.is_alive() or killer.rng.random() < 0.05:
            break
    w.close(cancel=True)
    assert w.statistics["steps skipped"] == visible
    found = visible_steps(folder, newest=8)
    assert found >= acknowledged
    return found


def run_with_kills(folder: Path, codec: Any, kills: int, seed: int) -> int:
    """How many steps were visible when the last worker had been killed."""
    encoding = {"t": {"compressors": codec, "chunks": (8, 16)}}  # 32 blocks a step
    visible = runs = 0
    with (
        dask.config.set(PATIENT),
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        client.register_plugin(FZSchedulerPlugin(RULES))
        killer = Killer(cluster, folder, kills, seed)
        killer.start()
        while killer.is_alive():
            visible = write_for_a_while(client, encoding, visible, killer)
            runs += 1
        assert killer.killed == kills
        with ClusterWriter(client, folder, encoding) as w:  # undisturbed
            for step in range(visible + 3):
                w.write(step, {"t": wave_array(step)})
    assert visible_steps(folder) == visible + 3
    assert list(folder.rglob("*.partial")) == []
    print(f"{kills} kills, {runs} runs, {visible} steps", file=sys.stderr)
    return visible


def test_killed_processes(tmp_path: Path) -> None:
    assert run_with_kills(tmp_path / "r", None, 1, 0) >= 1


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_killed_processes_a_hundred_times(tmp_path: Path) -> None:
    assert run_with_kills(tmp_path / "r", FZCodec(abs=BOUND), 100, 1) >= 100
