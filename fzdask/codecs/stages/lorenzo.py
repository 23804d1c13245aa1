"""Lorenzo prediction of order 1 along the axes where it pays."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fzdask.codecs.codebooks import SharedBooks
from fzdask.codecs.kernels.cpu import difference, sampling
from fzdask.codecs.stages.base import ArrayStage, Encoded, Form, Job, Known, check_params
from fzdask.codecs.stages.quantize import LIMITS
from fzdask.errors import ConfigError, FormatError

__all__ = ["Lorenzo", "axes_geometry", "choose_axes", "folded_shape"]

MAX_AXES = 4
# Axes of an earlier chunk are kept if on so many samples no others cost 2 % less: a change of
# regime shows on a few, and looking at a few is cheaper than choosing again.
FEW_SAMPLES = 32
MUCH_ALIKE = 1.02


@dataclass(frozen=True)
class Lorenzo(ArrayStage):
    """Residual of the Lorenzo predictor: first differences along a subset of the axes.

    Exact for any lattice, since all arithmetic wraps. Axes of length 1 do not count; of more
    than four, the leading ones are folded into one.

    Parameters
    ----------
    axes : str or tuple of int
        ``auto``: the subset with the smallest estimated size of a sample; ``all``; or the
        folded axes to difference, as in ``(0, 2)``.

    Source: Ibarria et al. 2003, "Out-of-core compression and decompression of large
    n-dimensional scalar fields".
    """

    name: ClassVar[str] = "lorenzo"
    code: ClassVar[int] = 2
    takes: ClassVar[tuple[str, ...]] = ("lattice",)
    gives: ClassVar[str] = "lattice"

    axes: str | tuple[int, ...] = "auto"

    def __post_init__(self) -> None:
        axes: Any = self.axes
        if isinstance(axes, str):
            valid = axes in ("auto", "all")
        else:
            axes = tuple(axes) if isinstance(axes, tuple | list) else (axes,)
            object.__setattr__(self, "axes", axes)
            valid = all(type(a) is int and 0 <= a < MAX_AXES for a in axes)
        if not valid:
            raise ConfigError(
                f"lorenzo: axes={self.axes!r} must be 'auto', 'all' or numbers from 0 to "
                f"{MAX_AXES - 1}, as in axes=(0, 2)."
            )

    def encode(self, data: NDArray[Any], form: Form, job: Job) -> Encoded:
        subset = self.subset(data, form, job)
        strides, spans = axes_geometry(form.shape, subset)
        out = np.empty(data.size, data.dtype)
        bufs, hist = difference.new_state(data.dtype, strides)
        difference.forward(data, strides, spans, bufs, hist, out)
        return Encoded(out, bytes([subset]))

    def subset(self, data: NDArray[Any], form: Form, job: Job) -> int:
        """Bit mask of the folded axes to difference."""
        nd = len(folded_shape(form.shape))
        if self.axes == "auto":
            folded = folded_shape(form.shape)
            sample, inv = job.sample if job.sample is not None else (data, 1.0)
            if not isinstance(job.books, SharedBooks):
                return choose_axes(sample, folded, inv, job.forced)
            subset = job.books.recall_axes(folded)
            if subset is None or not _still_good(subset, sample, folded, inv, job.forced):
                subset = choose_axes(sample, folded, inv, job.forced)
                job.books.remember_axes(folded, subset)
            return subset
        if self.axes == "all":
            return (1 << nd) - 1
        return sum(1 << a for a in {int(a) for a in self.axes} if a < nd)

    def form_after(self, form: Form, params: bytes) -> Form:
        check_params(Lorenzo, params, 1)
        if params[0] >> len(folded_shape(form.shape)) or form.dtype.kind != "i":
            raise FormatError(
                f"fzdask stream: lorenzo along axes {params[0]:#b} of shape {form.shape} "
                f"{form.dtype}; the stream is damaged."
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
        strides, spans = axes_geometry(form.shape, params[0])
        out = np.empty(data.size, data.dtype)
        bufs, hist = difference.new_state(data.dtype, strides)
        difference.inverse(data, strides, spans, bufs, hist, out)
        return out


def folded_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Shape without axes of length 1, the leading ones folded until four are left."""
    long = [n for n in shape if n != 1]
    while len(long) > MAX_AXES:
        long[:2] = [long[0] * long[1]]
    return tuple(long)


@lru_cache(maxsize=1024)
def axes_geometry(
    shape: tuple[int, ...], subset: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Strides and spans (stride times length) of the chosen folded axes, innermost first."""
    strides, spans = [], []
    stride = 1
    folded = folded_shape(shape)
    for axis in range(len(folded) - 1, -1, -1):
        if subset >> axis & 1:
            strides.append(stride)
            spans.append(stride * folded[axis])
        stride *= folded[axis]
    geometry = np.array(strides, np.int64), np.array(spans, np.int64)
    for array in geometry:
        array.setflags(write=False)  # shared by all who ask
    return geometry


def choose_axes(
    data: NDArray[Any], folded: tuple[int, ...], inv: float, forced: NDArray[np.uint8]
) -> int:
    """Subset of axes whose differences code smallest on a sample of the lattice.

    The sample is 256 to 2048 points, a 256th of the values in between, so that choosing is cheap.
    """
    if not folded or data.size < 2:
        return 0
    costs = _costs(data, folded, inv, forced, min(max(data.size // 256, 256), 2048, data.size))
    if not costs.any():
        return (1 << len(folded)) - 1
    return int(costs.argmin())


def _still_good(
    subset: int,
    data: NDArray[Any],
    folded: tuple[int, ...],
    inv: float,
    forced: NDArray[np.uint8],
) -> bool:
    """Whether no other axes look better than those chosen for an earlier chunk."""
    if not folded or data.size < FEW_SAMPLES:
        return False
    costs = _costs(data, folded, inv, forced, FEW_SAMPLES)
    return bool(costs[subset] <= MUCH_ALIKE * costs.min())


def _costs(
    data: NDArray[Any],
    folded: tuple[int, ...],
    inv: float,
    forced: NDArray[np.uint8],
    samples: int,
) -> NDArray[np.int64]:
    """Estimated size of a sample for every subset of axes; all 0 where nothing can be sampled."""
    if hasattr(data, "difference_costs"):  # an array on a device is sampled there
        on_device: NDArray[np.int64] = data.difference_costs(folded, forced, samples)
        return on_device
    costs = np.zeros(1 << len(folded), np.int64)
    sampling.difference_costs(data, forced, _lengths(folded), inv, LIMITS[8], samples, costs)
    return costs


@lru_cache(maxsize=1024)
def _lengths(folded: tuple[int, ...]) -> NDArray[np.int64]:
    lengths = np.array(folded, np.int64)
    lengths.setflags(write=False)  # shared by all who ask
    return lengths
