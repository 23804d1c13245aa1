"""Time every codec on every field and bound, interleaved, and judge the error of each alike."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.peer_codecs import Codec, Unsupported
from benchmarks.peer_fields import Field
from fzdask.metrics import compare

__all__ = ["CLOCKS", "Measurement", "measure_all"]

#: Elapsed time, or the processor time of this process: the latter leaves out the moments in
#: which other programs had the core, and is the one to use on a machine that is not idle.
CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.process_time}

# Seconds that one codec may spend on one field and bound beyond its second repetition.
SLOW_BUDGET = 1.0


@dataclass(slots=True)
class Measurement:
    """One codec on one field under one bound. Speeds are in GB/s of the original, medians.

    `failed` holds the reason where the codec gave no result; the other figures are then None.
    """

    field: str
    shape: tuple[int, ...]
    dtype: str
    nbytes: int
    rel: float
    bound: float
    codec: str
    lossy: bool
    compressed: int | None = None
    ratio: float | None = None
    compress: float | None = None
    decompress: float | None = None
    repetitions: int = 0
    psnr: float | None = None
    max_error_over_bound: float | None = None
    violations: int | None = None
    exact_changed: int | None = None
    failed: str | None = None
    compress_seconds: list[float] = field(default_factory=list)
    decompress_seconds: list[float] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self) | {"shape": list(self.shape)}


def measure_all(
    fields: Sequence[Field],
    codecs: Sequence[Codec],
    bounds: Sequence[float],
    *,
    repeat: int = 5,
    clock: str = "wall",
    progress: Callable[[str], None] = lambda _: None,
) -> list[Measurement]:
    """Measure every combination.

    Each codec works on the field once, untimed. The repetitions of one field and bound go round
    all codecs, each round starting with another one, so that a busy moment of the machine hits
    all alike. Before it is timed, a codec works on a corner of the field: what is measured is a
    chunk among many, with the codec's code in the caches and the data not. A codec that is slow
    gets fewer rounds, at least two.

    Parameters
    ----------
    fields : sequence of Field
        Prepared arrays.
    codecs : sequence of Codec
        fzdask's presets and its peers.
    bounds : sequence of float
        Relative bounds; each becomes one absolute bound per field, the same for every codec.
    repeat : int
        Rounds.
    clock : {"wall", "cpu"}
        What a second is: see :data:`CLOCKS`.
    progress : callable
        Called with a line of text before each field and bound.
    """
    if repeat < 1:
        raise ValueError(f"peers: repeat={repeat} must be 1 or more.")
    results: list[Measurement] = []
    for one in fields:
        for rel in bounds:
            progress(f"{one.name}, rel {rel:g}")
            results.extend(_measure_field(one, codecs, rel, repeat, CLOCKS[clock]))
    return results


def _corner(array: NDArray[Any]) -> NDArray[Any]:
    """A part of about 65536 values."""
    side = max(2, round(65536 ** (1 / array.ndim)))
    return np.ascontiguousarray(array[tuple(slice(0, side) for _ in array.shape)])


def _warm_up(codec: Codec, array: NDArray[Any], bound: float) -> None:
    """Load the library, compile the kernels, bring the codec's code into the caches; not timed."""
    try:
        with codec.open(array, bound) as session:
            session.encode()
            session.decode()
    except Exception:
        return  # a codec that fails does so again where it is measured, and is recorded there


def _measure_field(
    one: Field,
    codecs: Sequence[Codec],
    rel: float,
    repeat: int,
    clock: Callable[[], float],
) -> Iterator[Measurement]:
    bound = rel * one.value_range
    rows = [
        Measurement(
            field=one.name,
            shape=one.array.shape,
            dtype=one.array.dtype.name,
            nbytes=one.array.nbytes,
            rel=rel,
            bound=bound,
            codec=codec.name,
            lossy=codec.lossy,
        )
        for codec in codecs
    ]
    lanes = list(zip(codecs, rows, strict=True))
    corner = _corner(one.array)
    for codec in codecs:
        _warm_up(codec, one.array, bound)  # a field may take kernels that its corner does not
    for turn in range(repeat):
        first = turn % len(lanes)
        for codec, row in lanes[first:] + lanes[:first]:
            if row.failed is None and turn < _rounds(row, repeat):
                _warm_up(codec, corner, bound)
                _one_repetition(codec, row, one.array, bound, clock)
    for row in rows:
        if row.failed is None:
            row.repetitions = len(row.compress_seconds)
            row.compress = row.nbytes / statistics.median(row.compress_seconds) / 1e9
            row.decompress = row.nbytes / statistics.median(row.decompress_seconds) / 1e9
        yield row


def _rounds(row: Measurement, repeat: int) -> int:
    if not row.compress_seconds:
        return repeat
    once = row.compress_seconds[0] + row.decompress_seconds[0]
    return min(repeat, max(2, int(SLOW_BUDGET / once)))


def _one_repetition(
    codec: Codec, row: Measurement, array: NDArray[Any], bound: float, clock: Callable[[], float]
) -> None:
    collecting = gc.isenabled()
    gc.disable()
    try:
        with codec.open(array, bound) as session:
            start = clock()
            compressed = session.encode()
            encoded = clock()
            decoded = session.decode()
            done = clock()
            row.compress_seconds.append(encoded - start)
            row.decompress_seconds.append(done - encoded)
            if row.compressed is None:
                _judge(row, array, decoded, compressed)
    except Exception as error:
        # A peer's failure is a result of the comparison: it is recorded and shown.
        reason = (
            str(error) if isinstance(error, Unsupported) else f"{type(error).__name__}: {error}"
        )
        row.failed = reason
    finally:
        if collecting:
            gc.enable()


def _judge(
    row: Measurement, original: NDArray[Any], decoded: NDArray[Any], compressed: int
) -> None:
    found = compare(original, decoded, row.bound if row.lossy else 0.0, nbytes=compressed)
    row.compressed = compressed
    row.ratio = found.ratio
    row.psnr = found.psnr
    row.max_error_over_bound = found.max_error_over_bound
    row.violations = found.violations
    row.exact_changed = found.exact_changed
