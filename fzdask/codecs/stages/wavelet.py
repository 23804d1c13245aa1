"""A wavelet transform before the quantizer, with corrections where a value misses the bound."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fzdask.bounds import LARGEST_INTEGER_BOUND
from fzdask.codecs.kernels.cpu import wavelet
from fzdask.codecs.kernels.cpu.wavelet_fill import fill_holes
from fzdask.codecs.stages.base import ArrayStage, Encoded, Form, Job, Known, Section, check_params
from fzdask.codecs.stages.interpolate import check_bound, outliers_back
from fzdask.codecs.stages.interpolate_levels import is_whole, outlier_sections
from fzdask.codecs.stages.quantize import LIMITS
from fzdask.codecs.stages.wavelet_plan import Plan, choose_plan, grid_of
from fzdask.errors import ConfigError, FormatError

__all__ = ["Wavelet"]

SIXTEENTHS = 16
LEAST_STEP, MOST_STEP = 0.5, 8.0
# Beyond these a value is an outlier: in cells, what would blur its neighbours (binary64 rounds at
# 2**-52 of it) and whose coefficients might not fit 64 bits; in whole numbers, what binary64 skips.
MOST_CELLS, MOST_WHOLE = 2.0**44, 2.0**51
CLIP = 2.0**52


@dataclass(frozen=True)
class Wavelet(ArrayStage):
    """Biorthogonal 9/7 wavelets over all axes, quantized; corrections keep the bound.

    Guarantees ``|x - x'| <= bound`` for every finite value, decided on the decoder's own ``x'``.
    A step of coefficients bounds no single value, so each value that the inverse transform leaves
    too far away is moved by twice the bound, up to three times. What still misses the bound, NaN,
    infinities, -0.0, preserved values, those too large beside the bound and integers beyond
    2**51 are outliers, bit for bit; in their places the transform sees smooth values.

    An axis is halved while it is 8 or longer, up to six times: together with the others, apart
    from them (as SPERR does where axes differ in length) or not at all, whichever makes smaller
    coefficients in a sample. Coefficients stay in the shape of the array, coarse ones first along
    each axis, so that contexts of neighbours serve them. Encoding the decoded array again moves
    values once more within the bound.

    Parameters
    ----------
    step : float
        Of the coefficients, in bounds; a multiple of 1/16 from 0.5 to 8. More makes coefficients
        smaller and corrections more frequent. At 2.25 up to 14 % of the values were corrected, and
        7 fields became 2 % (at a bound of 1e-4 of their range) to 14 % (1e-2) smaller than at
        the 1.5 of SPERR.

    Stream
    ------
    Parameters, 5 bytes: the lattice's width in bytes (4 or 8), the step in sixteenths ``k``, the
    levels of the four axes in 4 bits each, that of axis 0 in the low ones of the first byte, and
    in a byte a bit for each axis that is halved apart. The main output has a coefficient for each
    value. Side sections 1 ``outlier_runs`` and 2 ``outliers``, both or neither, as of
    ``quantize``; 3 ``corrections``, if there are any.

    Grid. Axes of length 1 are left out, of more than four the leading ones are folded into one,
    and axes of length 1 in front make it four, numbered from 0.

    A turn halves the lines along an axis of a box at the origin of the grid. First come the axes
    apart in order, each in as many turns as it has levels: the box is the whole grid, but that its
    length n along the axis is ceil(n / 2) in the next turn. Then the other axes: in each level,
    those that have more levels than came before, in order; after a level the lengths of these axes
    are ceil(n / 2). Along the axis a box is two or longer.

    To decode, undo the turns from the last to the first, each for all lines of its box. In a line
    of n coefficients the first ceil(n / 2) are ``s``, the others ``d``. With
    K = 1.149604398860241, R = 1 / K::

        s[i] = s[i] * R,  d[i] = d[i] * K
        s[i] -= 0.443506852043971 * (d[i-1] + d[i])
        d[i] -= 0.882911075530934 * (s[i] + s[i+1])
        s[i] += 0.052980118572961 * (d[i-1] + d[i])
        d[i] += 1.586134342059924 * (s[i] + s[i+1])

    each for all ``i`` before the next. At an end the neighbour that is missing is the other one
    once more. The line is then s[0], d[0], s[1], d[1], ... All is IEEE binary64 without
    contraction.

    With B the bound, for integers the bound plus 1/2, and the cell ``B * (k / 16)``, a result
    times the cell is a value ``y``. ``corrections`` are variable-length integers (LEB128): twice
    the distance to the place corrected last (at first place 0), plus one if 2 B is to be
    subtracted from ``y``, not added, in turn. Then ``x'`` is ``y`` as the dtype; for integers
    ``floor(y + 1/2)``, clipped to the dtype and to 2**52 either way. At last outliers are put
    back. The bound is above 0, and twice it is finite; for integers it is a whole number from 0
    to 2**53.

    Sources: Li, Lindstrom and Clyne 2023, "Lossy scientific data compression with SPERR" (wavelets
    with outlier correction); Daubechies and Sweldens 1998, "Factoring wavelet transforms into
    lifting steps".
    """

    name: ClassVar[str] = "wavelet"
    code: ClassVar[int] = 30
    takes: ClassVar[tuple[str, ...]] = ("array",)
    gives: ClassVar[str] = "lattice"
    lossy: ClassVar[bool] = True
    section_names: ClassVar[tuple[str, ...]] = ("outlier_runs", "outliers", "corrections")

    step: float = 2.25

    def __post_init__(self) -> None:
        usable = type(self.step) in (int, float) and LEAST_STEP <= self.step <= MOST_STEP
        if not usable or self.step * SIXTEENTHS != int(self.step * SIXTEENTHS):
            raise ConfigError(
                f"wavelet: step={self.step!r} must be a multiple of 1/16 from {LEAST_STEP} to "
                f"{MOST_STEP} (in bounds)."
            )

    def encode(self, data: NDArray[Any], form: Form, job: Job) -> Encoded:
        sixteenths = int(self.step * SIXTEENTHS)
        cell = _cell(form, sixteenths)
        with np.errstate(invalid="ignore"):  # signalling NaN, of which the bits are kept
            x = data.astype(np.float64)
        special = _specials(x, form, job, cell)
        grid = grid_of(form.shape)
        with np.errstate(all="ignore"):
            work = fill_holes((x / cell).reshape(grid), (special == 0).reshape(grid)).reshape(-1)
        plan = choose_plan(work, grid)
        plan.transform(work, grid, forward=True)
        np.rint(work, out=work)
        widest = float(np.abs(work).max()) if work.size else 0.0
        width = 4 if widest < LIMITS[4] else 8
        codes = work.astype(f"<i{width}")
        params = bytes([width, sixteenths]) + plan.packed
        sections = _missed(x, work, special, form, job, params)
        return Encoded(codes, params, sections)

    def form_after(self, form: Form, params: bytes) -> Form:
        check_params(Wavelet, params, 5)
        width, sixteenths = params[:2]
        fits = width in LIMITS and LEAST_STEP <= sixteenths / SIXTEENTHS <= MOST_STEP
        fits = fits and Plan.unpack(params[2:], grid_of(form.shape)) is not None
        if not fits or form.dtype.kind not in "fiu" or form.dtype.itemsize > 8:
            raise FormatError(
                f"fzdask stream: wavelet with parameters {params.hex()} for {form.dtype} of shape "
                f"{form.shape}; the stream is damaged."
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
        _check_bound(form)
        corrections = sections.get("corrections", np.zeros(0, np.uint8))
        out, fits = _decoded(_inverse(data.astype(np.float64), form, params), corrections, form)
        if not fits:
            raise FormatError("fzdask stream: corrections that do not fit the array; damaged.")
        outliers_back(out, sections)
        return out


def _check_bound(form: Form) -> None:
    if not is_whole(form.dtype):
        check_bound(form)
    elif not (0 <= form.bound <= LARGEST_INTEGER_BOUND and form.bound == int(form.bound)):
        raise FormatError(f"fzdask stream: integer bound {form.bound!r}; the stream is damaged.")


def _reach(form: Form) -> float:
    """How far a value may be before it is rounded to the dtype: the bound, or a half more."""
    return form.bound + 0.5 if is_whole(form.dtype) else form.bound


def _cell(form: Form, sixteenths: int) -> float:
    return _reach(form) * (sixteenths / SIXTEENTHS)


def _specials(x: NDArray[np.float64], form: Form, job: Job, cell: float) -> NDArray[np.uint8]:
    """Flags of the values that must come back bit for bit."""
    with np.errstate(all="ignore"):
        if is_whole(form.dtype):
            flags = ~(np.abs(x) <= MOST_WHOLE) | ~(np.abs(x / cell) <= MOST_CELLS)
        else:
            flags = ~(np.abs(x / cell) <= MOST_CELLS)
            flags |= (x == 0) & np.signbit(x)
    if job.forced.size:
        flags |= job.forced.view(np.bool_)
    return flags.view(np.uint8)


def _inverse(work: NDArray[np.float64], form: Form, params: bytes) -> NDArray[np.float64]:
    """Values before corrections, in place of the coefficients."""
    grid = grid_of(form.shape)
    plan = Plan.unpack(params[2:], grid)
    if plan is not None:  # form_after has refused it
        plan.transform(work, grid, forward=False)
    with np.errstate(all="ignore"):
        work *= _cell(form, params[1])
    return work


def _as_dtype(values: NDArray[np.float64], form: Form) -> NDArray[Any]:
    with np.errstate(all="ignore"):
        if not is_whole(form.dtype):
            return values.astype(form.dtype)
        info = np.iinfo(form.dtype)
        low, high = max(float(info.min), -CLIP), min(float(info.max), CLIP)
        whole = np.clip(np.floor(values + 0.5), low, high)
        return np.where(np.isnan(whole), 0.0, whole).astype(form.dtype)


def _decoded(
    values: NDArray[np.float64], corrections: NDArray[np.uint8], form: Form
) -> tuple[NDArray[Any], bool]:
    """The array without its outliers, and whether the corrections fit it."""
    fits = bool(wavelet.correct(corrections, 2.0 * _reach(form), values))
    return _as_dtype(values, form), fits


def _within(x: NDArray[np.float64], decoded: NDArray[Any], form: Form) -> NDArray[np.bool_]:
    with np.errstate(all="ignore"):
        distance = np.abs(x - decoded.astype(np.float64))
    if is_whole(form.dtype):
        return np.asarray(distance <= form.bound)
    # A difference that rounds to the bound may be above it; one that rounds below it is not.
    return np.asarray(distance < form.bound)


def _missed(
    x: NDArray[np.float64],
    work: NDArray[np.float64],
    special: NDArray[np.uint8],
    form: Form,
    job: Job,
    params: bytes,
) -> dict[str, Section]:
    """Corrections and outliers: what the decoder needs beside the coefficients ``work``."""
    sections: dict[str, Section] = {}
    unit = 2.0 * _reach(form)
    values = _inverse(work, form, params)
    missed = ~_within(x, _as_dtype(values, form), form) & (special == 0)
    places = np.flatnonzero(missed)
    if places.size:
        with np.errstate(all="ignore"):
            distance = x[places] - values[places]
            units = np.rint(distance / unit)
            units[units == 0] = np.sign(distance[units == 0])  # halves of whole numbers
            moved = _as_dtype(values[places] + units * unit, form)
        good = _within(x[places], moved, form) & (np.abs(units) <= wavelet.MOST_UNITS)
        places, units = places[good], units[good].astype(np.int64)
    if places.size:
        room = np.empty(places.size * (wavelet.MOST_UNITS + 9), np.uint8)
        corrections = room[: wavelet.put_corrections(places, units, room)].copy()
        sections["corrections"] = corrections
        wavelet.correct(corrections, unit, values)
        missed[places] = ~_within(x[places], _as_dtype(values[places], form), form)
    flags = special | missed.view(np.uint8)
    if flags.any():
        sections.update(outlier_sections(flags, job.bits))
    return sections
