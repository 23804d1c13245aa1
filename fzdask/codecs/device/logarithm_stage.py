"""Logarithms on a device: decoding; their signs and zeros are unpacked on the host."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fzdask.codecs.device.base import DeviceStage
from fzdask.codecs.device.default_stages import put_back
from fzdask.codecs.kernels.cpu import log_tables
from fzdask.codecs.kernels.cuda import logarithm
from fzdask.codecs.kernels.cuda.device import Device
from fzdask.codecs.stages.base import Encoded, Form, Job, Known
from fzdask.codecs.stages.logarithm import (
    CODED_SIGNS,
    CODED_ZEROS,
    LAYOUT,
    NEGATIVE,
    NO_WORDS,
    SIGNS,
    SMOOTH,
    ZERO,
    ZEROS,
    Logarithm,
    mantissa_bits,
    unpacked_bitmap,
)
from fzdask.errors import FormatError

__all__ = ["LogarithmOnDevice"]


class LogarithmOnDevice(DeviceStage):
    """``logarithm``."""

    of = Logarithm
    encodes: ClassVar[bool] = False

    def encode(self, device: Device, stage: Any, data: Any, form: Form, job: Job) -> Encoded:
        raise AssertionError("logarithm encodes on the host")

    def decode(
        self,
        device: Device,
        stage: Any,
        data: Any,
        form: Form,
        params: bytes,
        sections: dict[str, NDArray[np.uint8]],
        known: Known,
    ) -> Any:
        scale, flags, _ = LAYOUT.unpack(params)
        zeros = unpacked_bitmap("zeros", flags & (ZEROS | CODED_ZEROS), NO_WORDS, form, sections)
        signs = unpacked_bitmap("signs", flags & (SIGNS | CODED_SIGNS), zeros, form, sections)
        nbytes = -(-form.size // 8)
        out = logarithm.decode(
            device, data, form.dtype.itemsize, mantissa_bits(form.dtype), scale,
            bool(flags & SMOOTH), log_tables.exp_table(), signs.view(np.uint8)[:nbytes],
            bool(flags & NEGATIVE), zeros.view(np.uint8)[:nbytes], bool(flags & ZERO),
        )  # fmt: skip
        exact = {
            name: sections[kept]
            for name, kept in (("outlier_runs", "exact_runs"), ("outliers", "exact"))
            if kept in sections
        }
        if len(exact) == 1:
            raise FormatError("fzdask stream: exact values and their places do not match.")
        return put_back(device, out, exact).view(form.dtype)
