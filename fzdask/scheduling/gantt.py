"""Gantt charts with Matplotlib (an optional dependency, imported on first use)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

from fzdask.errors import ConfigError
from fzdask.scheduling.gantt_chart import (
    BUSY_COLOUR,
    EDGED_SHARE,
    LATE_COLOUR,
    Chart,
    Record,
    chart_of,
    time_unit,
)
from fzdask.scheduling.model import Worker

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_gantt"]

BAR_HEIGHT = 0.78
WORKER_GAP = 0.45
LABEL_SIZE = 7.5
INK = "#23272e"


def plot_gantt(
    record: Record,
    workers: Sequence[Worker] = (),
    *,
    ax: Axes | None = None,
    only: Collection[str] | None = None,
    title: str | None = None,
    labels: bool | None = None,
) -> Axes:
    """Draw a plan or a run: two lanes a worker, jobs coloured by field, overhead marked.

    Grey is the simulation's own work, white is idle. A vertical line marks where the iteration
    would end without a dump, a red field what the dump adds to it.

    Parameters
    ----------
    record : Plan, Simulation or iterable of Task
        See `fzdask.scheduling.gantt_chart.chart_of`.
    workers : sequence of Worker
        Busy intervals to show beside the tasks of a run.
    ax : matplotlib.axes.Axes, optional
        Default: a new figure, as high as the workers need.
    only : collection of str, optional
        Names of the workers to show.
    title : str, optional
        Default: the figures of the plan or of the run.
    labels : bool, optional
        Write names of jobs into bars that are wide enough. Default: up to 60 bars a lane.

    Returns
    -------
    matplotlib.axes.Axes
        ``ax.figure.savefig("plan.png")`` writes it to a file.

    Raises
    ------
    ConfigError
        There is nothing to show, or Matplotlib is not installed.
    """
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ConfigError(
            "plot_gantt needs Matplotlib: pip install 'fzdask[plot]', or use gantt_html, which "
            "needs nothing"
        ) from error
    chart = chart_of(record, workers, only=only, title=title)
    centres = [i + WORKER_GAP * (i // 2) for i in range(len(chart.lanes))]
    if ax is None:
        height = 1.55 + 0.42 * (centres[-1] + 1)
        _, ax = plt.subplots(figsize=(11.0, height), layout="constrained")
    scale, unit = time_unit(chart.end)
    _draw_lanes(ax, chart, centres, scale)
    handles = _draw_bars(ax, chart, centres, scale)
    _draw_ends(ax, chart, centres, scale, unit)
    _draw_frame(ax, chart, centres, scale, unit)
    _draw_legend(ax, handles)
    most = max(sum(bar.lane == i for bar in chart.bars) for i in range(len(chart.lanes)))
    if labels or (labels is None and most <= 60):
        _draw_labels(ax, chart, centres, scale)
    return ax


def _draw_lanes(ax: Axes, chart: Chart, centres: list[float], scale: float) -> None:
    for y in centres:
        ax.broken_barh(
            [(0.0, chart.end * scale)],
            (y - BAR_HEIGHT / 2, BAR_HEIGHT),
            facecolors="#f7f8fa",
            edgecolors="none",
            zorder=0,
        )


def _draw_bars(ax: Axes, chart: Chart, centres: list[float], scale: float) -> list[Any]:
    from matplotlib.patches import Patch

    colours = chart.colours
    groups: dict[tuple[int, str], list[tuple[float, float]]] = {}
    for bar in chart.bars:
        colour = BUSY_COLOUR if bar.kind == "busy" else colours[bar.field or "jobs"]
        span = (bar.start * scale, (bar.end - bar.start) * scale)
        groups.setdefault((bar.lane, colour), []).append(span)
    for (lane, colour), spans in groups.items():
        # White edges part the bars of a lane, unless they are so thin that only edges are left.
        middle = sorted(width for _, width in spans)[len(spans) // 2]
        edged = colour != BUSY_COLOUR and middle > EDGED_SHARE * chart.end * scale
        ax.broken_barh(
            spans,
            (centres[lane] - BAR_HEIGHT / 2, BAR_HEIGHT),
            facecolors=colour,
            edgecolors="white" if edged else "none",
            linewidth=0.6 if edged else 0.0,
            zorder=2,
        )
    handles = [Patch(facecolor=colour, label=name) for name, colour in colours.items()]
    return [*handles, Patch(facecolor=BUSY_COLOUR, label="simulation's own work")]


def _draw_legend(ax: Axes, handles: list[Any]) -> None:
    """Below the axis, at a distance that does not grow with the chart."""
    from matplotlib.transforms import ScaledTranslation

    below = ScaledTranslation(0.0, -38.0 / 72.0, ax.figure.dpi_scale_trans)
    ax.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(0.0, 0.0),
        bbox_transform=ax.transAxes + below,
        ncols=min(8, len(handles)),
        frameon=False,
        fontsize=8.5,
        handlelength=1.1,
        handleheight=1.0,
        columnspacing=1.4,
        borderaxespad=0.0,
    )


def _draw_ends(ax: Axes, chart: Chart, centres: list[float], scale: float, unit: str) -> None:
    """Ends of iterations, and what the dump adds to each."""
    top = centres[0] - BAR_HEIGHT / 2 - 0.12
    few = len(chart.iterations) <= 8
    for number, i in enumerate(chart.iterations):
        base, end = i.base_end * scale, i.end * scale
        ax.axvline(base, color=INK, linewidth=1.0, zorder=4)
        if end > base:
            ax.axvspan(base, end, color=LATE_COLOUR, alpha=0.13, linewidth=0, zorder=1)
            ax.axvline(end, color=LATE_COLOUR, linewidth=1.0, zorder=4)
        if not few:
            continue
        begin = chart.iterations[number - 1].end * scale if number else 0.0
        late = f"+{100 * (end - base) / (base - begin):.2f} %" if end > base > begin else ""
        words = "iteration ends" if len(chart.iterations) == 1 else f"iteration {number} ends"
        ax.text(base, top, f"{words} ", ha="right", va="bottom", fontsize=8, color=INK)
        if late:
            ax.text(end, top, f" overhead {late}", ha="left", va="bottom", fontsize=8,
                    color=LATE_COLOUR, fontweight="bold")  # fmt: skip
    if chart.lower_bound and chart.iterations and chart.lower_bound > chart.iterations[0].base_end:
        ax.axvline(
            chart.lower_bound * scale, color=LATE_COLOUR, linewidth=1.0, linestyle=(0, (2, 2)),
            zorder=4,
        )  # fmt: skip
        ax.text(
            chart.iterations[0].base_end * scale,
            centres[-1] + BAR_HEIGHT / 2 + 0.06,
            "no plan ends before the dotted line ",
            ha="right",
            va="top",
            fontsize=7.5,
            color=LATE_COLOUR,
        )


def _draw_frame(ax: Axes, chart: Chart, centres: list[float], scale: float, unit: str) -> None:
    ax.set_yticks(centres, [machine for _, machine in chart.lanes], fontsize=8.5)
    several = len(chart.lanes) > 2
    if several:
        for i in range(0, len(chart.lanes), 2):
            ax.annotate(
                chart.lanes[i][0],
                (0.0, (centres[i] + centres[i + 1]) / 2),
                xycoords=("axes fraction", "data"),
                xytext=(-66, 0),
                textcoords="offset points",
                ha="right",
                va="center",
                fontsize=9,
                fontweight="bold",
                color=INK,
            )
    ax.set_ylim(centres[-1] + BAR_HEIGHT / 2 + 0.32, centres[0] - BAR_HEIGHT / 2 - 0.5)
    late = any(i.end > i.base_end for i in chart.iterations[-1:])
    ax.set_xlim(0.0, chart.end * scale * (1.13 if late else 1.01))  # room for the overhead's text
    ax.set_xlabel(f"time [{unit}]", fontsize=9)
    ax.set_title(chart.title, fontsize=10, loc="left", color=INK, pad=8)
    ax.tick_params(axis="y", length=0)
    ax.tick_params(axis="x", labelsize=8.5)
    ax.grid(axis="x", color="#e3e6ea", linewidth=0.6, zorder=0)
    ax.set_axisbelow(True)
    for side in ("top", "right", "left"):
        ax.spines[side].set_visible(False)


def _draw_labels(ax: Axes, chart: Chart, centres: list[float], scale: float) -> None:
    """The last part of a job's name, in bars that are wider than it."""
    figure = ax.figure
    figure.canvas.draw()
    inches = ax.get_window_extent().width / figure.dpi
    low, high = ax.get_xlim()
    per_unit = inches * 72.0 / (high - low)  # points
    for bar in chart.bars:
        if bar.kind == "busy":
            continue
        text = bar.job.rsplit("/", 1)[-1]
        if (bar.end - bar.start) * scale * per_unit > 0.62 * LABEL_SIZE * len(text) + 3:
            ax.text(
                (bar.start + bar.end) / 2 * scale,
                centres[bar.lane],
                text,
                ha="center",
                va="center",
                fontsize=LABEL_SIZE,
                color="white",
                zorder=5,
                clip_on=True,
            )
