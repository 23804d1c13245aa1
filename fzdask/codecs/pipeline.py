"""A pipeline: a chain of stages, written as text, that turns an array into sections and back."""

from __future__ import annotations

import ast
import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fzdask.codecs.stages import BY_CODE, BY_NAME, ArrayStage, ByteStage, Stage
from fzdask.codecs.stages.base import Encoded, Form, Job, Known
from fzdask.codecs.stages.fused import decode_quantize_lorenzo, encode_quantize_lorenzo
from fzdask.codecs.stages.huffman import Huffman
from fzdask.codecs.stages.lorenzo import Lorenzo
from fzdask.codecs.stages.quantize import Quantize
from fzdask.errors import ConfigError, FormatError
from fzdask.format import MOST_EXPANSION, SectionEntry, StageEntry

__all__ = ["LOSSLESS", "PRESETS", "Pipeline", "find_pipeline"]

PRESETS = {"default": "quantize | lorenzo | huffman | zstd"}
LOSSLESS = "shuffle | zstd"

# No stage writes a longer section than this per element (or its size, if that is more), plus a
# fixed part: a Huffman code with its raw bits takes 10 bytes and 4 of padding, a codebook 938.
SECTION_NBYTES_PER_ELEMENT = 16
SECTION_NBYTES = 1024

_STAGE = re.compile(r"\s*([A-Za-z_]\w*)\s*(?:\((.*)\))?\s*", re.DOTALL)


