"""Another order of axes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fzdask.codecs.stages.base import ArrayStage, Encoded, Form, Job, Known
from fzdask.errors import ConfigError, FormatError

__all__ = ["Transpose"]


@dataclass(frozen=True)
class Transpose(ArrayStage):
    """The array with its axes in another order, bit for bit.

    The stages behind it see ``array.transpose(axes)`` in C order, whatever the memory order of
    the array was. It pays where a later stage looks along the last axis (runs, groups, blocks) or
    takes axes in order, and the smooth axis is another one.

    Parameters
    ----------
    axes : str or tuple of int
        The order, as for :func:`numpy.transpose`: every axis of the array once; names need
        ``Pipeline.from_text(text, dims=array.dims)``, as in ``axes=(lon, time, lat)``. ``reverse``
        fits arrays of any number of axes.

    Stream
    ------
    Parameters, 1 byte an axis: axis k of the main output is this axis of the memory shape. The
    main output has the input's elements in C order of its own shape.

    Source: axis order in SZ3 and HPEZ (Liu et al. 2024, "High-performance effective scientific
    error-bounded lossy compression with auto-tuned multi-component interpolation").
    """

    name: ClassVar[str] = "transpose"
    code: ClassVar[int] = 21
    takes: ClassVar[tuple[str, ...]] = ("array", "lattice")
    gives: ClassVar[str] = "same"
    array_axes: ClassVar[frozenset[str]] = frozenset({"axes"})

    axes: str | tuple[int, ...] = "reverse"

    def __post_init__(self) -> None:
        axes: Any = self.axes
        if isinstance(axes, str):
            valid = axes == "reverse"
        else:
            axes = tuple(axes) if isinstance(axes, tuple | list) else (axes,)
            object.__setattr__(self, "axes", axes)
            n = len(axes)
            valid = all(type(a) is int and -n <= a < n for a in axes)
            valid = valid and sorted(a % n for a in axes) == list(range(n))
        if not valid:
            raise ConfigError(
                f"transpose: axes={self.axes!r} must be 'reverse' or every axis once, as in "
                "axes=(2, 0, 1); for names, use Pipeline.from_text(text, dims=array.dims)."
            )

    def encode(self, data: NDArray[Any], form: Form, job: Job) -> Encoded:
        order = self._memory_order(form.shape, job)
        out = _permuted(data, form.shape, order)
        if job.bits.dtype.itemsize == data.dtype.itemsize and job.bits.size == data.size:
            job.bits = out.view(job.bits.dtype)
        elif job.bits.size == data.size:
            job.bits = _permuted(job.bits, form.shape, order)
        if job.forced.size == data.size:
            job.forced = _permuted(job.forced, form.shape, order)
        job.order = "C"
        job.sample = (out, 1.0) if out.dtype.kind == "i" else None
        return Encoded(out, bytes(order))

    def _memory_order(self, shape: tuple[int, ...], job: Job) -> list[int]:
        """The axes of the memory shape in their new order."""
        ndim = len(shape) - job.pairs
        axes = range(ndim)[::-1] if self.axes == "reverse" else self.axes
        if len(axes) != ndim:
            raise ConfigError(
                f"transpose: axes={self.axes!r} for an array of {ndim} axes; name each once, or "
                "leave axes out to reverse them."
            )
        order = [job.memory_axis(int(a), shape) for a in axes]
        return [a for a in order if a is not None] + [ndim] * job.pairs

    def form_after(self, form: Form, params: bytes) -> Form:
        if sorted(params) != list(range(len(form.shape))):
            raise FormatError(
                f"fzdask stream: transpose of shape {form.shape} by {list(params)}; it is damaged."
            )
        return Form(tuple(form.shape[a] for a in params), form.dtype, form.bound)

    def decode(
        self,
        data: NDArray[Any],
        form: Form,
        params: bytes,
        sections: dict[str, NDArray[np.uint8]],
        known: Known,
    ) -> NDArray[Any]:
        shape = tuple(form.shape[a] for a in params)
        return _permuted(data, shape, np.argsort(list(params)).tolist())


def _permuted(data: NDArray[Any], shape: tuple[int, ...], order: list[int]) -> NDArray[Any]:
    """The flat elements in C order of the transposed shape."""
    # Of elements with fields NumPy copies these only, and not what lies between them.
    plain = data.view(f"V{data.itemsize}") if data.dtype.names else data
    moved = np.ascontiguousarray(plain.reshape(shape).transpose(order)).reshape(-1)
    return moved.view(data.dtype)
