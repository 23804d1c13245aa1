"""Arrays that are copied late: what is stored is what was written, whenever they change."""

from __future__ import annotations

import threading
from collections.abc import Generator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import zarr
from writer_cases import assert_within, opened, smooth

from fzdask import ConfigError, FZCodec, InSituWriter
from fzdask.insitu.blocks import Region
from fzdask.insitu.late import LateBlock, LateCopies
from fzdask.insitu.pool import SLAB, BlockPool

LOSSY = {"compressors": FZCodec(abs=1e-2)}
SMALL = {"chunks": (4, 8, 20), **LOSSY}  # six blocks, none of which lies in one piece
WHOLE = {"chunks": (4, 16, 20), **LOSSY}  # three that do


@pytest.mark.parametrize(("settings", "copies"), [(SMALL, 6), (WHOLE, 3)], ids=["cut", "whole"])
def test_what_is_not_compressed_by_then_is_copied(settings: dict[str, Any], copies: int) -> None:
    store: dict[str, Any] = {}
    with InSituWriter(store, {"x": settings}, windows="marked") as w:
        x = smooth(0)
        w.write(0, {"x": x}, copy="late")
        w.detach()
        x[:] = np.nan
        assert w.statistics["blocks copied late"] == copies
        w.flush()
        assert w.to_xarray()["copy"][0] == w.statistics["copy seconds"] > 0.0
    assert_within(opened(zarr.storage.MemoryStore(store)).x[0], smooth(0))


def test_what_is_compressed_by_then_is_never_copied() -> None:
    store: dict[str, Any] = {}
    with InSituWriter(store, {"x": WHOLE}, windows="always") as w:
        x = smooth(0)
        w.write(0, {"x": x}, copy="late")
        w.flush()
        w.detach()
        assert w.statistics["blocks copied late"] == w.statistics["pool bytes"] == 0
    assert_within(opened(zarr.storage.MemoryStore(store)).x[0], smooth(0))


def test_only_the_steps_named_are_detached() -> None:
    """Two sets of arrays that take turns, as a solver with two time levels has them."""
    store: dict[str, Any] = {}
    sets = [smooth(0), smooth(1)]
    with InSituWriter(store, {"x": WHOLE}, windows="marked", max_outstanding=3) as w:
        for step in (0, 1):
            w.write(step, {"x": sets[step]}, copy="late")
        w.detach(0)
        assert w.statistics["blocks copied late"] == 3
        sets[0][:] = smooth(2)
        w.write(2, {"x": sets[0]}, copy="late")
        w.detach(1)
        assert w.statistics["blocks copied late"] == 6
        sets[1][:] = np.nan
        w.flush()
        w.detach()
        assert w.statistics["blocks copied late"] == 6
    for step in range(3):
        assert_within(opened(zarr.storage.MemoryStore(store)).x[step], smooth(step))


def test_writes_that_nobody_detaches_are_forgotten_once_stored() -> None:
    with InSituWriter({}, {"x": WHOLE}, windows="always") as w:
        for step in range(5):
            w.write(step, {"x": smooth(step)}, copy="late")
            w.flush()
        assert len(w._late._writes) == 1


def test_a_simulation_that_changes_its_arrays_all_the_time() -> None:
    """The compression thread is anywhere when the arrays are taken back."""
    store: dict[str, Any] = {}
    x, y = smooth(0), smooth(0, (9, 7), "f8")
    rng = np.random.default_rng(0)
    with InSituWriter(store, {"x": WHOLE, "y": LOSSY}, windows="always") as w:
        for step in range(60):
            w.detach()
            x[:], y[:] = smooth(step), smooth(step, (9, 7), "f8")
            w.write(step, {"x": x, "y": y}, copy="late")
            threading.Event().wait(float(rng.choice([0.0, 1e-3, 3e-3])))
    ds = opened(zarr.storage.MemoryStore(store))
    for step in range(60):
        assert_within(ds.x[step], smooth(step))
        assert_within(ds.y[step], smooth(step, (9, 7), "f8"))


