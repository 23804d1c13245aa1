"""Throughput on a GPU: of every kernel and end to end, against the bandwidth of a copy.

Run ``python -m benchmarks.gpu`` on a machine with a CUDA device and CuPy. For each field, size and
pipeline: GB/s of input from a device array to sections on the device, to the stream on the host,
and back; the share of the time that is neither kernels nor copies; and for each kernel its time,
the bytes of its arrays over it, and that as a share of what a copy moves. The bound is checked.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from benchmarks.console import wide_console
from benchmarks.gpu_fields import FIELDS, cube
from fzdask.codecs.api import pipeline_of
from fzdask.codecs.config import CodecConfig
from fzdask.codecs.device import decode_device, encode_device, encode_sections
from fzdask.codecs.device.prepare import prepare_on_device
from fzdask.codecs.device.stages import device_stages

__all__ = ["KernelTime", "Result", "main", "measure"]

MEGABYTE = 1_000_000
SLAB = 1 << 24  # elements whose errors are taken at a time


@dataclass(slots=True)
class KernelTime:
    """What one kernel took in one run of a pipeline.

    Attributes
    ----------
    seconds : float
    nbytes : int
        Of its array arguments, each once: what it would move at the least, but for the fused
        encoder of ``speed``, whose output is as large as it could become.
    launches : int
    """

    seconds: float = 0.0
    nbytes: int = 0
    launches: int = 0


@dataclass(slots=True)
class Result:
    """One field, size and pipeline; rates in bytes of input a second.

    ``decode_rate`` is from a stream on the host, of which the bus carries the compressed bytes;
    ``decode_kernels_rate`` is that of the kernels alone, as if the sections were on the device.
    """

    field: str
    nbytes: int
    pipeline: str
    rel: float
    ratio: float
    copy_rate: float
    sections_rate: float
    stream_rate: float
    decode_rate: float
    decode_kernels_rate: float
    outside_kernels: float
    error_over_bound: float
    kernels: dict[str, KernelTime] = field(default_factory=dict)


class Stopwatch:
    """Times between marks: events of a CUDA stream or, where there is none, the clock."""

    def __init__(self, device: Any) -> None:
        self.cuda = getattr(device.xp, "cuda", None)

    def mark(self) -> Any:
        if self.cuda is None:
            return time.perf_counter()
        event = self.cuda.Event()
        event.record()
        return event

    def between(self, first: Any, last: Any) -> float:
        if self.cuda is None:
            return float(last - first)
        last.synchronize()
        return float(self.cuda.get_elapsed_time(first, last)) / 1e3

    def wait(self) -> None:
        if self.cuda is not None:
            self.cuda.Stream.null.synchronize()


class TimedDevice:
    """A device that marks the time before and after each launch."""

    def __init__(self, device: Any, watch: Stopwatch) -> None:
        self._device = device
        self._watch = watch
        self._marks: list[tuple[str, int, Any, Any]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._device, name)

    def launch(self, module: str, kernel: str, grid: Any, block: Any, *args: Any) -> None:
        nbytes = sum(a.nbytes for a in args if getattr(a, "ndim", 0))
        first = self._watch.mark()
        self._device.launch(module, kernel, grid, block, *args)
        self._marks.append((kernel, nbytes, first, self._watch.mark()))

    def kernels(self) -> dict[str, KernelTime]:
        found: dict[str, KernelTime] = {}
        for kernel, nbytes, first, last in self._marks:
            entry = found.setdefault(kernel, KernelTime())
            entry.seconds += self._watch.between(first, last)
            entry.nbytes += nbytes
            entry.launches += 1
        return found


def best_time(run: Callable[[], Any], watch: Stopwatch, repeats: int) -> float:
    """The shortest of several runs, after one that is not counted."""
    run()
    times = []
    for _ in range(repeats):
        watch.wait()
        start = time.perf_counter()
        run()
        watch.wait()
        times.append(time.perf_counter() - start)
    return min(times)


def error_over_bound(x: Any, y: Any, bound: float, xp: Any) -> float:
    """Greatest error, in float64, over the bound."""
    x, y = x.reshape(-1), y.reshape(-1)
    worst = 0.0
    for start in range(0, x.size, SLAB):
        part = slice(start, start + SLAB)
        error = xp.abs(x[part].astype(xp.float64) - y[part].astype(xp.float64))
        worst = max(worst, float(error.max()))
    return worst / bound


def measure(device: Any, name: str, nbytes: int, pipeline: str, rel: float, repeats: int) -> Result:
    """Measure one field of about so many bytes; raises ValueError where the bound is broken."""
    xp, watch = device.xp, Stopwatch(device)
    x = xp.ascontiguousarray(FIELDS[name](xp, cube(nbytes)))
    config = CodecConfig(rel=rel, pipeline=pipeline)
    chain = pipeline_of(config, x.dtype)
    stages = device_stages(chain.array_stages)
    if stages is None:
        raise ValueError(f"benchmarks.gpu: pipeline {pipeline!r} does not run on a device")

    def to_sections(there: Any) -> Any:
        return encode_sections(chain, stages, prepare_on_device(there, x, "C", config), there)

    copy = xp.empty_like(x)

    def do_copy() -> None:
        copy[...] = x

    copied = best_time(do_copy, watch, repeats)
    sections = best_time(lambda: to_sections(device), watch, repeats)
    streamed = best_time(lambda: encode_device(x, config, device), watch, repeats)
    stream = encode_device(x, config, device)
    decoded = best_time(lambda: decode_device(stream, device), watch, repeats)
    timed = TimedDevice(device, watch)
    to_sections(timed)
    inside = sum(k.seconds for k in timed.kernels().values())
    back = TimedDevice(device, watch)
    y = decode_device(stream, back)
    inside_back = sum(k.seconds for k in back.kernels().values())
    kernels = timed.kernels()
    for kernel, spent in back.kernels().items():
        entry = kernels.setdefault(kernel, KernelTime())
        entry.seconds += spent.seconds
        entry.nbytes += spent.nbytes
        entry.launches += spent.launches
    bound = rel * (float(x.max()) - float(x.min()))
    worst = error_over_bound(x, y, bound, xp)
    if worst > 1:
        raise ValueError(f"benchmarks.gpu: {name} breaks the bound, by a factor of {worst}")
    return Result(
        name, x.nbytes, pipeline, rel, x.nbytes / len(stream), 2 * x.nbytes / copied,
        x.nbytes / sections, x.nbytes / streamed, x.nbytes / decoded, x.nbytes / inside_back,
        max(0.0, 1 - inside / sections), worst, kernels,
    )  # fmt: skip


def show(results: Sequence[Result]) -> None:
    """Print a table end to end and one of kernels."""
    console = wide_console()
    table = Table(title="GB/s of input")
    columns = ("field", "MB", "pipeline", "ratio", "copy (moved)", "to sections", "to host stream",
               "decode", "decode, kernels", "outside kernels", "error / bound")  # fmt: skip
    for column in columns:
        table.add_column(column, justify="left" if column in ("field", "pipeline") else "right")
    for r in results:
        rates = [
            r.copy_rate, r.sections_rate, r.stream_rate, r.decode_rate, r.decode_kernels_rate,
        ]  # fmt: skip
        table.add_row(
            r.field, f"{r.nbytes / MEGABYTE:.0f}", r.pipeline, f"{r.ratio:.1f}",
            *(f"{v / 1e9:.1f}" for v in rates), f"{r.outside_kernels:.0%}",
            f"{r.error_over_bound:.6f}",
        )  # fmt: skip
    console.print(table)
    kernels = Table(title="Kernels of encoding and decoding, once")
    for column in ("field", "MB", "pipeline", "kernel", "launches", "ms", "GB/s of input",
                   "GB/s of its arrays", "of a copy"):  # fmt: skip
        kernels.add_column(column, justify="right")
    for r in results:
        for kernel, k in sorted(r.kernels.items(), key=lambda item: -item[1].seconds):
            seconds = max(k.seconds, 1e-9)
            kernels.add_row(
                r.field, f"{r.nbytes / MEGABYTE:.0f}", r.pipeline, kernel, str(k.launches),
                f"{seconds * 1e3:.3f}", f"{r.nbytes / seconds / 1e9:.1f}",
                f"{k.nbytes / seconds / 1e9:.1f}", f"{k.nbytes / seconds / r.copy_rate:.0%}",
            )  # fmt: skip
    console.print(kernels)


def main(argv: Sequence[str] | None = None, device: Any = None) -> list[Result]:
    """Measure what the arguments ask for; on the current CUDA device unless one is given."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--mb", type=float, nargs="+", default=[64, 256, 537, 1024])
    parser.add_argument("--fields", nargs="+", choices=list(FIELDS), default=list(FIELDS))
    parser.add_argument("--pipelines", nargs="+", default=["default", "speed", "quality"])
    parser.add_argument("--rel", type=float, default=1e-3)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--json", type=Path, help="write the results there too")
    given = parser.parse_args(argv)
    if device is None:
        from fzdask.codecs.kernels.cuda.backend import cupy_device

        device = cupy_device()
    results = [
        measure(device, name, round(mb * MEGABYTE), pipeline, given.rel, given.repeats)
        for pipeline in given.pipelines
        for mb in given.mb
        for name in given.fields
    ]
    show(results)
    if given.json:
        given.json.write_text(json.dumps([asdict(r) for r in results], indent=1) + "\n")
    return results


if __name__ == "__main__":
    np.seterr(over="ignore")  # the hash of the noise wraps around
    main()
