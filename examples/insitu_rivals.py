"""Simulations to measure dumps with, and ten ways to dump: what insitu_overhead.py compares.

A simulation is a number of pieces, each of which computes and then waits (for an accelerator,
say), with work of its own on a background thread. It is dumped either by a stand-in, whose
blocks keep a core busy and a store waiting for given times, or by InSituWriter with FZCodec.
"""

from __future__ import annotations

import heapq
import itertools
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any, Literal

import numba
import numpy as np
import zarr

from fzdask import FZCodec
from fzdask.insitu import Block, Engine, InSituWriter, RateLimitedStore, Rules
from fzdask.insitu.block import Data, Slices
from fzdask.scheduling import Busy, Job, simulate

BOUNDS = (1.0, 0.2, 0.05, 0.01)
"""Of the four fields: what is kept more exactly takes longer to compress and to store."""

SLICE = 0.5e-3  # seconds
SHAPE = (16, 128, 128)  # of a real block of float32
BLOCK = 1 << 20  # its bytes
PIECES = 6  # of an iteration
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
    """One way to dump.

    Parameters
    ----------
    title, policy : str
        What tables call it, and what `fzdask.scheduling.simulate` does.
    rules : Rules, optional
        Of the engine; None: synchronous.
    horizon : int
        Snapshots that may be outstanding.
    raw : bool
        Nothing is compressed.
    copy : bool or "late"
        Of `InSituWriter.write`.
    settles : bool
        Needs some iterations to learn; others are alike from the start.
    """

    title: str
    policy: str = ""
    rules: Rules | None = None
    horizon: int = 1
    raw: bool = False
    copy: bool | Literal["late"] = "late"
    settles: bool = True


def marked(**settings: Any) -> Rules:
    return Rules(windows="marked", **settings)


