"""Interpolation on ever finer grids that quantizes as it predicts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fzdask.codecs.kernels.cpu import difference, outliers
from fzdask.codecs.kernels.cpu import interpolate_tuning as tuning
from fzdask.codecs.stages.base import ArrayStage, Encoded, Form, Job, Known, check_params
from fzdask.codecs.stages.interpolate_levels import Attempt, cell_widths, decode_levels, is_whole
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
PREDICTORS = ("auto", "interpolation", "lorenzo")


@dataclass(frozen=True)
class Interpolate(ArrayStage):
    """Interpolation on ever finer grids, or Lorenzo differences where those code smaller.

    Guarantees ``|x - x'| <= bound`` for every finite value, decided on the decoder's own ``x'``.
    What misses the bound, NaN, infinities, -0.0 and preserved values are outliers, bit for bit.

    Each level halves the axes that interpolate well at that distance (others wait for a coarser
    level), predicts odd points by splines through decoded even ones, over several axes by a
    weighted mean, and quantizes the difference at once. Axes, splines, weights, and how much
    narrower the cells of coarse levels are, are chosen on samples of the chunk. Residuals come
    level by level, coarse first. On fields that interpolate badly (particles, ensembles, sharp
    interfaces) the estimated size of Lorenzo differences is smaller: then those are coded.

    Parameters
    ----------
    predictor : str
        ``auto``: the smaller by estimate; ``interpolation`` or ``lorenzo``: that one, where the
        numbers allow it.

    Stream
    ------
    PLACEHOLDER
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
        if self.predictor == "lorenzo" or not _interpolates(data, form, job):
            return _encode_differences(data, form, job, _subset(data, form, job.forced))
        attempt = Attempt(data, form, job)
        if self.predictor == "auto":
            subset = _subset(attempt.masked, form, job.forced)
            if _difference_bits(attempt.masked, form, subset) < attempt.bits:
                return _encode_differences(data, form, job, subset)
        codes, sections = attempt.finish(job)
        return Encoded(codes, bytes([LEVELS]), sections)

    def form_after(self, form: Form, params: bytes) -> Form:
        way = params[0] if params else -1
        if way == LEVELS:
            check_params(Interpolate, params, 1)
            fits = form.dtype.kind in "iu" or (form.dtype.kind == "f" and form.dtype.itemsize > 2)
            width = 4
        else:
            check_params(Interpolate, params, 3)
            width = params[1]
            axes = len(folded_shape(form.shape))
            fits = way == DIFFERENCES and width in LIMITS and not params[2] >> axes
        if not fits or form.dtype.kind not in "fiu" or form.dtype.itemsize > 8:
            raise FormatError(
                f"fzdask stream: interpolate with parameters {params.hex()} for {form.dtype} of "
                f"shape {form.shape}; the stream is damaged."
            )
        return Form(form.shape, np.dtype(f"<i{width}"))

    def decode(
        self,
        data: NDArray[Any],
        form: Form,
        params: bytes,
        sections: dict[str, NDArray[np.uint8]],
        known: Known,
    ) -> NDArray[Any]:
        if params[0] == DIFFERENCES:
            return _decode_differences(data, form, params, sections)
        _check_bound(form)
        levels = sections.get("levels", np.zeros(0, np.uint8))
        out = decode_levels(data, form, levels.tobytes())
        outliers_back(out, sections)
        return out


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
    if data.size < 2 or data.dtype != form.dtype:
        return False
    if is_whole(form.dtype):
        return job.finite_max < 2.0**31 and form.bound < 2.0**31
    with np.errstate(over="ignore", divide="ignore"):
        narrowest = cell_widths(form.bound, np.array([1]), False)[0]
        usable = narrowest > 0 and bool(np.isfinite(1.0 / narrowest))
    return usable and job.finite_max * steps(form.bound)[1] < LIMITS[4]


def _check_bound(form: Form) -> None:
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


def _subset(values: NDArray[Any], form: Form, forced: NDArray[np.uint8]) -> int:
    """Bit mask of the folded axes along which differences look smallest."""
    return choose_axes(values, folded_shape(form.shape), _inverse_cell(form), forced)


def _difference_bits(values: NDArray[Any], form: Form, subset: int) -> int:
    """Estimated size of the differences along these axes, in units of 2**-8 bit."""
    folded = folded_shape(form.shape)
    missing = 4 - len(folded)
    grid = np.array((1,) * missing + folded, np.int64)
    samples = min(max(values.size // 32, 2048), 65536)
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
    data: NDArray[Any], form: Form, params: bytes, sections: dict[str, NDArray[np.uint8]]
) -> NDArray[Any]:
    """Undo :func:`_encode_differences`."""
    strides, spans = axes_geometry(form.shape, params[2])
    sides = {name: sections[name] for name in ("outlier_runs", "outliers") if name in sections}
    if form.dtype.kind == "f":
        return dequantize_residual(data, form, params[1], sides, strides, spans)
    lattice = np.empty(data.size, data.dtype)
    bufs, hist = difference.new_state(data.dtype, strides)
    difference.inverse(data, strides, spans, bufs, hist, lattice)
    return dequantize_residual(lattice, form, params[1], sides, NO_AXES, NO_AXES)
