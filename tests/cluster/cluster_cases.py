"""Blocks and tasks of the cluster tests; workers import this module."""

from __future__ import annotations

import collections
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from fzdask.cluster.hooks import find_worker_plugin
from fzdask.insitu import Rules
from fzdask.insitu.block import Block, one_slice

PATIENCE = 100.0
"""Seconds after which a test gives up waiting for what must happen; nothing is timed by it."""

RULES = Rules(windows="marked", order="johnson")
"""Needs nothing compiled."""

STORED: dict[str, bytes] = {}
"""What was stored, by key."""

LOG: list[tuple[str, str]] = []
"""("compress" or "write", name), in the order of execution."""

GATES: dict[str, threading.Event] = {}
"""Events that tests set, by name."""

FAILURES: collections.Counter[str] = collections.Counter()
"""How often a sink is still to fail, by the name of the snapshot."""


def make_cluster(workers: int = 2) -> Any:
    import distributed

    return distributed.LocalCluster(
        n_workers=workers, threads_per_worker=1, processes=False, dashboard_address=":0"
    )


def gate(name: str) -> threading.Event:
    return GATES.setdefault(name, threading.Event())


class Sink:
    """Stores in this process; waits for a gate, or fails, where a test says so."""

    def __init__(self, snapshot: str, wait: str | None) -> None:
        self.snapshot, self.wait = snapshot, wait

    def write(self, items: Sequence[tuple[str, Any]]) -> None:
        if self.wait is not None:
            assert gate(self.wait).wait(PATIENCE)
        if FAILURES[self.snapshot] > 0:
            FAILURES[self.snapshot] -= 1
            raise OSError(28, "No space left on device")
        for key, data in items:
            LOG.append(("write", key))
            STORED[key] = bytes(data)


def make(
    snapshot: str, sizes: Sequence[int] = (1, 1), wait: str | None = None, large: bool = False
) -> list[Block]:
    """Blocks that take no time, or wait for a gate when they are stored."""
    sink = Sink(snapshot, wait)

    def encoder(name: str, size: int) -> Callable[[], bytes]:
        def encode() -> bytes:
            LOG.append(("compress", name))
            return b"x" * (size * (300_000 if large else 1))

        return encode

    return [
        Block(
            f"b/{i}",
            "b",
            100,
            one_slice(encoder(f"{snapshot}/{i}", size)),
            f"{snapshot}/{i}",
            sink,
        )
        for i, size in enumerate(sizes)
    ]


def hold(name: str) -> str:
    """A task that computes until a gate opens; says that it has begun."""
    gate(f"{name} began").set()
    assert gate(name).wait(PATIENCE)
    return name


def identity(value: Any) -> Any:
    return value


def engine_of(client: Any, address: str) -> Any:
    return plugin_of(client, address).engine


def plugin_of(client: Any, address: str) -> Any:
    for worker in client.cluster.workers.values():
        if worker.address == address:
            return find_worker_plugin(worker)
    raise AssertionError(address)


def addresses(client: Any) -> list[str]:
    return [worker.address for worker in client.cluster.workers.values()]


def eventually(condition: Callable[[], Any], seconds: float = PATIENCE) -> Any:
    """What a condition gives as soon as it holds; fails if it never does."""
    end = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < end, "never happened"
        time.sleep(0.002)
