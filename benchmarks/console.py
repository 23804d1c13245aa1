"""A console whose tables keep all their columns when the output goes to a file or a pipe."""

from __future__ import annotations

from rich.console import Console

__all__ = ["wide_console"]

_LEAST_WIDTH = 140


def wide_console() -> Console:
    """At least as wide as the widest table of the benchmarks."""
    console = Console()
    if not console.is_terminal and console.width < _LEAST_WIDTH:
        return Console(width=_LEAST_WIDTH)
    return console
