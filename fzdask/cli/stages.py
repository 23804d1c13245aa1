"""``fzdask stages``: what a pipeline can be made of, and the presets that go by a name."""

from __future__ import annotations

import inspect as source
from dataclasses import fields

from rich.table import Table

from fzdask.cli.console import output

__all__ = ["stages"]


def stages() -> None:
    """List the stages of pipelines with their options, and the presets."""
    from fzdask.codecs.presets import find_preset, preset_names
    from fzdask.codecs.stages.registry import known_names, stage_by_name

    table = _table("stage", "takes", "gives", "options", "")
    for name in known_names():
        stage = stage_by_name(name)
        options = ", ".join(f"{f.name}={f.default}" for f in fields(stage) if f.init)  # type: ignore[arg-type]
        takes = " or ".join(stage.takes)
        table.add_row(name, takes, stage.gives, options, _first_line(stage))
    output().print(table)
    presets = _table("preset", "pipeline", "")
    for name in preset_names():
        preset = find_preset(name)
        presets.add_row(name, str(preset.pipeline), preset.description)
    output().print(presets)


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _first_line(stage: type) -> str:
    return (source.getdoc(stage) or "").partition("\n")[0].replace("``", "")
