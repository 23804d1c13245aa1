"""What does a dump in every iteration cost a simulation on a Dask worker?

    python -m benchmarks.dask_overhead [--emulate] [--repetitions 3] [--load 0.8 0.7]

One worker process with one thread runs an iteration as a chain of tasks, each of which computes and
then waits (for a GPU, say). Every iteration dumps a snapshot of blocks: not at all, as plain Dask
tasks (one to compress and one to write each block), or with `fzdask.cluster.submit_snapshot`.
--load gives the time to compress over the time in which the worker waits, and the time to write
over the iteration. The three ways run by turns, in random order; reported are medians over the
repetitions of the mean of the last third of the iterations.

--emulate: computing is sleeping. With one thread that changes nothing but the load of the machine,
so use it where others work too. The machinery alone is measured with blocks that cost nothing.
"""

from __future__ import annotations

import argparse
import time

import numba
import numpy as np
from distributed import Client, LocalCluster, wait

from fzdask.cluster import idle, submit_snapshot
from fzdask.insitu import Block, Rules
from fzdask.insitu.block import one_slice
from fzdask.scheduling import FZSchedulerPlugin

SLICE = 0.5e-3
PIECES = 6
now = time.perf_counter


@numba.njit(nogil=True, cache=True)
def spin(steps):
    x = np.uint64(88172645463325252)
    for _ in range(steps):
        x ^= x << np.uint64(13)
        x ^= x >> np.uint64(7)
        x ^= x << np.uint64(17)
    return x


def speed_of_spin():
    """Steps per second on this process's core at its best."""
    spin(10)
    best = np.inf
    for _ in range(9):
        start = now()
        spin(1_000_000)
        best = min(best, now() - start)
    return 1_000_000 / best


def work(seconds, speed):
    if speed:
        spin(int(seconds * speed))
    else:
        time.sleep(seconds)


def piece(_, compute, waiting, speed):
    """A task of the simulation."""
    work(compute, speed)
    with idle("device"):
        time.sleep(waiting)


def compress(_, seconds, speed):
    work(seconds, speed)
    return b"x" * 1000


def write(_, seconds):
    time.sleep(seconds)


class Timed:
    """Stands for a store: each block takes as long as it says."""

    def __init__(self, seconds):
        self.seconds = seconds

    def write(self, items):
        time.sleep(sum(self.seconds[int(key)] for key, _ in items))


def make_blocks(compress_seconds, write_seconds, speed):
    sink = Timed(write_seconds)

    def encoder(seconds):
        def encode():
            left = seconds
            while left > 0.0:
                work(min(left, SLICE), speed)
                left -= SLICE
                yield
            return b"x" * 300_000  # large enough not to be coalesced

        return encode

    return [
        Block(f"b/{i}", "b", 1000, encoder(seconds), str(i), sink)
        for i, seconds in enumerate(compress_seconds)
    ]


def make_nothing(count):
    sink = Timed([0.0] * count)
    return [Block(f"n/{i}", "n", 1, one_slice(lambda: b"x"), str(i), sink) for i in range(count)]


def run(way, case, iterations, emulate):
    """Lengths of the iterations of a run on a cluster of its own."""
    computing, waiting, compressing, writing = case
    with (
        LocalCluster(1, threads_per_worker=1, dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        client.register_plugin(FZSchedulerPlugin(Rules(windows="marked")))
        address = next(iter(client.scheduler_info()["workers"]))
        speed = 0.0 if emulate else client.submit(speed_of_spin).result()
        lengths, dumps = [], []
        for step in range(iterations):
            start = now()
            last = None
            for k in range(PIECES):
                last = client.submit(
                    piece, last, computing[k], waiting[k], speed,
                    key=f"piece-{step}-{k}", priority=10,
                )  # fmt: skip
            wait(last)
            limit = 1
            if way == "plain":
                limit = 0  # one outstanding: more only fill the queue
                for future in dumps[-1] if dumps else []:
                    future.result()
                done = [
                    client.submit(compress, last, a, speed, key=f"compress-{step}-{i}")
                    for i, a in enumerate(compressing)
                ]
                dumps.append(
                    [
                        client.submit(write, c, b, key=f"write-{step}-{i}")
                        for i, (c, b) in enumerate(zip(done, writing, strict=True))
                    ]
                )
            elif way == "fzdask":
                if len(dumps) > limit:
                    wait(dumps[-1 - limit])
                arguments = (compressing, writing, speed)
                dumps.append(
                    submit_snapshot(
                        client, f"step {step}", make_blocks, {address: arguments}, number=step
                    )
                )
            del dumps[:-3]
            lengths.append(now() - start)
        for dump in dumps:
            wait(dump)
    return np.array(lengths)


def machinery(snapshots=60):
    """Seconds for a snapshot of 24 blocks that cost nothing, beside those for an empty task.

    Returns
    -------
    submitted, stored, task, processor
        Until `submit_snapshot` returns; until the future is done; a plain task until its future
        is done; processor time of the worker for each snapshot.
    """
    with (
        LocalCluster(1, threads_per_worker=1, dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        client.register_plugin(FZSchedulerPlugin(Rules(windows="always", order="johnson")))
        address = next(iter(client.scheduler_info()["workers"]))
        found = []
        for k in range(snapshots):
            start = now()
            wait(client.submit(make_nothing, 0, key=f"plain-{k}"))
            plain = now() - start
            if k == 10:
                used = client.submit(time.process_time, key="before").result()
            start = now()
            done = submit_snapshot(client, f"{k}", make_nothing, {address: (24,)}, number=k)
            submitted = now() - start
            wait(done)
            found.append((submitted, now() - start, plain))
        used = client.submit(time.process_time, key="after").result() - used
    return (*np.median(found[10:], axis=0), used / (snapshots - 10))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--emulate", action="store_true")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--iterations", type=int, default=24)
    parser.add_argument("--blocks", type=int, default=24)
    parser.add_argument("--length", type=float, default=0.4)
    parser.add_argument("--load", type=float, nargs=2, default=(0.8, 0.7))
    given = parser.parse_args()
    rng = np.random.default_rng(3)
    computing, waiting = (rng.dirichlet(np.full(PIECES, 4.0)) * 0.5 * given.length for _ in "ab")
    compressing = rng.lognormal(0.0, 0.5, given.blocks)
    compressing *= given.load[0] * waiting.sum() / compressing.sum()
    writing = rng.lognormal(0.0, 0.6, given.blocks)
    writing *= given.load[1] * given.length / writing.sum()
    case = [x.tolist() for x in (computing, waiting, compressing, writing)]
    kept = {way: [] for way in ("none", "plain", "fzdask")}
    for _ in range(given.repetitions):
        for way in rng.permutation(list(kept)):
            lengths = run(str(way), case, given.iterations, given.emulate)
            kept[str(way)].append(lengths[2 * given.iterations // 3 :].mean())
    base = np.median(kept["none"])
    for way, lengths in kept.items():
        overhead = (np.median(lengths) - base) / base
        spread = np.ptp(lengths) / base
        print(f"{way:8} {1e3 * np.median(lengths):8.1f} ms {overhead:8.1%} (spread {spread:.1%})")
    figures = (f"{1e3 * x:.2f} ms" for x in machinery())
    print(
        "machinery: submitted in {}, stored in {}; a plain task {}; processor {}".format(*figures)
    )


if __name__ == "__main__":
    main()
