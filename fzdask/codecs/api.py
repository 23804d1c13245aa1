"""Arrays to streams and back: the functions behind every other face of the project."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fzdask.codecs.codebooks import FITTED, Codebook
from fzdask.codecs.config import CodecConfig, refuse_positional
from fzdask.codecs.decoding import Decoding
from fzdask.codecs.info import StreamInfo, stream_info
from fzdask.codecs.pipeline import Pipeline
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
    room_in,
)
from fzdask.codecs.presets import LOSSLESS, find_pipeline
from fzdask.codecs.psnr import SLACK, keeps_psnr
from fzdask.codecs.shared_codebooks import SharedBooks, shared_books
from fzdask.codecs.stages.base import Form, Job, Known
from fzdask.codecs.stages.registry import stage_by_name
from fzdask.errors import ConfigError, FormatError
from fzdask.format import Header, SectionEntry, StageEntry, as_bytes, pack, unpack

__all__ = [
    "StreamInfo",
    "books_of",
    "compress",
    "decode",
    "decompress",
    "encode",
    "fit_codebook",
    "inspect",
    "pipeline_of",
]

# Above this share of the raw size a lossless chain is tried too, and the smaller stream kept.
TRY_LOSSLESS = 0.7
PIECES, PIECE = 64, 1 << 12  # pieces of a large array that tell whether to, and values in each
LOGARITHM = "logarithm"  # the stage that resolves pw_rel


def compress(array: Any, *positional: Any, **config: Any) -> bytes:
    """Compress an array within an error bound into a self-contained stream.

    ``|x - x'| <= bound`` holds for every finite value, decided on the value that
    :func:`decompress` returns; NaN payloads, infinities, -0.0 and preserved values come back bit
    for bit, and no other value comes back as a preserved one. Up to 32 axes, a stream is at most
    64 bytes longer than the array (plus the description of a structured dtype).

    Parameters
    ----------
    array : array_like
        Any shape, memory order and dtype except object. Floats of 2, 4 and 8 bytes and complex
        numbers (distance in the plane) are bounded; integers take the whole part of the bound;
        everything else is kept bit for bit. A CuPy array is compressed on its device, to the
        same bytes.
    **config
        Exactly one of ``abs=``, ``rel=``, ``pw_rel=``, ``psnr=``, ``lossless=True``; optionally
        ``preserve=``, ``pipeline=``, ``codebook=``. See :class:`fzdask.FZCodec`.

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
    refuse_positional(positional, "fzdask.compress", "array, ")
    asked = _config_of(config)
    if type(array) is not np.ndarray and hasattr(array, "__cuda_array_interface__"):
        return bytes(_on_device().compress(array, asked))
    return encode(array, asked)


def decompress(stream: Any, codebook: str = "own") -> NDArray[Any]:
    """Return the array that a stream holds, in its shape, dtype, byte order and memory order.

    Parameters
    ----------
    stream : bytes-like
        What :func:`compress` or a codec gave. If it is a device array of bytes, so is the result
        one; with a stream on the host, ``FZCodec.decode(stream, out=array)`` fills one.
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
    if type(stream) is not bytes and hasattr(stream, "__cuda_array_interface__"):
        on_device: NDArray[Any] = _on_device().decompress(stream, codebook)
        return on_device
    return decode(stream, codebook)


def _on_device() -> Any:
    """The layer above, which builds on this one and only arrays of a device need."""
    return importlib.import_module("fzdask.codecs.device.hooks")


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
    pipeline = pipeline_of(config, array.dtype)
    best = None
    if takes_bound(array, pipeline, config):
        best = _within_bound(array, order, pipeline, config)
    return smallest(best, array, order, pipeline)


def takes_bound(array: NDArray[Any], pipeline: Pipeline, config: CodecConfig) -> bool:
    """Whether a lossy pipeline is for this array and what is asked of it."""
    asked = not config.lossless or array.dtype.kind in "iu"
    return asked and pipeline.lossy and is_numeric(array.dtype) and array.size > 0


def smallest(best: bytes | None, array: NDArray[Any], order: str, pipeline: Pipeline) -> bytes:
    """The stream of a lossy pipeline (None: there is none), or an exact one if that is smaller."""
    if best is not None and len(best) <= TRY_LOSSLESS * array.nbytes:
        return best
    chain = find_pipeline(LOSSLESS) if pipeline.lossy else pipeline
    flat = flatten(array, order)
    if best is not None and not _may_be_smaller(chain, flat, len(best) / array.nbytes):
        return best
    form = flat_form(array.dtype, array.shape, order)
    job = Job(NO_FLAGS, flat[:0], 0.0, order)
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


def _may_be_smaller(chain: Pipeline, flat: NDArray[Any], share: float) -> bool:
    """Whether a chain takes less than that share: of a large array, told from pieces of it.

    Two streams of it at once would take as much memory again as the array.
    """
    step = flat.size // PIECES
    if step <= PIECE:
        return True
    sample = np.ascontiguousarray(flat[: step * PIECES].reshape(PIECES, step)[:, :PIECE]).ravel()
    form = flat_form(flat.dtype, sample.shape, "C")
    _, _, blobs = chain.encode(sample, form, Job(NO_FLAGS, sample[:0], 0.0, "C"))
    return sum(blob.nbytes for blob in blobs) < share * sample.nbytes


def decode(
    stream: Any,
    codebook: str = "own",
    check: Callable[[Header], None] | None = None,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Decompress a stream; see :func:`decompress`.

    ``codebook`` is that of the codec's configuration: a fitted one is not in the stream.
    ``check`` may refuse the array that the header describes, before anything is allocated for it.
    The result may be in the memory of ``out``, if it has that of the array and nothing else.
    """
    header, blobs = unpack(stream)
    if check is not None:
        check(header)
    form, decoding = _way_back(
        header.dtype, header.shape, header.order, header.bound_kind, header.resolved, header.stages
    )
    room = room_in(out, form, header.order) if out is not None else None
    if room is not None and type(stream) is not bytes:
        room = None if np.may_share_memory(room, as_bytes(stream)) else room
    if decoding is None:
        flat = _read_stored(header, blobs)
    else:
        book = Codebook.from_text(codebook) if codebook.startswith(FITTED) else None
        flat = decoding.run(header.sections, blobs, Known(book, room))
        if flat.dtype != header.dtype and decoding.lossy:
            native = header.dtype.newbyteorder("<")
            flat = flat.view(native).astype(header.dtype, copy=False)
    return restore_layout(flat, header.shape, header.order)


