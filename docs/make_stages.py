"""Write docs/stages.md from the docstrings of the stages and the preset files.

python docs/make_stages.py
"""

from __future__ import annotations

import inspect
import re
from pathlib import Path

from fzdask.codecs.presets import find_preset, preset_names
from fzdask.codecs.stages.base import ArrayStage
from fzdask.codecs.stages.registry import built_in

PAGE = Path(__file__).with_name("stages.md")
HEAD = """# Stages and presets

<!-- Written by docs/make_stages.py from the docstrings; change those. -->

A [pipeline](pipelines.md) is a chain of these stages. What travels between them: `array` (values),
`lattice` (int32 or int64), `codes` (uint32 or uint64), `bytes`. Back ends take the bytes of any
section. [Add a stage](add_a_stage.md) of your own in a package of yours.
"""


def page() -> str:
    """The whole page."""
    parts = [HEAD, "## Presets\n", _presets(), "## Overview\n", _overview()]
    for stage in built_in().values():
        parts.append(f"## {stage.name}\n")
        parts.append(_markdown(inspect.getdoc(stage) or ""))
    return "\n".join(parts).rstrip() + "\n"


def _presets() -> str:
    lines = []
    for name in preset_names():
        preset = find_preset(name)
        lines += [f"**{name}**: `{preset.pipeline}`  ", f"{preset.description}", ""]
        lines += [f"- {paper}" for paper in preset.papers]
        lines.append("")
    return "\n".join(lines)


def _overview() -> str:
    lines = ["| number | stage | takes | gives | side sections |", "| --- " * 5 + "|"]
    for stage in built_in().values():
        gives = "as it takes" if stage.gives == "same" else stage.gives
        sides = ", ".join(stage.section_names) if issubclass(stage, ArrayStage) else ""
        takes = ", ".join(stage.takes)
        name = f"[{stage.name}](#{stage.name})"
        lines.append(f"| {stage.code} | {name} | {takes} | {gives} | {sides} |")
    return "\n".join(lines) + "\n"


def _markdown(doc: str) -> str:
    """A numpydoc docstring with its underlined headings in bold and its roles as code."""
    doc = re.sub(r"^(\w[\w ]*)\n-{3,}$", r"**\1**\n", doc, flags=re.MULTILINE)
    doc = re.sub(r":\w+:`~?([^`]+)`", r"`\1`", doc)
    return doc.replace("``", "`") + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
