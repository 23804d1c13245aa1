"""A pipeline: a chain of stages that turns an array into sections and back."""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fzdask.codecs import composition
from fzdask.codecs.codebooks import Codebook
from fzdask.codecs.decoding import Decoding
from fzdask.codecs.shared_codebooks import SharedBooks
from fzdask.codecs.stages.base import ArrayStage, ByteStage, Form, Job, Known, Stage
from fzdask.codecs.stages.fusion import Fusion
from fzdask.codecs.stages.registry import built_in, fusions, known_names, stage_by_code
from fzdask.errors import ConfigError, FormatError
from fzdask.format import MOST_EXPANSION, SectionEntry, StageEntry

__all__ = ["Pipeline", "Step"]

MOST_ANSWERS = 64  # that a pipeline remembers


@dataclass(slots=True)
class Step:
    """What one step of encoding gives: one array stage, or several as one kernel.

    Attributes
    ----------
    data, form : array and Form
        Input of the next step. After the last step the form says nothing.
    params : list of bytes
        For each stage of the step.
    sections : list of (stage, number, bytes)
        Side sections and, of the last step, the main one; before any back end.
    """

    data: Any
    form: Form
    params: list[bytes]
    sections: list[tuple[int, int, NDArray[np.uint8]]]


@dataclass(frozen=True)
class Pipeline:
    """A chain of stages, checked when it is made; equal to any with the same stages and options.

    Parameters
    ----------
    stages : sequence of stages or names
        Array stages first, of which the first takes any array and each takes what the one before
        gives; then any number of lossless back ends (bytes to bytes). At most one is lossy.
    sections : mapping of str to sequence of stages or names, optional
        Side sections that are to have back ends of their own instead of the chain's, by name
        (``outliers``, or ``quantize.outliers`` where several stages have one of that name).
    fused : bool
        Run adjacent stages as one kernel where there is one. The bytes are the same either way.

    Raises
    ------
    ConfigError
        Two neighbours do not fit, there is no stage that takes an array, or no such section.

    Examples
    --------
    >>> p = Pipeline.from_text("quantize | lorenzo | huffman | zstd; outliers = zstd(level=9)")
    >>> p == Pipeline(p.stages, p.sections) == Pipeline.from_json(p.to_json())
    True
    """

    stages: tuple[Stage, ...]
    sections: Mapping[str, tuple[Stage, ...]]
    fused: bool = True
    array_stages: tuple[ArrayStage, ...] = field(init=False, repr=False, compare=False)
    byte_stages: tuple[ByteStage, ...] = field(init=False, repr=False, compare=False)
    """All back ends, in the order of the bits that say which were applied to a section."""
    _back_ends: Mapping[tuple[int, int], range] = field(init=False, repr=False, compare=False)
    _fusions: tuple[Fusion | None, ...] = field(init=False, repr=False, compare=False)
    _back_end_entries: tuple[StageEntry, ...] = field(init=False, repr=False, compare=False)

    def __init__(
        self,
        stages: Sequence[Stage | str],
        sections: Mapping[str, Sequence[Stage | str]] | None = None,
        fused: bool = True,
    ) -> None:
        chain = _made(stages)
        own = {name: _made(branch) for name, branch in (sections or {}).items()}
        _check_chain(chain)
        arrays = tuple(s for s in chain if isinstance(s, ArrayStage))
        back_ends = list(chain[len(arrays) :])
        ranges: dict[tuple[int, int], range] = {}
        for name, branch in own.items():
            place = _find_section(name, arrays)
            if place in ranges:
                raise ConfigError(f"Pipeline: section {name!r} is given back ends twice.")
            for stage in branch:
                if not isinstance(stage, ByteStage):
                    raise ConfigError(
                        f"Pipeline: {stage.name!r} takes {' or '.join(stage.takes)}, but section "
                        f"{name!r} is bytes. What takes bytes: {_takers('bytes')}."
                    )
            ranges[place] = range(len(back_ends), len(back_ends) + len(branch))
            back_ends += branch
        object.__setattr__(self, "stages", chain)
        object.__setattr__(self, "sections", own)
        object.__setattr__(self, "fused", fused)
        object.__setattr__(self, "array_stages", arrays)
        object.__setattr__(self, "byte_stages", tuple(back_ends))
        object.__setattr__(self, "_back_ends", ranges)
        entries = tuple(_entry(stage) for stage in back_ends)
        object.__setattr__(self, "_back_end_entries", entries)
        object.__setattr__(self, "_fusions", _find_fusions(arrays) if fused else (None,) * 99)

    def __hash__(self) -> int:
        return hash((self.stages, tuple(self.sections.items()), self.fused))

    @classmethod
    def from_text(cls, text: str, dims: Sequence[Hashable] | None = None) -> Pipeline:
        """Parse ``stage | stage(option=value) | ...; section = stage``; the inverse of ``str``.

        With ``dims`` (as a DataArray has them) ``axis=`` may be a name; the pipeline holds its
        number, since an array that is encoded has no names.
        """
        return cls(*composition.from_text(text, dims))

    @classmethod
    def from_json(cls, given: str | Mapping[str, Any]) -> Pipeline:
        """Read what :meth:`to_json` or :meth:`to_dict` gave."""
        if isinstance(given, str):
            try:
                given = json.loads(given)
            except ValueError as error:
                raise ConfigError(f"Pipeline: this is no JSON: {error}.") from error
        return cls(*composition.from_mapping(given))  # type: ignore[arg-type]

    @classmethod
    def from_toml(cls, text: str) -> Pipeline:
        """Read a TOML document: a key ``pipeline`` with a text, or what :meth:`to_toml` gave."""
        parts, _ = composition.from_toml(text)
        return cls(*parts)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return composition.to_mapping(self.stages, self.sections)

    def to_json(self) -> str:
        """The pipeline as JSON."""
        return json.dumps(self.to_dict())

    def to_toml(self) -> str:
        """The pipeline as TOML."""
        return composition.to_toml(self.stages, self.sections)

    @classmethod
    def from_entries(cls, entries: Sequence[StageEntry]) -> Pipeline:
        """The pipeline that a stream names (with default options, which decoding never needs)."""
        return _of_entries(tuple(entries))

    def __str__(self) -> str:
        return composition.to_text(self.stages, self.sections)

    def __repr__(self) -> str:
        return f"Pipeline({str(self)!r})"

    @cached_property
    def lossy(self) -> bool:
        """Whether a stage of it moves values."""
        return any(stage.lossy for stage in self.stages)

    def encode(
        self, data: NDArray[Any], form: Form, job: Job
    ) -> tuple[tuple[StageEntry, ...], list[SectionEntry], list[NDArray[np.uint8]]]:
        """Run the chain on a flat C-order array; the stages, section entries and section bytes."""
        params: list[bytes] = []
        entries: list[SectionEntry] = []
        blobs: list[NDArray[np.uint8]] = []
        while len(params) < len(self.array_stages):
            step = self.encode_step(len(params), data, form, job)
            data, form = step.data, step.form
            params += step.params
            for stage, number, section in step.sections:
                entry, blob = self.wrap(stage, number, section, job.books)
                entries.append(entry)
                blobs.append(blob)
        return self.stage_entries(params), entries, blobs

    def encode_step(self, at: int, data: NDArray[Any], form: Form, job: Job) -> Step:
        """Run the array stage at this place, or several if there is one kernel for them."""
        chain = self.array_stages
        fusion = self._fusion(at, form)
        if fusion is not None:
            results = fusion.encode(chain[at : at + len(fusion.chain)], data, form, job)
        else:
            results = [chain[at].encode(data, form, job)]
        sections: list[tuple[int, int, NDArray[np.uint8]]] = []
        for k, result in enumerate(results, at):
            if result.sections:
                names = chain[k].section_names
                for name, section in result.sections.items():
                    held = section if type(section) is np.ndarray else np.frombuffer(section, "u1")
                    sections.append((k, names.index(name) + 1, held))
        data = results[-1].data
        params = [result.params for result in results]
        if at + len(results) == len(chain):
            sections.append((len(chain) - 1, 0, data.view(np.uint8)))
            return Step(data, form, params, sections)
        return Step(data, self._forms(at, form, params)[-1], params, sections)

    def _forms(self, at: int, form: Form, params: Sequence[bytes]) -> tuple[Form, ...]:
        """The forms from this place of the chain on, behind stages of these parameters.

        They are kept, since chunks of one array have the same.
        """
        key = (at, form, *params)
        known = self._known.get(key)
        if known is None:
            forms = [form]
            for stage, given in zip(self.array_stages[at:], params, strict=False):
                forms.append(stage.form_after(forms[-1], given))
            known = tuple(forms)
            _keep(self._known, key, known)
        return known

    @cached_property
    def _known(self) -> dict[tuple[Any, ...], Any]:
        """Answers of questions that chunks of one array ask again."""
        return {}

    def __reduce__(self) -> tuple[Any, ...]:
        return Pipeline, (self.stages, self.sections, self.fused)

    def most_steps(self, form: Form) -> int:
        """Most steps that encoding can take for an input of this form."""
        first = self._fusion(0, form)
        return 1 + len(self.array_stages) - (len(first.chain) if first is not None else 1)

    def stage_entries(self, params: Sequence[bytes]) -> tuple[StageEntry, ...]:
        """How a stream names the stages, given the parameters of the array stages."""
        key = ("entries", *params)
        known: tuple[StageEntry, ...] | None = self._known.get(key)
        if known is None:
            named = zip(self.array_stages, params, strict=True)
            known = (*(_entry(stage, given) for stage, given in named), *self._back_end_entries)
            _keep(self._known, key, known)
        return known

    def wrap(
        self,
        stage: int,
        number: int,
        data: Any,
        books: SharedBooks | Codebook | None = None,
        compress: Callable[[ByteStage, Any], Any] | None = None,
    ) -> tuple[SectionEntry, Any]:
        """Pass a section through its lossless back ends, each kept where it saves something.

        With shared books, one that saved nothing is not tried again for a few chunks. With
        ``compress``, that is called instead of the stages, and sections are what it takes and
        gives; they have a size.
        """
        places = self._places_of(stage, number)
        if not places:
            return SectionEntry(stage, number, 0, (data.size,)), data
        sizes: list[int] = []
        applied = 0
        memory = books if isinstance(books, SharedBooks) else None
        for k in places:
            question = (stage, number, k, data.size.bit_length())
            if memory is not None and memory.recall(question):
                continue
            packed = (compress or _compress)(self.byte_stages[k], data)
            if memory is not None:
                memory.remember(question, packed is None)
            if packed is not None and (sizes or [data.size])[0] <= packed.size * MOST_EXPANSION:
                sizes.append(data.size)
                applied |= 1 << k
                data = packed
        return SectionEntry(stage, number, applied, (*sizes, data.size)), data

    def back_ends_of(self, stage: int, number: int) -> tuple[ByteStage, ...]:
        """The lossless back ends that a section is passed through."""
        return tuple(self.byte_stages[k] for k in self._places_of(stage, number))

    def _places_of(self, stage: int, number: int) -> range:
        return self._back_ends.get((stage, number), self._chain_back_ends)

    @cached_property
    def _chain_back_ends(self) -> range:
        return range(len(self.stages) - len(self.array_stages))

    def decode(
        self,
        form: Form,
        stages: Sequence[StageEntry],
        entries: Sequence[SectionEntry],
        blobs: Sequence[NDArray[np.uint8]],
        known: Known,
    ) -> NDArray[Any]:
        """The flat array of the given form; FormatError where anything does not fit."""
        return self.decoding(form, stages).run(entries, blobs, known)

    def decoding(self, form: Form, stages: Sequence[StageEntry]) -> Decoding:
        """How to decode streams of this form, and of stages with these parameters."""
        return Decoding.of(self.array_stages, self.byte_stages, self._fusion, form, stages)

    def _fusion(self, at: int, form: Form) -> Fusion | None:
        """The kernel that runs the stages from this place on as one."""
        fusion = self._fusions[at]
        return fusion if fusion is not None and fusion.applies(form) else None


