"""Pairs of stages that run as one kernel; the bytes are those of the unfused pair."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fzdask.codecs.stages.base import Encoded, Form, Job
from fzdask.codecs.stages.lorenzo import Lorenzo, axes_geometry
from fzdask.codecs.stages.quantize import dequantize_residual, quantize_to_residual, steps

__all__ = ["decode_quantize_lorenzo", "encode_quantize_lorenzo"]


def encode_quantize_lorenzo(
    lorenzo: Lorenzo, data: NDArray[Any], form: Form, job: Job, symbols: bool
) -> tuple[Encoded, bytes]:
    """``quantize | lorenzo`` on floats: the joint output and the parameters of ``lorenzo``.

    With ``symbols``, for a next stage that is ``huffman``, the output is what that works on.
    """
    job.sample = (data, steps(job.bound)[1])
    subset = lorenzo.subset(data, form, job)
    geometry = axes_geometry(form.shape, subset)
    return quantize_to_residual(data, job, *geometry, symbols), bytes([subset])


def decode_quantize_lorenzo(
    residual: NDArray[Any],
    form: Form,
    width: int,
    lorenzo_params: bytes,
    sections: dict[str, NDArray[np.uint8]],
    bound: float,
) -> NDArray[Any]:
    """Undo :func:`encode_quantize_lorenzo`, from residuals or zigzagged ones as uint16."""
    geometry = axes_geometry(form.shape, lorenzo_params[0])
    return dequantize_residual(residual, form, width, sections, bound, *geometry)
