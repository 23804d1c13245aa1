"""What does a dump in every iteration cost a simulation? Ten ways to write it, measured.

    python examples/insitu_overhead.py [--small] [--real] [--load 0.8 0.7] [--out overhead.png]

A simulation computes for half of each iteration and waits (for an accelerator, say) for the other
half; its background thread has work of its own for a quarter. Every iteration dumps a snapshot of
24 blocks (or, with --real, fields that FZCodec compresses) to a store of limited bandwidth.
--load gives the time to compress over the idle time of the compute thread, and the time to write
over that of the background thread. All ways are run by turns, in random order; reported are
medians over the repetitions, over the last third of the iterations.

On a machine that others use as well, --emulate imitates the compute thread's core: work is then
sleep, one thread at a time in turns of a millisecond, so that only wake-ups are disturbed.

Overhead is (iteration with dump - without) / without. "Compute" is how much longer the
simulation's own work takes, "copied" the time to copy the snapshot (with --real): what is left of
the overhead is waiting for the dump.
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

import numba
import numpy as np
import zarr

from fzdask import FZCodec
from fzdask.insitu import Block, Engine, InSituWriter, RateLimitedStore, Rules
from fzdask.insitu.block import Data, Slices
from fzdask.scheduling import Busy, Job, simulate

BOUND = 0.05
SLICE = 0.5e-3  # seconds
BLOCK = 1 << 20  # bytes of a real block
WARM_UP = 3  # iterations that are run and not counted, at least
now = time.perf_counter


@numba.njit(nogil=True, cache=True)
def spin(steps: int) -> int:
    """Keep a core busy without a look at the clock, so that it can be taken away."""
    x = np.uint64(88172645463325252)
    for _ in range(steps):
        x ^= x << np.uint64(13)
        x ^= x >> np.uint64(7)
        x ^= x << np.uint64(17)
    return x


def steps_per_second() -> float:
    """The speed of `spin` on an undisturbed core."""
    spin(10)
    best = np.inf
    for _ in range(9):
        start = now()
        spin(1_000_000)
        best = min(best, now() - start)
    return 1_000_000 / best


class Core:
    """The compute thread's core: real work on the core that the caller is pinned to."""

    def __init__(self, speed: float) -> None:
        self.speed = speed

    def work(self, seconds: float, urgent: bool = True) -> None:
        """Take so much of the core's time."""
        spin(int(seconds * self.speed))

    @staticmethod
    def used() -> float:
        """Time of the core that the calling thread has had."""
        return time.thread_time()


class ImitatedCore(Core):
    """The same as sleep, one thread at a time, in turns.

    Parameters
    ----------
    fair : bool
        Whether those that are not urgent wait their turn like any other, or until nobody does.
    """

    TURN = 1e-3

    def __init__(self, fair: bool) -> None:
        super().__init__(0.0)
        self._fair = fair
        self._free = threading.Condition()
        self._held = False
        self._queue: list[tuple[bool, int]] = []  # not urgent, ticket
        self._tickets = itertools.count()
        self._own = threading.local()

    def work(self, seconds: float, urgent: bool = True) -> None:
        while seconds > 0.0:
            turn = min(seconds, self.TURN)
            seconds -= turn
            ticket = (not (urgent or self._fair), next(self._tickets))
            with self._free:
                heapq.heappush(self._queue, ticket)
                self._free.wait_for(lambda t=ticket: not self._held and self._queue[0] == t)
                heapq.heappop(self._queue)
                self._held = True
            # What a sleep takes too long is credit for the next.
            start, credit = now(), getattr(self._own, "credit", 0.0)
            time.sleep(max(0.0, turn - credit))
            self._own.credit = credit + (now() - start) - turn
            self._own.used = getattr(self._own, "used", 0.0) + turn
            with self._free:
                self._held = False
                self._free.notify_all()

    def used(self) -> float:  # type: ignore[override]
        return getattr(self._own, "used", 0.0)


