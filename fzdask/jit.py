"""`njit` whose cached machine code is discarded when any file it was compiled from has changed.

Numba stamps cached machine code with the file that its function is in. But the functions which
that function calls, and the constants of other modules, are compiled into it too, so after an
update in which only such a file changed it would run the old ones: with another layout of a table
that is wrong data. Here the stamp covers the function's file and every file of this package which
that file imports, directly or not.

Nor is a function compiled more often than needed, since the first call of a new installation waits
for that: not for each constant that another kernel passes, and not for calls by a pointer.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numba

__all__ = ["njit", "source_stamp"]

KERNELS: list[Any] = []
"""Every kernel of this process."""

_ROOT = Path(__file__).parent
_IMPORT = re.compile(
    rf"^(?:from ({_ROOT.name}[\w.]*) import (\([^)]*\)|[^\n]*)|import ({_ROOT.name}[\w.]*))",
    re.MULTILINE,
)


def njit(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """`numba.njit` for this package's kernels; see the module's text for what differs.

    Parameters
    ----------
    **options
        As `numba.njit` takes them.
    """

    def compiled(function: Callable[..., Any]) -> Any:
        kept = options.get("cache", False)
        try:
            dispatcher = numba.njit(no_cfunc_wrapper=True, **options)(function)
        except RuntimeError:  # Numba finds no folder that it may write to
            _say_that_nothing_is_kept()
            kept = False
            alone = {**options, "cache": False}
            dispatcher = numba.njit(no_cfunc_wrapper=True, **alone)(function)
        if dispatcher is function:  # NUMBA_DISABLE_JIT
            return dispatcher
        _compile_once(dispatcher)
        KERNELS.append(dispatcher)
        if not kept:
            return dispatcher
        try:
            index = dispatcher._cache._cache_file
            index._source_stamp = (
                index._source_stamp,
                source_stamp(Path(function.__code__.co_filename)),
            )
        except (AttributeError, OSError) as error:
            warnings.warn(
                f"fzdask: {function.__module__} is compiled anew in each process, because Numba "
                f"{numba.__version__} could not be told when its cached code is out of date "
                f"({type(error).__name__}: {error}); please report this with the version",
                stacklevel=2,
            )
            return numba.njit(**{**options, "cache": False})(function)
        return dispatcher

    return compiled


@cache
def _say_that_nothing_is_kept() -> None:
    """Once, not for each kernel."""
    warnings.warn(
        "fzdask compiles its kernels anew in this and every other process, since it may write "
        "neither to its own folder nor to the user's cache folder; name a folder that it may "
        "write to in the environment variable NUMBA_CACHE_DIR, before Python starts",
        stacklevel=3,
    )


def _compile_once(dispatcher: Any) -> None:
    """Let kernels that call it pass whole numbers that are constants as any other.

    Numba takes each for a type of its own, for which the function is compiled once more.
    """
    given: Callable[..., Any] | None = getattr(dispatcher, "get_call_template", None)
    if given is None:  # another release of Numba: it compiles longer
        return

    def plain(kind: Any) -> Any:
        return kind.literal_type if isinstance(kind, numba.types.IntegerLiteral) else kind

    def get_call_template(args: Any, kws: Any) -> Any:
        return given(tuple(map(plain, args)), {name: plain(kind) for name, kind in kws.items()})

    dispatcher.get_call_template = get_call_template


@cache
def source_stamp(path: Path) -> bytes:
    """A digest of a file's bytes and those of all files of this package that it imports."""
    source = path.read_bytes()
    digest = blake2b(source, digest_size=16)
    for imported in sorted(imported_files(source.decode())):
        if imported != path:
            digest.update(source_stamp(imported))
    return digest.digest()


def imported_files(source: str) -> set[Path]:
    """The files of this package that the import statements at the left margin load."""
    found: set[Path] = set()
    for package, names, module in _IMPORT.findall(source):
        found |= _files_of(module or package)
        for name in re.findall(r"\w+", names):
            found |= _files_of(f"{package}.{name}")
    return found


@cache
def _files_of(module: str) -> frozenset[Path]:
    path = _ROOT.joinpath(*module.split(".")[1:])
    candidates = (path.with_suffix(".py"), path / "__init__.py")
    return frozenset(file for file in candidates if file.is_file())
