"""A timeline as a picture (Matplotlib, an optional dependency, imported on first use)."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from fzdask.codecs.flow.timeline import Span, Timeline
from fzdask.errors import ConfigError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_timeline", "save_timeline"]

DOTS_PER_INCH = 110  # of pixel pictures

BAR_HEIGHT = 0.76
COPY_HEIGHT = 0.44
INK = "#23272e"
LANE = "#f5f6f8"
FAILED = "#b3261e"
COPIES = {"upload": "#5f6670", "download": "#9aa1ab"}
LEAST_WIDTH = 0.0012  # of the axis, for a bar: what is too short to see is drawn this wide
# Okabe and Ito 2008: told apart with any colour vision.
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#5a5a5a")
LABEL_SIZE = 7.5
LABEL_WIDTH = 0.0075  # of the axis, for a character


def plot_timeline(
    timeline: Timeline,
    *,
    ax: Axes | None = None,
    colour: Literal["name", "tag"] = "name",
    colours: Mapping[Any, str] | None = None,
    label: Callable[[Span], str] | None = None,
    title: str | None = None,
) -> Axes:
    """Draw what ran where and when: a lane for each place, a bar for each task or copy.

    Parameters
    ----------
    timeline : Timeline
    ax : matplotlib.axes.Axes, optional
        Default: a new figure, as high as the places need.
    colour : "name" or "tag"
        What bars of one colour share. Copies are grey, failed tasks edged in red.
    colours : mapping, optional
        Of names or tags to Matplotlib colours; what is not in it gets one of eight in turn.
    label : callable, optional
        Of a span; written into bars that are wide enough. Default: the tag or, if tags have the
        colours, the name.
    title : str, optional
        Default: elapsed time, overlap, and bytes moved.

    Returns
    -------
    matplotlib.axes.Axes
        ``ax.figure.savefig("timeline.png")`` writes it to a file.

    Raises
    ------
    ConfigError
        The timeline is empty, or Matplotlib is not installed.
    """
    spans = timeline.spans
    if not spans:
        raise ConfigError("plot_timeline: the timeline is empty; pass it to a Flow first.")
    places = timeline.places
    scale, unit = _unit(timeline.elapsed)
    ax = _new_axes(places) if ax is None else ax
    width = timeline.elapsed * scale
    for lane in range(len(places)):
        ax.broken_barh([(0.0, width)], (lane - 0.5 + 0.06, 0.88), facecolors=LANE, zorder=0)
    chosen = _colours(spans, colour, colours or {})
    for span in spans:
        lane = places.index(span.place)
        _draw(ax, span, lane, scale, spans[0].start, LEAST_WIDTH * width, chosen, colour)
    written = label or ((lambda s: s.name) if colour == "tag" else _tag)
    for span in spans:
        _write(ax, span, places.index(span.place), scale, spans[0].start, width, written)
    _frame(ax, places, width, unit)
    _legend(ax, spans, chosen)
    ax.set_title(title if title is not None else summary(timeline), loc="left", fontsize=10)
    return ax


def save_timeline(timeline: Timeline, path: str | os.PathLike[str], **options: Any) -> Path:
    """Write the picture of a timeline to a file; nothing is shown and no figure stays open.

    Parameters
    ----------
    timeline : Timeline
    path : path-like
        Its extension says the format: ``.svg``, ``.png``, ``.pdf`` and what else Matplotlib writes.
    **options
        As for :func:`plot_timeline`.

    Returns
    -------
    pathlib.Path
        The file.

    Raises
    ------
    ConfigError
        The timeline is empty, Matplotlib is not installed, or it writes no such format.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ConfigError("save_timeline needs Matplotlib: pip install 'fzdask[plot]'.") from error
    target = Path(path)
    figure = Figure(figsize=_figure_size(timeline.places), layout="constrained")
    kind = target.suffix.removeprefix(".").lower()
    formats = FigureCanvasAgg(figure).get_supported_filetypes()
    if kind not in formats:
        raise ConfigError(
            f"save_timeline: {target.name!r} names no format by its extension; "
            f"use one of {', '.join('.' + name for name in sorted(formats))}."
        )
    plot_timeline(timeline, ax=figure.subplots(), **options)
    figure.savefig(target, dpi=DOTS_PER_INCH)
    return target


