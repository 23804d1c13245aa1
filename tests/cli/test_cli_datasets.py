"""Datasets as the command line sees them: raw, lazy, in uniform chunks."""

from __future__ import annotations

import math
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from fzdask.accessor.fields import field_names, sentinels
from fzdask.cli.datasets import chunk_shape, open_raw


def test_fields_and_fill_values_of_a_raw_dataset(netcdf: Path) -> None:
    raw = open_raw(netcdf)
    assert field_names(raw) == ["t", "p"]
    assert sentinels(raw.t.dtype, raw.t.attrs) == (-999.0,)
    assert sentinels(raw.p.dtype, raw.p.attrs) == (1e20,)
    assert raw.t.chunks is not None


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((256, 256, 256), (128, 128, 128)),
        ((10, 10), (10, 10)),
        ((), ()),
        ((0, 5), (0, 5)),
        ((97, 4000, 3001), (97, 125, 94)),
    ],
)
def test_chunk_shapes(shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    target = 8 * 1024**2
    chunk = chunk_shape(shape, np.dtype("f4"), target)
    assert chunk == expected
    assert math.prod(chunk) * 4 <= target


def test_a_large_array_is_mapped_and_cut_into_full_chunks(tmp_path: Path) -> None:
    mapped = np.lib.format.open_memmap(tmp_path / "a.npy", mode="w+", shape=(7000, 6000))
    del mapped
    tracemalloc.start()
    lazy = open_raw(tmp_path / "a.npy")["data"]
    assert tracemalloc.get_traced_memory()[1] < 100e6, "the file was read as a whole"
    tracemalloc.stop()
    sizes = lazy.chunks
    assert sizes is not None
    assert [len(set(s[:-1])) for s in sizes] == [1, 1]
    assert sizes[0][0] * sizes[1][0] * 8 <= 16 * 1024**2
    assert all(s[-1] >= 0.9 * s[0] for s in sizes)


INTERRUPTED = """
import os, threading, time
from signal import SIGINT, default_int_handler, signal
import dask.array as da
import numpy as np
from fzdask.cli.dask_work import dask_progress

signal(SIGINT, default_int_handler)  # a background job of a shell inherits that it is ignored
under_way, done = threading.Event(), []

def slow(block):
    if len(done) >= 8:  # all threads are up: an interrupt while one starts is Python's affair
        under_way.set()
    time.sleep(0.02)
    done.append(1)
    return block

def interrupt():
    under_way.wait()
    os.kill(os.getpid(), SIGINT)

threading.Thread(target=interrupt, daemon=True).start()
try:
    with dask_progress("work"):
        da.ones(400, chunks=1).map_blocks(slow, dtype=float, meta=np.empty(0)).compute()
except KeyboardInterrupt:
    after = len(done)
    time.sleep(0.5)
    assert 8 <= len(done) == after < 400
    print("nothing ran on")
"""


def test_no_task_runs_on_after_an_interrupt() -> None:
    """Ctrl-C arrives in the main thread while others still write."""
    command = [sys.executable, "-c", INTERRUPTED]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "nothing ran on", done.stderr
