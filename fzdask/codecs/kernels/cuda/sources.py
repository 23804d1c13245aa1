"""The text of the CUDA C++ sources, headers put in their place."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

__all__ = ["modules", "source"]

FOLDER = Path(__file__).parent
_INCLUDE = re.compile(r'^#include "(\w+\.cuh)"\n', re.MULTILINE)


def modules() -> list[str]:
    """Names of the ``.cu`` files."""
    return sorted(path.stem for path in FOLDER.glob("*.cu"))


@cache
def source(module: str) -> str:
    """One ``.cu`` file as a single text.

    Compilers at run time then need no search path, and what they keep by its text is never stale.
    """
    return _expanded(f"{module}.cu", set())


def _expanded(name: str, seen: set[str]) -> str:
    seen.add(name)
    text = (FOLDER / name).read_text(encoding="utf-8").replace("#pragma once\n", "")
    return _INCLUDE.sub(lambda m: "" if m[1] in seen else _expanded(m[1], seen), text)
