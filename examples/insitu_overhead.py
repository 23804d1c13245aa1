"""What does a dump in every iteration cost a simulation? Ten ways to write it, measured.

    python examples/insitu_overhead.py --stand-in --out stand_in.png    # four minutes
    python examples/insitu_overhead.py --real --out real.png            # the same
    python examples/insitu_overhead.py --emulate      # on a machine that others use as well
    python examples/insitu_overhead.py --small        # a few short iterations

A simulation computes for half of each iteration and waits (for an accelerator, say) for the other
half; its background thread has work of its own for a quarter. Every iteration dumps a snapshot to a
store of limited bandwidth: 24 blocks that a stand-in "compresses" and "writes" for given times or,
with --real, four fields of blocks of a mebibyte that FZCodec compresses within four bounds. Loads
are the time to compress over the idle time of the compute thread, and the time to write over that
of the background thread; default: .8 / .7 and .95 / .8, stand-in and real. With --all all ten ways
are run, without it those that something is claimed of.

All ways, loads and kinds are run by turns, in random order; reported are medians over the
repetitions, over the last third of the iterations. Ways that have nothing to learn run a third of
the iterations; --long gives the writer's at the second loads (70: the claim is about those).

--emulate imitates the compute thread's core: work is then sleep, one thread at a time in turns of
a millisecond, so that only wake-ups are disturbed.

Overhead is (iteration with dump - without) / without. "Compute" is how much longer the
simulation's own work takes, "copied" the time to write, and to copy what has to be copied, in the
simulation's thread (with --real). Real ways copy late: the simulation has two sets of arrays, and
takes one back (`InSituWriter.detach`) when an iteration has passed. "Simulated" is what
`fzdask.scheduling.simulate` says of these times; it knows nothing of copies.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from insitu_rivals import (
    WAYS,
    Case,
    Core,
    ImitatedCore,
    Real,
    StandIn,
    Way,
    Workload,
    pinned,
    run,
    steps_per_second,
)

LOADS = ((0.8, 0.7), (0.95, 0.8))
WANTED = {LOADS[0]: (15.0, 5.0), LOADS[1]: (10.0, 2.6)}
"""How many times Johnson + backfilling is to be below synchronous compressed, and below
asynchronous raw."""

CLAIMED = ("sync", "async-raw", "idle", "backfill", "fzdask", "copied")
"""Ways that claims are made of: without --all only these are run."""

WRITER = 0.02  # most that the writer may cost
COMPUTE = 0.03  # most that it may lengthen the simulation's own work
LEAST = 1e-3  # overheads below are noise: no factor is told from less
WARM_UP = 3  # iterations that are run and not counted, at least

Row = dict[str, float]


class Cell(NamedTuple):
    """What one table is about."""

    kind: str  # "stand-in" or "FZCodec"
    loads: tuple[float, float]

    def __str__(self) -> str:
        return f"{self.kind}, loads {self.loads[0]:g} / {self.loads[1]:g}"


class Bench:
    """Cores, cases and counts of one comparison."""

    def __init__(self, given: argparse.Namespace) -> None:
        self.given = given
        self.cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
        both = len(self.cores) >= 2 and not given.emulate
        first, second = self.cores[:2] if both else (0, 0)
        self.cpus = {"compress": [first], "io": [second], "plan": [second]} if both else {}
        self.host = [first] if both else self.cores
        pinned(self.host)
        self.speed = 0.0 if given.emulate else steps_per_second()
        pinned(self.cores)
        kinds = ["FZCodec"] if given.real else ["stand-in"]
        if not (given.real or given.emulate or given.stand_in):
            kinds = ["stand-in", "FZCodec"]
        loads = [tuple(given.load)] if given.load else LOADS
        self.cells = [Cell(kind, load) for kind in kinds for load in loads]
        self.work = self._workload() if "FZCodec" in kinds else None
        self.cases = {cell: self._case(cell) for cell in self.cells}

    def _workload(self) -> Workload:
        case = Case.make(self.given.length, LOADS[0], self.given.blocks)
        pinned(self.host)
        try:
            return Workload.measure(case, Core(self.speed), self.cpus)
        finally:
            pinned(self.cores)

    def _case(self, cell: Cell) -> Case:
        case = Case.make(self.given.length, cell.loads, self.given.blocks)
        return case if cell.kind == "stand-in" or self.work is None else self.work.case(case)

    def iterations(self, name: str, cell: Cell) -> int:
        given = self.given
        if name == "fzdask" and given.long and cell.loads == LOADS[1]:
            return int(given.long)
        return int(given.iterations if WAYS[name].settles else max(6, given.iterations // 3))

    def names(self, cell: Cell) -> list[str]:
        if self.given.ways:
            return [name for name in self.given.ways if name != "none"]
        asked = [name for name in WAYS if name != "none"] if self.given.all else list(CLAIMED)
        return [name for name in asked if name != "copied" or cell.kind == "FZCodec"]

    def once(self, name: str, cell: Cell) -> tuple[float, float, float]:
        """Means of the last third: length, own work, copying, in seconds."""
        way, core = WAYS[name], Core(self.speed)
        if self.given.emulate:
            core = ImitatedCore(fair=way.policy != "idle-threads")
            if way.policy == "idle-threads":  # the imitated core does what the system would
                way = replace(way, rules=replace(way.rules, windows="always"))
        case, iterations = self.cases[cell], self.iterations(name, cell)
        pinned(self.cores)  # threads inherit; the engine pins its own
        made = self._made(case, way, core, cell)
        pinned(self.host)
        lengths, computing = run(case, made, iterations, core)
        made.close()
        pinned(self.cores)
        if isinstance(made, Real) and name in ("fzdask", "copied"):
            made.check()
        # The last dump is completed after it: a dump that is late shows only in the next one.
        last = slice(max(min(WARM_UP, iterations - 1), 2 * iterations // 3), None)
        return float(lengths[last].mean()), float(computing[last].mean()), made.copied

    def _made(self, case: Case, way: Way, core: Core, cell: Cell) -> Any:
        if cell.kind == "stand-in" or self.work is None or not way.policy:
            return StandIn(case, way, core, self.cpus)
        return Real(case, way, self.work, self.cpus)

    def measure(self) -> dict[Cell, dict[str, Row]]:
        """Every way of every cell, by turns."""
        rng = np.random.default_rng(0)
        # Without a dump nothing depends on the cell.
        tasks = [("none", self.cells[0])] + [(n, c) for c in self.cells for n in self.names(c)]
        kept: dict[tuple[str, Cell], list[tuple[float, ...]]] = {task: [] for task in tasks}
        for _ in range(self.given.repetitions):
            for k in rng.permutation(len(tasks)):
                kept[tasks[k]].append(self.once(*tasks[k]))
        none = kept["none", self.cells[0]]
        base, own, _ = np.median(none, axis=0)
        zero = {"overhead": 0.0, "compute": 0.0, "copied": 0.0,
                "spread": float(np.ptp([x for x, *_ in none]) / base)}  # fmt: skip
        tables: dict[Cell, dict[str, Row]] = {cell: {"none": zero} for cell in self.cells}
        for (name, cell), found in kept.items():
            if name == "none":
                continue
            length, computing, copied = np.median(found, axis=0)
            tables[cell][name] = {
                "overhead": (length - base) / base,
                "spread": float(np.ptp([x for x, *_ in found]) / base),
                "compute": (computing - own) / own,
                "copied": copied / base,
                "simulated": self.cases[cell].simulated(
                    WAYS[name], min(self.iterations(name, cell), 30)
                ),
            }
        return tables


def report(rows: dict[str, Row]) -> Iterator[str]:
    """The lines of a table."""
    columns = ("overhead", "spread", "copied", "compute", "simulated")
    yield f"{'':36}" + "".join(f"{column:>10}" for column in columns)
    for name, row in rows.items():
        cells = (f"{row[c]:>10.2%}" if c in row else f"{'':10}" for c in columns)
        yield f"{WAYS[name].title:36}" + "".join(cells)


def verdicts(cell: Cell, rows: dict[str, Row]) -> Iterator[str]:
    """What was wanted, and whether it was reached."""

    def line(text: str, ok: bool) -> str:
        return f"  {'reached' if ok else 'MISSED ':8} {text}"

    wanted = WANTED.get(cell.loads)
    paper = max(rows.get("backfill", {}).get("overhead", np.nan), LEAST)
    for rival, least in zip(("sync", "async-raw"), wanted or (), strict=False):
        if rival in rows and np.isfinite(paper):
            factor = rows[rival]["overhead"] / paper
            text = f"Johnson + backfilling {factor:.1f} times below {WAYS[rival].title}"
            yield line(f"{text} (wanted {least:g})", factor >= least)
    if "fzdask" in rows:
        writer = rows["fzdask"]
        yield line(f"the writer costs {writer['overhead']:.2%} (wanted {WRITER:.0%} at most)",
                   writer["overhead"] <= WRITER)  # fmt: skip
        yield line(f"own work {writer['compute']:+.2%} (wanted {COMPUTE:.0%} at most)",
                   writer["compute"] <= COMPUTE)  # fmt: skip
        if "idle" in rows:
            other = rows["idle"]["overhead"]
            yield line(f"an idle-priority thread costs {other:.2%} (wanted more than the writer)",
                       writer["overhead"] < other)  # fmt: skip


def picture(tables: dict[Cell, dict[str, Row]], path: str) -> None:
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    width = 2 if len(tables) > 1 else 1
    height = -(-len(tables) // width)
    most = max(len(rows) for rows in tables.values())
    figure, axes = plt.subplots(
        height, width, squeeze=False, sharex=True, layout="constrained",
        figsize=(6.2 * width + 1.0, height * (0.36 * most + 0.7) + 0.4),
    )  # fmt: skip
    for ax, (cell, rows) in zip(axes.flat, tables.items(), strict=False):
        shown = [name for name in rows if name != "none"]
        y = np.arange(len(shown))
        measured = [100 * max(rows[n]["overhead"], LEAST) for n in shown]
        ax.barh(y, measured, color="#3069b0", height=0.6, label="measured")
        simulated = [100 * max(rows[n]["simulated"], LEAST) for n in shown]
        ax.plot(simulated, y, "|", color="#c8202f", ms=13, mew=2, label="simulated")
        for at, value, name in zip(y, measured, shown, strict=True):
            end = max(value, simulated[at])
            shown_as = round(100 * rows[name]["overhead"], 1) + 0.0  # never -0.0
            ax.text(end, at, f"  {shown_as:.1f} %", va="center", fontsize=8)
        ax.set_yticks(y, [WAYS[n].title for n in shown], fontsize=8)
        ax.invert_yaxis()
        ax.set_xscale("log")
        ax.set_xlim(100 * LEAST, 1500)
        ax.set_title(str(cell), loc="left", fontsize=10)
        ax.set_xlabel("overhead of a dump in every iteration [%]", fontsize=8)
        ax.tick_params(axis="x", labelsize=8)
        for side in ("top", "right"):
            ax.spines[side].set_visible(False)
    axes.flat[0].legend(frameon=False, fontsize=8, loc="lower right")
    figure.savefig(path, dpi=130)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--small", action="store_true", help="a few short iterations")
    parser.add_argument("--real", action="store_true", help="FZCodec only, no stand-in")
    parser.add_argument("--stand-in", action="store_true", help="the stand-in only")
    parser.add_argument("--emulate", action="store_true", help="the same on an imitated core")
    parser.add_argument("--load", type=float, nargs=2, help="default: .8 .7 and .95 .8")
    parser.add_argument("--length", type=float, default=0.4, help="of an iteration, in seconds")
    parser.add_argument("--blocks", type=int, default=24, help="of the stand-in")
    parser.add_argument("--iterations", type=int, default=15)
    parser.add_argument("--long", type=int, default=70, help="iterations at .95 / .8; 0: the same")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--ways", nargs="*", choices=list(WAYS), help="only these")
    parser.add_argument("--all", action="store_true", help="also ways that no claim is about")
    parser.add_argument("--out", help="save a picture")
    given = parser.parse_args()
    if given.small:
        given.length, given.iterations, given.repetitions, given.long = 0.03, 4, 1, 0
        given.blocks, given.load = 4, LOADS[0]
        given.ways = ["sync", "fzdask"]
    bench = Bench(given)
    tables = bench.measure()
    for cell, rows in tables.items():
        case = bench.cases[cell]
        print(f"{cell}: {len(case.compress)} blocks, {1e3 * case.compress.mean():.2f} ms each")
        for line in (*report(rows), *verdicts(cell, rows)):
            print(line)
        if cell.kind == "FZCodec":
            print("  the last steps of the writer, decoded, are within their bounds")
        print()
    if given.out:
        picture(tables, given.out)


if __name__ == "__main__":
    main()