def _compress(stage: ByteStage, data: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
    packed = stage.compress(data)
    return None if packed is None else np.frombuffer(packed, np.uint8)


def _entry(stage: Stage, params: bytes = b"") -> StageEntry:
    return StageEntry(stage.code, params, "" if stage.code else stage.name)


def _keep(answers: dict[tuple[Any, ...], Any], question: tuple[Any, ...], answer: Any) -> None:
    """Remember an answer, and not too many of them."""
    if len(answers) >= MOST_ANSWERS:
        answers.clear()
    answers[question] = answer


@lru_cache(maxsize=256)
def _of_entries(entries: tuple[StageEntry, ...]) -> Pipeline:
    return _of_stream(tuple((entry.code, entry.name) for entry in entries))


@lru_cache(maxsize=256)
def _of_stream(named: tuple[tuple[int, str], ...]) -> Pipeline:
    """The pipeline of these numbers and names; kept, since making it takes as long as a chunk."""
    stages = [stage_by_code(code, name)() for code, name in named]
    try:
        return Pipeline(stages)
    except ConfigError as error:
        raise FormatError(f"fzdask stream: impossible chain of stages: {error}") from error


def _made(stages: Sequence[Stage | str]) -> tuple[Stage, ...]:
    if isinstance(stages, str):
        raise ConfigError(f"Pipeline: stages are a sequence; read {stages!r} by from_text.")
    return tuple(composition.make_stage(s, {}) if isinstance(s, str) else s for s in stages)


def _check_chain(chain: Sequence[Any]) -> None:
    """Refuse a chain in which a stage does not take what it would get."""
    if not chain:
        raise ConfigError("Pipeline: no stages; for example 'quantize | lorenzo | huffman'.")
    given = "array"
    before = "the input"
    moves = ""
    for stage in chain:
        if not isinstance(stage, ArrayStage | ByteStage):
            raise ConfigError(
                f"Pipeline: {stage!r} is no stage; known: {', '.join(known_names())}."
            )
        # A back end takes the bytes of anything, once there is a stage that gives sections.
        takes = stage.takes
        if given not in takes and (isinstance(stage, ArrayStage) or before == "the input"):
            raise ConfigError(
                f"Pipeline: {stage.name!r} takes {' or '.join(takes)}, but {before} gives {given}. "
                f"What takes {given}: {_takers(given, before == 'the input')}."
            )
        if stage.lossy and moves:
            raise ConfigError(
                f"Pipeline: {moves!r} and {stage.name!r} are both lossy; one bound is spent once."
            )
        moves = stage.name if stage.lossy else moves
        given = given if stage.gives == "same" else stage.gives
        before = repr(stage.name)


def _takers(given: str, first: bool = False) -> str:
    return ", ".join(
        name
        for name, stage in built_in().items()
        if given in stage.takes or (issubclass(stage, ByteStage) and not first)
    )


def _find_section(name: str, chain: Sequence[ArrayStage]) -> tuple[int, int]:
    """Stage and number of a side section by its name; ``main`` is the last stage's main output."""
    places = {"main": [(len(chain) - 1, 0)]}
    for at, stage in enumerate(chain):
        for number, section in enumerate(stage.section_names, 1):
            places.setdefault(section, []).append((at, number))
            places.setdefault(f"{stage.name}.{section}", []).append((at, number))
    found = places.get(name, [])
    if len(found) != 1:
        why = "no section" if not found else "several sections"
        raise ConfigError(f"Pipeline: {why} {name!r} in this chain; it has {', '.join(places)}.")
    return found[0]


def _find_fusions(chain: Sequence[ArrayStage]) -> tuple[Fusion | None, ...]:
    """For each place of a chain, the fusion of the most stages that could begin there."""
    found: list[Fusion | None] = []
    for at in range(len(chain)):
        kinds = tuple(type(stage) for stage in chain[at:])
        fits = (f for f in fusions() if kinds[: len(f.chain)] == f.chain)
        found.append(next(fits, None))
    return tuple(found)