@lru_cache(maxsize=1024)
def _way_back(
    dtype: np.dtype[Any],
    shape: tuple[int, ...],
    order: str,
    bound_kind: str,
    resolved: float,
    stages: tuple[StageEntry, ...],
) -> tuple[Form, Decoding | None]:
    """The form of an array, and how its stream is decoded; None where its values are stored.

    It is kept, as the chunks of an array have the same.
    """
    form = flat_form(dtype, shape, order)
    if not stages:
        return form, None
    pipeline = Pipeline.from_entries(stages)
    if not pipeline.lossy:
        return form, pipeline.decoding(form, stages)
    numeric = numeric_form(form)
    bound = decoding_bound(dtype, bound_kind, resolved)
    return form, pipeline.decoding(Form(numeric.shape, numeric.dtype, bound), stages)


def fit_codebook(sample: Any, config: CodecConfig) -> str:
    """A codebook for arrays like the sample, as text for ``codebook=`` of a configuration.

    Raises
    ------
    ConfigError
        The configuration codes the sample without Huffman coding (lossless, or another
        pipeline), or the sample is empty.
    """
    array = check_array(sample)
    pipeline = pipeline_of(config, array.dtype)
    books = SharedBooks(standard=False)
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


@lru_cache(maxsize=256)
def pipeline_of(config: CodecConfig, dtype: np.dtype[Any]) -> Pipeline:
    """The pipeline for arrays of this dtype; with a stage that resolves the bound, if it needs one.

    Raises
    ------
    ConfigError
        The pipeline resolves another kind of bound than the configuration has.
    """
    pipeline = find_pipeline(config.pipeline)
    kind, _ = config.bound
    chain = pipeline.stages
    for stage in chain:
        if stage.resolves not in ("", kind):
            raise ConfigError(
                f"FZCodec: stage {stage.name!r} takes a bound {stage.resolves}=, but the codec has "
                f"{kind}=. Give {stage.resolves}=, or leave the stage out."
            )
    if kind != "pw_rel" or not pipeline.lossy:
        return pipeline
    plain = tuple(stage for stage in chain if stage.resolves != kind)
    if dtype.kind not in "fc":
        return pipeline if len(plain) == len(chain) else Pipeline(plain, pipeline.sections)
    if len(plain) < len(chain):
        return pipeline
    return Pipeline((stage_by_name(LOGARITHM)(), *chain), pipeline.sections)


def _config_of(given: dict[str, Any]) -> CodecConfig:
    preserve = given.get("preserve")
    # (True,) equals (1,) and is an error: the cache tells types apart, but not within these.
    kinds = map(type, preserve) if isinstance(preserve, tuple | frozenset) else ()
    try:
        return _known_config(*kinds, **given)
    except TypeError:  # something that cannot be remembered, such as preserve=[...]
        return CodecConfig.from_mapping(given)


@lru_cache(maxsize=256, typed=True)
def _known_config(*_kinds: type, **given: Any) -> CodecConfig:
    return CodecConfig.from_mapping(given)


def _within_bound(
    array: NDArray[Any], order: str, pipeline: Pipeline, config: CodecConfig
) -> bytes | None:
    """The stream of a lossy pipeline; None where the bound is too narrow for it."""
    kind, asked = config.bound
    for slack in (SLACK, 1.0) if kind == "psnr" else (1.0,):
        ready = prepare(array, order, config, slack)
        if ready.job is None:
            return None
        ready.job.books = books_of(config, ready.form)
        stream = _stream(
            array, order, pipeline, (kind, asked, ready.resolved),
            ready.data, ready.form, ready.job,
        )  # fmt: skip
        if slack == 1.0 or keeps_psnr(
            array, decode(stream, config.codebook), asked, ready.low, ready.high, config.preserve
        ):
            break
    return stream


def books_of(config: CodecConfig, form: Form) -> SharedBooks | Codebook | None:
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
    header = Header(array.dtype, array.shape, order, *bound, stages, tuple(entries))
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
