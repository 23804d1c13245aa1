"""What each stage of a codec does to an array: time, bytes, entropy, outliers, as a table."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fzdask.codecs import api
from fzdask.codecs.config import CodecConfig
from fzdask.codecs.device import arrays
from fzdask.codecs.flow import Timeline
from fzdask.codecs.pipeline import Pipeline
from fzdask.codecs.prepare import (
    NO_FLAGS,
    Prepared,
    check_array,
    flat_form,
    flatten,
    is_numeric,
    memory_order,
    prepare,
)
from fzdask.codecs.presets import LOSSLESS, find_pipeline
from fzdask.codecs.stages.base import Job
from fzdask.codecs.zarr_metadata import ConfiguredCodec
from fzdask.errors import ConfigError
from fzdask.reports.overlap import CHUNKS, overlapped_run
from fzdask.reports.table import as_table

__all__ = ["Explanation", "StageReport", "explain", "given_config"]


@dataclass(frozen=True, slots=True)
class StageReport:
    """One stage, or one section on its way through a lossless back end.

    Attributes
    ----------
    name : str
        The stage; ``section > back end`` for a section.
    seconds : float
        Wall time of this stage alone, kernels run one by one; the faster of two.
    nbytes_in, nbytes_out : int
        Bytes of its input, and of all it gives (side sections included).
    entropy : float
        Shannon entropy of its main output, in bits for each element of it.
    sections : dict
        Bytes of its side sections by name.
    """

    name: str
    seconds: float
    nbytes_in: int
    nbytes_out: int
    entropy: float
    sections: dict[str, int]


@dataclass(frozen=True)
class Explanation:
    """How a codec treats an array; ``print`` it, or :meth:`save_timeline` for a picture.

    It refers to the array, for the timeline.

    Attributes
    ----------
    pipeline : str
        The chain that was run.
    stages : tuple of StageReport
        In the order in which they ran.
    nbytes, stored_nbytes : int
        Bytes of the array and of its stream.
    outliers : int
        Values kept bit for bit because the lattice could not hold them.
    encode_seconds, decode_seconds : float
        Of the whole codec, with stages run as one kernel where there is one; the faster of two.
    """

    pipeline: str
    stages: tuple[StageReport, ...]
    nbytes: int
    stored_nbytes: int
    outliers: int
    encode_seconds: float
    decode_seconds: float
    _array: Any = field(default=None, repr=False, compare=False)
    _asked: CodecConfig | None = field(default=None, repr=False, compare=False)

    def timeline(self, *, chunks: int = CHUNKS, workers: int | None = None) -> Timeline:
        """Encode the array in chunks on the task flow executor, and say what ran where and when.

        A real run, made when it is asked for: chunks are parts of the array along its longest
        stride (a bound relative to the range is then relative to that of each), several are in
        work at once, and the quicker of two runs is returned. An array on a CUDA device is encoded
        there, on several streams.

        Parameters
        ----------
        chunks : int
            Parts, if the array can be cut into as many.
        workers : int, optional
            Host threads. Default: the processors this process may use.

        Returns
        -------
        Timeline

        Raises
        ------
        ConfigError
            ``chunks`` is no number from 1 on, or the explanation has no array (it was unpickled
            or made by hand).
        """
        if self._array is None or self._asked is None:
            raise ConfigError(
                "Explanation.timeline: there is no array to run; call fzdask.explain."
            )
        return overlapped_run(self._array, self._asked, chunks=chunks, workers=workers)

    def save_timeline(
        self,
        path: str | os.PathLike[str],
        *,
        chunks: int = CHUNKS,
        workers: int | None = None,
        **options: Any,
    ) -> Path:
        """Write the picture of :meth:`timeline` to a file: a lane for each thread and stream.

        Parameters
        ----------
        path : path-like
            ``.svg``, ``.png`` or ``.pdf``.
        chunks, workers : int, optional
            As for :meth:`timeline`.
        **options
            As for :func:`fzdask.codecs.flow.picture.plot_timeline`.

        Raises
        ------
        ConfigError
            As by :meth:`timeline`; Matplotlib is not installed, or it writes no such format.
        """
        from fzdask.codecs.flow.picture import save_timeline

        return save_timeline(self.timeline(chunks=chunks, workers=workers), path, **options)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_array": None, "_asked": None}  # figures travel, the array not

    @property
    def ratio(self) -> float:
        """Bytes of the array over bytes of the stream."""
        return self.nbytes / self.stored_nbytes

    def __str__(self) -> str:
        rows = [
            (
                stage.name,
                f"{1e3 * stage.seconds:.2f}",
                f"{stage.nbytes_in:,}",
                f"{stage.nbytes_out:,}",
                f"{stage.entropy:.3f}",
                ", ".join(f"{name} {size:,}" for name, size in stage.sections.items()),
            )
            for stage in self.stages
        ]
        head = ("stage", "ms", "bytes in", "bytes out", "bits/element", "side sections")
        gb = self.nbytes / 1e9
        return "\n".join(
            [
                self.pipeline,
                as_table(head, rows),
                f"{self.nbytes:,} to {self.stored_nbytes:,} bytes, ratio {self.ratio:.2f}; "
                f"{self.outliers:,} outliers",
                f"whole codec: encode {1e3 * self.encode_seconds:.2f} ms "
                f"({gb / self.encode_seconds:.2f} GB/s), decode {1e3 * self.decode_seconds:.2f} ms "
                f"({gb / self.decode_seconds:.2f} GB/s)",
            ]
        )

    __repr__ = __str__


def explain(array: Any, codec: Any = None, **config: Any) -> Explanation:
    """Run the stages of a codec one by one and say what each does to an array.

    Parameters
    ----------
    array : array_like
        As for :func:`fzdask.compress`. The figures of an array on a CUDA device are those of a
        copy on the host; its timeline is that of the device.
    codec : FZCodec, optional
        The codec; or give its keywords instead, as in ``explain(x, abs=1e-3)``.

    Returns
    -------
    Explanation
        Figures for each stage, and for the whole codec; ``.save_timeline("timeline.svg")`` draws
        how the stages of several chunks overlap.

    Raises
    ------
    ConfigError
        Both a codec and keywords, an invalid configuration, or an array without bytes.

    Notes
    -----
    Stages that would run as one kernel are run one after the other here, so their times add up
    to more than the whole codec takes.
    """
    asked = given_config(codec, config, "explain")
    on_device = arrays.is_device_array(array)
    plain = arrays.device_of(array).download(array) if on_device else check_array(array)
    if not plain.nbytes:
        raise ConfigError(f"fzdask.explain: an array of shape {plain.shape} holds no bytes.")
    runs = []
    for _ in range(2):  # the first may compile
        pipeline, ready = _chain_for(plain, asked)
        runs.append(_run_stages(Pipeline(pipeline.stages, pipeline.sections, fused=False), ready))
    stages = [replace(a, seconds=min(a.seconds, b.seconds)) for a, b in zip(*runs, strict=True)]
    encode_seconds, stream = _best_of_two(lambda: api.encode(plain, asked))
    decode_seconds, _ = _best_of_two(lambda: api.decode(stream, asked.codebook))
    return Explanation(
        str(pipeline),
        tuple(stages),
        plain.nbytes,
        len(stream),
        api.inspect(stream).outliers,
        encode_seconds,
        decode_seconds,
        array if on_device else plain,
        asked,
    )


def given_config(codec: Any, config: dict[str, Any], who: str) -> CodecConfig:
    """The configuration of a codec, or that of keywords."""
    if codec is None:
        return CodecConfig.from_mapping(config)
    if config:
        raise ConfigError(f"fzdask.{who}: give a codec or its keywords {sorted(config)}, not both.")
    if not isinstance(codec, ConfiguredCodec):
        raise ConfigError(
            f"fzdask.{who}: codec={codec!r} is no FZCodec; or give keywords, as in abs=1e-3."
        )
    return codec._encoding_config()


def _chain_for(array: NDArray[Any], asked: CodecConfig) -> tuple[Pipeline, Prepared]:
    """The pipeline that the codec would try first, and its input."""
    order = memory_order(array)
    pipeline = api.pipeline_of(asked, array.dtype)
    if (
        pipeline.lossy
        and is_numeric(array.dtype)
        and (not asked.lossless or array.dtype.kind in "iu")
    ):
        ready = prepare(array, order, asked)
        if ready.job is not None:
            return pipeline, ready
    chain = find_pipeline(LOSSLESS) if pipeline.lossy else pipeline
    flat = flatten(array, order)
    form = flat_form(array.dtype, array.shape, order)
    return chain, Prepared(flat, form, Job(NO_FLAGS, flat[:0], 0.0, order), 0.0)


def _run_stages(pipeline: Pipeline, ready: Prepared) -> list[StageReport]:
    """Each array stage, then each section through its back ends."""
    reports = []
    data, form, job = ready.data, ready.form, ready.job
    assert job is not None
    sections: list[tuple[int, int, NDArray[np.uint8]]] = []
    for at, stage in enumerate(pipeline.array_stages):
        given = data.nbytes
        start = time.perf_counter()
        step = pipeline.encode_step(at, data, form, job)
        seconds = time.perf_counter() - start
        data, form = step.data, step.form
        sections += step.sections
        sides = {
            stage.section_names[number - 1]: raw.size for _, number, raw in step.sections if number
        }
        gives = data.nbytes + sum(sides.values())
        reports.append(StageReport(stage.name, seconds, given, gives, _entropy(data), sides))
    for at, number, raw in sections:
        start = time.perf_counter()
        _, packed = pipeline.wrap(at, number, raw)
        seconds = time.perf_counter() - start
        stage = pipeline.array_stages[at]
        name = stage.section_names[number - 1] if number else "main"
        back_ends = " | ".join(s.name for s in pipeline.back_ends_of(at, number)) or "stored"
        reports.append(
            StageReport(
                f"{name} > {back_ends}", seconds, raw.size, packed.size, _entropy(packed), {}
            )
        )
    return reports


def _entropy(data: NDArray[Any]) -> float:
    """Shannon entropy of the elements, in bits for each."""
    if not data.size:
        return 0.0
    if data.dtype.kind not in "iu":
        data = data.view(np.uint8)
    _, counts = np.unique(data, return_counts=True)
    share = counts / data.size
    return float(max(-(share * np.log2(share)).sum(), 0.0))


def _best_of_two(run: Any) -> tuple[float, Any]:
    """Seconds of the faster of two runs, since the first may compile; and what it gave."""
    best = float("inf")
    for _ in range(2):
        start = time.perf_counter()
        result = run()
        best = min(best, time.perf_counter() - start)
    return best, result
