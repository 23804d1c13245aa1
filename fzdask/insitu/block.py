"""What the engine works on: blocks, the sinks that store them, and snapshots of blocks."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Protocol

from fzdask.errors import ConfigError

__all__ = ["Block", "BlockTask", "Data", "Sink", "Slices", "Snapshot", "one_slice"]

Data = Any
"""Encoded bytes: anything with the buffer protocol and a length in bytes."""

Slices = Generator[None, None, Data]
"""An encoding in steps: may pause at every yield, and returns the encoded bytes."""

_numbers = itertools.count()


class Sink(Protocol):
    """Where encoded blocks go. Only the engine's I/O thread calls it."""

    def write(self, items: Sequence[tuple[str, Data]]) -> None:
        """Store every (key, bytes); return once all are as safe as this sink makes them."""


@dataclass(frozen=True, slots=True)
class Block:
    """One piece of a snapshot: encoded by the compression thread, stored by the I/O thread.

    Parameters
    ----------
    name : str
        The same from snapshot to snapshot: predictions go by it ("density/3").
    field : str
        Variable that it belongs to.
    raw_nbytes : int
        Size before encoding.
    encode : callable
        Returns a new `Slices` generator. Called and run in the compression thread.
    key : str
        Under which the sink stores it.
    sink : Sink
        Where it goes.
    """

    name: str
    field: str
    raw_nbytes: int
    encode: Callable[[], Slices]
    key: str
    sink: Sink


def one_slice(encode: Callable[[], Data]) -> Callable[[], Slices]:
    """The `Block.encode` for an encoder that cannot pause."""

    def slices() -> Slices:
        yield from ()  # a generator that never pauses
        return encode()

    return slices


class BlockTask:
    """A block on its way through the engine. Guarded by the engine's lock."""

    __slots__ = (
        "block",
        "compress_rank",
        "compress_seconds",
        "data",
        "expected_compress",
        "expected_nbytes",
        "expected_write",
        "nbytes",
        "position",
        "slices",
        "snapshot",
        "write_rank",
        "write_seconds",
    )

    def __init__(self, block: Block, snapshot: Snapshot, position: int) -> None:
        self.block = block
        self.snapshot = snapshot
        self.position = position
        self.compress_rank = position
        self.write_rank = position
        self.expected_compress: float | None = None
        self.expected_write: float | None = None
        self.expected_nbytes = 0
        self.data: Data = None
        self.nbytes = 0
        self.compress_seconds = 0.0
        self.write_seconds = 0.0
        self.slices = 0


class Snapshot:
    """A submitted dump: its blocks, the order they are worked off in, and its completion.

    Attributes
    ----------
    name : str
        For messages, records and pictures.
    number : int
        Grows with every snapshot of the process.
    future : concurrent.futures.Future
        Done when every block is stored and `on_stored` has returned, in the order in which
        snapshots were submitted; holds the error otherwise. Never cancel it: `Engine.cancel`.
    submitted, stored : float
        `time.perf_counter` of the two moments; `stored` is 0 until then.
    ordered : bool
        Whether `set_order` has decided the order: the engine's own plans then leave it alone.
    """

    def __init__(
        self,
        name: str,
        blocks: Sequence[Block],
        on_stored: Callable[[], None] | None,
        submitted: float,
    ) -> None:
        self.name = name
        self.number = next(_numbers)
        self.future: Future[None] = Future()
        self.future.set_running_or_notify_cancel()
        self.on_stored = on_stored
        self.submitted = submitted
        self.stored = 0.0
        self.tasks = tuple(BlockTask(block, self, i) for i, block in enumerate(blocks))
        self.left = len(self.tasks)
        self.dropped = False
        self.ordered = False
        self.deadline = float("inf")
        names = {block.name for block in blocks}
        if len(names) != len(self.tasks):
            raise ConfigError(
                f"Snapshot {name!r}: {len(self.tasks)} blocks have {len(names)} names; a name "
                "stands for one block of a snapshot, so make them differ"
            )

    @property
    def raw_nbytes(self) -> int:
        """Bytes before encoding."""
        return sum(task.block.raw_nbytes for task in self.tasks)

    def set_order(self, compress: Sequence[int], write: Sequence[int]) -> None:
        """Work the blocks off in these orders (positions in the list that was submitted).

        May be called at any time, from any thread; it counts for what has not begun.

        Raises
        ------
        ConfigError
            Not permutations of the positions.
        """
        for what, order in (("compress", compress), ("write", write)):
            if sorted(order) != list(range(len(self.tasks))):
                raise ConfigError(
                    f"Snapshot {self.name!r}: set_order({what}=...) must name every position "
                    f"from 0 to {len(self.tasks) - 1} once"
                )
        self.ordered = True
        for rank, position in enumerate(compress):
            self.tasks[int(position)].compress_rank = rank
        for rank, position in enumerate(write):
            self.tasks[int(position)].write_rank = rank
