"""Lorenzo prediction of order 1 or 2 along the axes where it pays."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fzdask.codecs.kernels.cpu import difference, sampling, sampling_twice, width_sampling
from fzdask.codecs.stages.base import ArrayStage, Encoded, Form, Job, Known, check_params
from fzdask.codecs.stages.quantize import LIMITS
from fzdask.errors import ConfigError, FormatError

__all__ = ["Lorenzo", "axes_geometry", "choose_axes", "folded_shape"]

MAX_AXES = 4
# Blocks in the sample for narrow axes; twice as many take twice the time and gain 1 % at most.
BLOCKS, FEW_BLOCKS = 64, 48


@dataclass(frozen=True)
class Lorenzo(ArrayStage):
    """Residual of the Lorenzo predictor: first or second differences along a subset of the axes.

    Exact for any lattice, since all arithmetic wraps. Axes of length 1 do not count; of more
    than four, the leading ones are folded into one.

    Parameters
    ----------
    axes : str or tuple of int
        ``auto``: the subset with the smallest estimated size of a sample; ``narrow``: that whose
        sample needs the fewest bit planes in blocks of 16, which is quicker to find; ``all``; or
        the folded axes to difference, as in ``(0, 2)``.
    order : int
        1: first differences. 2: second differences along the axes given; with ``auto``, what of
        none, first and second looks best for each axis by itself.

    Stream
    ------
    Parameters, 1 byte: bit k set if folded axis k is differenced, bit k + 4 if it is differenced
    twice (then bit k is set too). The main output has the shape and integers of the lattice. A
    first difference leaves the first value of a line as it is; the second leaves the first two of
    the first: q0, q1 - q0, q2 - 2 q1 + q0, and so on.

    Source: Ibarria et al. 2003, "Out-of-core compression and decompression of large
    n-dimensional scalar fields"; Zhao et al. 2020, "Significantly improving lossy compression
    quality based on an optimized hybrid prediction model" (order 2).
    """

    name: ClassVar[str] = "lorenzo"
    code: ClassVar[int] = 2
    takes: ClassVar[tuple[str, ...]] = ("lattice",)
    gives: ClassVar[str] = "lattice"

    axes: str | tuple[int, ...] = "auto"
    order: int = 1

    def __post_init__(self) -> None:
        axes: Any = self.axes
        if isinstance(axes, str):
            valid = axes in ("auto", "narrow", "all")
        else:
            axes = tuple(axes) if isinstance(axes, tuple | list) else (axes,)
            object.__setattr__(self, "axes", axes)
            valid = all(type(a) is int and 0 <= a < MAX_AXES for a in axes)
        if not valid:
            raise ConfigError(
                f"lorenzo: axes={self.axes!r} must be 'auto', 'narrow', 'all' or numbers from "
                f"0 to {MAX_AXES - 1}, as in axes=(0, 2)."
            )
        if self.order not in (1, 2):
            raise ConfigError(f"lorenzo: order={self.order!r} must be 1 or 2.")

    def encode(self, data: NDArray[Any], form: Form, job: Job) -> Encoded:
        subset = self.subset(data, form, job)
        strides, spans = axes_geometry(form.shape, subset)
        out = np.empty(data.size, data.dtype)
        bufs, hist = difference.new_state(data.dtype, strides)
        difference.forward(data, strides, spans, bufs, hist, out)
        return Encoded(out, bytes([subset]))

    def subset(self, data: NDArray[Any], form: Form, job: Job) -> int:
        """Bit mask of the folded axes to difference; with order 2 as in the parameters."""
        nd = len(folded_shape(form.shape))
        if self.axes == "narrow":
            once = _narrow_axes(data, form, job)
            return once | once << MAX_AXES if self.order == 2 else once
        if self.axes == "auto":
            folded = folded_shape(form.shape)
            sample, inv = job.sample if job.sample is not None else (data, 1.0)
            if self.order == 2:
                return choose_orders(sample, folded, inv, job.forced)
            return choose_axes(sample, folded, inv, job.forced)
        axes = range(nd) if self.axes == "all" else {int(a) for a in self.axes}
        once = sum(1 << a for a in axes if a < nd)
        return once | once << MAX_AXES if self.order == 2 else once

    def form_after(self, form: Form, params: bytes) -> Form:
        check_params(Lorenzo, params, 1)
        once, twice = params[0] & 15, params[0] >> MAX_AXES
        if once >> len(folded_shape(form.shape)) or twice & ~once or form.dtype.kind != "i":
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


@lru_cache(maxsize=1024)
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
    """Strides and spans (stride times length) of the chosen folded axes, innermost first.

    Those of an axis that is differenced twice come twice.
    """
    strides, spans = [], []
    stride = 1
    folded = folded_shape(shape)
    for axis in range(len(folded) - 1, -1, -1):
        for _ in range((subset >> axis & 1) + (subset >> (MAX_AXES + axis) & 1)):
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
    best = int(costs.argmin())
    if not costs[best] and not costs.any():
        return (1 << len(folded)) - 1
    return best


def _narrow_axes(data: NDArray[Any], form: Form, job: Job) -> int:
    """Subset of axes whose differences need the fewest bit planes in a sample."""
    folded = folded_shape(form.shape)
    sample, inv = job.sample if job.sample is not None else (data, 1.0)
    if not folded:
        return 0
    blocks = FEW_BLOCKS if len(folded) == MAX_AXES else BLOCKS
    if hasattr(sample, "narrowest_axes"):  # an array on a device is sampled there
        return int(sample.narrowest_axes(folded, job.forced, blocks))
    return int(width_sampling.narrowest_axes(sample, job.forced, _lengths(folded), inv, blocks))


def choose_orders(
    data: NDArray[Any], folded: tuple[int, ...], inv: float, forced: NDArray[np.uint8]
) -> int:
    """How often to difference each axis: none, once or twice; as parameters have it.

    Samples as :func:`choose_axes`, which chooses where an axis is shorter than three and where no
    second differences pay.
    """
    if not folded or min(folded) < 3:
        return choose_axes(data, folded, inv, forced)
    samples = min(max(data.size // 256, 256), 2048, data.size)
    if hasattr(data, "order_costs"):
        costs = data.order_costs(folded, forced, samples)
    else:
        costs = np.zeros(3 ** len(folded), np.int64)
        sampling_twice.order_costs(data, forced, _lengths(folded), inv, LIMITS[8], samples, costs)
    if not costs.any():
        return (1 << len(folded)) - 1
    best = int(costs.argmin())
    times = [best // 3**a % 3 for a in range(len(folded))]
    if max(times) < 2:
        return choose_axes(data, folded, inv, forced)
    return sum((t > 0) << a | (t > 1) << (MAX_AXES + a) for a, t in enumerate(times))


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
