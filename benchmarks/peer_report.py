"""Tables on the terminal and a JSON file with every measurement."""

from __future__ import annotations

import importlib.metadata
import json
import math
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.peer_run import Measurement
from benchmarks.peer_summary import Check, check_targets, contests, summaries

__all__ = ["checks_table", "environment", "print_report", "to_json", "write_json"]

_PACKAGES = ("fzdask", "numpy", "numba", "numcodecs", "hdf5plugin", "h5py", "zarr", "xarray")
_PACKAGES += ("dask", "distributed")


def environment(cpu: int | None = None) -> dict[str, Any]:
    """Processor, Python and library versions; no host, user or path name."""
    versions = {}
    for name in _PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "processor": _processor(),
        "cpus": os.cpu_count(),
        "pinned_to_cpu": cpu,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "packages": versions,
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def to_json(results: Sequence[Measurement], about: dict[str, Any]) -> dict[str, Any]:
    """What the JSON file holds: environment, summaries, contests, checks, every measurement."""
    return {
        "environment": about,
        "summaries": [asdict(s) for s in summaries(results)],
        "fzdask_over_peer": [asdict(c) for c in contests(results)],
        "figures_to_reach": [asdict(c) for c in check_targets(results)],
        "measurements": [r.to_dict() for r in results],
    }


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Strict JSON: an infinite or undefined figure (PSNR of a lossless codec) becomes null."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(_finite(content), indent=1, allow_nan=False) + "\n")


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def print_report(
    console: Console, results: Sequence[Measurement], *, per_field: bool = False
) -> None:
    """One table per bound, one of fzdask over its peers, the figures to reach, the failures."""
    for rel in dict.fromkeys(r.rel for r in results):
        if per_field:
            console.print(_field_table(results, rel))
        console.print(_bound_table(results, rel))
    console.print(_contest_table(results))
    console.print(checks_table(check_targets(results)))
    for text in dict.fromkeys(f"{r.codec} on {r.field}: {r.failed}" for r in results if r.failed):
        console.print(f"[yellow]no result:[/] {text}", highlight=False)


def _bound_table(results: Sequence[Measurement], rel: float) -> Table:
    table = Table(title=f"bound {rel:g} of the range; geometric means over fields")
    table.add_column("codec")
    for name in ("fields", "ratio", "compress\nGB/s", "decompress\nGB/s", "PSNR\ndB"):
        table.add_column(name, justify="right")
    for name in ("worst error\nover bound", "violations\n(fields)"):
        table.add_column(name, justify="right")
    for line in (s for s in summaries(results) if s.rel == rel):
        lossy = any(r.lossy for r in results if r.codec == line.codec)
        violated = f"{line.violations} ({line.fields_violated})" if line.violations else "0"
        table.add_row(
            line.codec,
            str(line.fields),
            f"{line.ratio:.2f}",
            f"{line.compress:.3f}",
            f"{line.decompress:.3f}",
            f"{line.psnr:.1f}" if lossy else "exact",
            _beside_one(line.max_error_over_bound) if lossy else "-",
            f"[red]{violated}[/]" if line.violations else violated,
            style="bold" if line.codec.startswith("fzdask:") else None,
        )
    return table


def _field_table(results: Sequence[Measurement], rel: float) -> Table:
    """Ratio of each lossy codec on each field, and the speeds of fzdask."""
    rows = [r for r in results if r.rel == rel]
    lossy = list(dict.fromkeys(r.codec for r in rows if r.lossy))
    own = [codec for codec in lossy if codec.startswith("fzdask:")]
    by_key = {(r.field, r.codec): r for r in rows if r.failed is None}
    table = Table(title=f"bound {rel:g} of the range; ratio by field, speed of fzdask in GB/s")
    table.add_column("field", no_wrap=True)
    table.add_column("MB", justify="right")
    for codec in lossy:
        table.add_column(codec.removeprefix("fzdask:"), justify="right")
    for codec in own:
        table.add_column(f"{codec.removeprefix('fzdask:')}\nin / out", justify="right")
    for name, nbytes in dict.fromkeys((r.field, r.nbytes) for r in rows):
        cells = [name, f"{nbytes / 1e6:.1f}"]
        for codec in lossy:
            row = by_key.get((name, codec))
            cells.append(f"{row.ratio:.2f}" if row else "-")
        for codec in own:
            row = by_key.get((name, codec))
            cells.append(f"{row.compress:.2f} / {row.decompress:.2f}" if row else "-")
        table.add_row(*cells)
    return table


def _contest_table(results: Sequence[Measurement]) -> Table:
    table = Table(title="fzdask over peer, geometric mean of the quotient per field")
    for name in ("preset", "peer"):
        table.add_column(name, no_wrap=True)
    for name in ("bound", "fields", "ratio", "compress", "decompress", "worst ratio"):
        table.add_column(name, justify="right")
    table.add_column("on field", no_wrap=True)
    for line in contests(results):
        if line.peer in ("memcpy", "hdf5"):
            continue
        table.add_row(
            line.preset,
            line.peer,
            f"{line.rel:g}",
            str(line.fields),
            f"{line.ratio:.3f}",
            f"{line.compress:.1f}x",
            f"{line.decompress:.1f}x",
            f"{line.worst:.3f}",
            line.worst_field,
        )
    return table


def checks_table(checks: Sequence[Check]) -> Table:
    """Figures to reach: wanted, measured over the run and where it is least, verdict on the run."""
    table = Table(title="figures to reach, over all fields and bounds of the run")
    table.add_column("figure")
    for name in ("wanted", "measured", "least", "at bound"):
        table.add_column(name, justify="right")
    table.add_column("")
    verdicts = {True: "[green]reached[/]", False: "[red]missed[/]", None: "not measured"}
    for check in checks:
        numbers = (check.measured, check.least, check.least_at)
        shown = ("-" if n is None else f"{n:.3g}" for n in numbers)
        table.add_row(check.figure, check.wanted, *shown, verdicts[check.reached])
    return table


def _beside_one(over: float) -> str:
    """Enough digits that an error above the bound never reads as 1."""
    for digits in (4, 7, 16):
        text = f"{over:.{digits}f}"
        if (float(text) > 1) == (over > 1):
            return text
    return repr(over)
