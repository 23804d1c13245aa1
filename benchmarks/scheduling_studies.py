"""Studies of scheduling policies in the simulator: one command each, a table and a picture.

    python benchmarks/scheduling_studies.py paper
    python benchmarks/scheduling_studies.py all --out pictures

Each takes about a minute on one core, `workers` up to two. What they assume and what came out:
docs/simulator.md.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:  # run as a script, only this folder is on the path
    sys.path.insert(0, str(ROOT))

from rich.table import Table as Printed  # noqa: E402

from benchmarks.console import wide_console  # noqa: E402
from fzdask.scheduling import study  # noqa: E402
from fzdask.scheduling.rivals import POLICIES  # noqa: E402

__all__ = ["STUDIES", "main"]

STUDIES: dict[str, Callable[..., study.Table]] = {
    "paper": study.study_paper,
    "claim": study.study_claim,
    "stages": study.study_stages,
    "iterations": study.study_iterations,
    "load": study.study_load,
    "blocks": study.study_blocks,
    "noise": study.study_noise,
    "workers": study.study_workers,
    "margins": study.study_margins,
}

QUICK: dict[str, dict[str, Any]] = {
    "paper": {"policies": ("sync-raw", "fzdask"), "iterations": 2, "seeds": 1},
    "claim": {"loads": (0.5, 2.5), "iterations": 2, "seeds": 1},
    "stages": {"policies": ("paper", "fzdask"), "iterations": 2, "seeds": 1},
    "iterations": {"policies": ("paper", "fzdask"), "iterations": 3, "seeds": 1},
    "load": {"loads": (0.5, 1.2), "policies": ("paper", "fzdask"), "instances": 1, "jobs": 12},
    "blocks": {"counts": (1, 4), "policies": ("paper", "fzdask"), "iterations": 2, "seeds": 1},
    "noise": {"levels": (0.0, 2.0), "policies": ("paper", "fzdask"), "instances": 1, "jobs": 12},
    "workers": {"counts": (1, 20), "policies": ("async-raw", "fzdask"), "full_speed": 2},
    "margins": {"margins": (0.0, 0.1), "loads": (0.9,), "instances": 1, "jobs": 12},
}
"""Smallest sizes that still go through everything, for a look and for tests."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the studies asked for."""
    options = _parser().parse_args(arguments)
    names = list(STUDIES) if options.study == "all" else [options.study]
    options.out.mkdir(parents=True, exist_ok=True)
    console = wide_console()
    for name in names:
        table = STUDIES[name](**(QUICK[name] if options.quick else {}))
        console.print(_printed(name, table))
        with (options.out / f"{name}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(table.columns)
            writer.writerows(table.rows)
        if not options.no_picture:
            from benchmarks.scheduling_pictures import draw

            draw(name, table, options.out / f"{name}.png")
            console.print(f"picture: {options.out / name}.png", highlight=False)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("study", choices=[*STUDIES, "all"])
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("studies"),
        help="folder for tables (CSV) and pictures (PNG)",
    )
    parser.add_argument("--quick", action="store_true", help="smallest sizes, in seconds")
    parser.add_argument("--no-picture", action="store_true", help="tables only")
    return parser


def _printed(name: str, table: study.Table) -> Printed:
    """Wide: one column per policy where a study compares policies."""
    if "policy" not in table.columns or name == "paper":
        printed = Printed(*table.columns, title=table.title)
        for row in table.rows:
            printed.add_row(*(_cell(c, v) for c, v in zip(table.columns, row, strict=True)))
        return printed
    if name == "iterations":
        table = _steady(table)
    keys = [c for c in table.columns if c not in ("policy", "overhead")]
    policies = list(dict.fromkeys(table.column("policy")))
    printed = Printed(*keys, *(str(p) for p in policies), title=f"{table.title}: percent")
    at = [table.columns.index(k) for k in keys]
    for key in dict.fromkeys(tuple(row[k] for k in at) for row in table.rows):
        found = {
            row[table.columns.index("policy")]: row[table.columns.index("overhead")]
            for row in table.rows
            if tuple(row[k] for k in at) == key
        }
        cells = [_cell(k, v) for k, v in zip(keys, key, strict=True)]
        printed.add_row(
            *cells, *(_cell("overhead", found[p]) if p in found else "" for p in policies)
        )
    return printed


def _steady(table: study.Table) -> study.Table:
    """Iterations by thirds of the run: forty columns of figures are not read by anyone."""
    last = max(int(i) for i in table.column("iteration")) + 1
    sums: dict[tuple[Any, ...], list[float]] = {}
    for app, policy, i, overhead in table.rows:
        third = ("first", "second", "last")[min(2, 3 * int(i) // last)]
        sums.setdefault((app, policy, third), []).append(float(overhead))
    rows = tuple((*key, sum(v) / len(v)) for key, v in sums.items())
    return study.Table(table.title, ("application", "policy", "third of the run", "overhead"), rows)


_SHARES = {"overhead", "bound", *POLICIES}


def _cell(column: str, value: str | float | int | bool) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and column in _SHARES:
        return f"{100 * value:.2f}"
    if isinstance(value, float) and column.startswith("times below"):
        return "nothing left" if value == float("inf") else f"{value:.4g}"
    return f"{value:g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    sys.exit(main())
