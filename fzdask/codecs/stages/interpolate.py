"""Interpolation on ever finer grids that quantizes as it predicts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from fzdask.codecs.kernels.cpu import difference, outliers
from fzdask.codecs.kernels.cpu import interpolate_tuning as tuning
from fzdask.codecs.kernels.cpu.scratch import scratch
from fzdask.codecs.stages.base import ArrayStage, Encoded, Form, Job, Known, check_params
from fzdask.codecs.stages.interpolate_levels import (
    Attempt,
    Layout,
    cell_widths,
    decode_levels,
    is_whole,
)
from fzdask.codecs.stages.interpolate_order import choose_innermost, order_of
from fzdask.codecs.stages.lorenzo import axes_geometry, choose_axes, folded_shape
from fzdask.codecs.stages.quantize import (
    LIMITS,
    NO_AXES,
    dequantize_residual,
    quantize_to_residual,
    steps,
)
from fzdask.errors import ConfigError, FormatError

__all__ = ["Interpolate"]

DIFFERENCES, LEVELS = 0, 1  # ways to predict, as in the parameters
# Levels are estimated apart, but one codebook serves them all: so much more they take.
ONE_CODEBOOK = 1.03
PREDICTORS = ("auto", "interpolation", "lorenzo")


@dataclass(frozen=True)
class Interpolate(ArrayStage):
    """Interpolation on ever finer grids, or Lorenzo differences where those code smaller.

    Guarantees ``|x - x'| <= bound`` for every finite value, decided on the decoder's own ``x'``.
    What misses the bound, NaN, infinities, -0.0 and preserved values are outliers, bit for bit.

    Each level halves the axes that interpolate well at that distance (others wait for a coarser
    level), predicts odd points by splines through decoded even ones, over several axes by a
    weighted mean, and quantizes the difference at once. Axes, splines, weights, and how much
    narrower the cells of coarse levels are, are chosen on samples of the chunk. Fields that
    interpolate badly (particles, ensembles, sharp interfaces) are coded as Lorenzo differences
    where their estimated size is smaller, and so are halves, and numbers so large beside the
    bound that codes would not fit 32 bits. Differences are stored with the axis innermost along
    which a sample of them repeats most (time, where a map hardly changes), if that pays. Encoding
    the decoded array again may make other choices, and so move values once more within the bound.

    Parameters
    ----------
    predictor : str
        ``auto``: the smaller by estimate; ``interpolation`` or ``lorenzo``: that one, where the
        numbers allow it.

    Stream
    ------
    Parameters: the way of prediction (1 byte). 0: Lorenzo differences; the lattice's width in
    bytes and the axes follow, as the parameters of ``quantize`` and ``lorenzo`` of order 1; main
    output, outliers and bound are those of that pair. A fourth byte, where there is one, is a
    folded axis (numbered as in ``lorenzo``) but the last: the main output is then in C order of the
    folded shape with this axis put last, and that is the shape which stages behind this one see.
    1: interpolation; the main output is a code of int32 for each value. Side sections 1
    ``outlier_runs`` and 2 ``outliers``, both or neither, as of ``quantize``, of the array in its
    own order; 3 ``levels``, which is there if and only if it is interpolation.

    Grid. Axes of length 1 are left out, of more than four the leading ones are folded into one.
    If two or more are left and the last is shorter than 16 and shorter than another, the longest
    (the first of several) becomes the last, the others keeping their order. Axes of length 1 in
    front make it four, numbered from 0.

    ``levels`` has a record for each level, finest first. Byte 0: the axes that it halves, bit
    ``d`` for axis ``d`` (at least one, each still of length 2 or more), and, times 16, 16 minus
    the sixteenths ``k`` of its cells. Byte 1: the spline of axis ``d`` in bits ``2 d`` and
    ``2 d + 1``. Then numbers of 4 bits, low ones first, padded to whole bytes: the weights of the
    four axes, and for each of its classes with several odd axes how that is weighted. A halved
    axis of length n is left with ceil(n / 2) even points. The classes of a level are the sets of
    halved axes along which a point is odd, in order of their number of axes, then of the sum of
    ``2**d``.

    Codes come in this order: the points even in all levels, of the coarsest grid; then from the
    coarsest level to the finest its classes in their order; each in C order of the grid. With the
    step 2 bound, or in case of integers (``x`` is then a binary64 number) with
    ``2 floor(bound k / 16) + 1`` for the cell and else ``2 bound (k / 16)``, a value is
    ``dtype(p + code * cell)``. In the coarsest grid ``p`` is the value before it, 0 for the first,
    and ``k`` that of the last record (16 if there is none). Elsewhere it is a sum from 0.0 on over
    the odd axes in turn. A weight ``w`` of 1 for an axis whose way of weighting is 2 + its number,
    and 0 for the others, or the axis's weight (way 0; also classes with one odd axis) or its
    square (way 1), divided by the sum over the odd axes, is its share; if all are 0, the share of
    the first odd axis is 1. With L even points of the level's grid on the left of the point and R
    on the right along the axis, and splines linear (0), cubic (1), natural (2), sextic (3), the
    nearest points have these weights:

    * R = 0: -1/2, 3/2 on the left; 1 if L = 1;
    * linear, or L = R = 1: 1/2 | 1/2;
    * else R = 1: -1/8, 3/4 | 3/8; else L = 1: 3/8 | 3/4, -1/8;
    * natural: -0.075, 0.575 | 0.575, -0.075;
    * sextic with L and R above 2: 3/256, -25/256, 150/256 | 150/256, -25/256, 3/256;
    * else -1/16, 9/16 | 9/16, -1/16.

    Each weight times the axis's share is ``c``. From left to right, for each two of them
    ``c s + c' s'`` is added to the sum, then the ``c s`` of one that is left. All is IEEE binary64
    without contraction, ``s`` being decoded values, with those of outliers as their codes say.
    For integers ``p`` is rounded to the nearest (ties to even), and values are clipped to the
    dtype at the end. A ``p`` that is not at most the greatest finite number of the dtype in
    magnitude (2**52 for integers) is taken as 0. The bound is above 0, and twice it is finite;
    for integers it is a whole number from 0, below 2**53.

    Sources: Zhao et al. 2021, "Optimizing error-bounded lossy compression for scientific data by
    dynamic spline interpolation" (SZ3); Liu et al. 2022, "Dynamic quality metric oriented error
    bounded lossy compression for scientific datasets" (QoZ: level-wise bounds, natural splines);
    Liu et al. 2024, "High-performance effective scientific error-bounded lossy compression with
    auto-tuned multi-component interpolation" (HPEZ: means over axes, axes left out).
    """

    name: ClassVar[str] = "interpolate"
    code: ClassVar[int] = 6
    takes: ClassVar[tuple[str, ...]] = ("array",)
    gives: ClassVar[str] = "lattice"
    lossy: ClassVar[bool] = True
    section_names: ClassVar[tuple[str, ...]] = ("outlier_runs", "outliers", "levels")

    predictor: str = "auto"

    def __post_init__(self) -> None:
        if self.predictor not in PREDICTORS:
            raise ConfigError(
                f"interpolate: predictor={self.predictor!r} must be one of "
                f"{', '.join(map(repr, PREDICTORS))}."
            )

    def encode(self, data: NDArray[Any], form: Form, job: Job) -> Encoded:
        return self.encode_chunk(Chunk(data, form, job))

    def encode_chunk(self, chunk: Chunk) -> Encoded:
        """Choose the way to predict and encode, whatever device does the work."""
        if self.predictor == "lorenzo" or not _interpolates(chunk.data, chunk.form, chunk.job):
            return in_best_order(chunk, chunk.differences(chunk.subset(chunk.data)))
        attempt = chunk.attempt()
        if self.predictor == "auto":
            subset = chunk.subset(attempt.masked)
            bits = chunk.difference_bits(attempt.masked, subset)
            if bits < ONE_CODEBOOK * attempt.encode_coarse(bits):
                return in_best_order(chunk, chunk.differences(subset))
        else:
            attempt.encode_coarse(2**62)
        codes, sections = attempt.finish(chunk.job)
        return Encoded(codes, bytes([LEVELS]), sections)

    def form_after(self, form: Form, params: bytes) -> Form:
        way = params[0] if params else -1
        shape = form.shape
        if way == LEVELS:
            check_params(Interpolate, params, 1)
            fits = form.dtype.kind in "iu" or (form.dtype.kind == "f" and form.dtype.itemsize > 2)
            width = 4
        else:
            check_params(Interpolate, params, 4 if len(params) > 3 else 3)
            width = params[1]
            folded = folded_shape(form.shape)
            fits = way == DIFFERENCES and width in LIMITS and not params[2] >> len(folded)
            if len(params) > 3:
                fits = fits and params[3] < len(folded) - 1
                shape = order_of(folded, params[3]).grid if fits else shape
        if not fits or form.dtype.kind not in "fiu" or form.dtype.itemsize > 8:
            raise FormatError(
                f"fzdask stream: interpolate with parameters {params.hex()} for {form.dtype} of "
                f"shape {form.shape}; the stream is damaged."
            )
        return Form(shape, np.dtype(f"<i{width}"))

    def decode(
        self,
        data: NDArray[Any],
        form: Form,
        params: bytes,
        sections: dict[str, NDArray[np.uint8]],
        known: Known,
    ) -> NDArray[Any]:
        if ("levels" in sections) == (params[0] == DIFFERENCES):
            raise FormatError(
                "fzdask stream: levels of interpolation, but differences; it is damaged."
                if "levels" in sections
                else "fzdask stream: the levels of interpolation are missing; it is damaged."
            )
        if params[0] == DIFFERENCES:
            order = stored_order(form, params)
            if order is not None:
                data = order.restored(data, scratch(data.size, data.dtype))
            return _decode_differences(data, form, params, sections, known)
        check_bound(form)
        out = decode_levels(data, form, sections["levels"].tobytes(), known.room)
        outliers_back(out, sections)
        return out


class Chunk:
    """An array to encode and what is done with all of its values, here on the host.

    Parameters
    ----------
    data : flat array
    form : Form
    job : Job
    """

    def __init__(self, data: NDArray[Any], form: Form, job: Job) -> None:
        self.data, self.form, self.job = data, form, job

    def attempt(self) -> Attempt:
        """The array as it is interpolated."""
        return Attempt(self.data, self.form, self.job)

    def subset(self, values: NDArray[Any]) -> int:
        """Bit mask of the folded axes along which differences look smallest."""
        return subset_of(values, self.form, self.job.forced)

    def difference_bits(self, values: NDArray[Any], subset: int) -> int:
        """Estimated size of the differences along these axes, in units of 2**-8 bit."""
        return difference_bits(values, self.form, subset)

    def differences(self, subset: int) -> Encoded:
        """The array as Lorenzo differences along these axes."""
        return _encode_differences(self.data, self.form, self.job, subset)

    def pieces(self, array: Any, starts: NDArray[np.int64], length: int) -> NDArray[np.int64]:
        """So many neighbours from each start on in a flat array of integers; on the host."""
        pieces: NDArray[Any] = sliding_window_view(array, length)[starts]
        return pieces.astype(np.int64)

    def arranged(self, array: Any, order: Layout) -> Any:
        """The elements of a flat array in another order."""
        return order.arranged(array)


def in_best_order(chunk: Chunk, encoded: Encoded) -> Encoded:
    """Differences with the axis innermost along which they repeat most, if that pays."""
    folded = folded_shape(chunk.form.shape)

    def take(starts: NDArray[np.int64], length: int) -> NDArray[np.int64]:
        return chunk.pieces(encoded.data, starts, length)

    innermost = choose_innermost(take, folded)
    if innermost >= len(folded) - 1:
        return encoded
    order = order_of(folded, innermost)
    job = chunk.job
    if job.forced.size:
        job.forced = chunk.arranged(job.forced, order)
    job.order, job.pairs, job.sample = "C", False, None  # stages behind see another shape
    params = encoded.params + bytes([innermost])
    return Encoded(chunk.arranged(encoded.data, order), params, encoded.sections)


def stored_order(form: Form, params: bytes) -> Layout | None:
    """The order in which differences are stored, if it is not the array's own."""
    return order_of(folded_shape(form.shape), params[3]) if len(params) > 3 else None


