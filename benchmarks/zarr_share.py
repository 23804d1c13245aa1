"""Where the time of one ``to_zarr`` on distributed workers goes: encode, store, the rest.

The workers note when each call of `FZCodec` and of the store begins and ends. Three shares
are derived, from the strictest to the mildest:

- *of worker time*: wall time times workers, less what they spent in encode and store. Idle
  workers, the client's work before and after, and the scheduler all count as outside.
- *of elapsed time*: the part of the wall time in which no worker was in encode or store.
- *of task time*: the part of the workers' task time that was not encode or store.
"""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["Shares", "covered", "measure_to_zarr", "shares"]

Interval = tuple[float, float]
BLOCK = (16, 512, 512)  # 16 MiB of float32


@dataclass(frozen=True, slots=True)
class Shares:
    """Seconds, the three shares outside encode and store (0 to 1), bytes.

    `busiest_worker` is the part of all encoded chunks that the busiest worker had: above one
    over the number of workers, the others waited for it at the end.
    """

    wall: float
    before_first_task: float
    after_last_task: float
    encode: float
    store: float
    tasks: float
    outside_of_worker_time: float
    outside_of_elapsed_time: float
    outside_of_task_time: float
    busiest_worker: float
    nbytes: int
    stored: int


def covered(intervals: Iterable[Interval]) -> float:
    """Length of the union of intervals: concurrent calls count once."""
    total, end = 0.0, -np.inf
    for start, stop in sorted(intervals):
        total += max(0.0, stop - max(start, end))
        end = max(end, stop)
    return total


def shares(
    call: Interval,
    workers: Sequence[dict[str, list[Interval]]],
    tasks: Sequence[Interval],
    nbytes: int,
    stored: int,
) -> Shares:
    """Derive the shares from what was noted.

    Parameters
    ----------
    call : (float, float)
        Start and end of ``to_zarr`` on the client.
    workers : sequence of {"encode": intervals, "store": intervals}
        One per worker, in seconds of the same clock.
    tasks : sequence of (float, float)
        When tasks ran, on any worker.
    """
    wall = call[1] - call[0]
    busy = [covered(w["encode"] + w["store"]) for w in workers]
    anyone = covered(i for w in workers for i in w["encode"] + w["store"])
    calls = [len(w["encode"]) for w in workers]
    task_time = sum(stop - start for start, stop in tasks)
    return Shares(
        wall=wall,
        before_first_task=min((t[0] for t in tasks), default=call[1]) - call[0],
        after_last_task=call[1] - max((t[1] for t in tasks), default=call[1]),
        encode=sum(covered(w["encode"]) for w in workers),
        store=sum(covered(w["store"]) for w in workers),
        tasks=task_time,
        outside_of_worker_time=1.0 - sum(busy) / (wall * len(workers)),
        outside_of_elapsed_time=1.0 - anyone / wall,
        outside_of_task_time=1.0 - sum(busy) / task_time if task_time else 0.0,
        busiest_worker=max(calls) / sum(calls) if sum(calls) else 0.0,
        nbytes=nbytes,
        stored=stored,
    )


def measure_to_zarr(
    *, blocks: int = 16, block: tuple[int, ...] = BLOCK, workers: int = 2, repeat: int = 5
) -> dict[str, Any]:
    """Write a persisted Dask dataset with FZCodec, `repeat` times plain and without empty checks.

    The dataset is in the workers' memory, the kernels are loaded and the libraries imported
    before the first measured run. ``plain`` is ``to_zarr`` with nothing but the encoding; in
    ``write_empty_chunks`` Zarr does not compare every chunk with the fill value first.
    """
    import xarray as xr
    from distributed import Client, LocalCluster, wait

    ways: dict[str, dict[str, Any]] = {
        "plain": {},
        "write_empty_chunks": {"write_empty_chunks": True},
    }
    runs: dict[str, list[Shares]] = {way: [] for way in ways}
    with (
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            dashboard_address=":0",
            memory_limit=0,
        ) as cluster,
        Client(cluster) as client,
        tempfile.TemporaryDirectory(prefix="fzdask-share-") as folder,
    ):
        data = _dataset(blocks, block).persist()
        wait(data)
        client.run(_install, block)
        for turn in range(repeat + 1):
            for way, options in ways.items():
                path = Path(folder, f"{way}-{turn}.zarr")
                found = _one_write(client, data, path, options)
                if turn:  # the first round warms the cluster
                    runs[way].append(found)
                _check_written(xr, path, data)
                shutil.rmtree(path)
    return {"workers": workers, "blocks": blocks} | {w: _medians(r) for w, r in runs.items()}


