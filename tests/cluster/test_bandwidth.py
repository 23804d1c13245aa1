"""The bandwidth of a shared storage, estimated from what its writers have seen."""

from __future__ import annotations

import heapq
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
from cluster_cases import addresses, eventually
from hypothesis import given
from hypothesis import strategies as st

from fzdask.cluster import ClusterWriter
from fzdask.cluster.bandwidth import LEAST, BandwidthEstimate, Write, aggregate_rate
from fzdask.cluster.coordination import Coordinator
from fzdask.cluster.profiles import SnapshotProfile
from fzdask.errors import ConfigError
from fzdask.insitu import RateLimitedStore, stores
from fzdask.insitu.engine import BlockProfile
from fzdask.scheduling import Busy, FZSchedulerPlugin, Storage

BANDWIDTH = 1e6


def writes_to_a_limited_store(
    monkeypatch: pytest.MonkeyPatch, workers: int, writes: int, seed: int = 0
) -> dict[str, list[Write]]:
    """What workers see that each write one block after the other, on an imitated clock."""
    clock = [0.0]
    monkeypatch.setattr(stores.time, "perf_counter", lambda: clock[0])
    store = RateLimitedStore({}, bandwidth=BANDWIDTH)
    rng = np.random.default_rng(seed)
    found: dict[str, list[Write]] = {f"w{i}": [] for i in range(workers)}
    free = [(0.0, name) for name in found]
    for _ in range(workers * writes):
        clock[0], name = heapq.heappop(free)
        nbytes = int(rng.integers(10_000, 100_000))
        end = store._book(nbytes)
        found[name].append(Write(clock[0], end, nbytes))
        heapq.heappush(free, (end, name))
    return found


@pytest.mark.parametrize("workers", [2, 3, 8])
def test_a_limited_store_is_recognized(monkeypatch: pytest.MonkeyPatch, workers: int) -> None:
    estimate = BandwidthEstimate()
    for name, writes in writes_to_a_limited_store(monkeypatch, workers, 40).items():
        estimate.add("", name, writes)
    (found,) = estimate.bandwidths.values()
    assert 0.8 * BANDWIDTH <= found <= 1.4 * BANDWIDTH


def test_hiccups_and_caches_do_not_move_it(monkeypatch: pytest.MonkeyPatch) -> None:
    plain, disturbed = BandwidthEstimate(), BandwidthEstimate()
    for name, writes in writes_to_a_limited_store(monkeypatch, 2, 60).items():
        plain.add("", name, writes)
        for i, w in enumerate(writes):
            if i % 20 == 7:
                w = w._replace(end=w.start + 1e-6)  # ended in a cache
            if i % 20 == 13:
                w = w._replace(end=w.start + 100 * (w.end - w.start))  # somebody else was there
            disturbed.add("", name, [w])
    assert disturbed.bandwidths[""] == pytest.approx(plain.bandwidths[""], rel=0.25)


def test_it_follows_the_storage(monkeypatch: pytest.MonkeyPatch) -> None:
    estimate = BandwidthEstimate(keep=100)
    slow = writes_to_a_limited_store(monkeypatch, 2, 50)
    for name, writes in slow.items():
        estimate.add("", name, writes)
    before = estimate.bandwidths[""]
    end = max(w.end for writes in slow.values() for w in writes)
    for name, writes in slow.items():  # the same, five times as fast
        estimate.add(
            "", name, [Write(end + w.start / 5, end + w.end / 5, w.nbytes) for w in writes]
        )
    assert estimate.bandwidths[""] == pytest.approx(5 * before, rel=0.05)


def test_little_or_nothing_shared_gives_no_estimate() -> None:
    estimate = BandwidthEstimate()
    some = [Write(float(i), i + 0.5, 1000) for i in range(LEAST)]
    estimate.add("n", "w1", some)
    assert estimate.bandwidths == {}  # one worker shares with nobody
    estimate.add("n", "w2", [])
    assert estimate.bandwidths == {"n": 2000.0}
    estimate.forget("w2")
    assert estimate.bandwidths == {}
    estimate.add("m", "w3", some[:1])
    estimate.add("m", "w4", [])
    assert estimate.bandwidths == {}  # too few
    assert aggregate_rate([Write(1.0, 1.0, 5)]) == 0.0


writes = st.builds(
    lambda start, length, nbytes: Write(start, start + length, nbytes),
    st.floats(0, 10),
    st.floats(1e-3, 5),
    st.integers(1, 10**9),
)


@given(st.lists(writes, min_size=1, max_size=20), st.floats(0, 1))
def test_the_rate_lies_between_nothing_and_all_at_once(found: list[Write], share: float) -> None:
    rate = aggregate_rate(found, share)
    assert 0.0 <= rate <= sum(w.nbytes / (w.end - w.start) for w in found) * (1 + 1e-9)
    assert rate <= aggregate_rate(found, 1.0)


def test_plans_use_it(monkeypatch: pytest.MonkeyPatch) -> None:
    coordinator = Coordinator()
    observed = writes_to_a_limited_store(monkeypatch, 2, 40)
    blocks = tuple(BlockProfile(f"b{i}", "t", 10**6, 50_000, 0.01, 0.02) for i in range(4))
    for name in observed:
        coordinator.record(name, "n", SnapshotProfile("s", blocks, Busy(), 0.1))
    coordinator.orders()
    assert coordinator.last is not None
    assert coordinator.last.storage is None
    alone = coordinator.last.makespan
    for name, found in observed.items():
        coordinator.observe(name, "n", found)
        slower = tuple(b._replace(compress=0.02) for b in blocks)
        coordinator.record(name, "n", SnapshotProfile("s", slower, Busy(), 0.1))
    assert coordinator.storage is not None
    assert set(coordinator.orders()) == set(observed)
    assert coordinator.last.storage == coordinator.storage
    assert coordinator.last.makespan > alone  # eight writes of 50 kB at about 1 MB/s
    assert Coordinator(Storage(7.0)).storage == Storage(7.0)


def test_nodes_have_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    coordinator = Coordinator(shared="node")
    for node in ("n1", "n2"):
        for name, found in writes_to_a_limited_store(monkeypatch, 2, 40).items():
            coordinator.observe(f"{node}{name}", node, found)
    assert coordinator.storage is not None
    assert coordinator.storage.shared == "node"
    assert coordinator.storage.bandwidth == pytest.approx(BANDWIDTH, rel=0.4)
    with pytest.raises(ConfigError, match="storage_shared"):
        FZSchedulerPlugin(storage_shared="rack")  # type: ignore[arg-type]


def test_a_cluster_learns_the_bandwidth_of_its_store(client: Any, tmp_path: Path) -> None:
    plugin = client.cluster.scheduler.plugins[FZSchedulerPlugin.name]
    assert len(addresses(client)) == 2
    store = RateLimitedStore(tmp_path / "run.zarr", bandwidth=2e6)
    x = da.from_array(np.random.default_rng(0).random((32, 512)), chunks=(16, 512))
    encoding = {"x": {"compressors": None, "chunks": (4, 512)}}  # 16 KiB a block
    with ClusterWriter(client, store, encoding) as w:
        for step in range(4):
            w.write(step, {"x": x + step})
    eventually(lambda: plugin._coordinator.storage)
    assert "storage bandwidth" in plugin.figures
    # Two workers: one may wait for the other, so that both together seem half as fast again.
    assert plugin._coordinator.storage.bandwidth <= 2 * 2e6
