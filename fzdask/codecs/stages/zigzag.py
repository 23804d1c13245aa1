"""Signed to unsigned by interleaving: small magnitudes become small codes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fzdask.codecs.kernels.cpu import zigzag
from fzdask.codecs.stages.base import ArrayStage, Encoded, Form, Job, Known, check_params
from fzdask.errors import FormatError

__all__ = ["Zigzag", "codes_form"]


@dataclass(frozen=True)
class Zigzag(ArrayStage):
    """Codes 0, 1, 2, 3, 4, ... of the integers 0, -1, 1, -2, 2, ...: exact for every integer.

    A code has as many bits as the magnitude and one more, whatever the sign, so that what follows
    sees leading zeros only.

    Stream
    ------
    No parameters and no side sections. Main section: for each integer of w bits the code
    ``2 v`` if v >= 0, else ``-2 v - 1``, as an unsigned little-endian integer of w bits.

    Sources
    -------
    Google 2008, Protocol Buffers (the name); Huang et al. 2023, "cuSZp".
    """

    name: ClassVar[str] = "zigzag"
    code: ClassVar[int] = 7
    takes: ClassVar[tuple[str, ...]] = ("lattice",)
    gives: ClassVar[str] = "codes"

    def encode(self, data: NDArray[Any], form: Form, job: Job) -> Encoded:
        out = np.empty(data.size, form.dtype.str.replace("i", "u"))
        zigzag.forward(data, out)
        return Encoded(out)

    def form_after(self, form: Form, params: bytes) -> Form:
        check_params(Zigzag, params, 0)
        return codes_form(Zigzag, form)

    def decode(
        self,
        data: NDArray[Any],
        form: Form,
        params: bytes,
        sections: dict[str, NDArray[np.uint8]],
        known: Known,
    ) -> NDArray[Any]:
        out = np.empty(data.size, form.dtype)
        zigzag.inverse(data, out)
        return out


def codes_form(stage: type[ArrayStage], form: Form) -> Form:
    """The form of one unsigned code for each signed integer."""
    if form.dtype.kind != "i" or form.dtype.itemsize not in (4, 8):
        raise FormatError(
            f"fzdask stream: {stage.name} of {form.dtype}, which is no lattice; it is damaged."
        )
    return Form(form.shape, np.dtype(f"<u{form.dtype.itemsize}"))
