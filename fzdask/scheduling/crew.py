"""The workers of a replay as arrays: classes, replicas, storage groups, and what each executes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fzdask.errors import ConfigError
from fzdask.scheduling.kernels.replay_state import LAUNCH, NEED, RUN
from fzdask.scheduling.model import Busy, Job, Storage, Worker
from fzdask.scheduling.noise import NoiseSource
from fzdask.scheduling.program import Program

__all__ = ["Crew", "Dump", "Execution"]

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Execution:
    """What the simulation really does in one iteration (ns)."""

    programs: tuple[Program, ...]  # [class]
    duration: Ints  # [w, operation], padded with zeros
    core: Ints  # [w, core task]
    base: Ints  # [w] length without a dump


@dataclass(frozen=True)
class Dump:
    """What one snapshot really costs (ns, bytes); padded with zeros behind a class's jobs."""

    compress: Ints  # [w, j]
    write: Ints
    nbytes: Floats


class Crew:
    """Workers of a few classes, each replicated; worker w is of class w modulo the classes.

    Parameters
    ----------
    workers : sequence of Worker
        One per class, names unique.
    jobs : sequence of Job
        The jobs of one snapshot, each naming its worker (with one worker, or None).
    replicas : int
        Copies of every worker; each replica is a set of nodes of its own.
    storage : Storage, optional
        Bandwidth shared by the workers of a node, or by all.
    """

    def __init__(
        self,
        workers: Sequence[Worker],
        jobs: Sequence[Job],
        replicas: int,
        storage: Storage | None,
    ) -> None:
        if not workers:
            raise ConfigError("simulate: workers is empty; at least one worker is needed")
        if replicas < 1:
            raise ConfigError(f"simulate: replicas={replicas!r} must be at least 1")
        # Nodes become neighbours, so that a storage group is a range of workers.
        self.workers = tuple(sorted(workers, key=lambda w: w.node))
        index = {w.name: c for c, w in enumerate(self.workers)}
        if len(index) < len(self.workers):
            raise ConfigError("simulate: worker names must be unique")
        self.jobs = _by_class(jobs, index)
        self.replicas = replicas
        self.classes = len(self.workers)
        self.size = self.classes * replicas
        self.cls = np.tile(np.arange(self.classes), replicas)
        self.storage = storage
        self.group, self.first = self._groups()
        self.width = max(1, *(len(j) for j in self.jobs)) if self.jobs else 1
        self._compress = self._job_table("compress")
        self._write = self._job_table("write")
        self._nbytes = self._job_table("nbytes")

    def _groups(self) -> tuple[Ints, Ints]:
        """(group of each worker, -1 without storage; first worker of each group, and the end)."""
        if self.storage is None:
            return np.full(self.size, -1), np.array([0, self.size])
        if self.storage.shared == "all":
            return np.zeros(self.size, np.int64), np.array([0, self.size])
        nodes = [w.node for w in self.workers]
        starts = [c for c in range(self.classes) if c == 0 or nodes[c] != nodes[c - 1]]
        local = np.cumsum([c in starts for c in range(self.classes)]) - 1
        group = (local + len(starts) * np.arange(self.replicas)[:, None]).ravel()
        first = (np.array(starts) + self.classes * np.arange(self.replicas)[:, None]).ravel()
        return group.astype(np.int64), np.append(first, self.size).astype(np.int64)

    def _job_table(self, what: str) -> Floats:
        table = np.zeros((self.classes, self.width))
        for c, jobs in enumerate(self.jobs):
            table[c, : len(jobs)] = [getattr(j, what) for j in jobs]
        return table

    @property
    def counts(self) -> Ints:
        """Jobs of each class."""
        return np.array([len(j) for j in self.jobs], np.int64)

    def name(self, w: int) -> str:
        """Name of one worker."""
        name = self.workers[w % self.classes].name
        return name if self.replicas == 1 else f"{name}#{w // self.classes}"

    def execute(self, busy: Sequence[Busy], source: NoiseSource) -> Execution:
        """One iteration of programs given by the busy intervals of each class, under noise."""
        programs = tuple(Program.from_busy(b) for b in busy)
        ops = max(p.code.size for p in programs)
        cores = max(1, *(p.core.size for p in programs))
        duration = np.zeros((self.classes, ops), np.int64)
        core = np.zeros((self.classes, cores), np.int64)
        for c, p in enumerate(programs):
            duration[c, : p.code.size] = p.duration
            core[c, : p.core.size] = p.core
        duration = _noisy(duration[self.cls], source.compute((self.size, ops)))
        core = _noisy(core[self.cls], source.core((self.size, cores)))
        base = np.zeros(self.size, np.int64)
        for c, p in enumerate(programs):
            base[c :: self.classes] = _undisturbed(
                p, duration[c :: self.classes], core[c :: self.classes]
            )
        return Execution(programs, duration, core, base)

    def dump(self, ratios: Floats | None, source: NoiseSource) -> Dump:
        """One snapshot under noise; `ratios` [class, job] for one that is not compressed."""
        shape = (self.size, self.width)
        # Drawn for every policy alike, so that all see the same noise.
        slower, larger, slow = source.compress(shape), source.size(shape), source.slowness(shape)
        write, nbytes = self._write, self._nbytes
        compress = np.zeros_like(write) if ratios is not None else self._compress
        if ratios is not None:
            write, nbytes, larger = write * ratios, nbytes * ratios, None
        ns = np.rint(write * 1e9)
        bytes_ = nbytes[self.cls]
        if larger is not None:
            bytes_ = bytes_ * larger
        took = _noisy(_noisy(ns.astype(np.int64)[self.cls], larger), slow)
        if self.storage is not None:
            # As the model has it: alone, a write draws at most the whole bandwidth.
            alone = np.ceil(bytes_ / (self.storage.bandwidth * 1e-9)).astype(np.int64)
            took = np.maximum(took, alone)
        return Dump(
            _noisy(np.rint(compress * 1e9).astype(np.int64)[self.cls], slower), took, bytes_
        )

    def ratios(self, ratio: float | Mapping[str, float] | None, policy: str) -> Floats:
        """Compression ratio of every job [class, job], for a policy that writes raw data."""
        if ratio is None:
            raise ConfigError(
                f"simulate: policy {policy!r} writes uncompressed data, whose size is not in the "
                "jobs; give ratio= (a number, or one per field)"
            )
        table = np.ones((self.classes, self.width))
        for c, jobs in enumerate(self.jobs):
            for k, job in enumerate(jobs):
                value = ratio.get(job.field or "") if isinstance(ratio, Mapping) else ratio
                if value is None or not 0.0 < value < np.inf:
                    raise ConfigError(
                        f"simulate: ratio of job {job.name!r} (field {job.field!r}) is {value!r}; "
                        "every field needs a positive, finite compression ratio"
                    )
                table[c, k] = value
        return table