@dataclass(frozen=True)
class Way:
    """One way to dump: rules of the engine, and how many snapshots may be outstanding."""

    title: str
    rules: Rules | None = None
    horizon: int = 1
    raw: bool = False
    policy: str = ""  # of fzdask.scheduling.simulate


def marked(**settings: Any) -> Rules:
    return Rules(windows="marked", **settings)


UNGATED = {"order": "fifo", "gate_writes": False, "slices": False}
WAYS = {
    "none": Way("no dump"),
    "sync-raw": Way("synchronous, raw", raw=True, policy="sync-raw"),
    "sync": Way("synchronous, compressed", policy="sync"),
    "async-raw": Way(
        "asynchronous, raw", Rules(windows="always", **UNGATED), raw=True, policy="async-raw"
    ),
    "threads": Way("ungated threads", Rules(windows="always", **UNGATED), policy="threads"),
    "idle": Way("idle-priority thread", Rules(windows="priority", **UNGATED),
                policy="idle-threads"),
    "johnson": Way("Johnson", marked(order="johnson", slices=False, skip=False), policy="johnson"),
    "backfill": Way(
        "Johnson + backfilling", marked(order="johnson+backfill", slices=False), policy="paper"
    ),
    "slices": Way("+ slices", marked(), policy="sliced"),
    "fzdask": Way("+ slices + rolling horizon", marked(), horizon=2, policy="fzdask"),
}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """An iteration and its dump, in seconds."""

    length: float
    compute: np.ndarray  # busy pieces of the compute thread, each followed by a wait
    wait: np.ndarray
    core: np.ndarray  # background work, with every second piece
    compress: np.ndarray  # per block
    write: np.ndarray
    raw_write: np.ndarray

    @classmethod
    def make(cls, length: float, loads: Sequence[float], blocks: int, seed: int = 3) -> Case:
        rng = np.random.default_rng(seed)
        pieces = 6
        compute, wait = (rng.dirichlet(np.full(pieces, 4.0)) * 0.5 * length for _ in range(2))
        core = np.full(3, 0.25 * length / 3)
        compress = rng.lognormal(0.0, 0.5, blocks)
        compress *= loads[0] * wait.sum() / compress.sum()
        write = rng.lognormal(0.0, 0.6, blocks)
        write *= loads[1] * (length - core.sum()) / write.sum()
        return cls(length, compute, wait, core, compress, write,
                   np.full(blocks, length / blocks))  # fmt: skip

    @property
    def busy(self) -> Busy:
        """The iteration as the planner and the simulator see it."""
        ends = np.cumsum(self.compute + self.wait)
        starts = ends - self.compute - self.wait
        spans = [(s, s + c) for s, c in zip(starts, self.compute, strict=True)]
        cores = [(starts[2 * k] + self.compute[2 * k],) for k in range(len(self.core))]
        return Busy(
            spans,
            [(s, s + c) for (s,), c in zip(cores, self.core, strict=True)],
            float(ends[-1]),
        )

    def simulated(self, way: Way, iterations: int) -> float:
        """The overhead that the simulator predicts."""
        jobs = [
            Job(f"{i}", a, b, nbytes=1000)
            for i, (a, b) in enumerate(zip(self.compress, self.write, strict=True))
        ]
        ratio = float(self.raw_write.sum() / self.write.sum()) if way.raw else None
        found = simulate(
            jobs, self.busy, policy=way.policy, iterations=iterations, knowledge="learned",
            ratio=ratio, budget=0.005,
        )  # fmt: skip
        return float(found.overheads[-max(1, iterations // 3) :].mean())


class Timed:
    """Stands for a store: a write takes as long as the block says."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def write(self, items: Sequence[tuple[str, Data]]) -> None:
        time.sleep(sum(self.seconds[key] for key, _ in items))


class StandIn:
    """Compression that only keeps a core busy, in slices; a store that only takes its time."""

    def __init__(self, case: Case, way: Way, core: Core, cpus: dict[str, list[int]]) -> None:
        self.case, self.way, self.core = case, way, core
        self.sink = Timed()
        self.rng = np.random.default_rng(11)
        self.engine = None
        if way.rules is not None:
            self.engine = Engine(way.rules, cpus=cpus, processor_time=core.used)
            self.engine.horizon = way.horizon

    def iteration(self, step: int) -> Any:
        return nullcontext() if self.engine is None else self.engine.iteration(str(step))

    def idle(self, name: str) -> Any:
        return nullcontext() if self.engine is None else self.engine.idle(name)

    def dump(self, step: int) -> None:
        if self.way.title == "no dump":
            return
        case = self.case
        blocks = []
        for i, (a, b) in enumerate(zip(case.compress, case.write, strict=True)):
            compress = 0.0 if self.way.raw else a * self.rng.lognormal(0.0, 0.03)
            write = (case.raw_write[i] if self.way.raw else b) * self.rng.lognormal(0.0, 0.03)
            key = f"{step}/{i}"
            self.sink.seconds[key] = write
            blocks.append(Block(f"b/{i}", "b", 1000, self.encoder(compress), key, self.sink))
        if self.engine is None:
            for block in blocks:
                for _ in block.encode():
                    pass
                self.sink.write([(block.key, b"")])
            return
        self.engine.wait(self.way.horizon - 1)
        self.engine.submit(blocks, name=str(step))

    def encoder(self, seconds: float) -> Callable[[], Slices]:
        def encode() -> Slices:
            left = seconds
            while left > 0.0:
                self.core.work(min(left, SLICE), urgent=False)
                left -= SLICE
                yield
            return b"x" * 300_000  # large enough not to be coalesced

        return encode

    def close(self) -> None:
        if self.engine is not None:
            self.engine.close()


class Real:
    """Fields that FZCodec compresses, to a store in memory of limited bandwidth."""

    def __init__(
        self, fields: dict[str, np.ndarray], bandwidth: float, way: Way, cpus: Any
    ) -> None:
        self.fields, self.way = fields, way
        self.memory: dict[str, Any] = {}
        self.store = RateLimitedStore(self.memory, bandwidth)
        self.codec = FZCodec(abs=BOUND)
        settings = {"compressors": None if way.raw else self.codec}
        self.writer = None
        if way.rules is not None:
            self.writer = InSituWriter(
                self.store, dict.fromkeys(fields, settings), rules=way.rules, cpus=cpus,
                max_outstanding=way.horizon,
            )  # fmt: skip
        self.engine = None if self.writer is None else self.writer._engine
        self.copied = 0.0

    def iteration(self, step: int) -> Any:
        return nullcontext() if self.writer is None else self.writer.iteration(step)

    def idle(self, name: str) -> Any:
        return nullcontext() if self.writer is None else self.writer.idle(name)

    def dump(self, step: int) -> None:
        if self.way.title == "no dump":
            return
        if self.writer is not None:
            self.writer.write(step, self.fields)
            # A store that forgets: a run of many steps would not fit into memory.
            for key in [k for k in self.memory if f"/c/{step - 4}/" in k]:
                self.memory.pop(key, None)
            return
        for name, array in self.fields.items():
            flat = array.reshape(-1, BLOCK // 4)
            for k in range(flat.shape[0]):
                data = flat[k].tobytes() if self.way.raw else self.codec.encode(flat[k])
                buffer = zarr.core.buffer.default_buffer_prototype().buffer.from_bytes(data)
                self.store.set_sync(f"{name}/c/{step % 3}/{k}", buffer)

    def close(self) -> None:
        if self.writer is not None:
            self.writer.close()
            self.copied = float(self.writer.to_xarray()["copy"].median())

    def worst_error(self) -> float:
        """Of the last step, recomputed in float64."""
        array = zarr.open_array(zarr.storage.MemoryStore(self.memory), path="f0", mode="r")
        return float(np.abs(array[-1].astype("f8") - self.fields["f0"].astype("f8")).max())


def run(case: Case, dump: Any, iterations: int, core: Core) -> tuple[np.ndarray, np.ndarray]:
    """Lengths of the iterations, and the time of the simulation's own work in each."""
    rng = np.random.default_rng(7)
    lengths, computing = [], []
    for step in range(iterations):
        start, own = now(), 0.0
        with dump.iteration(step):
            pending = None
            for k, (compute, wait) in enumerate(zip(case.compute, case.wait, strict=True)):
                begin = now()
                core.work(compute * rng.lognormal(0.0, 0.01))
                own += now() - begin
                if k % 2 == 0 and dump.engine is not None:
                    pending = dump.engine.core("halo", time.sleep, case.core[k // 2])
                with dump.idle(f"wait {k}"):
                    time.sleep(wait)
                if k % 2 == 1 and pending is not None:
                    with dump.idle(f"halo {k}"):
                        pending.result()
        dump.dump(step)
        lengths.append(now() - start)
        computing.append(own)
    dump.close()
    return np.array(lengths), np.array(computing)


def pinned(cpu: int | None) -> None:
    if cpu is not None:
        os.sched_setaffinity(0, {cpu})


def real_case(case: Case, loads: Sequence[float]) -> tuple[dict[str, Any], float]:
    """Fields as large, and a bandwidth as low, as gives these loads."""
    rng = np.random.default_rng(1)
    sample = np.cumsum(rng.normal(size=(4, 16, 128, 128)), axis=-1).astype("f4")
    sample += np.cumsum(rng.normal(size=sample.shape), axis=1).astype("f4")
    codec, times = FZCodec(abs=BOUND, codebook="shared"), []
    for k in range(24):
        start = time.thread_time()
        stream = codec.encode(sample[k % 4])
        times.append(time.thread_time() - start)
    blocks = max(2, round(loads[0] * case.wait.sum() / float(np.median(times[8:]))))
    fields = {
        f"f{i}": np.concatenate([sample[(i + k) % 4] for k in range(part)])
        for i, part in enumerate(np.diff(np.linspace(0, blocks, 5).astype(int)))
        if part
    }
    bandwidth = blocks * len(stream) / (loads[1] * (case.length - case.core.sum()))
    return fields, bandwidth


def measure(arguments: argparse.Namespace) -> dict[str, dict[str, float]]:
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    both = len(cores) >= 2 and not arguments.emulate
    cpus = {"compress": [cores[0]], "io": [cores[1]], "plan": [cores[1]]} if both else {}
    host = cores[0] if both else None
    case = Case.make(arguments.length, arguments.load, arguments.blocks)
    pinned(host)
    speed = 0.0 if arguments.emulate else steps_per_second()
    fields, bandwidth = real_case(case, arguments.load) if arguments.real else ({}, 1.0)
    names = arguments.ways or list(WAYS)
    rng = np.random.default_rng(0)
    kept: dict[str, list[tuple[float, ...]]] = {name: [] for name in names}
    for repetition in range(arguments.repetitions):
        for name in rng.permutation(names):
            way = WAYS[str(name)]
            core = Core(speed)
            if arguments.emulate:
                core = ImitatedCore(fair=way.policy != "idle-threads")
                if way.policy == "idle-threads":  # the imitated core does what the system would
                    way = replace(way, rules=replace(way.rules, windows="always"))
            if both:
                os.sched_setaffinity(0, cores)  # threads inherit; the engine pins its own
            made = (
                Real(fields, bandwidth, way, cpus)
                if arguments.real
                else StandIn(case, way, core, cpus)
            )
            pinned(host)
            lengths, computing = run(case, made, arguments.iterations, core)
            last = slice(max(WARM_UP, 2 * arguments.iterations // 3), None)
            copied = getattr(made, "copied", 0.0)
            kept[str(name)].append((lengths[last].mean(), computing[last].mean(), copied))
            if arguments.real and name == "fzdask" and repetition == 0:
                worst = made.worst_error()
                print(f"worst error of the last step {worst:.4g}, bound {BOUND}")
                assert worst <= BOUND
    if both:
        os.sched_setaffinity(0, cores)
    base, own, _ = np.median(kept["none"], axis=0)
    rows = {}
    for name in names:
        length, computing, copied = np.median(kept[name], axis=0)
        rows[name] = {
            "overhead": (length - base) / base,
            "compute": (computing - own) / own,
            "spread": float(np.ptp([x for x, *_ in kept[name]]) / base),
            "copied": copied / base,
        }
        if WAYS[name].policy:
            rows[name]["simulated"] = case.simulated(WAYS[name], min(arguments.iterations, 30))
    return rows


def report(rows: dict[str, dict[str, float]]) -> Iterator[str]:
    yield f"{'':32}{'overhead':>10}{'spread':>9}{'copied':>9}{'compute':>9}{'simulated':>11}"
    for name, row in rows.items():
        text = f"{WAYS[name].title:32}{row['overhead']:>10.2%}"
        text += "".join(f"{row[key]:>9.2%}" for key in ("spread", "copied", "compute"))
        yield text + (f"{row['simulated']:>11.2%}" if "simulated" in row else "")


def picture(rows: dict[str, dict[str, float]], title: str, path: str) -> None:
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    shown = [name for name in rows if name != "none"]
    _, ax = plt.subplots(figsize=(8.0, 0.42 * len(shown) + 1.4), layout="constrained")
    y = np.arange(len(shown))
    measured = [100 * max(rows[n]["overhead"], 1e-4) for n in shown]
    ax.barh(y, measured, color="#3069b0", height=0.6, label="measured")
    simulated = [100 * max(rows[n].get("simulated", 0.0), 1e-4) for n in shown]
    ax.plot(simulated, y, "|", color="#c8202f", ms=14, mew=2, label="simulated")
    for at, value, name in zip(y, measured, shown, strict=True):
        ax.text(value, at, f" {100 * rows[name]['overhead']:.1f} %", va="center", fontsize=8)
    ax.set_yticks(y, [WAYS[n].title for n in shown])
    ax.invert_yaxis()
    ax.set_xscale("log")
    ax.set_xlim(0.05, 400)
    ax.set_xlabel("overhead of a dump in every iteration [%]")
    ax.set_title(title, loc="left", fontsize=10)
    ax.legend(frameon=False, fontsize=8, loc="lower right")
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    ax.figure.savefig(path, dpi=130)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="a few short iterations")
    parser.add_argument("--real", action="store_true", help="FZCodec instead of a stand-in")
    parser.add_argument("--emulate", action="store_true", help="an imitated core (not --real)")
    parser.add_argument("--load", type=float, nargs=2, default=(0.8, 0.7))
    parser.add_argument("--length", type=float, default=0.4, help="of an iteration, in seconds")
    parser.add_argument("--blocks", type=int, default=24)
    parser.add_argument("--iterations", type=int, default=21)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--ways", nargs="*", choices=list(WAYS), help="default: all")
    parser.add_argument("--out", help="save a picture")
    arguments = parser.parse_args()
    if arguments.small:
        arguments.length, arguments.iterations, arguments.repetitions = 0.03, 4, 1
        arguments.blocks, arguments.ways, arguments.real = 4, ["none", "sync", "fzdask"], True
    rows = measure(arguments)
    kind = "FZCodec" if arguments.real else "stand-in"
    title = f"{kind}, loads {arguments.load[0]:g} / {arguments.load[1]:g}"
    print(title)
    for line in report(rows):
        print(line)
    if arguments.out:
        picture(rows, title, arguments.out)


if __name__ == "__main__":
    main()