def test_another_word_for_copy_is_refused() -> None:
    with InSituWriter({}) as w, pytest.raises(ConfigError, match="True, False or 'late'"):
        w.write(0, {"x": smooth(0)}, copy="never")  # type: ignore[arg-type]


class SlowLayout:
    """Encodes in three slices, of which the second stops in the middle if asked to."""

    block, dtype, block_nbytes = (4,), np.dtype("f8"), 32

    def __init__(self) -> None:
        self.reading, self.go_on = threading.Event(), threading.Event()
        self.closed = 0

    def encoder(self, values: Any) -> Generator[None, None, bytes]:
        first = values[..., :2].tobytes()
        try:
            yield
        except GeneratorExit:
            self.closed += 1
            raise
        self.reading.set()
        assert self.go_on.wait(100.0)
        second = values[..., 2:].tobytes()
        yield
        return first + second


def late_block(layout: Any, array: Any) -> tuple[LateBlock, BlockPool]:
    pool = BlockPool()
    region = Region((0,), (slice(0, 4),))
    return LateBlock(layout, region, array, pool), pool


def detached(block: LateBlock) -> bool:
    """Take the array back; whether that took a copy."""
    late = LateCopies()
    late.add(0, [block])
    return late.detach() == {0: 1}


def finished(slices: Generator[None, None, Any]) -> Any:
    while True:
        try:
            next(slices)
        except StopIteration as end:
            return end.value


def test_a_block_that_is_half_read_is_begun_again() -> None:
    layout, array = SlowLayout(), np.arange(4.0)
    layout.go_on.set()
    block, pool = late_block(layout, array)
    slices = block.encode()
    next(slices)
    assert detached(block)
    array[:] = np.nan
    assert finished(slices) == np.arange(4.0).tobytes()
    assert layout.closed == 1
    assert not detached(block)
    taken = pool.nbytes
    pool.take(32)
    assert pool.nbytes == taken  # its memory was given back


def test_detaching_waits_for_the_slice_that_is_reading() -> None:
    layout, array = SlowLayout(), np.arange(4.0)
    block, _ = late_block(layout, array)
    found: list[Any] = []
    reader = threading.Thread(target=lambda: found.append(finished(block.encode())))
    reader.start()
    assert layout.reading.wait(100.0)
    owner = threading.Thread(target=detached, args=(block,))
    owner.start()
    owner.join(0.02)
    assert owner.is_alive()
    layout.go_on.set()
    owner.join(100.0)
    array[:] = np.nan
    reader.join(100.0)
    assert found == [np.arange(4.0).tobytes()]


def test_an_error_while_reading_lets_the_array_go() -> None:
    def encoder(values: Any) -> Generator[None, None, bytes]:
        yield
        raise OSError("broken")

    layout: Any = SimpleNamespace(block=(4,), dtype=np.dtype("f8"), block_nbytes=32)
    layout.encoder = encoder
    block, _ = late_block(layout, np.arange(4.0))
    with pytest.raises(OSError, match="broken"):
        finished(block.encode())
    assert not detached(block)


def test_memory_for_copies_is_reserved_in_one_piece() -> None:
    pool = BlockPool()
    pool.reserve(100, 5)
    assert pool.nbytes == 5 * 128
    taken = [pool.take(100) for _ in range(5)]
    assert pool.nbytes == 5 * 128
    assert all(m.nbytes == 100 and m.base is taken[0].base for m in taken)
    for k, memory in enumerate(taken):
        memory[:] = k
    assert [int(m.max()) for m in taken] == list(range(5))
    pool.reserve(100, 0)
    more = [pool.take(SLAB) for _ in range(2)]
    assert pool.nbytes == 5 * 128 + 2 * SLAB
    for memory in (*taken, *more):
        pool.give(memory)
    pool.reserve(100, 5)
    assert pool.take(SLAB) is more[-1]
    assert pool.nbytes == 5 * 128 + 2 * SLAB