def _one_write(client: Any, data: Any, path: Path, options: dict[str, Any]) -> Shares:
    from distributed import get_task_stream

    from fzdask import FZCodec

    client.run(_collect)  # forget what was noted before
    encoding = {"t": {"compressors": FZCodec(rel=1e-3)}}
    with get_task_stream(client) as stream, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Consolidated metadata")
        start = time.time()
        data.to_zarr(path, mode="w", encoding=encoding, **options)
        stop = time.time()
    noted = list(client.run(_collect).values())
    tasks = [
        (span["start"], span["stop"])
        for record in stream.data
        for span in record["startstops"]
        if span["action"] == "compute" and span["start"] >= start
    ]
    stored = sum(p.stat().st_size for p in path.rglob("*") if p.is_file())
    return shares((start, stop), noted, tasks, data.nbytes, stored)


def _medians(runs: Sequence[Shares]) -> dict[str, Any]:
    each = [asdict(run) for run in runs]
    return {name: statistics.median(run[name] for run in each) for name in each[0]} | {"runs": each}


def _dataset(blocks: int, block: tuple[int, ...]) -> Any:
    import dask.array as da
    import xarray as xr

    from fzdask.metrics import fields

    def make(block_info: Any = None) -> np.ndarray:
        return fields.turbulence(block, seed=block_info[None]["chunk-location"][0])

    array = da.map_blocks(
        make,
        chunks=((block[0],) * blocks, *((n,) for n in block[1:])),
        dtype=np.float32,
        meta=np.empty((0,) * len(block), np.float32),
    )
    return xr.Dataset({"t": (("z", "y", "x"), array)})


def _check_written(xr: Any, path: Path, data: Any) -> None:
    """A share of a write that lost data would mean nothing."""
    with xr.open_zarr(path) as back:
        first = np.asarray(data["t"][0]), np.asarray(back["t"][0])
    span = float(first[0].max() - first[0].min())
    if back["t"].shape != data["t"].shape or not np.abs(first[0] - first[1]).max() <= span:
        raise RuntimeError("footprint: the dataset read back is not the one written")


# The following run on the workers. What they note is kept in a module of the worker process.

_NOTED: dict[str, list[Interval]] = {"encode": [], "store": []}


def _install(block: tuple[int, ...]) -> None:
    """Load the kernels, then time every encode and every store of a key in this process."""
    import functools

    from zarr.storage import LocalStore

    import fzdask
    from benchmarks import zarr_share
    from fzdask.codecs.zarr_codec import FZCodec
    from fzdask.metrics import fields

    small = fields.turbulence(tuple(min(n, 16) for n in block))
    fzdask.decompress(fzdask.compress(small, rel=1e-3))

    encode, store = FZCodec._encode_sync, LocalStore.set

    @functools.wraps(encode)
    def timed_encode(self: Any, *args: Any, **keywords: Any) -> Any:
        start = time.time()
        try:
            return encode(self, *args, **keywords)
        finally:
            zarr_share._NOTED["encode"].append((start, time.time()))

    @functools.wraps(store)
    async def timed_store(self: Any, *args: Any, **keywords: Any) -> Any:
        start = time.time()
        try:
            return await store(self, *args, **keywords)
        finally:
            zarr_share._NOTED["store"].append((start, time.time()))

    FZCodec._encode_sync = timed_encode
    LocalStore.set = timed_store


def _collect() -> dict[str, list[Interval]]:
    from benchmarks import zarr_share

    noted = {name: list(spans) for name, spans in zarr_share._NOTED.items()}
    for spans in zarr_share._NOTED.values():
        spans.clear()
    return noted
