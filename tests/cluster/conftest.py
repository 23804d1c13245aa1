"""A small cluster in this process, with engines on its workers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

distributed = pytest.importorskip("distributed")

from cluster_cases import GATES, RULES, STORED, make_cluster  # noqa: E402

from fzdask.scheduling import FZSchedulerPlugin  # noqa: E402


@pytest.fixture(scope="module")
def bare_client() -> Iterator[Any]:
    """Two workers of one thread each, without engines."""
    with make_cluster() as cluster, distributed.Client(cluster) as client:
        yield client


@pytest.fixture(scope="module")
def module_client() -> Iterator[Any]:
    """The same with engines."""
    with make_cluster() as cluster, distributed.Client(cluster) as client:
        client.register_plugin(FZSchedulerPlugin(RULES))
        yield client


@pytest.fixture
def client(module_client: Any) -> Iterator[Any]:
    """With engines, and with what earlier tests stored forgotten."""
    STORED.clear()
    GATES.clear()
    yield module_client
    for gate in GATES.values():
        gate.set()
