"""Pipelines in writing: one line of text, JSON values or TOML, all of them equivalent.

Text: ``stage | stage(option=value) | ...``, then for side sections that are to have lossless back
ends of their own ``; section = stage | stage``, or ``; section = none``.
"""

from __future__ import annotations

import ast
import difflib
import re
import tomllib
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import fields
from typing import Any

import tomli_w

from fzdask.codecs.stages.base import Stage
from fzdask.codecs.stages.registry import stage_by_name
from fzdask.errors import ConfigError

__all__ = ["NO_STAGES", "Parts", "from_mapping", "from_text", "from_toml", "to_mapping", "to_text"]

Parts = tuple[tuple[Stage, ...], dict[str, tuple[Stage, ...]]]
"""The stages of the chain, and those of the side sections that have their own."""

NO_STAGES = "none"
_STAGE = re.compile(r"\s*([A-Za-z_]\w*)\s*(?:\((.*)\))?\s*", re.DOTALL)
_BRANCH = re.compile(r"\s*([A-Za-z_][\w.]*)\s*=(.*)", re.DOTALL)
_PLAIN = re.compile(r"[A-Za-z_]\w*")


def to_text(stages: Sequence[Stage], sections: Mapping[str, Sequence[Stage]]) -> str:
    """The one line that :func:`from_text` reads."""
    parts = [_chain_text(stages)]
    parts += [f"{name} = {_chain_text(chain)}" for name, chain in sections.items()]
    return "; ".join(parts)


def from_text(text: str, dims: Sequence[Hashable] | None = None) -> Parts:
    """Read one line of text; with ``dims`` axes may go by these names instead of numbers."""
    chain, *branches = _split(text, ";")
    sections: dict[str, tuple[Stage, ...]] = {}
    for branch in branches:
        match = _BRANCH.fullmatch(branch)
        if match is None:
            raise ConfigError(
                f"Pipeline: cannot read {branch.strip()!r} in {text!r}; what follows ';' gives a "
                "side section back ends of its own, as in 'outliers = zstd(level=9)'."
            )
        name, stages = match.groups()
        _refuse_twice(name, sections)
        sections[name] = () if stages.strip() == NO_STAGES else _chain(stages, text)
    return _chain(chain, text, dims), sections


def to_mapping(stages: Sequence[Stage], sections: Mapping[str, Sequence[Stage]]) -> dict[str, Any]:
    """Plain JSON values that :func:`from_mapping` reads."""
    out: dict[str, Any] = {"stages": [_stage_mapping(s) for s in stages]}
    if sections:
        out["sections"] = {n: [_stage_mapping(s) for s in c] for n, c in sections.items()}
    return out


def from_mapping(given: Mapping[str, Any]) -> Parts:
    """Read ``{"stages": [{"stage": name, option: value}, ...], "sections": {name: [...]}}``.

    A stage without options may be its name alone, and ``{"pipeline": text}`` is read as text.
    """
    if not isinstance(given, Mapping):
        raise ConfigError(f"Pipeline: expected a mapping with the key 'stages', got {given!r}.")
    unknown = set(given) - {"stages", "sections", "pipeline"}
    if unknown or ("stages" in given) == ("pipeline" in given):
        raise ConfigError(
            "Pipeline: give either 'pipeline' (one line of text) or 'stages' (a list), perhaps "
            f"with 'sections'; got the keys {sorted(given)}."
        )
    if "pipeline" in given:
        if "sections" in given or not isinstance(given["pipeline"], str):
            raise ConfigError("Pipeline: 'pipeline' is a text, which holds its sections itself.")
        return from_text(given["pipeline"])
    sections = given.get("sections", {})
    if not isinstance(sections, Mapping):
        raise ConfigError(f"Pipeline: 'sections' maps names to stages; got {sections!r}.")
    return _stages(given["stages"]), {str(n): _stages(c) for n, c in sections.items()}


def to_toml(stages: Sequence[Stage], sections: Mapping[str, Sequence[Stage]]) -> str:
    """TOML that :func:`from_toml` reads."""
    return tomli_w.dumps(to_mapping(stages, sections))


def from_toml(text: str) -> tuple[Parts, dict[str, Any]]:
    """Read a TOML document, and its table ``about`` (papers and the like) where there is one."""
    try:
        given = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"Pipeline: this is no TOML: {error}.") from error
    about = given.pop("about", {})
    return from_mapping(given), about


