"""Many arrays encoded at once: the steps of several overlap on host threads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fzdask.codecs.api import books_of, encode, pipeline_of, smallest, takes_bound
from fzdask.codecs.config import CodecConfig
from fzdask.codecs.flow import Data, Flow, Task, Timeline
from fzdask.codecs.flow.executor import processors
from fzdask.codecs.pipeline import Pipeline
from fzdask.codecs.prepare import check_array, flat_form, memory_order, numeric_form, prepare
from fzdask.codecs.stages.base import Form, Job
from fzdask.errors import ConfigError
from fzdask.format import Header, SectionEntry, pack

__all__ = ["encode_as_completed", "encode_many", "submit_encoding"]

# Smaller arrays are one task: they take less than a millisecond, and a task some 30 µs.
SMALL_NBYTES = 1 << 19

Raw = list[tuple[int, int, NDArray[np.uint8]]]
Wrapped = list[tuple[SectionEntry, NDArray[np.uint8]]]


def encode_many(
    arrays: Iterable[Any],
    config: Any,
    *,
    workers: int | None = None,
    in_flight: int | None = None,
    timeline: Timeline | None = None,
) -> list[bytes]:
    """Compress arrays on several threads: the streams that ``encode`` gives for them in a row.

    The streams are those of :func:`fzdask.codecs.api.encode` called for one array after the
    other, byte for byte and in their order, however many threads there are.

    Parameters
    ----------
    arrays : iterable of array_like
        Read as room for them comes, so they may be loaded or computed by a generator. An array
        must not change until its stream is there.
    config : FZCodec, CodecConfig or mapping
        A bound and so on; a mapping is read as the keywords of :func:`fzdask.compress`.
    workers : int, optional
        Threads. Default: the processors this process may use.
    in_flight : int, optional
        Most arrays in work at once, each with a few times its size of memory. Default: one more
        than workers.
    timeline : Timeline, optional
        Filled with what ran where and when; tags are numbers of arrays.

    Returns
    -------
    list of bytes

    Raises
    ------
    ConfigError, UnsupportedDtypeError
        As by ``encode``. Nothing is left running then.

    Examples
    --------
    >>> import numpy as np
    >>> from fzdask import compress
    >>> arrays = [np.linspace(0, k, 1000) for k in range(1, 5)]
    >>> encode_many(arrays, {"abs": 1e-3}) == [compress(a, abs=1e-3) for a in arrays]
    True
    """
    streams = dict(
        encode_as_completed(arrays, config, workers=workers, in_flight=in_flight, timeline=timeline)
    )
    return [streams[index] for index in range(len(streams))]


def encode_as_completed(
    arrays: Iterable[Any],
    config: Any,
    *,
    workers: int | None = None,
    in_flight: int | None = None,
    timeline: Timeline | None = None,
    whole_below: int | None = None,
) -> Iterator[tuple[int, bytes]]:
    """Yield the number and the stream of each array as it is complete; see :func:`encode_many`.

    Bounded memory: at most ``in_flight`` arrays are in work, the next is read when a stream has
    been taken. Closing the iterator drops what has not started and waits for what runs. Arrays of
    fewer bytes than ``whole_below`` (default: 512 KiB, where tasks begin to pay) are one task each.
    """
    asked = CodecConfig.of(config)
    workers = processors() if workers is None else workers
    most = checked_in_flight("encode_many", in_flight, workers)
    return _encode_as_completed(arrays, asked, workers, most, timeline, whole_below)


def checked_in_flight(who: str, in_flight: int | None, workers: int) -> int:
    """Most arrays in work at once, or a ConfigError for it or for the workers."""
    for name, value in (("workers", workers), ("in_flight", in_flight)):
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ConfigError(f"{who}: {name}={value!r} must be a whole number from 1 on.")
    return workers + 1 if in_flight is None else in_flight


def _encode_as_completed(
    arrays: Iterable[Any],
    config: CodecConfig,
    workers: int,
    most: int,
    timeline: Timeline | None,
    whole_below: int | None,
) -> Iterator[tuple[int, bytes]]:
    with Flow(workers=workers, timeline=timeline) as flow:
        history = flow.data(None, name="codebooks") if config.codebook == "shared" else None
        pending: dict[Task, Data] = {}
        for index, array in enumerate(arrays):
            if len(pending) == most:
                yield _take(flow, pending)
            task, stream = submit_encoding(
                flow, array, config, tag=index, history=history, whole_below=whole_below
            )
            pending[task] = stream
        while pending:
            yield _take(flow, pending)


def _take(flow: Flow, pending: dict[Task, Data]) -> tuple[int, bytes]:
    task = flow.first(pending)
    return task.tag, flow.result(pending.pop(task))


def submit_encoding(
    flow: Flow,
    array: Any,
    config: CodecConfig,
    *,
    tag: Any = None,
    history: Data | None = None,
    whole_below: int | None = None,
) -> tuple[Task, Data]:
    """Add the tasks that encode one array to a flow; the last of them and its stream.

    The steps of the pipeline follow each other; the back ends of the sections that a step gives
    run beside the steps that come after it. A small array, and one whose course is decided as it
    runs (lossless, or a bound on the PSNR), is one task.

    Parameters
    ----------
    flow : Flow
    array : array_like
    config : CodecConfig
    tag : object
        For timelines and messages.
    history : Data, optional
        What all chunks with shared codebooks update in turn, so that the books do not depend on
        the order in which threads meet them. What the back ends of a chunk saved is history too,
        so chunks that share codebooks do not overlap but in their preparation.
    whole_below : int, optional
        Bytes below which an array is one task.

    Raises
    ------
    ConfigError, UnsupportedDtypeError
        The array cannot be encoded so.
    """
    try:
        array = check_array(array)
        pipeline = pipeline_of(config, array.dtype)
    except Exception as error:
        error.add_note(f"encode_many: array {tag}")
        raise
    shared = [] if history is None else [history]
    source = flow.data(array, name="array")
    stream = flow.data(name="stream")
    decided = config.bound[0] != "psnr" and takes_bound(array, pipeline, config)
    least = SMALL_NBYTES if whole_below is None else whole_below
    if not decided or array.nbytes < least:
        whole = flow.submit(
            lambda chunk, *_: encode(chunk, config) if not shared else (encode(chunk, config), 0),
            reads=[source, *shared], writes=[stream, *shared], name="encode", tag=tag,
        )  # fmt: skip
        return whole, stream
    chunk = _ChunkTasks(pipeline, config, array.dtype, array.shape, memory_order(array))
    coding = flow.data(name="coding")
    flow.submit(chunk.prepare, reads=source, writes=coding, name="prepare", tag=tag)
    wrapped = []
    for name in chunk.step_names():
        sides, main = flow.data(name="side sections"), flow.data(name="main section")
        flow.submit(
            chunk.step, reads=[coding, *shared], writes=[coding, sides, main, *shared],
            name=name, tag=tag,
        )  # fmt: skip
        for raw in (sides, main):
            done = flow.data(name=f"{raw.name} packed")
            flow.submit(
                chunk.wrap, reads=[raw, *shared], writes=[done, *shared],
                name=chunk.back_ends, tag=tag,
            )  # fmt: skip
            wrapped.append(done)
    last = flow.submit(
        chunk.join, reads=[source, coding, *wrapped], writes=stream, name="join", tag=tag
    )
    return last, stream


@dataclass(frozen=True, slots=True)
class _Coding:
    """An array on its way through the steps; at the end only what the header needs."""

    data: Any
    form: Form | None
    job: Job | None
    params: list[bytes]
    resolved: float


@dataclass(frozen=True, slots=True)
class _ChunkTasks:
    """The functions of the tasks that encode one array."""

    pipeline: Pipeline
    config: CodecConfig
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    order: str

    def step_names(self) -> list[str]:
        """Names of as many steps as there may be, the last ones of which may find nothing left."""
        names = [stage.name for stage in self.pipeline.array_stages]
        form = numeric_form(flat_form(self.dtype, self.shape, self.order))
        steps = self.pipeline.most_steps(form)
        first = len(names) - steps + 1
        return [" | ".join(names[:first]), *names[first:]]

    @property
    def back_ends(self) -> str:
        """What wraps the sections."""
        names = [stage.name for stage in self.pipeline.byte_stages]
        return " | ".join(dict.fromkeys(names)) or "no back end"

    def prepare(self, array: NDArray[Any]) -> _Coding | None:
        """None where the bound is too narrow for a lossy pipeline."""
        ready = prepare(array, self.order, self.config)
        if ready.job is None:
            return None
        ready.job.books = books_of(self.config, ready.form)
        return _Coding(ready.data, ready.form, ready.job, [], ready.resolved)

    def step(self, coding: _Coding | None, *_: Any) -> tuple[Any, ...]:
        """The next step; what it gives to the next, side sections, main section, and a mark."""
        mark = (0,) if self.config.codebook == "shared" else ()
        if coding is None or coding.form is None or coding.job is None:
            return coding, [], [], *mark
        step = self.pipeline.encode_step(len(coding.params), coding.data, coding.form, coding.job)
        params = coding.params + step.params
        sides, main = step.sections, []
        after = _Coding(step.data, step.form, coding.job, params, coding.resolved)
        if len(params) == len(self.pipeline.array_stages):
            sides, main = step.sections[:-1], step.sections[-1:]
            after = replace(after, data=None, form=None, job=None)
        return after, sides, main, *mark

    def wrap(self, raw: Raw, *_: Any) -> Any:
        if self.config.codebook != "shared":
            return [self.pipeline.wrap(*section) for section in raw]
        form = numeric_form(flat_form(self.dtype, self.shape, self.order))
        books = books_of(self.config, form)
        return [self.pipeline.wrap(*section, books) for section in raw], 0

    def join(self, array: NDArray[Any], coding: _Coding | None, *wrapped: Wrapped) -> bytes:
        """The stream, or a smaller exact one."""
        best = None
        if coding is not None:
            sections = [section for group in wrapped for section in group]
            header = Header(
                self.dtype, self.shape, self.order, *self.config.bound, coding.resolved,
                self.pipeline.stage_entries(coding.params),
                tuple(entry for entry, _ in sections),
            )  # fmt: skip
            best = pack(header, [blob for _, blob in sections])
        return smallest(best, array, self.order, self.pipeline)