def outliers_back(out: NDArray[Any], sections: dict[str, NDArray[np.uint8]]) -> None:
    """Put the outliers of a flat array in their places."""
    runs, values = sections.get("outlier_runs"), sections.get("outliers")
    if runs is None and values is None:
        return
    bits_dtype = np.dtype(f"<u{out.dtype.itemsize}")
    if runs is None or values is None or values.size % out.dtype.itemsize:
        raise FormatError("fzdask stream: outliers and their places do not match.")
    if not outliers.restore(runs, values.view(bits_dtype), out.view(bits_dtype)):
        raise FormatError("fzdask stream: outliers do not fit the array.")


def _interpolates(data: NDArray[Any], form: Form, job: Job) -> bool:
    """Whether codes of 32 bits hold the array; halves are differenced, as they are so rough."""
    if data.size < 2 or data.dtype != form.dtype or data.dtype == np.float16:
        return False
    if is_whole(form.dtype):
        return job.finite_max < 2.0**31 and form.bound < 2.0**31
    with np.errstate(over="ignore", divide="ignore"):
        narrowest = cell_widths(form.bound, np.array([1]), False)[0]
        usable = narrowest > 0 and bool(np.isfinite(1.0 / narrowest))
    return usable and job.finite_max * steps(form.bound)[1] < LIMITS[4]


