"""``quantize | lorenzo`` as one kernel, and on to ``huffman`` without residuals in between."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fzdask.addresses import address
from fzdask.codecs.kernels.cpu import fused_symbols, outliers
from fzdask.codecs.kernels.cpu.tile_differences import TILE, buffers_of
from fzdask.codecs.stages.base import Encoded, Form, Job, Known, Stage
from fzdask.codecs.stages.fusion import Fusion
from fzdask.codecs.stages.huffman import Huffman
from fzdask.codecs.stages.lorenzo import Lorenzo, axes_geometry
from fzdask.codecs.stages.quantize import (
    LIMITS,
    SIGNS,
    Quantize,
    cheap_rule,
    dequantize_residual,
    lattice_width,
    outlier_sections,
    outliers_room,
    quantize_to_residual,
    room_for_values,
    steps,
    with_outliers,
)
from fzdask.codecs.stages.symbols import Symbols

__all__ = ["QuantizeLorenzo", "QuantizeLorenzoHuffman", "encode_quantize_lorenzo"]

WIDTH = 4  # bytes of the lattice that the kernel on vectors takes


class QuantizeLorenzo(Fusion):
    """Quantize and difference tile by tile."""

    chain: ClassVar[tuple[type[Stage], ...]] = (Quantize, Lorenzo)

    def encode(
        self, stages: Sequence[Any], data: NDArray[Any], form: Form, job: Job
    ) -> list[Encoded]:
        return encode_quantize_lorenzo(stages[1], data, form, job, symbols=False)

    def decode(
        self,
        stages: Sequence[Any],
        data: NDArray[Any],
        forms: Sequence[Form],
        params: Sequence[bytes],
        sections: Sequence[dict[str, NDArray[np.uint8]]],
        known: Known,
    ) -> NDArray[Any]:
        return _decode_quantize_lorenzo(data, forms, params, sections, known)


class QuantizeLorenzoHuffman(Fusion):
    """The same, handing 16-bit symbols and their counts to the entropy coder."""

    chain: ClassVar[tuple[type[Stage], ...]] = (Quantize, Lorenzo, Huffman)

    def encode(
        self, stages: Sequence[Any], data: NDArray[Any], form: Form, job: Job
    ) -> list[Encoded]:
        quantized, lorenzo = encode_quantize_lorenzo(stages[1], data, form, job, symbols=True)
        return [
            quantized,
            Encoded(None, lorenzo.params),
            stages[2].encode(lorenzo.data, form, job),
        ]

    def decode(
        self,
        stages: Sequence[Any],
        data: NDArray[Any],
        forms: Sequence[Form],
        params: Sequence[bytes],
        sections: Sequence[dict[str, NDArray[np.uint8]]],
        known: Known,
    ) -> NDArray[Any]:
        form, coder = forms[0], stages[2]
        if forms[1].dtype.itemsize != WIDTH or not isinstance(coder, Huffman):
            residual = coder.decode(data, forms[2], params[2], sections[2], known)
            return _decode_quantize_lorenzo(residual, forms, params, sections, known)
        coded = coder.decode_symbols(data, forms[2], params[2], sections[2], known)
        strides, spans = axes_geometry(form.shape, params[1][0])
        out = room_for_values(form.size, form, known)
        fused_symbols.decode(
            coded.z, coded.wide, coded.places, steps(form.bound)[0], strides, spans,
            *buffers_of(strides, spans), out,
        )  # fmt: skip
        return with_outliers(out, form, sections[0])


def encode_quantize_lorenzo(
    lorenzo: Lorenzo, data: NDArray[Any], form: Form, job: Job, *, symbols: bool
) -> list[Encoded]:
    """What both stages give; with ``symbols`` the residual as an entropy coder takes it."""
    job.sample = (data, steps(form.bound)[1])
    subset = lorenzo.subset(data, form, job)
    geometry = axes_geometry(form.shape, subset)
    joint = None
    wide = job.measured and lattice_width(data, form.bound, job) != WIDTH
    if symbols and not wide and job.bits.dtype.itemsize == data.itemsize:
        joint = _quantize_to_symbols(data, form.bound, job, *geometry)
    if joint is None:
        joint = quantize_to_residual(data, form.bound, job, *geometry, symbols)
    return [
        Encoded(None, joint.params, joint.sections),
        Encoded(joint.data, bytes([subset])),
    ]


def _quantize_to_symbols(
    data: NDArray[Any],
    bound: float,
    job: Job,
    strides: NDArray[np.int64],
    spans: NDArray[np.int64],
) -> Encoded | None:
    """Lattice of 32 bits, differenced along these axes, as symbols; None if it is too narrow."""
    step, inv = steps(bound)
    state = np.zeros(outliers.STATE, np.int64)
    values, runs = outliers_room(data.size, job.bits.dtype)
    part = np.empty(TILE, data.dtype)
    room = Symbols.empty(data.size)
    used = fused_symbols.encode(
        address(data.view(np.uint8)), data.size, part, part.view(job.bits.dtype),
        SIGNS[data.itemsize], job.forced, inv, step, bound, LIMITS[WIDTH],
        *cheap_rule(bound, inv), strides, spans,
        *buffers_of(strides, spans), room.z, room.wide, room.tables, state, runs, values,
    )  # fmt: skip
    if used < 0:
        return None
    out: Any = Symbols(room.z, room.wide[:used], room.tables)
    return Encoded(out, bytes([WIDTH]), outlier_sections(state, runs, values))


def _decode_quantize_lorenzo(
    residual: NDArray[Any],
    forms: Sequence[Form],
    params: Sequence[bytes],
    sections: Sequence[dict[str, NDArray[np.uint8]]],
    known: Known,
) -> NDArray[Any]:
    """Undo both, from residuals."""
    width = forms[1].dtype.itemsize
    geometry = axes_geometry(forms[0].shape, params[1][0])
    return dequantize_residual(residual, forms[0], width, sections[0], *geometry, known)
