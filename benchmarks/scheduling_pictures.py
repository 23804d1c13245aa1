"""Pictures of the scheduling studies (Matplotlib)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from fzdask.scheduling.rivals import POLICIES
from fzdask.scheduling.study import BOUND, PUBLISHED, Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw"]

FLOOR = 1e-2  # percent: what is less is drawn there

# Colour-blind safe (Okabe and Ito); the project's own method alone is drawn thick.
STYLE: dict[str, dict[str, Any]] = {
    "sync-raw": {"color": "#000000", "marker": "s"},
    "sync": {"color": "#777777", "marker": "s"},
    "async-raw": {"color": "#999999", "marker": "o"},
    "threads": {"color": "#CC79A7", "marker": "x"},
    "idle-threads": {"color": "#CC79A7", "marker": "v", "linestyle": "--"},
    "fifo": {"color": "#E69F00", "marker": "^"},
    "johnson": {"color": "#E69F00", "marker": "D", "linestyle": "--"},
    "timetable": {"color": "#009E73", "marker": "P", "linestyle": ":"},
    "paper": {"color": "#D55E00", "marker": "o"},
    "planned": {"color": "#56B4E9", "marker": "o"},
    "sliced": {"color": "#56B4E9", "marker": "d", "linestyle": "--"},
    "fzdask": {"color": "#0072B2", "marker": "o", "linewidth": 2.8},
    BOUND: {"color": "#444444", "linestyle": (0, (1, 1.5)), "marker": ""},
}


def title_of(policy: str) -> str:
    """What a legend calls a policy."""
    if policy == BOUND:
        return "ideal preemptive bound"
    if policy == "fzdask":
        return "fzdask: + slices, rolling horizon"
    return POLICIES[policy].title


def draw(name: str, table: Table, path: Path) -> None:
    """Draw the study of that name to a PNG."""
    plt.rcParams.update({"font.size": 10, "axes.spines.top": False, "axes.spines.right": False})
    figure = _DRAW[name](table)
    figure.savefig(path, dpi=110, bbox_inches="tight")
    plt.close(figure)


def _percent(ax: Axes, axis: str = "y") -> None:
    """A logarithmic axis of percent from FLOOR up, where FLOOR stands for all that is less."""
    ticks = [1e-2, 1e-1, 1.0, 10.0, 100.0, 1000.0]
    _low, high = getattr(ax, f"get_{axis}lim")()
    getattr(ax, f"set_{axis}scale")("log")
    getattr(ax, f"set_{axis}lim")(0.7 * FLOOR, max(1.4 * high, 2.0))
    which = getattr(ax, f"{axis}axis")
    which.set_major_locator(FixedLocator(ticks))
    which.set_minor_locator(NullLocator())

    def label(value: float, _: int) -> str:
        return "≤ 0.01 %" if value <= FLOOR else f"{value:g} %"

    which.set_major_formatter(FuncFormatter(label))
    ax.grid(axis=axis, color="#dddddd", linewidth=0.7)
    ax.set_axisbelow(True)


def _lines(ax: Axes, table: Table, x: str, spread: dict[Any, float] | None = None) -> None:
    for policy in dict.fromkeys(table.column("policy")):
        mine = table.where(policy=str(policy))
        at = [spread[v] if spread else float(v) for v in mine.column(x)]
        height = [max(FLOOR, 100.0 * float(v)) for v in mine.column("overhead")]
        style = {"linewidth": 1.5, "markersize": 5, **STYLE[str(policy)]}
        order = 5 if policy == "fzdask" else 3
        ax.plot(at, height, label=title_of(str(policy)), zorder=order, **style)
    _percent(ax)


def _legend(figure: Any, ax: Axes, columns: int = 1) -> None:
    handles, labels = ax.get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="center left", bbox_to_anchor=(1.0, 0.5), ncols=columns, frameon=False
    )


def _bars(ax: Axes, table: Table) -> None:
    rows = [r for r in table.rows if r[1] != BOUND][::-1]
    for k, row in enumerate(rows):
        policy, overhead = str(row[1]), 100.0 * float(row[2])
        ax.barh(k, max(FLOOR, overhead), left=0, color=STYLE[policy]["color"], height=0.7)
        ax.text(max(FLOOR, overhead) * 1.15, k, f"{overhead:.3g} %", va="center", fontsize=9)
    ax.set_yticks(range(len(rows)), [title_of(str(r[1])) for r in rows])
    ax.set_xlim(FLOOR, 100.0 * max(float(r[2]) for r in rows))
    _percent(ax, "x")
    ax.set_xlim(0.7 * FLOOR, ax.get_xlim()[1] * 4)
    ax.tick_params(axis="y", length=0)


def _paper(table: Table) -> Any:
    applications = list(dict.fromkeys(table.column("application")))
    figure, axes = plt.subplots(
        1, len(applications), figsize=(6.4 * len(applications), 4.4), sharey=True, squeeze=False
    )
    for ax, application in zip(axes[0], applications, strict=True):
        mine = table.where(application=str(application))
        _bars(ax, mine)
        ax.set_title(str(application), loc="left")
        ax.set_xlabel("overhead per iteration")
    figure.suptitle("Overhead on the paper's setting, noise of level 1", x=0.02, ha="left")
    figure.tight_layout()
    return figure


def _claim(table: Table) -> Any:
    figure, ax = plt.subplots(figsize=(7.6, 4.6))
    at = [float(v) for v in table.column("compression load")]
    for policy in ("sync-raw", "async-raw", "paper", "fzdask", BOUND):
        height = [max(FLOOR, 100.0 * float(v)) for v in table.column(policy)]
        style = {"linewidth": 1.5, "markersize": 5, **STYLE[policy]}
        ax.plot(at, height, label=title_of(policy), zorder=5 if policy == "fzdask" else 3, **style)
    _percent(ax)
    sync = 100.0 * float(table.column("sync-raw")[0])
    asynchronous = 100.0 * float(table.column("async-raw")[0])
    limit = min(sync / PUBLISHED[0], asynchronous / PUBLISHED[1])
    ax.axhspan(0.5 * FLOOR, limit, color="#0072B2", alpha=0.07, linewidth=0)
    ax.text(
        at[0],
        0.93 * limit,
        f"shaded: at least {PUBLISHED[0]}x below synchronous, {PUBLISHED[1]}x below asynchronous",
        va="top",
        fontsize=9,
        color="#0072B2",
    )
    ax.set_xlabel("compression time / idle time of the compute thread")
    ax.set_ylabel("overhead per iteration")
    ax.set_title(table.title, loc="left")
    _legend(figure, ax)
    figure.tight_layout()
    return figure


def _stages(table: Table) -> Any:
    figure, ax = plt.subplots(figsize=(7.6, 4.2))
    stages = list(dict.fromkeys(zip(table.column("stage"), table.column("ratio"), strict=True)))
    policies = [str(p) for p in dict.fromkeys(table.column("policy"))]
    width = 0.8 / len(policies)
    for k, policy in enumerate(policies):
        heights = [100.0 * table.value("overhead", stage=str(s), policy=policy) for s, _ in stages]
        at = [i + (k - (len(policies) - 1) / 2) * width for i in range(len(stages))]
        ax.bar(
            at,
            [max(FLOOR, h) for h in heights],
            width * 0.92,
            color=STYLE[policy]["color"],
            label=title_of(policy),
        )
        for x, h in zip(at, heights, strict=True):
            ax.text(x, max(FLOOR, h) * 1.08, f"{h:.3g}", ha="center", fontsize=8)
    ax.set_xticks(range(len(stages)), [f"{s}\nratio {float(r):.3g}" for s, r in stages])
    _percent(ax)
    ax.set_ylabel("overhead per iteration")
    ax.set_title(table.title, loc="left")
    _legend(figure, ax)
    figure.tight_layout()
    return figure


def _iterations(table: Table) -> Any:
    applications = list(dict.fromkeys(table.column("application")))
    figure, axes = plt.subplots(
        1, len(applications), figsize=(5.2 * len(applications), 4.2), sharey=True, squeeze=False
    )
    for ax, application in zip(axes[0], applications, strict=True):
        _lines(ax, table.where(application=str(application)), "iteration")
        for line in ax.lines:
            line.set_marker("")
        ax.set_title(str(application), loc="left")
        ax.set_xlabel("iteration")
    axes[0][0].set_ylabel("overhead of the iteration")
    figure.suptitle(table.title, x=0.02, ha="left")
    _legend(figure, axes[0][0])
    figure.tight_layout()
    return figure


def _over(x: str, label: str) -> Any:
    def one(table: Table) -> Any:
        figure, ax = plt.subplots(figsize=(7.6, 4.6))
        _lines(ax, table, x)
        ax.set_xlabel(label)
        ax.set_ylabel("overhead per iteration")
        ax.set_title(table.title, loc="left")
        _legend(figure, ax)
        figure.tight_layout()
        return figure

    return one


def _blocks(table: Table) -> Any:
    costs = [str(c) for c in dict.fromkeys(table.column("fixed costs"))]
    figure, axes = plt.subplots(1, len(costs), figsize=(5.2 * len(costs), 4.4), sharey=True)
    counts = sorted({int(c) for c in table.column("blocks per field")})
    for ax, cost in zip(axes, costs, strict=True):
        _lines(ax, table.where(**{"fixed costs": cost}), "blocks per field")
        ax.set_xscale("log", base=2)
        ax.set_xticks(counts, [str(c) for c in counts])
        ax.set_title(cost, loc="left")
        ax.set_xlabel("blocks per field")
    axes[0].set_ylabel("overhead per iteration")
    top = max(ax.get_ylim()[1] for ax in axes)
    axes[0].set_ylim(0.7 * FLOOR, top)
    figure.suptitle(table.title, x=0.02, ha="left")
    _legend(figure, axes[0])
    figure.tight_layout()
    return figure


def _workers(table: Table) -> Any:
    figure, ax = plt.subplots(figsize=(7.6, 4.6))
    _lines(ax, table, "processes")
    ax.set_xscale("log")
    ax.set_xlabel("processes")
    ax.set_ylabel("overhead per iteration")
    ax.set_title(table.title, loc="left")
    _legend(figure, ax)
    figure.tight_layout()
    return figure


def _margins(table: Table) -> Any:
    policies = [str(p) for p in dict.fromkeys(table.column("policy"))]
    figure, axes = plt.subplots(
        1, len(policies), figsize=(5.2 * len(policies), 4.2), sharey=True, squeeze=False
    )
    colours = ("#56B4E9", "#0072B2", "#D55E00", "#E69F00")
    loads = [float(v) for v in dict.fromkeys(table.column("load"))]
    for ax, policy in zip(axes[0], policies, strict=True):
        for load, colour in zip(loads, colours, strict=False):
            mine = table.where(policy=policy, load=load)
            fixed = [(float(r[2]), 100.0 * float(r[3])) for r in mine.rows if r[2] != "chosen"]
            ax.plot(
                [100.0 * m for m, _ in fixed],
                [max(FLOOR, o) for _, o in fixed],
                marker="o",
                markersize=4,
                color=colour,
                label=f"load {load:g}, constant",
            )
            chosen = 100.0 * mine.value("overhead", margin="chosen")
            ax.axhline(
                max(FLOOR, chosen),
                color=colour,
                linestyle="--",
                linewidth=1.2,
                label=f"load {load:g}, chosen",
            )
        _percent(ax)
        ax.set_title(title_of(policy), loc="left")
        ax.set_xlabel("constant margin in percent of the task")
    axes[0][0].set_ylabel("overhead per iteration")
    figure.suptitle(table.title, x=0.02, ha="left")
    _legend(figure, axes[0][0])
    figure.tight_layout()
    return figure


_DRAW = {
    "paper": _paper,
    "claim": _claim,
    "stages": _stages,
    "iterations": _iterations,
    "load": _over("load", "load of both threads: work of the dump / idle time"),
    "blocks": _blocks,
    "noise": _over(
        "noise", "level of noise (1: compute 3 %, compression 5 %, ratio 10 %, write 20 %)"
    ),
    "workers": _workers,
    "margins": _margins,
}