@dataclass(frozen=True)
class Pipeline:
    """A chain of stages, checked when it is made; equal to any with the same stages and options.

    Parameters
    ----------
    stages : sequence of stages
        Array stages first, of which the first takes any array and each takes what the one before
        gives; then any number of lossless back ends (bytes to bytes).
    fused : bool
        Run adjacent stages as one kernel where there is one. The bytes are the same either way.

    Raises
    ------
    ConfigError
        Two neighbours do not fit, or there is no stage that takes an array.
    """

    stages: tuple[Stage, ...]
    fused: bool = True
    array_stages: tuple[ArrayStage, ...] = field(init=False, repr=False, compare=False)
    byte_stages: tuple[ByteStage, ...] = field(init=False, repr=False, compare=False)

    def __init__(self, stages: Sequence[Stage], fused: bool = True) -> None:
        stages = tuple(stages)
        arrays = tuple(s for s in stages if isinstance(s, ArrayStage))
        object.__setattr__(self, "stages", stages)
        object.__setattr__(self, "fused", fused)
        object.__setattr__(self, "array_stages", arrays)
        object.__setattr__(self, "byte_stages", stages[len(arrays) :])
        given = "array"
        before = "the input"
        for stage in self.stages:
            if not isinstance(stage, ArrayStage | ByteStage):
                raise ConfigError(f"Pipeline: {stage!r} is no stage; known: {_known()}.")
            fits = stage.takes in (given, "bytes") if before != "the input" else True
            if before == "the input":
                fits = stage.takes == "array"
            if not fits:
                raise ConfigError(
                    f"Pipeline: {stage.name!r} takes {stage.takes}, but {before} gives {given}. "
                    f"What takes {given}: {_takers(given)}."
                )
            given = stage.gives
            before = repr(stage.name)
        if not self.stages:
            raise ConfigError("Pipeline: no stages; for example 'quantize | lorenzo | huffman'.")

    @classmethod
    def from_text(cls, text: str) -> Pipeline:
        """Parse ``stage | stage(option=value) | ...``; the inverse of ``str``."""
        return cls([_parse_stage(part, text) for part in text.split("|")])

    @classmethod
    def from_entries(cls, entries: Sequence[StageEntry]) -> Pipeline:
        """The pipeline that a stream names (with default options, which decoding never needs)."""
        stages = []
        for entry in entries:
            stage = BY_CODE.get(entry.code)
            if stage is None:
                raise FormatError(
                    f"fzdask stream: unknown stage number {entry.code}; from a newer release?"
                )
            stages.append(stage())
        try:
            return cls(stages)
        except ConfigError as error:
            raise FormatError(f"fzdask stream: impossible chain of stages: {error}") from error

    def __str__(self) -> str:
        return " | ".join(str(stage) for stage in self.stages)

    def __repr__(self) -> str:
        return f"Pipeline({str(self)!r})"

    @property
    def lossy(self) -> bool:
        """Whether a stage of it quantizes."""
        return any(isinstance(stage, Quantize) for stage in self.stages)

    def encode(
        self, data: NDArray[Any], form: Form, job: Job
    ) -> tuple[list[StageEntry], list[SectionEntry], list[NDArray[np.uint8]]]:
        """Run the chain on a flat C-order array; the stages, section entries and section bytes."""
        params: list[bytes] = []
        entries: list[SectionEntry] = []
        blobs: list[NDArray[np.uint8]] = []
        chain = self.array_stages
        while len(params) < len(chain):
            at = len(params)
            if self._fuses(at, form):
                second = chain[at + 1]
                assert isinstance(second, Lorenzo)
                coded = at + 2 < len(chain) and isinstance(chain[at + 2], Huffman)
                result, more = encode_quantize_lorenzo(second, data, form, job, coded)
                params += [result.params, more]
            else:
                result = chain[at].encode(data, form, job)
                params.append(result.params)
            self._add_sides(at, result, entries, blobs)
            data = result.data
            for k in range(at, len(params)):
                form = chain[k].form_after(form, params[k])
        self._add(len(chain) - 1, 0, data.view(np.uint8), entries, blobs)
        params += [b""] * len(self.byte_stages)
        stages = [StageEntry(s.code, p) for s, p in zip(self.stages, params, strict=True)]
        return stages, entries, blobs

    def decode(
        self,
        form: Form,
        stages: Sequence[StageEntry],
        entries: Sequence[SectionEntry],
        blobs: Sequence[NDArray[np.uint8]],
        known: Known,
    ) -> NDArray[Any]:
        """The flat array of the given form; FormatError where anything does not fit."""
        chain = self.array_stages
        if not form.size * form.dtype.itemsize:
            raise FormatError("fzdask stream: stages for an array of no bytes; it is damaged.")
        if any(entry.params for entry in stages[len(chain) :]):
            raise FormatError("fzdask stream: parameters of a back end, which has none; damaged.")
        forms = [form]
        for stage, entry in zip(chain, stages, strict=False):
            forms.append(stage.form_after(forms[-1], entry.params))
        data = None
        sides: list[dict[str, NDArray[np.uint8]]] = [{} for _ in chain]
        room = max(SECTION_NBYTES_PER_ELEMENT, form.dtype.itemsize) * form.size + SECTION_NBYTES
        for section, blob in zip(entries, blobs, strict=True):
            if section.nbytes > room:
                raise FormatError(
                    f"fzdask stream: a section of {section.nbytes} bytes for {form.size} elements "
                    f"of {form.dtype}; it is damaged."
                )
            raw = self._unwrap(section, blob)
            names = chain[section.stage].section_names if section.stage < len(chain) else ()
            if section.number == 0 and section.stage == len(chain) - 1:
                data = raw
            elif 1 <= section.number <= len(names):
                sides[section.stage][names[section.number - 1]] = raw
            else:
                raise FormatError("fzdask stream: a section that no stage writes; damaged.")
        if data is None:
            raise FormatError("fzdask stream: the main section is missing; it is damaged.")
        array = _with_form(data, forms[-1])
        at = len(chain)
        while at > 0:
            at -= 1
            stage, params = chain[at], stages[at].params
            if isinstance(stage, Huffman) and at > 1 and self._fuses(at - 2, forms[at - 2]):
                array = stage.decode_symbols(array, forms[at], params, sides[at], known)
            elif at > 0 and self._fuses(at - 1, forms[at - 1]):
                at -= 1
                width = forms[at + 1].dtype.itemsize
                array = decode_quantize_lorenzo(
                    array, forms[at], width, params, sides[at], known.bound
                )
            else:
                array = stage.decode(array, forms[at], params, sides[at], known)
        return array

    def _fuses(self, at: int, form: Form) -> bool:
        """Whether the stages at this place and the next run as one kernel."""
        pair = self.stages[at : at + 2]
        return (
            self.fused
            and form.dtype.kind == "f"
            and len(pair) == 2
            and isinstance(pair[0], Quantize)
            and isinstance(pair[1], Lorenzo)
        )

    def _add_sides(
        self,
        stage: int,
        result: Encoded,
        entries: list[SectionEntry],
        blobs: list[NDArray[np.uint8]],
    ) -> None:
        names = self.array_stages[stage].section_names
        for name, section in result.sections.items():
            data = np.frombuffer(section, np.uint8)
            self._add(stage, names.index(name) + 1, data, entries, blobs)

    def _add(
        self,
        stage: int,
        number: int,
        data: NDArray[np.uint8],
        entries: list[SectionEntry],
        blobs: list[NDArray[np.uint8]],
    ) -> None:
        """Pass a section through the lossless back ends, each kept where it saves something."""
        sizes: list[int] = []
        applied = 0
        for k, back_end in enumerate(self.byte_stages):
            packed = back_end.compress(data)
            if packed is not None and (sizes or [data.size])[0] <= len(packed) * MOST_EXPANSION:
                sizes.append(data.size)
                applied |= 1 << k
                data = np.frombuffer(packed, np.uint8)
        entries.append(SectionEntry(stage, number, applied, (*sizes, data.size)))
        blobs.append(data)

    def _unwrap(self, entry: SectionEntry, data: NDArray[np.uint8]) -> NDArray[np.uint8]:
        if entry.applied >> len(self.byte_stages):
            raise FormatError("fzdask stream: a section names an unknown back end; damaged.")
        sizes = list(entry.sizes[:-1])
        for k in range(len(self.byte_stages) - 1, -1, -1):
            if entry.applied >> k & 1:
                data = self.byte_stages[k].decompress(data, sizes.pop())
        return data


