"""Interactive Gantt charts as one piece of HTML: an SVG with a small script, no dependencies."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Sequence
from html import escape
from importlib.resources import files

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

__all__ = ["gantt_html"]

LANE = 30  # pixels
BAR = 24
GAP = 12  # between workers
LEFT = 150
TOP = 22
SPAN = 1e6  # the time axis in drawing units: fine enough for single precision when zoomed


def gantt_html(
    record: Record,
    workers: Sequence[Worker] = (),
    *,
    only: Collection[str] | None = None,
    title: str | None = None,
) -> str:
    """An interactive chart of a plan or a run, as HTML that stands alone.

    Notebooks show a `Plan` this way by themselves; elsewhere write it to a file and open that.
    The wheel zooms in time, dragging moves, a double click shows everything again; under the
    pointer both tasks of a job stand out and are described below. About 90 bytes a task.

    Parameters
    ----------
    record, workers, only, title
        See `fzdask.scheduling.gantt_chart.chart_of`.

    Returns
    -------
    str
        HTML; names of jobs, fields and workers are escaped.
    """
    chart = chart_of(record, workers, only=only, title=title)
    scale, unit = time_unit(chart.end)
    tops = [i * LANE + GAP * (i // 2) for i in range(len(chart.lanes))]
    height = tops[-1] + LANE
    body = _bars(chart, tops, height)
    ident = "fz" + hashlib.sha256((body + chart.title).encode()).hexdigest()[:12]
    jobs = list(dict.fromkeys(bar.job for bar in chart.bars if bar.kind != "busy"))
    facts = {"end": chart.end * scale, "unit": unit, "span": SPAN, "jobs": jobs}
    script = files("fzdask.scheduling").joinpath("gantt.js").read_text(encoding="utf-8")
    # "</" would end the script early if a job were called that.
    data = json.dumps(facts, ensure_ascii=True).replace("</", "<\\/")
    return (
        f'<div id="{ident}" style="font:13px system-ui,sans-serif;color:#23272e;background:#fff;'
        f'padding:8px;max-width:1200px"><div style="margin:0 0 6px">{escape(chart.title)}</div>'
        f'<div style="position:relative;height:{height + TOP + 24}px">'
        f"{_lane_names(chart, tops)}"
        f'<svg class="plot" viewBox="0 0 {SPAN:g} {height}" preserveAspectRatio="none" '
        f'style="position:absolute;left:{LEFT}px;top:{TOP}px;width:calc(100% - {LEFT}px);'
        f'height:{height}px;cursor:grab;touch-action:none">{body}</svg>'
        f'<div class="axis" style="position:absolute;left:{LEFT}px;right:0;'
        f'top:{TOP + height}px;height:20px;font-size:11px;overflow:hidden"></div></div>'
        f'<div style="margin:4px 0 0 {LEFT}px">{_legend(chart)}</div>'
        f'<div class="said" style="margin:4px 0 0 {LEFT}px;min-height:1.3em;color:#5b6470"></div>'
        f"<script>({script})(document.getElementById({json.dumps(ident)}),{data})</script></div>"
    )


def _bars(chart: Chart, tops: list[int], height: int) -> str:
    """Rectangles, one group per colour so that each carries its own position only."""
    unit = SPAN / chart.end if chart.end else 1.0
    number: dict[str, int] = {}
    groups: dict[str, list[str]] = {}
    widths = sorted(bar.end - bar.start for bar in chart.bars if bar.kind != "busy")
    # White edges part the bars, unless they are so thin that only edges would be left.
    edged = bool(widths) and widths[len(widths) // 2] > EDGED_SHARE * chart.end
    colours = chart.colours
    for bar in chart.bars:
        x, width = bar.start * unit, (bar.end - bar.start) * unit
        y = tops[bar.lane] + (LANE - BAR) // 2
        place = f'x="{x:.6g}" y="{y}" width="{width:.6g}" height="{BAR}"'
        if bar.kind == "busy":
            groups.setdefault(BUSY_COLOUR, []).append(f"<rect {place}/>")
            continue
        j = number.setdefault(bar.job, len(number))
        colour = colours[bar.field or "jobs"]
        groups.setdefault(colour, []).append(f'<rect {place} data-j="{j}"/>')
    parts = [
        f'<rect x="0" y="{y + (LANE - BAR) // 2}" width="{SPAN:g}" height="{BAR}" fill="#f7f8fa"/>'
        for y in tops
    ]
    for i in chart.iterations:
        x, end = i.base_end * unit, i.end * unit
        if end > x:
            parts.append(
                f'<rect x="{x:.6g}" y="0" width="{end - x:.6g}" height="{height}" '
                f'fill="{LATE_COLOUR}" fill-opacity=".14"/>'
            )
    for colour, rects in groups.items():
        edge = ' stroke="#fff" stroke-width=".7"' if edged and colour != BUSY_COLOUR else ""
        parts.append(f'<g fill="{colour}"{edge}>{"".join(rects)}</g>')
    for i in chart.iterations:
        for at, colour in ((i.base_end, "#23272e"), (i.end, LATE_COLOUR)):
            if at == i.base_end or i.end > i.base_end:
                parts.append(
                    f'<path d="M{at * unit:.6g} 0V{height}" stroke="{colour}" stroke-width="1.2"/>'
                )
    return "".join(parts)


def _lane_names(chart: Chart, tops: list[int]) -> str:
    parts = []
    for i, (worker, machine) in enumerate(chart.lanes):
        y = TOP + tops[i] + LANE // 2 - 9
        parts.append(
            f'<div style="position:absolute;right:calc(100% - {LEFT - 8}px);top:{y}px">'
            f"{machine}</div>"
        )
        if len(chart.lanes) > 2 and machine == "compute":
            parts.append(
                f'<div style="position:absolute;left:0;top:{y + LANE // 2}px;font-weight:600;'
                f"white-space:nowrap;max-width:{LEFT - 88}px;overflow:hidden;"
                f'text-overflow:ellipsis">'
                f"{escape(worker)}</div>"
            )
    return "".join(parts)


def _legend(chart: Chart) -> str:
    entries = [*chart.colours.items(), ("simulation's own work", BUSY_COLOUR)]
    if any(i.end > i.base_end for i in chart.iterations):
        entries.append(("overhead", "#f6d5d7"))
    return "".join(
        f'<span style="white-space:nowrap;margin-right:14px"><span style="display:inline-block;'
        f'width:11px;height:11px;background:{colour};margin-right:5px"></span>'
        f"{escape(name)}</span>"
        for name, colour in entries
    )
