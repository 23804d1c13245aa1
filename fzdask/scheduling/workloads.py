"""Workloads for studies: the applications of the paper, in relative terms, and their unknowns.

The setting of Jin et al. (EuroSys 2024), as section 8.4 of Cappello et al. ("Multifacets of lossy
compression for scientific data in the Joint-Laboratory of Extreme Scale Computing", 2024)
reports it: Nyx with six fields at a compression ratio of about 16, WarpX at 273.9, 64 processes
on 16 nodes, overhead 3.78 times below synchronous and 2.57 times below asynchronous writing
without compression. What the publications leave out is a parameter here with a stated default:
docs/simulator.md lists each, and the studies sweep those that matter.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from fzdask.errors import ConfigError
from fzdask.scheduling.model import Busy, Job

__all__ = ["NYX", "WARPX", "Application", "Workload"]

# Shares of an iteration: compute work on the host thread, and the waits for the accelerator that
# follow it. Each sums to one; the two are then scaled to the busy share and its complement.
_WORK = (0.20, 0.12, 0.24, 0.10, 0.18, 0.16)
_WAIT = (0.14, 0.22, 0.10, 0.24, 0.12, 0.18)


@dataclass(frozen=True)
class Workload:
    """What one process does in an iteration: its busy intervals, and the snapshot it dumps.

    Attributes
    ----------
    jobs : tuple of Job
    busy : Busy
    ratio : dict of str to float
        Compression ratio by field.
    """

    jobs: tuple[Job, ...]
    busy: Busy
    ratio: dict[str, float]


@dataclass(frozen=True)
class Application:
    """A simulation that dumps a few fields, described by shares of its iteration.

    Parameters
    ----------
    name : str
    fields : tuple of (str, float)
        Name and compression ratio of each field.
    iteration : float
        Seconds without a dump.
    raw : float
        Time to write one snapshot uncompressed, over the iteration.
    compress_load : float
        Time to compress it, over the idle time of the compute thread.
    compute_busy, background_busy : float
        Share of the iteration in which each thread is busy.
    blocks : int
        Blocks per field.
    spread : float
        Standard deviation of the logarithm of the ratio from block to block of a field.
    compress_spread : float
        Standard deviation of the logarithm of the compression time from block to block.
    block_seconds : float
        Fixed time per block, in compression (a codebook, say); part of no load.
    write_latency : float
        Fixed time per write of compressed data.
    raw_nbytes : int
        Size of the uncompressed snapshot of one process.
    """

    name: str
    fields: tuple[tuple[str, float], ...]
    iteration: float
    raw: float
    compress_load: float = 0.9
    compute_busy: float = 0.5
    background_busy: float = 0.3
    blocks: int = 16
    spread: float = 0.3
    compress_spread: float = 0.1
    block_seconds: float = 0.0
    write_latency: float = 0.0
    raw_nbytes: int = 6 * 256**3 * 4

    def __post_init__(self) -> None:
        for what in ("iteration", "raw", "blocks"):
            if not getattr(self, what) > 0:
                raise ConfigError(
                    f"Application {self.name!r}: {what}={getattr(self, what)!r} must be positive"
                )
        for what in ("compute_busy", "background_busy"):
            if not 0.0 <= getattr(self, what) < 1.0:
                raise ConfigError(
                    f"Application {self.name!r}: {what}={getattr(self, what)!r} must be in [0, 1)"
                )

    def but(self, **changes: float) -> Application:
        """The same application with other parameters."""
        return replace(self, **changes)  # type: ignore[arg-type]

    def scaled_ratios(self, factor: float) -> Application:
        """The same application, its data `factor` times as compressible."""
        return replace(self, fields=tuple((n, r * factor) for n, r in self.fields))

    def workload(self, seed: int = 0) -> Workload:
        """One process; blocks of a field differ in ratio, by the seed."""
        rng = np.random.default_rng(seed)
        blocks = len(self.fields) * self.blocks
        compress = self.compress_load * (1.0 - self.compute_busy) * self.iteration / blocks
        raw_write = self.raw * self.iteration / blocks
        jobs = []
        for name, ratio in self.fields:
            # Sizes around the mean, such that the field as a whole has its ratio.
            size = rng.lognormal(0.0, self.spread, self.blocks)
            size *= self.blocks / size.sum() / ratio
            seconds = rng.lognormal(0.0, self.compress_spread, self.blocks)
            seconds *= self.blocks * compress / seconds.sum()
            for k, (s, c) in enumerate(zip(size.tolist(), seconds.tolist(), strict=True)):
                jobs.append(
                    Job(
                        f"{name}/{k}",
                        c + self.block_seconds,
                        raw_write * s + self.write_latency,
                        field=name,
                        nbytes=round(self.raw_nbytes / blocks * s),
                    )
                )
        return Workload(tuple(jobs), self._busy(), dict(self.fields))

    def _busy(self) -> Busy:
        work = np.array(_WORK) * self.compute_busy * self.iteration
        wait = np.array(_WAIT) * (1.0 - self.compute_busy) * self.iteration
        starts = np.concatenate([[0.0], np.cumsum(work + wait)])[:-1]
        ends = starts + work
        # Communication after every second piece of work, as long as the next two permit.
        core = self.background_busy * self.iteration / 3.0
        background = []
        free = 0.0
        for k in (0, 2, 4):
            start = max(float(ends[k]), free)
            free = min(start + core, self.iteration)
            background.append((start, free))
        compute = [(float(a), float(b)) for a, b in zip(starts, ends, strict=True)]
        return Busy(compute, background, self.iteration)


def _together(ratio: float, **fields: float) -> tuple[tuple[str, float], ...]:
    """Fields of equal size with these ratios, scaled such that all together have `ratio`."""
    scale = ratio * sum(1.0 / r for r in fields.values()) / len(fields)
    return tuple((name, r * scale) for name, r in fields.items())


NYX = Application(
    "Nyx",
    _together(
        16.0,
        baryon_density=10.0,
        dark_matter_density=9.0,
        temperature=20.0,
        velocity_x=24.0,
        velocity_y=24.0,
        velocity_z=24.0,
    ),
    iteration=3.4,
    raw=2.19,
)
"""Nyx: six fields, together at ratio 16. The iteration is that of the paper's published artifact
(47.08 s for ten iterations of which 37.2 % are overhead); `raw` makes synchronous writing 1.47
times as costly as asynchronous, as published (3.78 / 2.57)."""

WARPX = Application(
    "WarpX",
    tuple((f"{f}{x}", 273.9) for f in "EBj" for x in "xyz"),
    iteration=1.75,
    raw=2.19,
)
"""WarpX: electric and magnetic field and current, all at ratio 273.9. The iteration is that of
the artifact (38.74 s for ten iterations of which 121.9 % are overhead)."""
