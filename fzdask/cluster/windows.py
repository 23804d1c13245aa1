"""When a worker's cores are idle: told from the tasks that it runs, and from marks within them."""

from __future__ import annotations

import threading
from collections.abc import Hashable, Iterator
from contextlib import AbstractContextManager, contextmanager

from fzdask.insitu.engine import Engine

__all__ = ["WindowTracker"]

BETWEEN = "between tasks"


class WindowTracker:
    """Opens the engine's gate while fewer tasks compute than the worker has slots.

    A task computes from its start to its end, except while it is inside `idle`. With one slot
    that is exactly the time in which the simulation leaves the core alone; with several, one
    core at least is free for the one compression thread. The time from one snapshot to the next
    is recorded as an iteration, from which the engine plans, unless the tasks mark iterations
    themselves.

    Parameters
    ----------
    engine : Engine
        With ``Rules(windows="marked")``.
    slots : int
        Tasks that run at once.
    """

    def __init__(self, engine: Engine, slots: int) -> None:
        self._engine = engine
        self._slots = slots
        self._lock = threading.Lock()
        self._busy: set[Hashable] = set()
        self._waiting = 0
        self._window: AbstractContextManager[None] | None = None
        self._inferred: AbstractContextManager[None] | None = None
        self._marks_iterations = False
        self._update(BETWEEN)

    @property
    def is_open(self) -> bool:
        """Whether compression may run now."""
        return self._window is not None

    def started(self, key: Hashable) -> None:
        """A task has begun to compute."""
        with self._lock:
            self._busy.add(key)
            self._update(BETWEEN)

    def ended(self, key: Hashable) -> None:
        """It has ended, or given back its slot. Safe to call for any key."""
        with self._lock:
            if key in self._busy:
                self._busy.discard(key)
                self._update(BETWEEN)

    @contextmanager
    def idle(self, name: str) -> Iterator[None]:
        """A task waits within this block for something that needs no core here."""
        with self._lock:
            self._waiting += 1
            self._update(name)
        try:
            yield
        finally:
            with self._lock:
                self._waiting -= 1
                self._update(BETWEEN)

    @contextmanager
    def iteration(self, name: str) -> Iterator[None]:
        """One iteration of the simulation, marked by the task that runs it."""
        with self._lock:
            self._marks_iterations = True
            self._abandon()
        with self._engine.iteration(name):
            yield

    def snapshot(self, name: str) -> None:
        """A snapshot was handed over: an iteration ends and the next begins."""
        with self._lock:
            if self._marks_iterations:
                return
            if self._inferred is not None:
                self._inferred.__exit__(None, None, None)
            self._inferred = self._engine.iteration(f"after {name}")
            self._inferred.__enter__()

    def move_to(self, engine: Engine) -> None:
        """Open the gate of another engine from now on."""
        with self._lock:
            self._abandon()
            if self._window is not None:
                self._window.__exit__(None, None, None)
                self._window = None
            self._engine = engine
            self._update(BETWEEN)

    def close(self) -> None:
        """Nothing is to be opened any more."""
        with self._lock:
            self._abandon()
            self._slots = 0
            self._update(BETWEEN)

    def _abandon(self) -> None:
        """Forget the iteration in progress: half of one teaches nothing."""
        if self._inferred is not None:
            end = GeneratorExit()
            self._inferred.__exit__(GeneratorExit, end, None)
            self._inferred = None

    def _update(self, name: str) -> None:
        free = len(self._busy) - self._waiting < self._slots
        if free and self._window is None:
            self._window = self._engine.idle(name)
            self._window.__enter__()
        elif not free and self._window is not None:
            self._window.__exit__(None, None, None)
            self._window = None
