"""What the demo measures and the table that it prints."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from rich.table import Table

from fzdask.cli.console import progress_bar
from fzdask.cli.round_trips import RoundTrip, hdf5_filters, hdf5_round_trip, zarr_round_trip

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fzdask.metrics import Comparison

__all__ = ["Row", "caption", "measure", "table"]

REPEATS = 3  # the fastest one counts: the first also pays for memory never touched before
ZSTD_LEVEL = 3  # zstd's own default


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: the fastest of its round trips, or why there is none."""

    name: str
    trip: RoundTrip | None = None
    comparison: Comparison | None = None
    failure: str = ""


def measure(
    field: NDArray[Any],
    bound: float,
    chunks: tuple[int, ...],
    preserve: tuple[float, ...] = (),
) -> list[Row]:
    """Time every compressor, turn by turn, after one round trip of each on a single chunk.

    That first chunk is where kernels are compiled, or loaded from the cache: no speed
    contains it.

    Parameters
    ----------
    field : ndarray
        Floating-point array in memory.
    bound : float
        Absolute bound for all of them.
    chunks : tuple of int
        Chunk shape for all of them.
    preserve : tuple of float
        Values that fzdask keeps bit for bit. The peers have no such notion; errors at these
        values are left out for everybody.
    """
    runs = _runs(bound, preserve)
    corner = field[tuple(slice(0, length) for length in chunks)].copy()
    best: dict[str, RoundTrip] = {}
    failures: dict[str, str] = {}
    with progress_bar() as bar:
        task = bar.add_task("", total=(1 + REPEATS) * len(runs))
        for name, run in runs.items():
            bar.update(task, description=f"warm up: {name}")
            try:
                run(corner, chunks)
            except (OSError, ValueError, RuntimeError, TypeError) as error:
                if name not in hdf5_filters(bound):
                    raise
                failures[name] = str(error)  # a peer that has no such type or shape
            bar.advance(task)
        for name, run in list(runs.items()) * REPEATS:
            bar.update(task, description=name)
            if name not in failures:
                trip = run(field, chunks)
                best[name] = _faster(best[name], trip) if name in best else trip
            bar.advance(task)
    return [_row(name, field, bound, preserve, best, failures) for name in runs]


def _runs(bound: float, preserve: tuple[float, ...]) -> dict[str, Callable[..., RoundTrip]]:
    from zarr.codecs import ZstdCodec

    from fzdask import FZCodec

    codec = FZCodec(abs=bound, preserve=preserve)
    threads = os.cpu_count() or 1
    runs: dict[str, Callable[..., RoundTrip]] = {
        "fzdask": partial(zarr_round_trip, compressor=codec)
    }
    if threads > 1:
        runs[f"fzdask, {threads} threads"] = partial(
            zarr_round_trip, compressor=codec, threads=threads
        )
    runs["zstd (lossless)"] = partial(zarr_round_trip, compressor=ZstdCodec(level=ZSTD_LEVEL))
    for name, compressor in hdf5_filters(bound).items():
        runs[name] = partial(hdf5_round_trip, compressor=compressor)
    return runs


def _faster(first: RoundTrip, second: RoundTrip) -> RoundTrip:
    """The second's data (all are equal) with the shorter of each time."""
    return RoundTrip(
        second.decoded,
        second.stored,
        min(first.write_seconds, second.write_seconds),
        min(first.read_seconds, second.read_seconds),
    )


def _row(
    name: str,
    field: NDArray[Any],
    bound: float,
    preserve: tuple[float, ...],
    best: dict[str, RoundTrip],
    failures: dict[str, str],
) -> Row:
    from fzdask.metrics import compare

    if name in failures:
        return Row(name, failure=failures[name])
    trip = best[name]
    return Row(name, trip, compare(field, trip.decoded, bound, preserve=preserve))


def table(rows: Sequence[Row], nbytes: int) -> Table:
    """Table of the rows; speeds are uncompressed bytes over wall-clock time."""
    view = Table(show_edge=False)
    view.add_column("compressor", no_wrap=True)
    for title in ("ratio", "worst error\n/ bound", "PSNR\ndB", "write\nMB/s", "read\nMB/s"):
        view.add_column(title, justify="right", no_wrap=True)
    for row in rows:
        if row.trip is None or row.comparison is None:
            view.add_row(row.name, "not for this field", *[""] * 4)
            continue
        trip, found = row.trip, row.comparison
        over = f"{found.max_error_over_bound:.4f}"
        if found.violations:
            over = f"[bold red]{found.max_error_over_bound:.6g} ({found.violations:,} over)[/]"
        view.add_row(
            row.name,
            f"{nbytes / trip.stored:.2f}",
            over,
            f"{found.psnr:.1f}",
            f"{nbytes / trip.write_seconds / 1e6:.0f}",
            f"{nbytes / trip.read_seconds / 1e6:.0f}",
            style="bold" if row.name == "fzdask" else "",
        )
    return view


def caption(rows: Sequence[Row]) -> str:
    """How the numbers came about, and what is missing among them."""
    lines = [
        "Zarr rows: xarray.to_zarr and a lazy read by Dask, in memory; one thread where not "
        f"stated. SZ3, ZFP: HDF5 filters in memory, one thread. Fastest of {REPEATS} runs; "
        "kernels were compiled before, on one chunk."
    ]
    names = {row.name for row in rows}
    if "SZ3" not in names:
        lines.append(
            "SZ3 and ZFP are left out: they need a bound above 0 and pip install 'fzdask[peers]'."
        )
    lines.extend(f"{row.name}: {row.failure}" for row in rows if row.failure)
    return "\n".join(lines)