def _with_form(data: NDArray[np.uint8], form: Form) -> NDArray[Any]:
    """Bytes as an array of the form that the last array stage gave (-1: any number of bytes)."""
    if form.shape != (-1,) and data.size != form.size * form.dtype.itemsize:
        raise FormatError(
            f"fzdask stream: the main section has {data.size} bytes instead of "
            f"{form.size * form.dtype.itemsize}; it is damaged."
        )
    if data.ctypes.data % max(form.dtype.alignment, 4):
        data = data.copy()
    return data.view(form.dtype) if form.dtype.itemsize > 1 else data


@lru_cache(maxsize=256)
def find_pipeline(text: str) -> Pipeline:
    """The pipeline of a preset's name or a text; ConfigError with the nearest names otherwise."""
    if text in PRESETS:
        return Pipeline.from_text(PRESETS[text])
    if "|" not in text and _STAGE.fullmatch(text) and text.split("(")[0].strip() not in BY_NAME:
        near = difflib.get_close_matches(text, [*PRESETS, *BY_NAME], n=1)
        hint = f"; did you mean {near[0]!r}?" if near else "."
        raise ConfigError(
            f"fzdask: no preset {text!r}{hint} Presets: {', '.join(PRESETS)}; stages: {_known()}."
        )
    return Pipeline.from_text(text)


def _known() -> str:
    return ", ".join(BY_NAME)


def _takers(given: str) -> str:
    fitting = ("array",) if given == "array" else (given, "bytes")
    return ", ".join(name for name, s in BY_NAME.items() if getattr(s, "takes", "") in fitting)


def _parse_stage(part: str, text: str) -> Stage:
    match = _STAGE.fullmatch(part)
    if match is None:
        raise ConfigError(
            f"Pipeline: cannot read {part.strip()!r} in {text!r}; "
            "write stages as name or name(option=value), joined by '|'."
        )
    name, options = match.groups()
    stage = BY_NAME.get(name)
    if stage is None:
        near = difflib.get_close_matches(name, BY_NAME, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else "."
        raise ConfigError(f"Pipeline: no stage {name!r}{hint} Known: {_known()}.")
    given = _parse_options(options or "", name)
    valid = [f.name for f in fields(stage)]  # type: ignore[arg-type]
    for option in given:
        if option not in valid:
            near = difflib.get_close_matches(option, valid, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else "."
            raise ConfigError(
                f"Pipeline: {name!r} has no option {option!r}{hint} "
                f"Valid ones: {', '.join(valid) or 'none'}."
            )
    return stage(**given)


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
    return node.id if isinstance(node, ast.Name) else ast.literal_eval(node)
