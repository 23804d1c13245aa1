"""The tasks that encode one device array, with the branches that may run at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from fzdask.codecs import api
from fzdask.codecs.codebooks import Codebook, Coding
from fzdask.codecs.config import CodecConfig
from fzdask.codecs.device.back_ends import BACK_ENDS
from fzdask.codecs.device.base import DeviceStage
from fzdask.codecs.device.default_stages import HuffmanOnDevice, QuantizeOnDevice
from fzdask.codecs.device.prepare import prepare_on_device
from fzdask.codecs.device.stages import device_stages
from fzdask.codecs.device.streams import encode_sections
from fzdask.codecs.device.wrapping import wrap
from fzdask.codecs.flow import Data, Flow, Task
from fzdask.codecs.kernels.cuda import huffman
from fzdask.codecs.pipeline import Pipeline
from fzdask.codecs.prepare import flat_form, memory_order, numeric_form
from fzdask.codecs.shared_codebooks import SharedBooks
from fzdask.codecs.stages.base import Encoded, Form, Job
from fzdask.codecs.stages.huffman import Huffman, choose_coding
from fzdask.codecs.stages.symbols import Symbols
from fzdask.format import Header, SectionEntry, pack

__all__ = ["ChunkOnDevice"]

Section = tuple[int, int, Any]
"""Stage, number of the section, its bytes: a device array, or bytes that the host made."""


@dataclass(frozen=True, slots=True)
class _Coded:
    """What the header of a stream needs of the array stages."""

    params: list[bytes]
    resolved: float


class _State:
    """An array on its way, as tasks on the device hand it on; opaque, so that nothing copies it."""

    __slots__ = ("form", "job", "params", "resolved", "sections")

    def __init__(self, form: Form, job: Job, resolved: float) -> None:
        self.form, self.job, self.resolved = form, job, resolved
        self.params: list[bytes] = []
        self.sections: list[Section] = []


class _Chosen:
    """A codebook (None: only the device can choose it) and the counts; stays on the host."""

    __slots__ = ("coding", "counts")

    def __init__(self, counts: NDArray[np.int64], coding: Coding | None) -> None:
        self.counts, self.coding = counts, coding


class ChunkOnDevice:
    """One array of a batch, and the tasks that encode it.

    Parameters
    ----------
    flow : Flow
        With streams of the device.
    array : device array
    config : CodecConfig
    kernels : fzdask.codecs.kernels.cuda.device.Device

    Attributes
    ----------
    stream : Data
        The stream (None if there is no lossy one), and whether no exact one need be tried.
    """

    def __init__(self, flow: Flow, array: Any, config: CodecConfig, kernels: Any) -> None:
        self.config = config
        self.kernels = kernels
        self.dtype, self.shape, self.nbytes = array.dtype, array.shape, array.nbytes
        self.order = memory_order(array)
        self.pipeline: Pipeline = api.pipeline_of(config, array.dtype)
        bounded = config.bound[0] != "psnr" and api.takes_bound(array, self.pipeline, config)
        found = device_stages(self.pipeline.array_stages) if bounded else None
        self.stages: list[DeviceStage] | None = found
        self.books: SharedBooks | Codebook | None = None
        if found is not None:
            form = numeric_form(flat_form(self.dtype, self.shape, self.order))
            self.books = api.books_of(config, form)
        self.source: Data = flow.data(array, name="array")
        self.stream: Data = flow.data(name="stream")

    def submit(self, flow: Flow, history: list[Data], tag: int) -> Task:
        """The tasks that give the stream; the last of them.

        ``history`` is what arrays with shared codebooks read and write in turn.
        """
        if self.stages is None:
            return flow.submit(
                self.on_host, reads=[self.source, *history], writes=[self.stream, *history],
                name="encode", tag=tag,
            )  # fmt: skip
        coded = flow.data(name="coded")
        if history or not _branches(self.stages):
            raw = self._submit_at_once(flow, history, coded, tag)
        else:
            raw = self._submit_in_branches(flow, coded, tag)
        there = any(type(stage) in BACK_ENDS for stage in self.pipeline.byte_stages)
        wrapped = []
        for sections in raw:
            done = flow.data(name=f"{sections.name} packed")
            flow.submit(
                self.wrap_on_device if there else self.wrap,
                reads=[sections, *history], writes=[done, *history],
                place="device" if there else "host", name=self.back_ends, tag=tag,
            )  # fmt: skip
            wrapped.append(done)
        return flow.submit(
            self.join, reads=[coded, *wrapped], writes=self.stream, name="join", tag=tag
        )

    def _submit_at_once(
        self, flow: Flow, history: list[Data], coded: Data, tag: int
    ) -> tuple[Data, ...]:
        """All array stages as one task on the device."""
        sides, main = flow.data(name="side sections"), flow.data(name="main section")
        names = " | ".join(stage.name for stage in self.pipeline.array_stages)
        flow.submit(
            self.encode, reads=[self.source, *history], writes=[coded, sides, main, *history],
            place="device", name=names, tag=tag,
        )  # fmt: skip
        return sides, main

    def _submit_in_branches(self, flow: Flow, coded: Data, tag: int) -> tuple[Data, ...]:
        """The codebook is made on the host while outliers are compacted on the device."""
        names = [stage.name for stage in self.pipeline.array_stages]
        split = self._marked() + 1
        state, values, marked = (flow.data(name=n) for n in ("state", "lattice", "marked"))
        predicted, residual, counts = (flow.data(name=n) for n in ("state", "residual", "counts"))
        chosen, outliers = flow.data(name="chosen"), flow.data(name="outliers")
        sides, main = flow.data(name="side sections"), flow.data(name="main section")

        def add(function: Any, reads: Any, writes: Any, name: str, place: Any = "device") -> None:
            flow.submit(function, reads=reads, writes=writes, name=name, place=place, tag=tag)

        add(self.begin, self.source, [state, values, marked], " | ".join(["range", *names[:split]]))
        add(self.predict, [state, values], [predicted, residual, counts],
            " | ".join([*names[split:-1], "histogram"]))  # fmt: skip
        # Before the outliers: the host begins with the codebook as soon as it can.
        add(self.choose, counts, chosen, "codebook", place="host")
        add(self.compact, marked, outliers, "compact outliers")
        add(self.code, [predicted, residual, chosen], [coded, sides, main], names[-1])
        return outliers, sides, main

    def submit_exact(self, flow: Flow, tag: int) -> Task:
        """The task that compares with exact streams, for which the array comes to the host."""
        return flow.submit(
            lambda array, found: (api.smallest(found[0], array, self.order, self.pipeline), True),
            reads=[self.source, self.stream],
            writes=self.stream,
            name="exact",
            tag=tag,
        )

    @property
    def back_ends(self) -> str:
        """What wraps the sections."""
        names = [stage.name for stage in self.pipeline.byte_stages]
        return " | ".join(dict.fromkeys(names)) or "no back end"

    def _marked(self) -> int:
        """Place of the stage whose outliers are compacted apart, or -1."""
        assert self.stages is not None
        at = (k for k, stage in enumerate(self.stages) if isinstance(stage, QuantizeOnDevice))
        return next(at, -1)

    # What the tasks do.

    def on_host(self, array: Any, *history: Any) -> Any:
        """The whole stream, where the device cannot make it."""
        final = api.encode(array, self.config), True
        return (final, *(None for _ in history)) if history else final

    def encode(self, array: Any, *history: Any) -> tuple[Any, ...]:
        """What the header needs, side sections, main section."""
        assert self.stages is not None
        ready = prepare_on_device(self.kernels, array, self.order, self.config)
        if ready.job is None:
            return None, [], [], *(None for _ in history)
        ready.job.books = self.books
        params, sections = encode_sections(self.pipeline, self.stages, ready, self.kernels)
        coded = _Coded(params, ready.resolved)
        return coded, sections[:-1], sections[-1:], *(None for _ in history)

    def begin(self, array: Any) -> tuple[_State | None, Any, Any]:
        """State, lattice, and what the outliers are compacted from; None: no room for a bound."""
        ready = prepare_on_device(self.kernels, array, self.order, self.config)
        if ready.job is None:
            return None, None, None
        ready.job.books = self.books
        state, data = _State(ready.form, ready.job, ready.resolved), ready.data
        marked = self._marked()
        for at in range(marked):
            data = self._step(state, at, data)
        given = mask = None
        if marked >= 0:
            given = data
            result, mask = QuantizeOnDevice().mark(self.kernels, data, state.form, state.job)
            data = self._take(state, marked, result)
        before, state.sections = state.sections, []
        return state, data, (before, None if mask is None else given, mask)

    def compact(self, marked: Any) -> list[Section]:
        """Sections of the stages up to the quantizer."""
        if marked is None:
            return []
        sections, given, mask = marked
        at = self._marked()
        if mask is not None:
            found = QuantizeOnDevice().compact(self.kernels, given, mask)
            sections = [*sections, *self._sections(at, found)]
        return list(sections)

    def predict(self, state: _State | None, data: Any) -> tuple[_State | None, Any, Any]:
        """State, residual and symbol counts."""
        if state is None:
            return None, None, None
        for at in range(len(state.params), len(self.pipeline.array_stages) - 1):
            data = self._step(state, at, data)
        return state, data, huffman.histogram(self.kernels, data)

    def choose(self, counts: Any) -> _Chosen | None:
        """On the host: the codebook."""
        if counts is None:
            return None
        asked = _Counted(counts.astype(np.int64))
        stage = self._huffman()
        try:
            coding = choose_coding(cast(Symbols, asked), stage.group, self.books)
        except _RunsAreAsked:
            coding = None
        return _Chosen(asked.counts, coding)

    def code(
        self, state: _State | None, data: Any, chosen: _Chosen | None
    ) -> tuple[_Coded | None, list[Section], list[Section]]:
        """What the header needs, side sections, main section."""
        if state is None or chosen is None:
            return None, [], []
        stage, kernels = self._huffman(), HuffmanOnDevice()
        coding = chosen.coding
        if coding is None:
            coding = kernels.choose(self.kernels, stage, data, chosen.counts, state.job)
        result = kernels.code(self.kernels, stage, data, state.job, coding)
        at = len(self.pipeline.array_stages) - 1
        sections = [*state.sections, *self._sections(at, result.sections)]
        params = [*state.params, result.params]
        return _Coded(params, state.resolved), sections, [(at, 0, result.data.view(np.uint8))]

    def _huffman(self) -> Huffman:
        stage = self.pipeline.array_stages[-1]
        assert isinstance(stage, Huffman)
        return stage

    def _step(self, state: _State, at: int, data: Any) -> Any:
        assert self.stages is not None
        stage = self.pipeline.array_stages[at]
        result = self.stages[at].encode(self.kernels, stage, data, state.form, state.job)
        state.sections += self._sections(at, result.sections)
        return self._take(state, at, result)

    def _take(self, state: _State, at: int, result: Encoded) -> Any:
        state.form = self.pipeline.array_stages[at].form_after(state.form, result.params)
        state.params.append(result.params)
        return result.data

    def _sections(self, at: int, found: dict[str, Any]) -> list[Section]:
        names = self.pipeline.array_stages[at].section_names
        return [(at, names.index(name) + 1, section) for name, section in found.items()]

    def wrap(self, raw: list[Section], *history: Any) -> Any:
        """On the host: sections through their back ends."""
        wrapped = [
            self.pipeline.wrap(s, n, np.frombuffer(data, np.uint8), self.books)
            for s, n, data in raw
        ]
        return (wrapped, *(None for _ in history)) if history else wrapped

    def wrap_on_device(self, raw: list[Section], *history: Any) -> Any:
        """Sections through back ends that have kernels; what is left of them comes to the host."""
        wrapped = [wrap(self.kernels, self.pipeline, *section, self.books) for section in raw]
        return (wrapped, *(None for _ in history)) if history else wrapped

    def join(
        self, coded: _Coded | None, *wrapped: list[tuple[SectionEntry, NDArray[np.uint8]]]
    ) -> tuple[bytes | None, bool]:
        """The stream, and whether no exact one need be tried."""
        if coded is None:
            return None, False
        sections = [section for group in wrapped for section in group]
        header = Header(
            self.dtype, self.shape, self.order, *self.config.bound, coded.resolved,
            tuple(self.pipeline.stage_entries(coded.params)),
            tuple(entry for entry, _ in sections),
        )  # fmt: skip
        stream = pack(header, [blob for _, blob in sections])
        return stream, len(stream) <= api.TRY_LOSSLESS * self.nbytes


def _branches(stages: Sequence[DeviceStage]) -> bool:
    """Whether a codebook is made of a histogram, so that the host has something to do meanwhile."""
    return isinstance(stages[-1], HuffmanOnDevice) and not any(stage.absorbs for stage in stages)


class _RunsAreAsked(Exception):  # noqa: N818  (no error: the question is put to the device)
    """Choosing a codebook needs the residuals."""


class _Counted:
    """Counted symbols without the residuals, as what chooses a codebook asks for them."""

    def __init__(self, counts: NDArray[np.int64]) -> None:
        self.counts = counts
        self.z = SimpleNamespace(size=int(counts.sum()))

    def count_runs(self, group: int, every: int, mode: int) -> Any:
        raise _RunsAreAsked
