"""The size of blocks: from a profile with an imitated clock, and never another one on a resume."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from writer_cases import BOUND, assert_within, opened, smooth

from fzdask import FZCodec, InSituWriter
from fzdask.insitu import block_size
from fzdask.insitu.block import Slices
from fzdask.insitu.block_size import (
    CANDIDATES,
    LEAST_BLOCKS,
    LONGEST_SLICE,
    OVERHEAD,
    BlockTiming,
    choose,
    measure,
    unmeasured,
)
from fzdask.insitu.blocks import block_shape

MIB = 1 << 20


def timing(mib: float, seconds: float, longest: float, blocks: int = 100) -> BlockTiming:
    return BlockTiming(int(mib * MIB), seconds, longest, blocks)


def test_larger_blocks_are_taken_where_their_overhead_counts() -> None:
    """An encoder of 10 GB/s: a tenth of a millisecond a block is half of the time."""
    fast = [timing(n, n * 1e-4, n * 2e-5) for n in (1, 2, 4)]
    assert choose(fast) == 2
    slow = [timing(n, n * 5e-3, n * 2e-4) for n in (1, 2, 4)]
    assert choose(slow) == 0  # it is two hundredths there


def test_slices_limit_the_size() -> None:
    fast = [timing(1, 1e-4, 4e-4), timing(2, 2e-4, 8e-4), timing(4, 4e-4, 16e-4)]
    assert choose(fast) == 1
    assert choose([t._replace(longest=2 * LONGEST_SLICE) for t in fast]) == 0


def test_a_field_has_several_blocks() -> None:
    fast = [timing(n, n * 1e-4, n * 2e-5, blocks=4 * LEAST_BLOCKS // n // 2) for n in (1, 2, 4)]
    assert choose(fast) == 1
    assert choose([t._replace(blocks=1) for t in fast]) == 0


@pytest.mark.parametrize(
    ("encoding", "mib"),
    [
        ({"compressors": FZCodec(abs=BOUND)}, 2),
        ({"compressors": [FZCodec(psnr=60.0)]}, 2),
        ({"serializer": FZCodec(rel=1e-3).serializer}, 2),
        ({}, 1),
        ({"compressors": FZCodec(lossless=True)}, 1),
        ({"compressors": FZCodec(pw_rel=1e-3)}, 1),
        ({"compressors": FZCodec(abs=BOUND, pipeline="ratio")}, 1),
        ({"compressors": zarr.codecs.ZstdCodec()}, 1),
        ({"compressors": None}, 1),
    ],
    ids=str,
)
def test_where_nobody_can_measure_the_encoding_decides(encoding: dict[str, Any], mib: int) -> None:
    assert unmeasured(encoding, 8 * MIB) == mib * MIB
    assert unmeasured(encoding, 8 * MIB - 1) == MIB  # too small to have several


def test_processes_with_unlike_parts_come_to_the_same_blocks() -> None:
    """By the whole field: one of the parts alone would be too small for larger blocks."""
    store: dict[str, Any] = {}
    whole = np.zeros((40, 256, 512), "f4")  # 20 MiB in parts of 16 and 4
    writers = []
    for rank, start in enumerate((0, 32)):
        encoding = {"compressors": FZCodec(abs=BOUND), "shape": whole.shape, "start": (start, 0, 0)}
        writers.append(InSituWriter(store, {"t": encoding}, rank=rank, size=2, run_id="r"))
    writers[0].write(0, {"t": whole[:32]})
    writers[1].write(0, {"t": whole[32:]})
    for w in reversed(writers):
        w.close()
    array = zarr.open_array(zarr.storage.MemoryStore(store), path="t", mode="r")
    assert math.prod(array.chunks) * 4 == 2 * MIB
    assert array.shape == (1, *whole.shape)


class Clock:
    """An imitated clock, which encoders move on."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def slices(self, lengths: list[list[float]]) -> Callable[[], Slices]:
        """An encoder whose runs take these slices."""
        runs = iter(lengths)

        def encode() -> Slices:
            *first, last = next(runs)
            for length in first:
                self.now += length
                yield
            self.now += last
            return b""

        return encode


def test_the_least_of_the_runs_counts_and_the_first_does_not() -> None:
    clock = Clock()
    runs = [[1.0, 1.0, 1.0], [2.0, 3.0, 1.0], [1.0, 4.0, 0.5], [9.0, 9.0, 9.0]]
    assert measure(clock.slices(runs), clock, 3) == (5.5, 3.0)


def imitated(monkeypatch: pytest.MonkeyPatch, seconds_per_mib: float, slices: int = 6) -> list[int]:
    """Encoders take this long, in so many slices; sizes that were measured."""
    measured: list[int] = []

    def measure_imitated(encode: Any, clock: Any, *_: Any) -> tuple[float, float]:
        values = encode.__defaults__[1]
        measured.append(values.nbytes)
        seconds = seconds_per_mib * values.nbytes / MIB
        return seconds, seconds / slices

    monkeypatch.setattr(block_size, "measure", measure_imitated)
    return measured


def chunks_of(path: Path, name: str = "t") -> tuple[int, ...]:
    return tuple(opened(path)[name].encoding["chunks"][1:])


LOSSY = {"t": {"compressors": FZCodec(abs=BOUND)}}


def test_an_existing_store_keeps_its_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Made where encoders are fast, continued where they are slow, and the other way round."""
    t = smooth(0, (128, 128, 256))  # 16 MiB
    for first, then, target in ((1e-4, 1.0, CANDIDATES[2]), (1.0, 1e-4, CANDIDATES[0])):
        path = tmp_path / f"{first}.zarr"
        measured = imitated(monkeypatch, first)
        with InSituWriter(path, LOSSY) as w:
            w.write(0, {"t": t})
        expected = block_shape(t.shape, 4, target)
        assert sorted({*measured}) == [1 * MIB, 2 * MIB, 4 * MIB]
        assert chunks_of(path) == expected
        measured = imitated(monkeypatch, then)
        with InSituWriter(path, LOSSY) as w:
            w.write(1, {"t": t + 1})
        assert measured == []
        assert chunks_of(path) == expected
        ds = opened(path)
        assert_within(ds.t[1], t + 1)


def test_what_is_given_small_or_shared_is_not_profiled(monkeypatch: pytest.MonkeyPatch) -> None:
    measured = imitated(monkeypatch, 1e-4)
    large = np.zeros((16, 256, 512), "f8")  # 16 MiB
    encoding = {"given": {"chunks": (4, 256, 512)}, "shards": {"shards": (16, 256, 512)}}
    with InSituWriter({}, encoding) as w:
        w.write(0, {"given": large, "shards": large, "small": large[0], "scalar": 1.0})
        assert w._fields["small"].block == (128, 512) or w._fields["small"].block_nbytes <= MIB
    with InSituWriter({}, rank=0, size=2, run_id="r", timeout=0.1) as w:
        w._fields.prepare("t", large, large)
        w.close(cancel=True)
    assert measured == []


def test_a_real_profile_chooses_within_its_range() -> None:
    t = smooth(0, (64, 128, 256))  # 8 MiB
    with InSituWriter({}, LOSSY) as w:
        w.write(0, {"t": t})
        nbytes = math.prod(w._fields["t"].block) * 4
    assert CANDIDATES[0] <= nbytes <= CANDIDATES[-1]
    assert 0.0 < OVERHEAD < LONGEST_SLICE
