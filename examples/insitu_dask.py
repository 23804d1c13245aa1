"""A simulation on a Dask cluster that writes every step while the next one is computed.

    python examples/insitu_dask.py [--small]

Two-dimensional Gray-Scott reaction and diffusion (Pearson, Science 261 (1993) 189) in slabs on two
worker processes. A slab is advanced by a task that also waits for a while, as for an accelerator.
The run is done without output, with a plain `to_zarr` after every step, and with `ClusterWriter`.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import dask.array as da
import numpy as np
import xarray as xr
from distributed import Client, LocalCluster, wait

from fzdask import FZCodec
from fzdask.cluster import ClusterWriter, idle
from fzdask.scheduling import FZSchedulerPlugin

BOUND = 1e-4
FEED, KILL = 0.037, 0.06


def start(size: int, slabs: int) -> tuple[da.Array, da.Array]:
    """A square of the second substance in the middle of the first."""
    v = np.zeros((size, size), "f4")
    middle = slice(3 * size // 8, 5 * size // 8)
    v[middle, middle] = 0.25
    v += 0.01 * np.random.default_rng(0).random(v.shape, "f4")
    chunks = (size // slabs, size)
    return da.from_array(1.0 - 2.0 * v, chunks=chunks), da.from_array(v, chunks=chunks)


def advance(u: np.ndarray, v: np.ndarray, steps: int, waiting: float) -> np.ndarray:
    """A slab with `steps` rows of its neighbours on each side, some steps later."""
    for _ in range(steps):
        uvv = u * v * v
        change = []
        for x, rate in ((u, 0.16), (v, 0.08)):
            around = np.roll(x, 1, 0) + np.roll(x, -1, 0) + np.roll(x, 1, 1) + np.roll(x, -1, 1)
            change.append(rate * (around - 4.0 * x))
        u = u + change[0] - uvv + FEED * (1.0 - u)
        v = v + change[1] + uvv - (FEED + KILL) * v
    with idle("accelerator"):
        time.sleep(waiting)
    return np.stack([u, v])[:, steps:-steps]


def step(u: da.Array, v: da.Array, inner: int, waiting: float) -> tuple[da.Array, da.Array]:
    """Both fields after `inner` time steps; rows at the edges of slabs are exchanged."""
    depth, boundary = {0: inner, 1: 0}, {0: "periodic", 1: "none"}
    wide = [da.overlap.overlap(x, depth=depth, boundary=boundary) for x in (u, v)]
    both = da.map_blocks(
        advance, *wide, inner, waiting, dtype="f4", new_axis=0, meta=np.empty((0, 0, 0), "f4"),
        chunks=((2,), *u.chunks),
    )  # fmt: skip
    return both[0], both[1]


def run(client: Client, how: str, folder: Path, given: argparse.Namespace) -> float:
    """Seconds that a step takes in the mean of the second half."""
    u, v = client.persist(list(start(given.size, given.slabs)))
    encoding = {n: {"compressors": FZCodec(abs=BOUND), "dims": ("y", "x")} for n in ("u", "v")}
    writer = None
    if how == "ClusterWriter":
        writer = ClusterWriter(client, folder / "run.zarr", encoding)
    times = []
    for k in range(given.steps):
        begin = time.perf_counter()
        u, v = client.persist(list(step(u, v, given.inner, given.waiting)))
        if writer is not None:
            writer.write(k, {"u": u, "v": v})
        wait([u, v])
        if how == "to_zarr":
            ds = xr.Dataset({"u": (("y", "x"), u), "v": (("y", "x"), v)})
            codecs = {n: {"compressors": FZCodec(abs=BOUND)} for n in ("u", "v")}
            ds.to_zarr(folder / f"{k}.zarr", encoding=codecs, consolidated=False)
        times.append(time.perf_counter() - begin)
    if writer is not None:
        writer.close()
        with xr.open_zarr(folder / "run.zarr") as stored:
            assert list(stored.step.values) == list(range(given.steps))
            error = np.abs(stored.v[-1].values.astype("f8") - v.compute().astype("f8")).max()
        print(f"worst error of the last step {error:.4g}, bound {BOUND:g}")
        print(f"ratio {writer.statistics['ratio']:.1f}")
        assert error <= BOUND
    return float(np.mean(times[given.steps // 2 :]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--size", type=int, default=1536)
    parser.add_argument("--slabs", type=int, default=2)
    parser.add_argument("--steps", type=int, default=16)
    parser.add_argument("--inner", type=int, default=4, help="time steps in each step")
    parser.add_argument("--waiting", type=float, default=0.15, help="seconds")
    parser.add_argument("--repetitions", type=int, default=3)
    given = parser.parse_args()
    if given.small:
        given.size, given.steps, given.waiting, given.repetitions = 64, 4, 0.01, 1
    kept: dict[str, list[float]] = {how: [] for how in ("nothing", "to_zarr", "ClusterWriter")}
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        client.register_plugin(FZSchedulerPlugin())
        for _ in range(given.repetitions):
            for how in kept:  # by turns
                with tempfile.TemporaryDirectory() as folder:
                    kept[how].append(run(client, how, Path(folder), given))
    base = float(np.median(kept["nothing"]))
    for how, seconds in kept.items():
        median = float(np.median(seconds))
        print(f"{how:14} {1e3 * median:7.1f} ms a step, overhead {(median - base) / base:7.1%}")


if __name__ == "__main__":
    main()
