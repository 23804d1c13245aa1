"""Two by two binning in any number of dimensions, with the detail kept exactly."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fzdask.codecs.kernels.cpu import binning
from fzdask.codecs.stages.base import ArrayStage, Encoded, Form, Job, Known, check_params
from fzdask.codecs.stages.lorenzo import folded_shape
from fzdask.errors import ConfigError, FormatError

__all__ = ["Binning"]

MAX_AXES = 4
MAX_LEVELS = 63


@dataclass(frozen=True)
class Binning(ArrayStage):
    """Means over bins of two along each axis, level upon level, and their exact detail.

    Exact for any lattice, since all arithmetic wraps. The coarsest means come first along every
    axis: the corner of the array is a small picture of it. Axes of length 1 do not count; of more
    than four, the leading ones are folded into one.

    Parameters
    ----------
    levels : int
        How often the means are binned again, 1 to 63; fewer where the array is too short.
    axes : str or tuple of int
        ``all``, or the folded axes to bin, as in ``(1, 2)``.

    Stream
    ------
    Parameters, 2 bytes: levels; bit k set if folded axis k (that of ``lorenzo``) is binned. The
    main output has the shape of the lattice. A level works on a region of it, at first all, along
    each binned axis in turn, axis 0 first: pairs (a, b) become high = a - b and
    low = b + floor(high / 2), in the lattice's own width, wrapping around; all ceil(n / 2) lows
    come first, then all highs; of an odd n the last value is the last low. The next level's
    region is that of the lows along all binned axes.

    Source: Said and Pearlman 1996, "An image multiresolution representation for lossless and
    lossy compression" (S-transform); binning before compression: Underwood et al. 2022 (ROIBIN-SZ).
    """

    name: ClassVar[str] = "binning"
    code: ClassVar[int] = 23
    takes: ClassVar[tuple[str, ...]] = ("lattice",)
    gives: ClassVar[str] = "lattice"

    levels: int = 3
    axes: str | tuple[int, ...] = "all"

    def __post_init__(self) -> None:
        if type(self.levels) is not int or not 1 <= self.levels <= MAX_LEVELS:
            raise ConfigError(f"binning: levels={self.levels!r} must be from 1 to {MAX_LEVELS}.")
        axes: Any = self.axes
        if isinstance(axes, str):
            valid = axes == "all"
        else:
            axes = tuple(axes) if isinstance(axes, tuple | list) else (axes,)
            object.__setattr__(self, "axes", axes)
            valid = all(type(a) is int and 0 <= a < MAX_AXES for a in axes)
        if not valid:
            raise ConfigError(
                f"binning: axes={self.axes!r} must be 'all' or numbers from 0 to {MAX_AXES - 1}, "
                "as in axes=(1, 2)."
            )

    def encode(self, data: NDArray[Any], form: Form, job: Job) -> Encoded:
        nd = len(folded_shape(form.shape))
        axes = range(nd) if self.axes == "all" else {int(a) for a in self.axes if int(a) < nd}
        params = bytes([self.levels, sum(1 << a for a in axes)])
        out = data.copy()
        strides, steps = _steps(form.shape, params)
        for lengths, axis in steps:
            binning.forward_axis(out, lengths, strides, axis)
        return Encoded(out, params)

    def form_after(self, form: Form, params: bytes) -> Form:
        check_params(Binning, params, 2)
        fits = 1 <= params[0] <= MAX_LEVELS and not params[1] >> len(folded_shape(form.shape))
        if not fits or form.dtype.kind != "i" or form.dtype.itemsize < 4:
            raise FormatError(
                f"fzdask stream: binning in {params[0]} levels along axes {params[1]:#b} of shape "
                f"{form.shape} {form.dtype}; the stream is damaged."
            )
        return form

    def decode(
        self,
        data: NDArray[Any],
        form: Form,
        params: bytes,
        sections: dict[str, NDArray[np.uint8]],
        known: Known,
    ) -> NDArray[Any]:
        out = data.copy()
        strides, steps = _steps(form.shape, params)
        for lengths, axis in reversed(list(steps)):
            binning.inverse_axis(out, lengths, strides, axis)
        return out


def _steps(
    shape: tuple[int, ...], params: bytes
) -> tuple[NDArray[np.int64], Iterator[tuple[NDArray[np.int64], int]]]:
    """Strides of the array in four axes, and for each step its region and axis in turn."""
    folded = folded_shape(shape)
    front = MAX_AXES - len(folded)
    lengths = np.array((1,) * front + folded, np.int64)
    strides = np.ones(MAX_AXES, np.int64)
    strides[:-1] = np.cumprod(lengths[:0:-1])[::-1]
    axes = [front + k for k in range(len(folded)) if params[1] >> k & 1]

    def steps() -> Iterator[tuple[NDArray[np.int64], int]]:
        region = lengths
        for _ in range(params[0]):
            smaller = region.copy()
            for axis in axes:
                if region[axis] > 1:
                    yield region, axis
                    smaller[axis] = (region[axis] + 1) // 2
            region = smaller

    return strides, steps()
