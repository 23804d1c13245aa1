"""Which stages and fusions there are: those of this package, and those of other packages.

A stage of this package is a class in a module beside this one, and nothing else has to name it.
Other packages offer stages by entry points of the group ``fzdask.stages``; they are imported when
a pipeline or a stream asks for them by name.
"""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Iterator
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from fzdask.codecs.stages.base import ArrayStage, ByteStage, Stage
from fzdask.codecs.stages.fusion import Fusion
from fzdask.errors import ConfigError, FormatError

__all__ = ["GROUP", "built_in", "fusions", "known_names", "stage_by_code", "stage_by_name"]

GROUP = "fzdask.stages"
"""Entry point group of stages in other packages."""


def _own_classes(base: type[Any]) -> Iterator[type[Any]]:
    """Concrete subclasses of ``base`` defined in the modules of this package."""
    for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
        name = f"{__package__}.{module.name}"
        for value in vars(importlib.import_module(name)).values():
            if isinstance(value, type) and issubclass(value, base) and value.__module__ == name:
                abstract = getattr(value, "__abstractmethods__", None)
                if not abstract and value not in (Stage, ArrayStage, ByteStage):
                    yield value


@lru_cache(maxsize=1)
def built_in() -> dict[str, type[Stage]]:
    """The stages of this package by name, in the order of their numbers."""
    stages: list[type[Stage]] = sorted(_own_classes(Stage), key=lambda s: s.code)
    return {stage.name: stage for stage in stages}


@lru_cache(maxsize=1)
def fusions() -> tuple[Fusion, ...]:
    """All fusions, those of the most stages first."""
    made: list[Fusion] = [kind() for kind in _own_classes(Fusion)]
    return tuple(sorted(made, key=lambda f: (-len(f.chain), [s.code for s in f.chain])))


@lru_cache(maxsize=1)
def _by_code() -> dict[int, type[Stage]]:
    return {stage.code: stage for stage in built_in().values()}


def _offered() -> dict[str, EntryPoint]:
    """Stages that installed packages offer; one cannot replace a stage of this package."""
    return {e.name: e for e in entry_points(group=GROUP) if e.name not in built_in()}


def known_names() -> list[str]:
    """Names of all stages at hand."""
    return [*built_in(), *_offered()]


def stage_by_name(name: str) -> type[Stage]:
    """The stage of this name; ConfigError with the nearest names where there is none."""
    stage = built_in().get(name)
    if stage is None:
        point = _offered().get(name)
        stage = _loaded(point) if point is not None else None
    if stage is None:
        names = known_names()
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else "."
        raise ConfigError(f"Pipeline: no stage {name!r}{hint} Known: {', '.join(names)}.")
    return stage


def stage_by_code(code: int, name: str = "") -> type[Stage]:
    """The stage that a stream names; FormatError where it is not at hand."""
    if code:
        stage = _by_code().get(code)
        if stage is None:
            raise FormatError(f"fzdask stream: unknown stage number {code}; from a newer release?")
        return stage
    if name not in _offered():
        raise FormatError(
            f"fzdask stream: it was written with stage {name!r}, which no installed package "
            f"offers (entry point group {GROUP!r}); install the one that does."
        )
    return _loaded(_offered()[name])


@lru_cache(maxsize=256)
def _loaded(point: EntryPoint) -> type[Stage]:
    """The class behind an entry point; it must go by the name it is offered under."""
    stage: Any = point.load()
    if not (isinstance(stage, type) and issubclass(stage, ArrayStage | ByteStage)):
        raise ConfigError(
            f"entry point {point.name!r} of group {GROUP!r} is {point.value}, which is neither an "
            "ArrayStage nor a ByteStage of fzdask.codecs.stages.base."
        )
    if getattr(stage, "name", None) != point.name or stage.code != 0:
        raise ConfigError(
            f"stage {point.value} is offered as {point.name!r}: its name must be that, and its "
            f"code 0 (got {getattr(stage, 'name', None)!r}, {stage.code}), since it goes by name."
        )
    return stage
