"""The command line: ``fzdask demo``, ``compress``, ``decompress``, ``inspect``, ``explain``,
``tune``, ``stages``, ``compile``.

Anything a user can put right (a missing file, an output that exists, two bounds, a damaged
stream) ends with one line on standard error and exit status 2; a traceback means a defect.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from fzdask.cli.compile import compile_command
from fzdask.cli.compress import compress
from fzdask.cli.console import CommandError, complain
from fzdask.cli.decompress import decompress
from fzdask.cli.demo import demo
from fzdask.cli.explain import explain
from fzdask.cli.inspect import inspect
from fzdask.cli.stages import stages
from fzdask.cli.tune import tune
from fzdask.errors import FZError

__all__ = ["app", "main"]

app = typer.Typer(
    name="fzdask",
    help="Error-bounded compression for scientific arrays.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",  # paragraphs of the docstrings are filled to the terminal
    pretty_exceptions_enable=False,
)
app.command()(demo)
app.command()(compress)
app.command()(decompress)
app.command()(inspect)
app.command()(explain)
app.command()(tune)
app.command()(stages)
app.command("compile")(compile_command)


def _print_version(wanted: bool) -> None:
    if wanted:
        from fzdask import __version__

        typer.echo(f"fzdask {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Error-bounded compression for scientific arrays."""


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line and leave the process with its exit status.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments after the program's name; those of the process by default.

    Raises
    ------
    SystemExit
        Always: 0 when the command did its work, 2 when it was asked for something it cannot
        do (with one line on standard error that says what and how to put it right).
    """
    try:
        app(args=None if argv is None else list(argv), prog_name="fzdask")
    except (CommandError, FZError, OSError) as error:
        complain(str(error))
        sys.exit(2)