def check_bound(form: Form) -> None:
    usable = form.bound >= 0 and np.isfinite(2.0 * form.bound)
    if is_whole(form.dtype):
        usable = usable and form.bound < 2.0**53 and form.bound == int(form.bound)
    elif usable:
        usable = form.bound > 0
    if not usable:
        raise FormatError(f"fzdask stream: bound {form.bound!r} has no cells; it is damaged.")


def _inverse_cell(form: Form) -> float:
    """Factor that turns values into lattice values (near those of ``quantize``)."""
    return 1.0 / (2.0 * form.bound + 1.0) if is_whole(form.dtype) else steps(form.bound)[1]


def subset_of(values: NDArray[Any], form: Form, forced: NDArray[np.uint8]) -> int:
    """Bit mask of the folded axes along which differences look smallest."""
    return choose_axes(values, folded_shape(form.shape), _inverse_cell(form), forced)


def difference_bits(values: NDArray[Any], form: Form, subset: int) -> int:
    """Estimated size of the differences along these axes, in units of 2**-8 bit."""
    folded = folded_shape(form.shape)
    missing = 4 - len(folded)
    grid = np.array((1,) * missing + folded, np.int64)
    samples = min(max(form.size // 32, 4096), 32768)
    inv = _inverse_cell(form)
    return int(
        tuning.estimate_differences(values, grid, subset << missing, inv, LIMITS[8], samples)
    )


def _encode_differences(data: NDArray[Any], form: Form, job: Job, subset: int) -> Encoded:
    """As ``quantize | lorenzo``."""
    strides, spans = axes_geometry(form.shape, subset)
    if form.dtype.kind == "f":
        joint = quantize_to_residual(data, form.bound, job, strides, spans)
        params = bytes([DIFFERENCES, joint.params[0], subset])
        return Encoded(joint.data, params, joint.sections)
    lattice = quantize_to_residual(data, form.bound, job, NO_AXES, NO_AXES)
    out = np.empty(data.size, lattice.data.dtype)
    bufs, hist = difference.new_state(out.dtype, strides)
    difference.forward(lattice.data, strides, spans, bufs, hist, out)
    return Encoded(out, bytes([DIFFERENCES, lattice.params[0], subset]), lattice.sections)


def _decode_differences(
    data: NDArray[Any],
    form: Form,
    params: bytes,
    sections: dict[str, NDArray[np.uint8]],
    known: Known,
) -> NDArray[Any]:
    """Undo :func:`_encode_differences`."""
    strides, spans = axes_geometry(form.shape, params[2])
    if form.dtype.kind == "f":
        return dequantize_residual(data, form, params[1], sections, strides, spans, known)
    lattice = np.empty(data.size, data.dtype)
    bufs, hist = difference.new_state(data.dtype, strides)
    difference.inverse(data, strides, spans, bufs, hist, lattice)
    return dequantize_residual(lattice, form, params[1], sections, NO_AXES, NO_AXES)
