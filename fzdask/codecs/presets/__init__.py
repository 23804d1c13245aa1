"""Pipelines that go by a name; each is a TOML file beside this module, with the papers it follows.

A file has the key ``pipeline`` (one line of text, or ``stages``), and a table ``about`` with
``description`` and ``papers``.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

from fzdask.codecs import composition
from fzdask.codecs.pipeline import Pipeline
from fzdask.codecs.stages.registry import known_names
from fzdask.errors import ConfigError

__all__ = ["LOSSLESS", "Preset", "find_pipeline", "find_preset", "preset_names"]

LOSSLESS = "shuffle | zstd"
"""What keeps every bit where the pipeline asked for cannot."""

_NAME = re.compile(r"[A-Za-z_][\w-]*")


@dataclass(frozen=True)
class Preset:
    """A named pipeline.

    Attributes
    ----------
    name : str
    pipeline : Pipeline
    description : str
        What it is good for.
    papers : tuple of str
        What it follows.
    """

    name: str
    pipeline: Pipeline
    description: str
    papers: tuple[str, ...]


@lru_cache(maxsize=1)
def preset_names() -> tuple[str, ...]:
    """Names of all presets, ``default`` first."""
    names = [
        f.name[: -len(".toml")] for f in files(__package__).iterdir() if f.name[-5:] == ".toml"
    ]
    return tuple(sorted(names, key=lambda name: (name != "default", name)))


@lru_cache(maxsize=64)
def find_preset(name: str) -> Preset:
    """The preset of this name; ConfigError with the nearest one otherwise."""
    if name not in preset_names():
        raise ConfigError(f"fzdask: no preset {name!r}. Presets: {', '.join(preset_names())}.")
    text = (files(__package__) / f"{name}.toml").read_text("utf-8")
    parts, about = composition.from_toml(text)
    return Preset(name, Pipeline(*parts), about["description"], tuple(about["papers"]))


@lru_cache(maxsize=256)
def find_pipeline(text: str) -> Pipeline:
    """The pipeline of a preset's name or a text; ConfigError with the nearest names otherwise."""
    if text in preset_names():
        return find_preset(text).pipeline
    if _NAME.fullmatch(text) and text not in known_names():
        near = difflib.get_close_matches(text, [*preset_names(), *known_names()], n=1)
        hint = f"; did you mean {near[0]!r}?" if near else "."
        raise ConfigError(
            f"fzdask: no preset {text!r}{hint} Presets: {', '.join(preset_names())}; "
            f"stages: {', '.join(known_names())}."
        )
    return Pipeline.from_text(text)