def _by_class(jobs: Sequence[Job], index: Mapping[str, int]) -> tuple[tuple[Job, ...], ...]:
    table: list[list[Job]] = [[] for _ in index]
    only = next(iter(index)) if len(index) == 1 else None
    names: set[str] = set()
    for job in jobs:
        if job.name in names:
            raise ConfigError(f"simulate: two jobs are named {job.name!r}; names must be unique")
        names.add(job.name)
        worker = job.worker if job.worker is not None else only
        if worker is None:
            raise ConfigError(
                f"simulate: job {job.name!r} names no worker, and there are {len(index)}; assign "
                "the jobs first (plan does), a replay does not move blocks"
            )
        if worker not in index:
            raise ConfigError(f"simulate: job {job.name!r} names the unknown worker {worker!r}")
        table[index[worker]].append(job)
    return tuple(tuple(t) for t in table)


def _noisy(nominal: Ints, factor: Floats | None) -> Ints:
    if factor is None:
        return nominal
    return np.rint(nominal * factor).astype(np.int64)


def _undisturbed(program: Program, duration: Ints, core: Ints) -> Ints:
    """Length of the iteration without a dump, for replicas of one class."""
    n = duration.shape[0]
    now = np.zeros(n, np.int64)
    free = np.zeros(n, np.int64)
    done = np.zeros_like(core)
    for o, (op, i) in enumerate(zip(program.code, program.arg, strict=True)):
        if op == LAUNCH:
            free = np.maximum(free, now) + core[:, i]
            done[:, i] = free
        elif op == NEED:
            now = np.maximum(now, done[:, i])
        else:
            now = now + duration[:, o]
    return now


def work_of(execution: Execution, cls: Ints) -> tuple[Ints, Ints]:
    """(compute work, core work) of every worker in one iteration, in ns."""
    compute = np.zeros(cls.size, np.int64)
    for c, p in enumerate(execution.programs):
        mine = cls == c
        runs = np.flatnonzero(p.code == RUN)
        compute[mine] = execution.duration[mine][:, runs].sum(axis=1)
    return compute, execution.core.sum(axis=1)
