"""``quantize | lorenzo`` as one kernel, and on to ``huffman`` without residuals in between."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fzdask.codecs.stages.base import Encoded, Form, Job, Known, Stage
from fzdask.codecs.stages.fusion import Fusion
from fzdask.codecs.stages.huffman import Huffman
from fzdask.codecs.stages.lorenzo import Lorenzo, axes_geometry
from fzdask.codecs.stages.quantize import (
    Quantize,
    dequantize_residual,
    quantize_to_residual,
    steps,
)

__all__ = ["QuantizeLorenzo", "QuantizeLorenzoHuffman", "encode_quantize_lorenzo"]


class QuantizeLorenzo(Fusion):
    """Quantize and difference tile by tile, in the L1 cache."""

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
        return _decode_quantize_lorenzo(data, forms, params, sections)


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
        coded = stages[2].decode_symbols(data, forms[2], params[2], sections[2], known)
        return _decode_quantize_lorenzo(coded, forms, params, sections)


def encode_quantize_lorenzo(
    lorenzo: Lorenzo, data: NDArray[Any], form: Form, job: Job, *, symbols: bool
) -> list[Encoded]:
    """What both stages give; with ``symbols`` the residual as an entropy coder takes it."""
    job.sample = (data, steps(form.bound)[1])
    subset = lorenzo.subset(data, form, job)
    geometry = axes_geometry(form.shape, subset)
    joint = quantize_to_residual(data, form.bound, job, *geometry, symbols)
    return [
        Encoded(None, joint.params, joint.sections),
        Encoded(joint.data, bytes([subset])),
    ]


def _decode_quantize_lorenzo(
    residual: NDArray[Any],
    forms: Sequence[Form],
    params: Sequence[bytes],
    sections: Sequence[dict[str, NDArray[np.uint8]]],
) -> NDArray[Any]:
    """Undo both, from residuals or zigzagged ones as uint16."""
    width = forms[1].dtype.itemsize
    geometry = axes_geometry(forms[0].shape, params[1][0])
    return dequantize_residual(residual, forms[0], width, sections[0], *geometry)