def _new_axes(places: list[str]) -> Axes:
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ConfigError("plot_timeline needs Matplotlib: pip install 'fzdask[plot]'.") from error
    ax: Axes = plt.subplots(figsize=_figure_size(places), layout="constrained")[1]
    return ax


def _figure_size(places: list[str]) -> tuple[float, float]:
    """Inches; as high as the places need."""
    return 11.0, 1.45 + 0.42 * len(places)


def summary(timeline: Timeline) -> str:
    """Elapsed time, overlap, and bytes moved, in one line."""
    scale, unit = _unit(timeline.elapsed)
    text = (
        f"{timeline.elapsed * scale:.3g} {unit}, "
        f"two or more at once for {100 * timeline.overlapped() / (timeline.elapsed or 1.0):.0f} %"
    )
    if timeline.uploaded or timeline.downloaded:
        up, down = timeline.uploaded / 2**20, timeline.downloaded / 2**20
        text += f", {up:.3g} MiB up, {down:.3g} MiB down"
    return text


def _unit(seconds: float) -> tuple[float, str]:
    return (1.0, "s") if seconds >= 1.0 else (1e3, "ms") if seconds >= 1e-3 else (1e6, "µs")


def _tag(span: Span) -> str:
    return "" if span.tag is None or span.kind != "task" else str(span.tag)


def _key(span: Span, colour: str) -> Any:
    return span.name if colour == "name" else span.tag


def _colours(spans: list[Span], colour: str, given: Mapping[Any, str]) -> dict[Any, str]:
    chosen: dict[Any, str] = {}
    for span in spans:
        if span.kind != "task":
            chosen.setdefault(span.kind, COPIES[span.kind])
    free = [c for c in COLOURS if c not in given.values()]
    keys = dict.fromkeys(_key(span, colour) for span in spans if span.kind == "task")
    for number, key in enumerate(keys):
        chosen[key] = given.get(key, free[number % len(free)])
    return chosen


def _draw(
    ax: Axes, span: Span, lane: int, scale: float, origin: float, least: float,
    chosen: dict[Any, str], colour: str,
) -> None:  # fmt: skip
    copy = span.kind != "task"
    height = COPY_HEIGHT if copy else BAR_HEIGHT
    start, length = (span.start - origin) * scale, (span.end - span.start) * scale
    edged = length > 8 * least
    ax.broken_barh(
        [(start, max(length, least))],
        (lane - height / 2, height),
        facecolors=chosen[span.kind if copy else _key(span, colour)],
        edgecolors=FAILED if span.failed else "white" if edged else "none",
        linewidth=1.6 if span.failed else 0.5 if edged else 0.0,
        zorder=2,
    )


def _write(
    ax: Axes, span: Span, lane: int, scale: float, origin: float, width: float,
    label: Callable[[Span], str],
) -> None:  # fmt: skip
    text = label(span)
    start, end = (span.start - origin) * scale, (span.end - origin) * scale
    if text and end - start > len(text) * LABEL_WIDTH * width + 0.002 * width:
        ax.text(
            (start + end) / 2, lane, text, ha="center", va="center", fontsize=LABEL_SIZE,
            color="white" if span.kind == "task" else INK, zorder=3, clip_on=True,
        )  # fmt: skip


def _frame(ax: Axes, places: list[str], width: float, unit: str) -> None:
    ax.set_yticks(range(len(places)), places, fontsize=9)
    ax.set_ylim(len(places) - 0.5, -0.5)
    ax.set_xlim(0.0, width or 1.0)
    ax.set_xlabel(unit, loc="right", fontsize=9)
    ax.tick_params(length=0, colors=INK, labelsize=9)
    for side in ax.spines.values():
        side.set_visible(False)
    ax.grid(axis="x", color="#dfe2e6", linewidth=0.6, zorder=1)
    ax.set_axisbelow(True)


def _legend(ax: Axes, spans: list[Span], chosen: dict[Any, str]) -> None:
    from matplotlib.patches import Patch

    handles = [Patch(facecolor=c, label=str(key)) for key, c in chosen.items()]
    if any(span.failed for span in spans):
        handles.append(Patch(facecolor="white", edgecolor=FAILED, label="failed"))
    ax.figure.legend(
        handles=handles, loc="outside lower left", ncols=min(6, len(handles)), frameon=False,
        fontsize=8.5, handlelength=1.1, handleheight=1.0, columnspacing=1.4,
    )  # fmt: skip
