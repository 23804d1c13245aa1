"""Blocks, sinks and waits that the tests of the engine share."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from fzdask.insitu.block import Block, Data, Slices

PATIENCE = 100.0
"""Seconds after which a test gives up waiting for what must happen; nothing is timed by it."""


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for something that must become true."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.001)


def stays(condition: Callable[[], bool], seconds: float = 0.05) -> bool:
    """Whether something holds for a while: what must *not* happen has had its chance."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not condition():
            return False
        time.sleep(0.001)
    return True


class Sink:
    """Keeps what it is given, in order; may be held up, and may fail."""

    def __init__(self) -> None:
        self.stored: list[tuple[str, bytes]] = []
        self.open = threading.Event()
        self.open.set()
        self.error: BaseException | None = None

    def write(self, items: Sequence[tuple[str, Data]]) -> None:
        assert self.open.wait(PATIENCE)
        if self.error is not None:
            raise self.error
        self.stored += [(key, bytes(data)) for key, data in items]

    @property
    def keys(self) -> list[str]:
        return [key for key, _ in self.stored]


class Source:
    """Makes blocks whose encoders count their slices."""

    def __init__(self, sink: Sink | None = None) -> None:
        self.sink = sink or Sink()
        self.slices = 0
        self.encoded: list[str] = []

    def block(
        self,
        name: str,
        *,
        slices: int = 3,
        nbytes: int = 10,
        seconds: float = 0.0,
        field: str = "f",
        error: BaseException | None = None,
        sink: Any = None,
    ) -> Block:
        def encode() -> Slices:
            for _ in range(slices):
                self.slices += 1
                time.sleep(seconds)
                yield
            if error is not None:
                raise error
            self.encoded.append(name)
            return name.encode().ljust(nbytes, b".")

        return Block(name, field, 4 * nbytes, encode, name, sink or self.sink)

    def blocks(self, count: int, prefix: str = "b", **kwargs: Any) -> list[Block]:
        return [self.block(f"{prefix}{i}", **kwargs) for i in range(count)]
