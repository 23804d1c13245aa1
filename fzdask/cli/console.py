"""Where the commands write: results to standard output, progress and errors to standard error."""

from __future__ import annotations

import os
import sys
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

__all__ = ["CommandError", "complain", "mebibytes", "output", "progress_bar"]

_PIPE_WIDTH = 100  # columns when the output is a file or a pipe, which has no width of its own


class CommandError(Exception):
    """Something the user asked for cannot be done; the message says what, why and the remedy."""


def _console(stream: TextIO, *, stderr: bool) -> Console:
    """Make a console that follows ``COLUMNS``, then the terminal, then a fixed width."""
    width = None if stream.isatty() or "COLUMNS" in os.environ else _PIPE_WIDTH
    return Console(stderr=stderr, width=width, highlight=False)


def output() -> Console:
    """Console for results (standard output)."""
    return _console(sys.stdout, stderr=False)


def complain(message: str) -> None:
    """Print one error line on standard error."""
    console = _console(sys.stderr, stderr=True)
    console.print("[bold red]Error:[/]", end=" ")
    console.print(message, markup=False, soft_wrap=True)


def progress_bar() -> Progress:
    """Progress display on standard error; it vanishes when the work is done."""
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        console=_console(sys.stderr, stderr=True),
        transient=True,
    )


def mebibytes(nbytes: int) -> str:
    """Size for people: ``"64.0 MiB"``; bytes below one KiB."""
    if nbytes < 1024:
        return f"{nbytes} B"
    if nbytes < 1024**2:
        return f"{nbytes / 1024:.1f} KiB"
    return f"{nbytes / 1024**2:.1f} MiB"
