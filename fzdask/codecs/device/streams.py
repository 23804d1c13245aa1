"""Device arrays to streams and back; the bytes are those of :func:`fzdask.compress`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fzdask.codecs import api
from fzdask.codecs.codebooks import FITTED, Codebook
from fzdask.codecs.config import CodecConfig
from fzdask.codecs.device import arrays
from fzdask.codecs.device.base import DeviceStage
from fzdask.codecs.device.default_stages import decode_fused, fuses
from fzdask.codecs.device.prepare import flatten, prepare_on_device
from fzdask.codecs.device.stages import device_stages, fusion_at, fusion_until
from fzdask.codecs.device.wrapping import unwrap, wrap
from fzdask.codecs.kernels.cuda.device import Device
from fzdask.codecs.pipeline import Pipeline
from fzdask.codecs.prepare import (
    Prepared,
    decoding_bound,
    flat_form,
    memory_order,
    numeric_form,
    restore_layout,
)
from fzdask.codecs.stages.base import Form, Known
from fzdask.errors import FormatError, UnsupportedDtypeError
from fzdask.format import Header, pack, unpack

__all__ = ["decode_device", "encode_device", "encode_sections"]

Section = tuple[int, int, Any]
"""Index of the stage, number of the section, and its bytes: a device array or bytes."""


def encode_device(array: Any, config: CodecConfig, device: Device) -> bytes:
    """Compress a device array; the stream is that of the same array on the host, byte for byte.

    Values stay on the device: what crosses to the host is sections before their lossless back
    ends, symbol counts and ranges. Where the device cannot do it all (a pipeline with a stage that
    has no kernels, ``psnr``, bit-exact streams), the array is copied to the host instead.

    Parameters
    ----------
    array : device array
        Numbers in native byte order.
    config : CodecConfig
    device : Device
        Where the array is: that of :func:`fzdask.codecs.kernels.cuda.backend.cupy_device`.
    """
    with arrays.current(device):
        return _encode(array, config, device)


def _encode(array: Any, config: CodecConfig, device: Device) -> bytes:
    order = memory_order(array)
    pipeline = api.pipeline_of(config, array.dtype)
    kind, asked = config.bound
    stages = device_stages(pipeline.array_stages)
    takes = api.takes_bound(array, pipeline, config)
    if stages is None or kind == "psnr" or not takes:
        return api.encode(_on_host(device, array, order), config)
    ready = prepare_on_device(device, array, order, config)
    best = None
    if ready.job is not None:
        ready.job.books = api.books_of(config, ready.form)
        params, sections = encode_sections(pipeline, stages, ready, device)
        books = ready.job.books
        wrapped = [wrap(device, pipeline, s, n, data, books) for s, n, data in sections]
        header = Header(
            array.dtype, array.shape, order, kind, asked, ready.resolved,
            pipeline.stage_entries(params), tuple(entry for entry, _ in wrapped),
        )  # fmt: skip
        best = pack(header, [blob for _, blob in wrapped])
        if len(best) <= api.TRY_LOSSLESS * array.nbytes:
            return best
    return api.smallest(best, _on_host(device, array, order), order, pipeline)


def encode_sections(
    pipeline: Pipeline, stages: list[DeviceStage], ready: Prepared, device: Device
) -> tuple[list[bytes], list[Section]]:
    """Parameters of the array stages, and the sections before any back end, in their order."""
    data, form = ready.data, ready.form
    params: list[bytes] = []
    sections: list[Section] = []
    chain = pipeline.array_stages
    assert ready.job is not None
    while len(params) < len(chain):
        at = len(params)
        fused = fusion_at(chain, at) if pipeline.fused else None
        results = None
        if fused is not None:
            fusion, count = fused
            results = fusion.encode(device, chain[at : at + count], data, form, ready.job)
        if results is None:
            if at + 1 < len(chain) and isinstance(chain[at], stages[at + 1].absorbs):
                params.append(b"")  # the next stage gets this one's input
                continue
            results = [stages[at].encode(device, chain[at], data, form, ready.job)]
        for k, result in enumerate(results, at):
            form = chain[k].form_after(form, result.params)
            params.append(result.params)
            for name, section in result.sections.items():
                sections.append((k, chain[k].section_names.index(name) + 1, section))
        data = results[-1].data
    sections.append((len(chain) - 1, 0, data.view(np.uint8)))
    return params, sections


def decode_device(stream: Any, device: Device, codebook: str = "own", out: Any = None) -> Any:
    """Decompress a stream into a device array of its shape, memory order and native dtype.

    Parameters
    ----------
    stream : bytes-like or device array of uint8
    device : Device
    codebook : str
        That of the codec, if it is a fitted one.
    out : device array, optional
        Gets the values, and is returned.

    Raises
    ------
    FormatError
        The stream is truncated, damaged, hostile or of another version.
    UnsupportedDtypeError
        The dtype is none of numbers (text, dates, records): decode it on the host.
    """
    with arrays.current(device):
        return _decode_to(stream, device, codebook, out)


def _decode_to(stream: Any, device: Device, codebook: str, out: Any) -> Any:
    if not isinstance(stream, np.ndarray) and hasattr(stream, "__cuda_array_interface__"):
        stream = device.download(stream)
    header, blobs = unpack(stream)
    dtype = header.dtype.newbyteorder("=")
    if dtype.kind not in "biufc" or dtype.itemsize > 16:
        raise UnsupportedDtypeError(
            f"fzdask: a device has no arrays of {header.dtype}; decompress the stream on the host."
        )
    flat = _decode(header, blobs, codebook, device)
    if flat is None:  # a stage without kernels
        host = api.decode(stream, codebook)
        flat = device.upload(_host_flat(host, header.order).astype(dtype, copy=False))
    array = restore_layout(flat.view(dtype), header.shape, header.order)
    if out is None:
        return array
    if out.shape != array.shape or out.dtype != array.dtype:
        raise FormatError(
            f"fzdask: out is {out.dtype} of shape {out.shape}, the stream {array.dtype} of "
            f"{array.shape}."
        )
    out[...] = array
    return out


def _decode(
    header: Header, blobs: list[NDArray[np.uint8]], codebook: str, device: Device
) -> Any | None:
    """The flat values; None where the device cannot make them."""
    if not header.stages:
        return None
    pipeline = Pipeline.from_entries(header.stages)
    chain = pipeline.array_stages
    stages = device_stages(chain)
    if stages is None or not pipeline.lossy or not header.nbytes:
        return None
    bound = decoding_bound(header.dtype, header.bound_kind, header.resolved)
    form = numeric_form(flat_form(header.dtype, header.shape, header.order))
    decoding = pipeline.decoding(replace(form, bound=bound), header.stages)
    forms, params = decoding.forms, decoding.params
    main, sides = decoding.unwrapped(
        header.sections, blobs, lambda *stored: unwrap(device, pipeline, *stored)
    )
    data = _typed(main, forms[-1])
    known = Known(Codebook.from_text(codebook) if codebook.startswith(FITTED) else None)
    at = len(chain)
    while at > 0:
        fused = fusion_until(chain, at)
        if fused is not None:
            fusion, count = fused
            part = slice(at - count, at)
            done = fusion.decode(
                device, chain[part], data, forms[part], params[part], sides[part], known
            )
            if done is not None:
                data, at = done, at - count
                continue
        at -= 1
        kernels, stage, sections = stages[at], chain[at], sides[at]
        given = params[at]
        if at > 0 and fuses(chain[at - 1], stage, forms[at - 1], given):
            at -= 1
            data = decode_fused(device, data, forms[at], given, sides[at])
            continue
        if at > 0 and isinstance(chain[at - 1], kernels.absorbs):
            at -= 1
        data = kernels.decode(device, stage, data, forms[at], given, sections, known)
    return data


def _typed(data: Any, form: Form) -> Any:
    """The main section as numbers of the form, or bytes where it has any number of them."""
    if form.shape == (-1,):
        return data
    if data.size != form.size * form.dtype.itemsize:
        raise FormatError(
            f"fzdask stream: the main section has {data.size} bytes instead of "
            f"{form.size * form.dtype.itemsize}; it is damaged."
        )
    return data.view(form.dtype)


def _on_host(device: Device, array: Any, order: str) -> NDArray[Any]:
    """The same array on the host, in the same order of memory."""
    return restore_layout(device.download(flatten(device, array, order)), array.shape, order)


def _host_flat(array: NDArray[Any], order: str) -> NDArray[Any]:
    return np.ascontiguousarray(array.T if order == "F" else array).reshape(-1)
