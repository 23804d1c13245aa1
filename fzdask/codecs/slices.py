"""Encoding in steps with pauses between them, for schedulers; the bytes are those of `encode`."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fzdask.codecs import api
from fzdask.codecs.config import CodecConfig
from fzdask.codecs.pipeline import Pipeline, Step
from fzdask.codecs.prepare import check_array, memory_order, prepare
from fzdask.codecs.stages.base import Encoded, Form, Job
from fzdask.codecs.stages.fused_lorenzo import QuantizeLorenzoHuffman, encode_quantize_lorenzo
from fzdask.codecs.stages.lorenzo import Lorenzo
from fzdask.format import Header, SectionEntry, pack

__all__ = ["encode_slices"]


def encode_slices(array: Any, config: CodecConfig) -> Generator[None, None, bytes]:
    """Compress an array within its bound, yielding between the steps of the pipeline.

    Returns the bytes that `fzdask.codecs.api.encode` gives. Whoever runs the generator may pause
    at any yield for as long as it likes, while the array stays unchanged. With the default
    pipeline the steps are the range of the values, quantization with prediction, entropy coding,
    the back end and the checksum: about half a millisecond at most for a mebibyte, and more in
    proportion to the size. A bound that is found by trial (``psnr=``) and what compresses
    losslessly take one long step.

    Parameters
    ----------
    array : ndarray
        Any dtype but object.
    config : CodecConfig
        Bound, pipeline and codebook.

    Returns
    -------
    generator
        Its return value (of ``yield from``, or of `StopIteration`) is the stream.

    Raises
    ------
    ConfigError, UnsupportedDtypeError
        As `api.encode`, at the first step.
    """
    array = check_array(array)
    order = memory_order(array)
    pipeline = api.pipeline_of(config, array.dtype)
    kind, _ = config.bound
    if kind == "psnr" or not api.takes_bound(array, pipeline, config):
        return api.encode(array, config)
    best = yield from _within_bound(array, order, pipeline, config)
    yield
    return api.smallest(best, array, order, pipeline)


def _within_bound(
    array: NDArray[Any], order: str, pipeline: Pipeline, config: CodecConfig
) -> Generator[None, None, bytes | None]:
    kind, asked = config.bound
    ready = prepare(array, order, config)
    if ready.job is None:
        return None
    ready.job.books = api.books_of(config, ready.form)
    data, form, job, resolved = ready.data, ready.form, ready.job, ready.resolved
    del ready
    params: list[bytes] = []
    wrapped: list[tuple[SectionEntry, NDArray[np.uint8]]] = []
    while len(params) < len(pipeline.array_stages):
        yield
        step = yield from _encode_step(pipeline, len(params), data, form, job)
        data, form = step.data, step.form
        params += step.params
        if step.sections:
            yield
        wrapped += [pipeline.wrap(*section, job.books) for section in step.sections]
    yield
    stages = pipeline.stage_entries(params)
    entries = tuple(entry for entry, _ in wrapped)
    header = Header(array.dtype, array.shape, order, kind, asked, resolved, stages, entries)
    return pack(header, [blob for _, blob in wrapped])


def _encode_step(
    pipeline: Pipeline, at: int, data: NDArray[Any], form: Form, job: Job
) -> Generator[None, None, Step]:
    """One step; the fused one that takes longest is parted before its entropy coder."""
    chain = pipeline.array_stages[at:]
    fused = QuantizeLorenzoHuffman
    parted = pipeline.fused and tuple(type(s) for s in chain) == fused.chain
    if not (parted and fused().applies(form)):
        return pipeline.encode_step(at, data, form, job)
    lorenzo, huffman = chain[1:]
    assert isinstance(lorenzo, Lorenzo)  # for type checkers
    quantized, differenced = encode_quantize_lorenzo(lorenzo, data, form, job, symbols=True)
    yield
    coded = huffman.encode(differenced.data, form, job)
    sections: list[tuple[int, int, NDArray[np.uint8]]] = []
    results = (quantized, Encoded(None, differenced.params), coded)
    for k, (stage, result) in enumerate(zip(chain, results, strict=True), at):
        form = stage.form_after(form, result.params)
        for name, section in result.sections.items():
            number = stage.section_names.index(name) + 1
            sections.append((k, number, np.frombuffer(section, np.uint8)))
    sections.append((at + len(chain) - 1, 0, coded.data.view(np.uint8)))
    return Step(coded.data, form, [result.params for result in results], sections)
