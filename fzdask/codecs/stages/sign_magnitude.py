"""Signed to unsigned as a sign bit and a magnitude."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fzdask.codecs.kernels.cpu import sign_magnitude
from fzdask.codecs.stages.base import ArrayStage, Encoded, Form, Job, Known, check_params
from fzdask.codecs.stages.zigzag import codes_form

__all__ = ["SignMagnitude"]


@dataclass(frozen=True)
class SignMagnitude(ArrayStage):
    """The sign in the highest bit, the magnitude below it: exact for every integer.

    For a bit shuffle, which turns the signs into one plane and leaves the planes above the
    magnitudes zero.

    Stream
    ------
    No parameters and no side sections. Main section: for each integer v of w bits an unsigned
    little-endian integer of w bits, v if v >= 0, else ``2**(w - 1) - v``; the lowest integer,
    whose magnitude has no room, is ``2**(w - 1)``.

    Sources
    -------
    Zhang et al. 2023, "FZ-GPU: a fast and high-ratio lossy compressor for scientific computing
    applications on GPUs".
    """

    name: ClassVar[str] = "sign_magnitude"
    code: ClassVar[int] = 9
    takes: ClassVar[tuple[str, ...]] = ("lattice",)
    gives: ClassVar[str] = "codes"

    def encode(self, data: NDArray[Any], form: Form, job: Job) -> Encoded:
        out = np.empty(data.size, f"<u{form.dtype.itemsize}")
        sign_magnitude.forward(data, out)
        return Encoded(out)

    def form_after(self, form: Form, params: bytes) -> Form:
        check_params(SignMagnitude, params, 0)
        return codes_form(SignMagnitude, form)

    def decode(
        self,
        data: NDArray[Any],
        form: Form,
        params: bytes,
        sections: dict[str, NDArray[np.uint8]],
        known: Known,
    ) -> NDArray[Any]:
        out = np.empty(data.size, form.dtype)
        sign_magnitude.inverse(data, out)
        return out
