"""The page ``/fzdask`` of the scheduler's dashboard: who ran when, and what it gained."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from tornado.web import RequestHandler

from fzdask.scheduling.gantt_svg import gantt_html
from fzdask.scheduling.model import Task

__all__ = ["History", "PageHandler", "page_html"]

KEEP = 6000
"""Intervals of all workers together; a chart of more is slow to draw."""

SECONDS = 20.0
"""Length of the chart."""

REFRESH = 3  # seconds

Row = tuple[str, str, str | None, float, float]
"""Job, machine, field, start and end in seconds of the wall clock."""


class History:
    """What ran on the workers lately."""

    def __init__(self) -> None:
        self._rows: deque[tuple[str, Row]] = deque(maxlen=KEEP)

    def add(self, worker: str, rows: Iterable[Sequence[Any]]) -> None:
        """Note intervals of a worker."""
        self._rows.extend((worker, tuple(row)) for row in rows)

    def tasks(self, now: float) -> list[Task]:
        """Those of the last `SECONDS`, from the beginning of that time."""
        begin = now - SECONDS
        found = []
        for worker, (job, machine, field, start, end) in tuple(self._rows):
            if end > begin:
                at = max(0.0, start - begin)
                found.append(Task(job, machine, worker, at, max(at, end - begin), field))  # type: ignore[arg-type]
        return sorted(found, key=lambda task: task.start)


def page_html(history: History, figures: dict[str, Any], now: float | None = None) -> str:
    """The page: a table of figures, and the chart of the last seconds.

    Parameters
    ----------
    history : History
        Intervals.
    figures : dict
        Rows of the table.
    now : float, optional
        Seconds of the wall clock.
    """
    rows = "".join(
        f"<tr><td>{escape(str(name))}</td><td>{escape(str(value))}</td></tr>"
        for name, value in figures.items()
    )
    tasks = history.tasks(time.time() if now is None else now)
    title = f"the last {SECONDS:g} s"
    chart = gantt_html(tasks, title=title) if tasks else "<p>Nothing was stored lately.</p>"
    return (
        f'<!doctype html><html><head><meta charset="utf-8"><title>fzdask</title>'
        f'<meta http-equiv="refresh" content="{REFRESH}"></head>'
        f'<body style="font-family: sans-serif"><h1>fzdask</h1>'
        f"<table>{rows}</table>{chart}</body></html>"
    )


class PageHandler(RequestHandler):
    """Serves the page of a plugin."""

    def initialize(self, plugin: Any) -> None:
        """Called by tornado for each request."""
        self._plugin = plugin

    def get(self) -> None:
        """Answer a request."""
        self.write(page_html(self._plugin.history, self._plugin.figures))