def make_stage(name: str, options: Mapping[str, Any]) -> Stage:
    """A stage by name; an unknown option is refused with the nearest valid one."""
    stage = stage_by_name(name)
    valid = [f.name for f in fields(stage) if f.init]  # type: ignore[arg-type]
    for option in options:
        if option not in valid:
            near = difflib.get_close_matches(option, valid, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else "."
            raise ConfigError(
                f"Pipeline: {name!r} has no option {option!r}{hint} "
                f"Valid ones: {', '.join(valid) or 'none'}."
            )
    # Lists stand for tuples where the form (JSON, TOML) has none.
    return stage(**{k: tuple(v) if isinstance(v, list) else v for k, v in options.items()})


def _refuse_twice(name: str, sections: Mapping[str, Any]) -> None:
    if name in sections:
        raise ConfigError(f"Pipeline: section {name!r} is given back ends twice; keep one.")


def _chain_text(stages: Sequence[Stage]) -> str:
    return " | ".join(_stage_text(s) for s in stages) if stages else NO_STAGES


def _stage_text(stage: Stage) -> str:
    options = ", ".join(f"{k}={_value_text(v)}" for k, v in stage.get_config().items())
    return f"{stage.name}({options})" if options else stage.name


def _value_text(value: Any) -> str:
    if isinstance(value, str) and _PLAIN.fullmatch(value) and not _is_constant(value):
        return value
    return repr(value)


def _is_constant(value: str) -> bool:
    return value in ("True", "False", "None")


def _chain(text: str, whole: str, dims: Sequence[Hashable] | None = None) -> tuple[Stage, ...]:
    return tuple(_parse_stage(part, whole, dims) for part in _split(text, "|"))


def _split(text: str, mark: str) -> list[str]:
    """Split at marks that are outside brackets and quotes."""
    parts = [""]
    depth = 0
    quote = ""
    for char in text:
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char in "([{":
            depth += 1
        elif char in ")]}":
            depth -= 1
        if char == mark and not depth and not quote:
            parts.append("")
        else:
            parts[-1] += char
    return parts


def _parse_stage(part: str, text: str, dims: Sequence[Hashable] | None) -> Stage:
    match = _STAGE.fullmatch(part)
    if match is None:
        raise ConfigError(
            f"Pipeline: cannot read {part.strip()!r} in {text!r}; "
            "write stages as name or name(option=value), joined by '|'."
        )
    name, given = match.groups()
    options = _parse_options(given or "", name)
    if dims is not None:
        names = [str(d) for d in dims]
        stage = stage_by_name(name)
        for option in stage.array_axes & options.keys():
            if options[option] != getattr(stage, option):  # the default may be a word
                options[option] = _numbers_of(options[option], names, name)
    return make_stage(name, options)


def _numbers_of(axis: Any, dims: Sequence[str], name: str) -> Any:
    """The number of a named axis, those of several, or what is no name."""
    if isinstance(axis, tuple):
        return tuple(_numbers_of(a, dims, name) for a in axis)
    if not isinstance(axis, str):
        return axis
    if axis not in dims:
        near = difflib.get_close_matches(axis, dims, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else "."
        raise ConfigError(
            f"Pipeline: {name!r} names the axis {axis!r}, but the array has "
            f"{', '.join(map(repr, dims)) or 'no axes'}{hint}"
        )
    return dims.index(axis)


def _parse_options(text: str, name: str) -> dict[str, Any]:
    try:
        call = ast.parse(f"f({text})", mode="eval").body
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
            raise ValueError("the brackets do not match")
        if call.args or any(k.arg is None for k in call.keywords):
            raise ValueError("options are given as option=value")
        return {str(k.arg): _literal(k.value) for k in call.keywords}
    except (SyntaxError, ValueError) as error:
        raise ConfigError(f"Pipeline: options {text!r} of {name!r}: {error}.") from error


def _literal(node: ast.expr) -> Any:
    """A constant, a name as text, or several of both."""
    if isinstance(node, ast.Tuple):
        return tuple(map(_literal, node.elts))
    return node.id if isinstance(node, ast.Name) else ast.literal_eval(node)


def _stage_mapping(stage: Stage) -> dict[str, Any]:
    options = {k: list(v) if isinstance(v, tuple) else v for k, v in stage.get_config().items()}
    return {"stage": stage.name, **options}


def _stages(given: Any) -> tuple[Stage, ...]:
    if isinstance(given, str | bytes | Mapping) or not isinstance(given, Sequence):
        raise ConfigError(f"Pipeline: stages are a list; got {given!r}.")
    return tuple(_stage_of(item) for item in given)


def _stage_of(item: Any) -> Stage:
    if isinstance(item, str):
        return make_stage(item, {})
    if not isinstance(item, Mapping) or not isinstance(item.get("stage"), str):
        raise ConfigError(
            f"Pipeline: a stage is its name, or a mapping with the key 'stage'; got {item!r}."
        )
    options = {str(k): v for k, v in item.items() if k != "stage"}
    return make_stage(item["stage"], options)
