"""Arrays to streams and back: the functions behind every other face of the project."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fzdask.codecs.codebooks import FITTED, Codebook, SharedBooks, shared_books
from fzdask.codecs.config import CodecConfig
from fzdask.codecs.info import StreamInfo, stream_info
from fzdask.codecs.pipeline import LOSSLESS, Pipeline, find_pipeline
from fzdask.codecs.prepare import (
    NO_FLAGS,
    check_array,
    decoding_bound,
    flat_form,
    flatten,
    is_numeric,
    memory_order,
    numeric_form,
    prepare,
    restore_layout,
)
from fzdask.codecs.stages.base import Form, Job, Known
from fzdask.errors import ConfigError, FormatError
from fzdask.format import Header, SectionEntry, pack, unpack

__all__ = [
    "StreamInfo",
    "compress",
    "decode",
    "decompress",
    "encode",
    "fit_codebook",
    "inspect",
]

# Above this share of the raw size a lossless chain is tried too, and the smaller stream kept.
TRY_LOSSLESS = 0.7


def compress(array: Any, **config: Any) -> bytes:
    """Compress an array within an error bound into a self-contained stream.

    ``|x - x'| <= bound`` holds for every finite value, decided on the value that
    :func:`decompress` returns; NaN payloads, infinities, -0.0 and preserved values come back bit
    for bit. Up to 32 axes, a stream is at most 64 bytes longer than the array (plus the
    description of a structured dtype).

    Parameters
    ----------
    array : array_like
        Any shape, memory order and dtype except object. Floats of 2, 4 and 8 bytes and complex
        numbers (distance in the plane) are bounded; integers take the whole part of the bound;
        everything else is kept bit for bit.
    **config
        Exactly one of ``abs=``, ``rel=``, ``lossless=True``; optionally ``preserve=``,
        ``pipeline=``, ``codebook=``. See :class:`fzdask.FZCodec`.

    Returns
    -------
    bytes

    Raises
    ------
    ConfigError
        Contradictory or unknown parameters, or a masked array.
    UnsupportedDtypeError
        The dtype holds Python objects.

    Examples
    --------
    >>> import numpy as np, fzdask
    >>> x = np.linspace(0, 1, 1000, dtype="f4")
    >>> stream = fzdask.compress(x, abs=1e-3)
    >>> bool(np.abs(fzdask.decompress(stream).astype("f8") - x).max() <= 1e-3)
    True
    """
    return encode(check_array(array), CodecConfig.from_mapping(config))


def decompress(stream: Any, codebook: str = "own") -> NDArray[Any]:
    """Return the array that a stream holds, in its shape, dtype, byte order and memory order.

    Parameters
    ----------
    stream : bytes-like
        What :func:`compress` or a codec gave.
    codebook : str
        That of the codec, if it is a fitted one; any other stream needs none.

    Returns
    -------
    ndarray
        Writable, owned by the caller.

    Raises
    ------
    FormatError
        The stream is truncated, damaged, hostile or of another version. Data returned without
        this error is intact.
    """
    return decode(stream, codebook)


def inspect(stream: Any) -> StreamInfo:
    """Say what a stream holds, from its header alone: pipeline, bounds, shape, sizes.

    Raises
    ------
    FormatError
        The stream's header is damaged or its length is wrong.
    """
    return stream_info(stream)


def encode(array: Any, config: CodecConfig) -> bytes:
    """Compress an array as a configuration asks; see :func:`compress`."""
    array = check_array(array)
    order = memory_order(array)
    kind, asked = config.bound
    pipeline = find_pipeline(config.pipeline)
    best: bytes | None = None
    if is_numeric(array.dtype) and pipeline.lossy and array.size:
        if kind != "lossless" or array.dtype.kind in "iu":
            ready = prepare(array, order, config)
            if ready.job is not None:
                ready.job.books = _books(config, ready.form)
                best = _stream(
                    array, order, pipeline, (kind, asked, ready.resolved),
                    ready.data, ready.form, ready.job,
                )  # fmt: skip
            del ready
        if best is not None and len(best) <= TRY_LOSSLESS * array.nbytes:
            return best
    chain = find_pipeline(LOSSLESS) if pipeline.lossy else pipeline
    flat = flatten(array, order)
    form = flat_form(array.dtype, array.shape, order)
    job = Job(0.0, NO_FLAGS, flat[:0], 0.0)
    exact = ("lossless", 0.0, 0.0)
    if array.nbytes:
        lossless = _stream(array, order, chain, exact, flat, form, job)
        if best is None or len(lossless) < len(best):
            best = lossless
    if best is None or len(best) > array.nbytes:
        stored = _stored(array, order, flat)
        if best is None or len(stored) < len(best):
            best = stored
    return best


def decode(
    stream: Any, codebook: str = "own", check: Callable[[Header], None] | None = None
) -> NDArray[Any]:
    """Decompress a stream; see :func:`decompress`.

    ``codebook`` is that of the codec's configuration: a fitted one is not in the stream.
    ``check`` may refuse the array that the header describes, before anything is allocated for it.
    """
    header, blobs = unpack(stream)
    if check is not None:
        check(header)
    form = flat_form(header.dtype, header.shape, header.order)
    if not header.stages:
        flat = _read_stored(header, blobs)
    else:
        pipeline = Pipeline.from_entries(header.stages)
        numeric = numeric_form(form) if pipeline.lossy else form
        known = Known(
            decoding_bound(header.dtype, header.resolved),
            Codebook.from_text(codebook) if codebook.startswith(FITTED) else None,
        )
        flat = pipeline.decode(numeric, header.stages, header.sections, blobs, known)
        if pipeline.lossy:
            native = header.dtype.newbyteorder("<")
            flat = flat.view(native).astype(header.dtype, copy=False)
    return restore_layout(flat, header.shape, header.order)


def fit_codebook(sample: Any, config: CodecConfig) -> str:
    """A codebook for arrays like the sample, as text for ``codebook=`` of a configuration.

    Raises
    ------
    ConfigError
        The configuration codes the sample without Huffman coding (lossless, or another
        pipeline), or the sample is empty.
    """
    array = check_array(sample)
    pipeline = find_pipeline(config.pipeline)
    books = SharedBooks()
    if is_numeric(array.dtype) and array.size and pipeline.lossy:
        ready = prepare(array, memory_order(array), config)
        if ready.job is not None:
            ready.job.books = books
            pipeline.encode(ready.data, ready.form, ready.job)
    if books.newest is None:
        raise ConfigError(
            f"FZCodec.fit: a {array.dtype} sample of shape {array.shape} and {config.to_dict()} "
            "use no Huffman codebook; leave codebook= out, or fit a larger numeric sample."
        )
    return books.newest.text


def _books(config: CodecConfig, form: Form) -> SharedBooks | Codebook | None:
    """Where a chunk of this configuration takes its codebook from."""
    if config.codebook == "own":
        return None
    if config.codebook == "shared":
        return shared_books((config, form.dtype))
    return Codebook.from_text(config.codebook)


def _stream(
    array: NDArray[Any],
    order: str,
    pipeline: Pipeline,
    bound: tuple[str, float, float],
    data: NDArray[Any],
    form: Form,
    job: Job,
) -> bytes:
    stages, entries, blobs = pipeline.encode(data, form, job)
    header = Header(array.dtype, array.shape, order, *bound, tuple(stages), tuple(entries))
    return pack(header, blobs)


def _stored(array: NDArray[Any], order: str, flat: NDArray[Any]) -> bytes:
    raw = flat.view(np.uint8) if flat.nbytes else np.zeros(0, np.uint8)
    entry = SectionEntry(0, 0, 0, (raw.size,))
    header = Header(array.dtype, array.shape, order, "lossless", 0.0, 0.0, (), (entry,))
    return pack(header, [raw])


def _read_stored(header: Header, blobs: list[NDArray[np.uint8]]) -> NDArray[Any]:
    if len(blobs) != 1 or header.sections[0].applied or blobs[0].size != header.nbytes:
        raise FormatError(
            f"fzdask stream: stored values do not fill shape {header.shape} of {header.dtype}; "
            "it is damaged."
        )
    if not header.dtype.itemsize:
        return np.ndarray((header.size,), header.dtype)  # np.empty makes 'S1' of 'S0'
    return blobs[0].copy().view(header.dtype)
