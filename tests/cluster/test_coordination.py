"""The parts that know no Dask: orders across workers, balance, windows, codebooks."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from fzdask import FZCodec
from fzdask.cluster.books import KnownBooks, Library
from fzdask.cluster.coordination import Coordinator, balanced_parts
from fzdask.cluster.profiles import Order, SnapshotProfile
from fzdask.cluster.windows import WindowTracker
from fzdask.insitu import Engine, Rules
from fzdask.insitu.engine import BlockProfile
from fzdask.scheduling import Busy, Storage


def profile(times: dict[str, tuple[float, float]], busy: Busy | None = None) -> SnapshotProfile:
    blocks = tuple(BlockProfile(n, "t", 1000, 100_000, a, b) for n, (a, b) in times.items())
    return SnapshotProfile("s", blocks, busy or Busy(), 0.1)


def test_profiles_and_orders_survive_messages() -> None:
    before = profile({"a": (0.1, 0.2)}, Busy([(0.0, 0.5)], [(0.1, 0.2)], 1.0))
    assert SnapshotProfile.unpacked(before.packed()) == before
    order = Order(("a", "b"), ("b", "a"))
    assert Order.unpacked(order.packed()) == order
    assert order.positions(["b", "a"]) == ([1, 0], [0, 1])


def test_each_worker_gets_johnsons_order() -> None:
    coordinator = Coordinator()
    times = {"a": (0.4, 0.2), "b": (0.1, 0.5), "c": (0.3, 0.1), "d": (0.05, 0.6)}
    assert coordinator.record("w1", "n", profile(times))
    orders = coordinator.orders()
    assert orders["w1"].compress == ("d", "b", "a", "c")
    assert sorted(orders["w1"].write) == sorted(times)


def test_a_plan_is_made_when_all_have_told_and_anew_when_times_change() -> None:
    coordinator = Coordinator(Storage(1e6))
    one, two = {"a": (0.1, 0.1), "b": (0.2, 0.1)}, {"c": (0.1, 0.3)}
    coordinator.record("w1", "n", profile(one))
    coordinator.record("w2", "n", profile(two))
    assert set(coordinator.orders()) == {"w1", "w2"}
    assert not coordinator.record("w1", "n", profile(one))  # w2 is still to tell
    assert coordinator.record("w2", "n", profile(two))
    assert coordinator.orders() == {}  # nothing has changed
    coordinator.record("w1", "n", profile({"a": (0.1, 0.1), "b": (0.9, 0.1)}))
    assert set(coordinator.orders()) == {"w1", "w2"}  # they share the storage
    assert coordinator.last is not None
    assert coordinator.last.storage is not None
    coordinator.forget("w2")
    assert coordinator.record("w1", "n", profile({"x": (1.0, 1.0)}))
    assert set(coordinator.orders()) == {"w1"}


def test_parts_move_within_their_node_only_where_it_pays() -> None:
    nodes = {"w1": "n1", "w2": "n1", "w3": "n2"}
    homes = dict.fromkeys(("a", "b", "c", "d"), "w1") | {"e": "w3"}
    seconds = dict.fromkeys(homes, (0.1, 0.1))
    moved = balanced_parts(homes, seconds, nodes)
    assert moved["e"] == "w3"
    assert sorted(moved[p] for p in "abcd") == ["w1", "w1", "w2", "w2"]
    even = {"a": "w1", "b": "w1", "c": "w2", "d": "w2", "e": "w3"}
    assert balanced_parts(even, seconds, nodes) == even
    assert balanced_parts(homes, {"a": (0.1, 0.1)}, nodes) == homes  # others not known yet


def test_windows_follow_tasks_and_marks() -> None:
    engine = Engine(Rules(windows="marked", order="johnson"))
    tracker = WindowTracker(engine, 2)
    assert tracker.is_open
    tracker.started("a")
    assert tracker.is_open  # a slot is left
    tracker.started("b")
    assert not tracker.is_open
    with tracker.idle("halo exchange"):
        assert tracker.is_open
    assert not tracker.is_open
    tracker.ended("a")
    tracker.ended("a")
    assert tracker.is_open
    for k in range(3):
        tracker.snapshot(f"s{k}")
    with tracker.iteration("one"), pytest.raises(ValueError), tracker.idle("fails"):  # noqa: PT012
        tracker.started("a")
        raise ValueError
    assert not tracker.is_open
    tracker.snapshot("marked iterations: does not count as the end of one")
    tracker.close()
    assert not tracker.is_open
    engine.close()


def test_codebooks_travel() -> None:
    from fzdask.codecs import shared_codebooks

    codec = FZCodec(abs=0.37, codebook="shared")
    data = np.random.default_rng(0).normal(0, 2, (64, 64)).astype("f4")
    data = 3 * np.rint(data)  # so that no standard book suits
    known = KnownBooks()
    known.news()
    for _ in range(3):
        codec.encode(data)
    news = known.news()
    assert news is not None
    assert known.news() is None
    library = Library()
    assert library.everything is None
    first = library.add(news)
    assert first is not None
    assert library.add(news) is None  # the others have heard of it
    everything = library.everything
    assert everything is not None
    ours = [k for k in shared_codebooks._registry if k[0] == codec._encoding_config()]  # type: ignore[index]
    before = shared_codebooks.shared_books(ours[0]).dump()
    del shared_codebooks._registry[ours[0]]  # as in another process
    known.take(everything)
    assert shared_codebooks.shared_books(ours[0]).dump() == before


def test_without_distributed_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import fzdask
    from fzdask import cluster, scheduling

    # As if nothing had been imported yet, and the package were missing.
    for module in [m for m in sys.modules if m.startswith(("distributed", "fzdask.cluster."))]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "distributed", None)
    names = {
        cluster: ("ClusterWriter", "submit_snapshot", "overlap"),
        scheduling: ("FZSchedulerPlugin",),
        fzdask: ("overlap",),
    }
    for package, lazy in names.items():
        for name in lazy:
            monkeypatch.delitem(vars(package), name, raising=False)
            monkeypatch.delitem(vars(cluster), name, raising=False)
            with pytest.raises(ImportError, match=r"fzdask\[distributed\]"):
                getattr(package, name)
    from fzdask.scheduling import Job, plan

    assert plan([Job("a", 1.0, 1.0)], method="johnson").makespan == 2.0
    with cluster.idle("outside"):
        pass
