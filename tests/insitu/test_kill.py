"""SIGKILL at a random moment: nothing acknowledged is lost, and a re-run completes the rest."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pytest
from writer_cases import BOUND, assert_within, opened, smooth

from fzdask import FZCodec, InSituWriter

ENCODING = {
    "t": {"compressors": FZCodec(abs=BOUND), "chunks": (3, 16, 20)},
    "v": {"compressors": FZCodec(rel=1e-3), "chunks": (8, 9)},
}
STEPS = 30

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


def simulate(path: Path, said: Connection | None) -> None:
    """Write every step; say what has been acknowledged."""
    with InSituWriter(path, ENCODING, windows="marked") as w:
        for step in range(STEPS):
            with w.iteration(step), w.idle():
                time.sleep(0.001)
            w.write(step, {"t": smooth(step), "v": smooth(step, (16, 9), "f8")})
            if step % 3 == 0:
                w.flush()
            if said is not None:
                visible = w.visible_steps.get("step", [])
                said.send(visible[-1] if visible else -1)


def check(path: Path, least: int) -> int:
    """The store opens, every step that it shows is right, and none acknowledged is missing."""
    ds = opened(path)
    shown = ds.sizes.get("step", 0)
    assert shown > least
    if shown:
        np.testing.assert_array_equal(ds.step, np.arange(shown))
    for step in range(shown):
        assert_within(ds.t[step], smooth(step))
        v = smooth(step, (16, 9), "f8")
        for rows in (slice(0, 8), slice(8, 16)):
            bound = 1e-3 * float(v[rows].max() - v[rows].min())
            assert_within(ds.v[step][rows], v[rows], bound)
    return int(shown)


def kill_and_continue(path: Path, seed: int) -> tuple[int, int]:
    """One process killed at random, checked, continued; steps acknowledged and shown."""
    context = multiprocessing.get_context("fork")
    hear, say = context.Pipe(duplex=False)
    process = context.Process(target=simulate, args=(path, say))
    process.start()
    say.close()
    rng = random.Random(seed)
    assert hear.poll(60)
    time.sleep(rng.uniform(0.0, 0.15))
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    acknowledged = -1
    try:
        while True:
            acknowledged = hear.recv()
    except EOFError:
        pass
    shown = check(path, acknowledged)
    simulate(path, None)
    assert check(path, STEPS - 1) == STEPS
    assert list(path.rglob("*.partial")) == []
    return acknowledged, shown


def test_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    simulate(tmp_path / "warm.zarr", None)  # compiled before processes are forked
    cut = 0
    for seed in range(3):
        _, shown = kill_and_continue(tmp_path / f"{seed}.zarr", seed)
        cut += shown < STEPS
    assert cut > 0, "every process had finished before it was killed"


@pytest.mark.slow
def test_nothing_acknowledged_is_lost_a_hundred_times(tmp_path: Path) -> None:
    simulate(tmp_path / "warm.zarr", None)
    cut = [kill_and_continue(tmp_path / f"{seed}.zarr", 100 + seed)[1] for seed in range(100)]
    print(f"killed at steps {sorted(cut)}", file=sys.stderr)
    assert sum(shown < STEPS for shown in cut) > 20
