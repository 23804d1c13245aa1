"""Byte shuffle: the first bytes of all elements, then the second, and so on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fzdask.codecs.stages.base import ArrayStage, Encoded, Form, Job, Known, check_params

__all__ = ["Shuffle"]


@dataclass(frozen=True)
class Shuffle(ArrayStage):
    """Group the bytes of equal significance, so that a lossless back end finds more in them.

    Source: the shuffle filter of HDF5 and Blosc.
    """

    name: ClassVar[str] = "shuffle"
    code: ClassVar[int] = 5
    takes: ClassVar[tuple[str, ...]] = ("array",)
    gives: ClassVar[str] = "bytes"

    def encode(self, data: NDArray[Any], form: Form, job: Job) -> Encoded:
        planes = data.view(np.uint8).reshape(data.size, form.dtype.itemsize).T
        return Encoded(np.ascontiguousarray(planes).reshape(-1))

    def form_after(self, form: Form, params: bytes) -> Form:
        check_params(Shuffle, params, 0)
        return Form((form.size * form.dtype.itemsize,), np.dtype(np.uint8))

    def decode(
        self,
        data: NDArray[Any],
        form: Form,
        params: bytes,
        sections: dict[str, NDArray[np.uint8]],
        known: Known,
    ) -> NDArray[Any]:
        planes = data.reshape(form.dtype.itemsize, form.size).T
        return np.ascontiguousarray(planes).reshape(-1).view(form.dtype)
