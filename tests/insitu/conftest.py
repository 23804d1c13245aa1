"""Fixtures of the in-situ tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from fzdask.insitu import Engine, Rules


@pytest.fixture
def engine() -> Iterator[Callable[..., Engine]]:
    """Makes engines that are closed whatever becomes of the test."""
    made: list[Engine] = []

    def make(buffer: int | str = "1MiB", **rules: Any) -> Engine:
        rules.setdefault("order", "johnson")  # needs nothing compiled
        rules.setdefault("windows", "marked")
        made.append(Engine(Rules(**rules), buffer=buffer))
        return made[-1]

    yield make
    for each in made:
        each.close(cancel=True)
