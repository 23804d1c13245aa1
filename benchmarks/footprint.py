"""What fzdask costs beside compressing: import, first call, memory, and the rest of to_zarr.

    python benchmarks/footprint.py --json footprint.json

How each figure is defined: docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:  # run as a script, only this folder is on the path
    sys.path.insert(0, str(ROOT))

from benchmarks.peer_summary import Check  # noqa: E402

__all__ = ["checks", "first_calls", "import_time", "main", "peak_memory"]

CHUNK_SIDE = 256  # 64 MiB of float32


def probe(*arguments: str, cache: str | None = None) -> dict[str, float]:
    """Run footprint_probe in a fresh process, with its own kernel cache where given."""
    environment = dict(os.environ, PYTHONPATH=str(ROOT))
    if cache is not None:
        environment["NUMBA_CACHE_DIR"] = cache
    command = [sys.executable, "-m", "benchmarks.footprint_probe", *arguments]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(f"footprint: {' '.join(arguments)} failed:\n{done.stderr}")
    answer: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return answer


def import_time(repeat: int = 7) -> dict[str, float]:
    """Seconds of ``import fzdask`` in fresh processes, median; the first is not counted."""
    taken = [probe("import")["import_fzdask"] for _ in range(repeat + 1)][1:]
    return {"import_fzdask": statistics.median(taken)}


def first_calls(*, cold: int = 1, warm: int = 5) -> dict[str, dict[str, float]]:
    """First encode of a fresh process, with an empty kernel cache and with a filled one."""
    cold_runs = []
    for _ in range(max(1, cold)):
        with tempfile.TemporaryDirectory(prefix="fzdask-cache-") as cache:
            cold_runs.append(probe("first", cache=cache))
            if len(cold_runs) == max(1, cold):
                probe("first", cache=cache)
                warm_runs = [probe("first", cache=cache) for _ in range(max(1, warm))]
    return {"cold": _medians(cold_runs), "warm": _medians(warm_runs)}


def peak_memory(side: int = CHUNK_SIDE) -> dict[str, float]:
    """Peak memory of encode and decode over the size of a chunk of side**3 float32 values.

    ``encode`` is (chunk + what encode adds at its peak) / chunk: 1 would be the input alone.
    """
    import numpy as np

    from fzdask.metrics import fields

    if not Path("/proc/self/clear_refs").exists():
        raise RuntimeError("footprint: peak memory is read from /proc, which only Linux has")
    with tempfile.TemporaryDirectory(prefix="fzdask-memory-") as folder:
        path = str(Path(folder, "chunk.npy"))
        np.save(path, fields.turbulence(side))
        found = probe("memory", path)
    chunk = found["chunk"]
    return found | {
        "encode": (chunk + found["encode_extra"]) / chunk,
        "decode": (found["stream"] + found["decode_extra"]) / chunk,
    }


def _medians(runs: Sequence[dict[str, float]]) -> dict[str, float]:
    return {name: statistics.median(run[name] for run in runs) for name in runs[0]}


def checks(found: dict[str, Any]) -> list[Check]:
    """The figures to reach, beside what was measured."""
    warm, cold = (found["first_calls"].get(k, {}) for k in ("warm", "cold"))
    plain, trusting = (found["to_zarr"].get(k, {}) for k in ("plain", "write_empty_chunks"))
    wanted = (
        ("import fzdask", 0.4, " s", found["import"].get("import_fzdask")),
        ("process start to first stream, warm", 1.0, " s", warm.get("from_start_to_first_stream")),
        ("process start to first stream, cold", 20.0, " s", cold.get("from_start_to_first_stream")),
        ("peak memory of encode, with the chunk", 3.0, " chunks", found["memory"].get("encode")),
        ("to_zarr outside encode and store, of worker time", 15.0, " %", _percent(plain, "worker")),
        ("  of elapsed time", 15.0, " %", _percent(plain, "elapsed")),
        ("  of task time", 15.0, " %", _percent(plain, "task")),
        ("  of worker time, write_empty_chunks=True", 15.0, " %", _percent(trusting, "worker")),
    )
    return [
        Check(figure, f"at most {most:g}{unit}", value, None if value is None else value <= most)
        for figure, most, unit, value in wanted
    ]


def _percent(shares: dict[str, float], of: str) -> float | None:
    share = shares.get(f"outside_of_{of}_time")
    return None if share is None else 100 * share


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write the JSON file."""
    parser = argparse.ArgumentParser(prog="footprint.py", description=__doc__.split("\n")[0])
    parser.add_argument("--json", type=Path, help="also write every measurement to this file")
    parser.add_argument(
        "--only",
        nargs="+",
        choices=("import", "first_calls", "memory", "to_zarr"),
        default=("import", "first_calls", "memory", "to_zarr"),
    )
    parser.add_argument("--repeat", type=int, default=5, help="runs of each timed measurement")
    parser.add_argument("--blocks", type=int, default=16, help="16 MiB blocks of the dataset")
    options = parser.parse_args(arguments)

    from benchmarks.console import wide_console
    from benchmarks.peer_report import checks_table, environment, write_json
    from benchmarks.zarr_share import measure_to_zarr

    measures = {
        "import": lambda: import_time(options.repeat),
        "first_calls": lambda: first_calls(warm=options.repeat),
        "memory": peak_memory,
        "to_zarr": lambda: measure_to_zarr(blocks=options.blocks, repeat=options.repeat),
    }
    console = wide_console()
    found: dict[str, Any] = {name: {} for name in measures}
    for name in options.only:
        with console.status(f"measuring {name}"):
            found[name] = measures[name]()
        console.print(name, _shown(found[name]), highlight=False)
    console.print(checks_table(checks(found)))
    if options.json:
        write_json(options.json, {"environment": environment(), **found})
    return 0


def _shown(found: dict[str, Any]) -> dict[str, Any]:
    return {
        key: _shown(value)
        if isinstance(value, dict)
        else round(value, 4)
        if isinstance(value, float)
        else value
        for key, value in found.items()
        if key != "runs"
    }


if __name__ == "__main__":
    sys.exit(main())
