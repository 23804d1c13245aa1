"""File kinds by extension, and outputs that appear whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from fzdask.cli.console import CommandError
from fzdask.errors import FZError

__all__ = ["atomic_output", "check_output", "input_kind", "is_zarr", "naming", "output_kind"]

_ZARR_MARKERS = ("zarr.json", ".zgroup", ".zarray")


def is_zarr(path: Path) -> bool:
    """Whether a directory holds a Zarr array or group (format 2 or 3)."""
    return path.is_dir() and any((path / name).is_file() for name in _ZARR_MARKERS)


def input_kind(path: Path, allowed: Sequence[str]) -> str:
    """Extension of an input that exists, one of ``allowed``.

    Raises
    ------
    CommandError
        The file is missing, or its extension is not one of ``allowed``.
    """
    if not path.exists():
        raise CommandError(f"{path}: no such file or directory.")
    return _kind(path, allowed, "input")


def output_kind(path: Path, allowed: Sequence[str]) -> str:
    """Extension of an output, one of ``allowed``; raises `CommandError` for another."""
    return _kind(path, allowed, "output")


def _kind(path: Path, allowed: Sequence[str], role: str) -> str:
    kind = path.suffix.lower()
    if kind not in allowed:
        raise CommandError(
            f"{path}: {role} extension {kind or '(none)'} is not supported here; "
            f"use one of {', '.join(allowed)}."
        )
    return kind


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Put the file's name before an error of the codec, which only saw its bytes."""
    try:
        yield
    except FZError as error:
        raise CommandError(f"{path}: {error}") from error


def check_output(path: Path, *, force: bool) -> None:
    """Refuse an output that exists (unless ``force``) or that has nowhere to go.

    A directory is replaced only if it is a Zarr store: ``--force`` never deletes anything else.

    Raises
    ------
    CommandError
        With the remedy.
    """
    if not path.parent.is_dir():
        raise CommandError(f"{path}: the directory {path.parent} does not exist; make it first.")
    if not (path.exists() or path.is_symlink()):
        return
    if not force:
        raise CommandError(f"{path} exists; give --force to replace it, or another name.")
    if path.is_dir() and not is_zarr(path):
        raise CommandError(f"{path} is a directory but no Zarr store; --force does not delete it.")


@contextmanager
def atomic_output(path: Path, *, force: bool) -> Iterator[Path]:
    """Yield a temporary name beside ``path``; rename it to ``path`` once the block succeeds.

    Whoever looks at ``path`` sees the old content or the new, never a part. When the block
    raises, the temporary is removed and ``path`` is left as it was.

    Parameters
    ----------
    path : Path
        The output, a file or a Zarr directory.
    force : bool
        Replace an output that exists.

    Raises
    ------
    CommandError
        As `check_output`.
    """
    check_output(path, force=force)
    partial = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
    try:
        yield partial
        # Asked again: another process may have made the output meanwhile.
        check_output(path, force=force)
        _replace(partial, path)
    finally:
        _remove(partial)


def _replace(partial: Path, path: Path) -> None:
    """Rename over ``path``. A directory cannot be renamed over: the old one steps aside first."""
    if not path.is_dir():
        partial.replace(path)
        return
    aside = path.with_name(f".{path.stem}.{os.getpid()}.old{path.suffix}")
    path.rename(aside)
    try:
        partial.rename(path)
    except OSError:
        aside.rename(path)
        raise
    _remove(aside)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
