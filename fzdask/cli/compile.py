"""``fzdask compile``: the wait of the first calls, taken when an installation is made."""

from __future__ import annotations

from typing import Annotated

import typer

from fzdask.cli.console import output, progress_bar

__all__ = ["compile_command"]


def compile_command(
    pipeline: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Preset or pipeline in text form (repeatable)."),
    ] = None,
    dtype: Annotated[
        list[str] | None,
        typer.Option(metavar="TYPE", help="Such as float32 or int16 (repeatable)."),
    ] = None,
) -> None:
    """Compile the kernels of a pipeline, so that no first call waits for it.

    Kernels are compiled on first use and kept: in the folder that NUMBA_CACHE_DIR names, beside
    the package, or in the user's cache folder. This does it at once, for instance when a container
    is built or before a job starts on many nodes; by default for the preset default, float32 and
    float64.
    """
    from fzdask.codecs.compiling import compile_kernels

    folder = ""
    for name in pipeline or ["default"]:
        for kind in dtype or ["float32", "float64"]:
            with progress_bar() as bar:
                bar.add_task(f"compiling {name} for {kind}", total=None)
                done = compile_kernels(name, kind)
            folder = done.folder
            output().print(
                f"{name}, {kind}: {done.compiled} kernels compiled, {done.loaded} found in "
                f"{done.seconds:.1f} s",
                markup=False,
            )
    kept = f"They are kept in {folder}" if folder else "They are kept nowhere: set NUMBA_CACHE_DIR."
    output().print(kept, markup=False, soft_wrap=True)