UNGATED: dict[str, Any] = {"order": "fifo", "gate_writes": False, "slices": False}
WAYS = {
    "none": Way("no dump"),
    "sync-raw": Way("synchronous, raw", "sync-raw", raw=True, settles=False),
    "sync": Way("synchronous, compressed", "sync", settles=False),
    "async-raw": Way("asynchronous, raw", "async-raw", Rules(windows="always", **UNGATED),
                     raw=True, settles=False),
    "threads": Way("ungated threads", "threads", Rules(windows="always", **UNGATED)),
    "idle": Way("idle-priority thread", "idle-threads", Rules(windows="priority", **UNGATED)),
    "johnson": Way("Johnson", "johnson", marked(order="johnson", slices=False, skip=False)),
    "backfill": Way("Johnson + backfilling", "paper",
                    marked(order="johnson+backfill", slices=False)),
    "slices": Way("planned order + slices", "sliced", marked()),
    "fzdask": Way("slices + rolling horizon: the writer", "fzdask", marked(), horizon=2),
    "copied": Way("the same, copied at once", "fzdask", marked(), horizon=2, copy=True),
}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """An iteration and its dump, in seconds."""

    length: float
    loads: tuple[float, float]
    compute: np.ndarray  # busy pieces of the compute thread, each followed by a wait
    wait: np.ndarray
    core: np.ndarray  # background work, with every second piece
    compress: np.ndarray  # per block
    write: np.ndarray
    raw_write: np.ndarray

    @classmethod
    def make(cls, length: float, loads: Sequence[float], blocks: int, seed: int = 3) -> Case:
        """Half computing, half waiting, background work for a quarter; blocks for these loads."""
        rng = np.random.default_rng(seed)
        compute, wait = (rng.dirichlet(np.full(PIECES, 4.0)) * 0.5 * length for _ in range(2))
        core = np.full(PIECES // 2, 0.25 * length / (PIECES // 2))
        compress = rng.lognormal(0.0, 0.5, blocks)
        compress *= loads[0] * wait.sum() / compress.sum()
        write = rng.lognormal(0.0, 0.6, blocks)
        write *= loads[1] * (length - core.sum()) / write.sum()
        return cls(length, (loads[0], loads[1]), compute, wait, core, compress, write,
                   np.full(blocks, length / blocks))  # fmt: skip

    @property
    def busy(self) -> Busy:
        """The iteration as the planner and the simulator see it."""
        ends = np.cumsum(self.compute + self.wait)
        starts = ends - self.compute - self.wait
        spans = [(s, s + c) for s, c in zip(starts, self.compute, strict=True)]
        cores = [starts[2 * k] + self.compute[2 * k] for k in range(len(self.core))]
        return Busy(
            spans, [(s, s + c) for s, c in zip(cores, self.core, strict=True)], float(ends[-1])
        )

    def simulated(self, way: Way, iterations: int) -> float:
        """The overhead that the simulator predicts for the last third of the iterations."""
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
        time.sleep(sum(self.seconds.pop(key) for key, _ in items))


class StandIn:
    """Compression that only keeps a core busy, in slices; a store that only takes its time."""

    copied = 0.0
    steps = 0

    def __init__(self, case: Case, way: Way, core: Core, cpus: Mapping[str, Any]) -> None:
        self.case, self.way, self.core = case, way, core
        self.sink = Timed()
        self.rng = np.random.default_rng(11)
        self.engine = None
        if way.rules is not None:
            self.engine = Engine(way.rules, cpus=cpus, processor_time=core.used)
            self.engine.horizon = way.horizon

    def begin(self, step: int) -> None:
        """Before the simulation changes its arrays."""

    def iteration(self, step: int) -> Any:
        return nullcontext() if self.engine is None else self.engine.iteration(str(step))

    def idle(self, name: str) -> Any:
        return nullcontext() if self.engine is None else self.engine.idle(name)

    def dump(self, step: int) -> None:
        if not self.way.policy:
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
                self.sink.write([(block.key, finished(block.encode()))])
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


def finished(slices: Slices) -> Data:
    """What an encoding in slices returns."""
    while True:
        try:
            next(slices)
        except StopIteration as end:
            return end.value


@dataclass(frozen=True)
class Workload:
    """What FZCodec makes of a block of each field: seconds, and bytes; and blocks for fields."""

    sample: np.ndarray
    seconds: np.ndarray
    nbytes: np.ndarray

    @classmethod
    def measure(cls, case: Case, core: Core, cpus: Mapping[str, Any]) -> Workload:
        """As it is in a run: in slices, from memory that is in no cache, machinery and all."""
        rng = np.random.default_rng(1)
        sample = np.cumsum(rng.normal(size=(4, *SHAPE)), axis=-1).astype("f4")
        sample += np.cumsum(rng.normal(size=sample.shape), axis=1).astype("f4")
        seconds, nbytes = [], []
        for bound in BOUNDS:
            codec, times = FZCodec(abs=bound, codebook="shared"), []
            for k in range(12):
                start = now()
                stream = codec.encode(sample[k % 4])
                times.append(now() - start)
            seconds.append(np.median(times))
            nbytes.append(len(stream))
        guess = cls(sample, np.array(seconds), np.array(nbytes))
        gentle = replace(case, loads=(0.6, 0.5))  # what is late would be hurried, and not alike
        trial = Real(guess.case(gentle), WAYS["fzdask"], guess, cpus)
        run(gentle, trial, 14, core)
        trial.writer.flush()
        rows, totals = trial.writer.to_xarray(), trial.engine.statistics
        trial.close()
        blocks = np.array([array.nbytes // BLOCK for array in trial.sets[0].values()])
        # Processor time between the slices and between the blocks belongs to them, too.
        all_of_it = totals["compression thread seconds"] / totals["compress seconds"]
        later = rows.isel(step=slice(6, None))
        return cls(
            sample,
            later.field_compress.median("step").values / blocks * all_of_it,
            later.field_stored_nbytes.median("step").values / blocks,
        )

    def case(self, case: Case) -> Case:
        """The same iteration with as many blocks as give the load, and a store as slow."""
        mean = float(self.seconds.mean())
        each = max(1, round(case.loads[0] * case.wait.sum() / mean / len(BOUNDS)))
        nbytes = np.repeat(self.nbytes, each)
        seconds_per_byte = case.loads[1] * (case.length - case.core.sum()) / nbytes.sum()
        return replace(
            case,
            compress=np.repeat(self.seconds, each),
            write=nbytes * seconds_per_byte,
            raw_write=np.full(nbytes.size, BLOCK * seconds_per_byte),
        )

    def fields(self, case: Case) -> dict[str, np.ndarray]:
        """Four fields of so many blocks in all."""
        each = len(case.compress) // len(BOUNDS)
        return {
            f"f{i}": np.concatenate([self.sample[(i + k) % 4] for k in range(each)])
            for i in range(len(BOUNDS))
        }


def encoding(bound: float, raw: bool = False) -> dict[str, Any]:
    return {"compressors": None if raw else FZCodec(abs=bound), "chunks": SHAPE}


def elements(array: np.ndarray) -> np.ndarray:
    """One of each block: what the simulation changes in every step."""
    return array.reshape(-1, BLOCK // array.itemsize)[:, 0]


class Real:
    """Fields that FZCodec compresses, to a store in memory of limited bandwidth.

    The simulation has two sets of arrays, as most explicit schemes do: each is computed from the
    other, so that it stays as it is for an iteration after it was written.
    """

    def __init__(self, case: Case, way: Way, work: Workload, cpus: Mapping[str, Any]) -> None:
        self.way = way
        fields = work.fields(case)
        self.sets = (fields, {name: array.copy() for name, array in fields.items()})
        self.bounds = dict(zip(fields, BOUNDS, strict=True))
        self.codecs = {k: FZCodec(abs=b, codebook="shared") for k, b in self.bounds.items()}
        self.memory: dict[str, Any] = {}
        self.store = RateLimitedStore(self.memory, BLOCK / float(case.raw_write[0]))
        self.writer = None
        if way.rules is not None:
            settings = {name: encoding(b, way.raw) for name, b in self.bounds.items()}
            self.writer = InSituWriter(
                self.store, settings, rules=way.rules, cpus=cpus, max_outstanding=way.horizon
            )
        self.engine = None if self.writer is None else self.writer._engine
        self.copied = 0.0
        self.steps = 0

    def begin(self, step: int) -> None:
        """The arrays written before last are computed anew."""
        if self.writer is not None:
            self.writer.detach(step - 2)
        for array in self.sets[step % 2].values():
            elements(array)[:] = step

    def iteration(self, step: int) -> Any:
        return nullcontext() if self.writer is None else self.writer.iteration(step)

    def idle(self, name: str) -> Any:
        return nullcontext() if self.writer is None else self.writer.idle(name)

    def dump(self, step: int) -> None:
        fields = self.sets[step % 2]
        if self.writer is not None:
            self.writer.write(step, fields, copy=self.way.copy)
            # A store that forgets: a run of many steps would not fit into memory.
            for key in [k for k in self.memory if f"/c/{step - 4}/" in k]:
                self.memory.pop(key, None)
            return
        for name, array in fields.items():
            for k, block in enumerate(array.reshape(-1, *SHAPE)):
                data = block.tobytes() if self.way.raw else self.codecs[name].encode(block)
                buffer = zarr.core.buffer.default_buffer_prototype().buffer.from_bytes(data)
                self.store.set_sync(f"{name}/c/{step % 3}/{k}", buffer)

    def close(self) -> None:
        if self.writer is not None:
            self.writer.close()
            self.copied = float(self.writer.to_xarray()["copy"].median())

    def check(self) -> None:
        """The bounds of the latest steps, recomputed in float64."""
        step = self.steps - 1
        for name, array in self.sets[step % 2].items():
            stored = zarr.open_array(zarr.storage.MemoryStore(self.memory), path=name, mode="r")
            errors = [np.abs(stored[-1].astype("f8") - array.astype("f8")).max()]
            for back in range(2, min(4, step + 1)):
                wanted = float(step - back + 1)
                errors.append(np.abs(elements(stored[-back]).astype("f8") - wanted).max())
            assert max(errors) <= self.bounds[name], (name, errors)


def run(case: Case, dump: Any, iterations: int, core: Core) -> tuple[np.ndarray, np.ndarray]:
    """Lengths of the iterations, and the time of the simulation's own work in each."""
    rng = np.random.default_rng(7)
    lengths, computing = [], []
    for step in range(dump.steps, dump.steps + iterations):
        start, own = now(), 0.0
        dump.begin(step)
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
        dump.steps = step + 1
        lengths.append(now() - start)
        computing.append(own)
    return np.array(lengths), np.array(computing)


def pinned(cpus: Sequence[int] | set[int] | None) -> None:
    """Keep the calling thread, and those it starts, on these cores."""
    if cpus and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cpus)
