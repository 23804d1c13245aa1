"""Differences along one axis of the user's array: for example in time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fzdask.codecs.kernels.cpu import difference
from fzdask.codecs.stages.base import ArrayStage, Encoded, Form, Job, Known, check_params
from fzdask.errors import ConfigError, FormatError

__all__ = ["Difference"]

NONE = 255


@dataclass(frozen=True)
class Difference(ArrayStage):
    """First or second differences along one axis, for example in time.

    Exact for any lattice, since all arithmetic wraps. A lattice without that axis, or of length 1
    along it, is left as it is, so that one pipeline serves all variables of a dataset.

    Parameters
    ----------
    axis : int
        Of the array as the user sees it, whatever its memory order; negative from the end. A name
        needs ``Pipeline.from_text(text, dims=array.dims)``, which puts the number in its place:
        arrays, Zarr chunks and streams have no names.
    order : int
        1: first differences; 2: second ones (a change at a constant rate costs nothing).

    Stream
    ------
    Parameters, 2 bytes: the axis of the memory shape (255: none), the order. The main output has
    the shape and integers of the lattice. Along the axis, order 1 gives q0, q1 - q0, q2 - q1, ...;
    order 2 gives q0, q1 - q0, q2 - 2 q1 + q0, ..., in the lattice's own width, wrapping around.

    Source: differential pulse-code modulation (Cutler 1952, US patent 2605361).
    """

    name: ClassVar[str] = "difference"
    code: ClassVar[int] = 24
    takes: ClassVar[tuple[str, ...]] = ("lattice",)
    gives: ClassVar[str] = "lattice"
    array_axes: ClassVar[frozenset[str]] = frozenset({"axis"})

    axis: int = 0
    order: int = 1

    def __post_init__(self) -> None:
        if type(self.axis) is not int or not -64 <= self.axis < 64:
            raise ConfigError(
                f"difference: axis={self.axis!r} must be a whole number, -64 to 63; for the name "
                "of a dimension, use Pipeline.from_text(text, dims=array.dims)."
            )
        if self.order not in (1, 2):
            raise ConfigError(f"difference: order={self.order!r} must be 1 or 2.")

    def encode(self, data: NDArray[Any], form: Form, job: Job) -> Encoded:
        axis = job.memory_axis(self.axis, form.shape)
        params = bytes([NONE if axis is None else axis, self.order])
        strides, spans = _geometry(form.shape, params)
        out = np.empty(data.size, data.dtype)
        bufs, hist = difference.new_state(data.dtype, strides)
        difference.forward(data, strides, spans, bufs, hist, out)
        return Encoded(out, params)

    def form_after(self, form: Form, params: bytes) -> Form:
        check_params(Difference, params, 2)
        axis, order = params
        if (axis >= len(form.shape) and axis != NONE) or order not in (1, 2):
            raise FormatError(
                f"fzdask stream: difference {order} along axis {axis} of shape {form.shape}; "
                "the stream is damaged."
            )
        if form.dtype.kind != "i" or form.dtype.itemsize not in (4, 8):
            raise FormatError(f"fzdask stream: difference of {form.dtype}; it is damaged.")
        return form

    def decode(
        self,
        data: NDArray[Any],
        form: Form,
        params: bytes,
        sections: dict[str, NDArray[np.uint8]],
        known: Known,
    ) -> NDArray[Any]:
        strides, spans = _geometry(form.shape, params)
        out = np.empty(data.size, data.dtype)
        bufs, hist = difference.new_state(data.dtype, strides)
        difference.inverse(data, strides, spans, bufs, hist, out)
        return out


def _geometry(shape: tuple[int, ...], params: bytes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Stride and span (stride times length) of the axis, once for each difference."""
    axis, order = params
    if axis == NONE or shape[axis] == 1:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    stride = 1
    for length in shape[axis + 1 :]:
        stride *= length
    return np.full(order, stride, np.int64), np.full(order, stride * shape[axis], np.int64)
