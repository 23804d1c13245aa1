"""Signed to unsigned in base -2: small magnitudes have few bits, without a sign."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fzdask.codecs.kernels.cpu import negabinary
from fzdask.codecs.stages.base import ArrayStage, Encoded, Form, Job, Known, check_params
from fzdask.codecs.stages.zigzag import codes_form

__all__ = ["Negabinary"]


@dataclass(frozen=True)
class Negabinary(ArrayStage):
    """Codes whose bits weigh 1, -2, 4, -8, ...: exact for every integer.

    Values near 0 of either sign have leading zeros, and unlike with a sign bit, each bit plane
    refines what those above it say. For a bit shuffle to find zeros in.

    Stream
    ------
    No parameters and no side sections. Main section: for each integer v of w bits the unsigned
    little-endian integer ``(v + m) xor m``, modulo 2**w, where m is 0b1010...10 of w bits.

    Sources
    -------
    Lindstrom 2014, "Fixed-rate compressed floating-point arrays" (ZFP); Fallin et al. 2025,
    "Fast and effective lossy compression on GPUs and CPUs with guaranteed error bounds".
    """

    name: ClassVar[str] = "negabinary"
    code: ClassVar[int] = 8
    takes: ClassVar[tuple[str, ...]] = ("lattice",)
    gives: ClassVar[str] = "codes"

    def encode(self, data: NDArray[Any], form: Form, job: Job) -> Encoded:
        out = np.empty(data.size, f"<u{form.dtype.itemsize}")
        negabinary.forward(data, out)
        return Encoded(out)

    def form_after(self, form: Form, params: bytes) -> Form:
        check_params(Negabinary, params, 0)
        return codes_form(Negabinary, form)

    def decode(
        self,
        data: NDArray[Any],
        form: Form,
        params: bytes,
        sections: dict[str, NDArray[np.uint8]],
        known: Known,
    ) -> NDArray[Any]:
        out = np.empty(data.size, form.dtype)
        negabinary.inverse(data, out)
        return out
