"""What does a dump in every iteration cost a simulation on a Dask worker?

    python -m benchmarks.dask_overhead [--emulate] [--repetitions 3] [--load 0.8 0.7] [--out x.png]

One worker process with one thread runs an iteration as a chain of tasks, each of which computes and
then waits (for a GPU, say). Every iteration dumps a snapshot of blocks: not at all, as plain Dask
tasks (one to compress and one to write each block), or with `fzdask.cluster.submit_snapshot`.
Loads are the time to compress over the time in which the worker waits, and the time to write
over the iteration; default: .8 / .7 and .95 / .8. All ways run by turns, in random order; reported
are medians over the repetitions of the mean of the last third of the iterations (of the last half
for plain tasks, which have nothing to learn). "Simulated" is `fzdask.scheduling.simulate`; plain
tasks of one thread are its synchronous dump.

--emulate: computing is sleeping. With one thread that changes little but the load of the machine,
so use it where others work too; plans suffer, since what sleeps uses no processor time to learn
from. The machinery alone is measured with blocks that cost nothing.
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
from fzdask.scheduling import Busy, FZSchedulerPlugin, Job, simulate

SLICE = 0.5e-3
PIECES = 6
BLOCKS = 24  # of a snapshot that costs nothing
LOADS = ((0.8, 0.7), (0.95, 0.8))
MOST = 0.02  # overhead wanted
FACTOR = 25.0  # below plain tasks, wanted
LEAST = 1e-3  # overheads below are noise: no factor is told from less
SNAPSHOT = 5e-3  # seconds of machinery a snapshot, wanted
TITLES = {"none": "no dump", "plain": "a task for each block and half", "fzdask": "submit_snapshot"}
POLICIES = {"plain": "sync", "fzdask": "fzdask"}
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
                start = now()
                work(min(left, SLICE), speed)
                # A sleep takes longer than it should; work is done when it is done.
                left -= SLICE if speed else now() - start
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
        LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=":0") as cluster,
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
    """Seconds for a snapshot of blocks that cost nothing, beside those for an empty task.

    Returns
    -------
    dict
        Medians until `submit_snapshot` returns, until the future is done, and until that of a
        plain task is done; processor time of the worker for each snapshot and for each task.
    """
    with (
        LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        client.register_plugin(FZSchedulerPlugin(Rules(windows="always", order="johnson")))
        address = next(iter(client.scheduler_info()["workers"]))

        def used(key):
            return client.submit(time.process_time, key=key).result()

        submitted, stored, plain = [], [], []
        for k in range(snapshots):
            if k == 10:  # the first ones import and learn
                before = used("before tasks")
            start = now()
            wait(client.submit(make_nothing, 0, key=f"plain-{k}"))
            plain.append(now() - start)
        between = used("between")
        for k in range(snapshots):
            if k == 10:
                middle = used("before snapshots")
            start = now()
            done = submit_snapshot(client, f"{k}", make_nothing, {address: (BLOCKS,)}, number=k)
            submitted.append(now() - start)
            wait(done)
            stored.append(now() - start)
        counted = snapshots - 10
        return {
            "submitted": np.median(submitted[10:]),
            "stored": np.median(stored[10:]),
            "task": np.median(plain[10:]),
            "processor": (used("after") - middle) / counted,
            "processor of a task": (between - before) / counted,
        }


class Case:
    """Durations of an iteration and its dump, in seconds."""

    def __init__(self, length, load, blocks):
        rng = np.random.default_rng(3)
        self.computing, self.waiting = (
            rng.dirichlet(np.full(PIECES, 4.0)) * 0.5 * length for _ in "ab"
        )
        self.compressing = rng.lognormal(0.0, 0.5, blocks)
        self.compressing *= load[0] * self.waiting.sum() / self.compressing.sum()
        self.writing = rng.lognormal(0.0, 0.6, blocks)
        self.writing *= load[1] * length / self.writing.sum()

    @property
    def lists(self):
        return [x.tolist() for x in (self.computing, self.waiting, self.compressing, self.writing)]

    def simulated(self, way, iterations):
        jobs = [
            Job(f"{i}", a, b)
            for i, (a, b) in enumerate(zip(self.compressing, self.writing, strict=True))
        ]
        ends = np.cumsum(self.computing + self.waiting)
        starts = ends - self.computing - self.waiting
        spans = [(s, s + c) for s, c in zip(starts, self.computing, strict=True)]
        found = simulate(
            jobs, Busy(spans, [], float(ends[-1])), policy=POLICIES[way], iterations=iterations,
            budget=0.005,
        )  # fmt: skip
        return float(found.overheads[-max(1, iterations // 3) :].mean())


def measure(given):
    """Rows of (loads, way, iteration, overhead, spread, simulated)."""
    rng = np.random.default_rng(3)
    loads = [tuple(given.load)] if given.load else LOADS
    cases = {load: Case(given.length, load, given.blocks) for load in loads}
    tasks = [("none", loads[0])] + [(way, load) for load in loads for way in POLICIES]
    kept = {task: [] for task in tasks}
    for _ in range(given.repetitions):
        for k in rng.permutation(len(tasks)):
            way, load = tasks[k]
            iterations = max(6, given.iterations // 3) if way == "plain" else given.iterations
            lengths = run(way, cases[load].lists, iterations, given.emulate)
            first = iterations // 2 if way == "plain" else 2 * iterations // 3
            kept[way, load].append(lengths[first:].mean())
    base = np.median(kept["none", loads[0]])
    return [
        (
            load,
            way,
            np.median(found),
            np.median(found) / base - 1.0,
            np.ptp(found) / base,
            cases[load].simulated(way, given.iterations) if way in POLICIES else 0.0,
        )
        for (way, load), found in kept.items()
    ]


def report(rows):
    """The lines of the table, and what was wanted."""
    yield f"{'':44}{'iteration':>12}{'overhead':>10}{'spread':>10}{'simulated':>11}"
    for load, way, length, overhead, spread, simulated in rows:
        title = TITLES[way] if way == "none" else f"{TITLES[way]}, {load[0]:g} / {load[1]:g}"
        text = f"{title:44}{1e3 * length:>9.1f} ms{overhead:>10.2%}{spread:>10.2%}"
        yield text + ("" if way == "none" else f"{simulated:>11.2%}")
    found = {(way, load): overhead for load, way, _, overhead, _, _ in rows}
    for (way, load), overhead in found.items():
        if way == "fzdask":
            factor = found["plain", load] / max(overhead, LEAST)
            ok = "reached" if overhead <= MOST and factor >= FACTOR else "MISSED"
            yield (
                f"  {ok:8} {load[0]:g} / {load[1]:g}: {overhead:.2%} (wanted {MOST:.0%} at most), "
                f"{factor:.0f} times below plain tasks (wanted {FACTOR:g})"
            )


def picture(rows, path):
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    shown = [row for row in rows if row[1] != "none"]
    figure, ax = plt.subplots(figsize=(8.0, 0.42 * len(shown) + 1.3), layout="constrained")
    y = np.arange(len(shown))
    measured = [100 * max(row[3], LEAST) for row in shown]
    simulated = [100 * max(row[5], LEAST) for row in shown]
    ax.barh(y, measured, color="#3069b0", height=0.6, label="measured")
    ax.plot(simulated, y, "|", color="#c8202f", ms=13, mew=2, label="simulated")
    for at, row in enumerate(shown):
        end = max(measured[at], simulated[at])
        ax.text(end, at, f"  {100 * row[3]:.1f} %", va="center", fontsize=8)
    ax.set_yticks(y, [f"{TITLES[way]}, {a:g} / {b:g}" for (a, b), way, *_ in shown])
    ax.invert_yaxis()
    ax.set_xscale("log")
    ax.set_xlim(100 * LEAST, 1000)
    ax.set_xlabel("overhead of a dump in every iteration on a Dask worker [%]")
    ax.legend(frameon=False, fontsize=8, loc="lower right")
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    figure.savefig(path, dpi=130)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--emulate", action="store_true")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--iterations", type=int, default=24)
    parser.add_argument("--blocks", type=int, default=24)
    parser.add_argument("--length", type=float, default=0.4)
    parser.add_argument("--load", type=float, nargs=2, help="default: .8 .7 and .95 .8")
    parser.add_argument("--out", help="save a picture")
    given = parser.parse_args()
    rows = measure(given)
    for line in report(rows):
        print(line)
    found = machinery()
    cost = found["processor"] - found["processor of a task"]
    print("machinery: " + ", ".join(f"{name} {1e3 * x:.2f} ms" for name, x in found.items()))
    ok = "reached" if cost < SNAPSHOT else "MISSED"
    print(f"  {ok:8} {1e3 * cost:.2f} ms a snapshot beside an empty task (wanted under 5)")
    if given.out:
        picture(rows, given.out)


if __name__ == "__main__":
    main()
