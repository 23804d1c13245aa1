"""Dual quantization: the one lossy stage."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fzdask.codecs.kernels.cpu import lattice, outliers
from fzdask.codecs.kernels.cpu.difference import new_state
from fzdask.codecs.kernels.cpu.lattice_vectors import fused_multiply_add
from fzdask.codecs.kernels.cpu.scratch import reserve
from fzdask.codecs.stages.base import (
    ArrayStage,
    Encoded,
    Form,
    Job,
    Known,
    Section,
    check_params,
    one_type,
)
from fzdask.codecs.stages.symbols import Symbols
from fzdask.errors import FormatError

__all__ = ["Quantize", "dequantize_residual", "quantize_to_residual"]

# |q| up to here: four differences still wrap back exactly, and q is exact in binary64.
LIMITS = {4: 2.0**30, 8: 2.0**51}
SIGNS = {4: np.uint32(1 << 31), 8: np.uint64(1 << 63)}  # bits of -0.0
LEAST, MOST = 2.0**-90, 2.0**90  # ends of where inv may be for the rule in binary32
NO_AXES = np.zeros(0, np.int64)


@dataclass(frozen=True)
class Quantize(ArrayStage):
    """Floats onto the lattice ``q = rint(x / 2 bound)``; integers onto one of odd width.

    Guarantees ``|x - x'| <= bound`` for every finite value, decided on the decoder's own ``x'``.
    What misses the bound, NaN, infinities, -0.0 and preserved values are outliers, bit for bit.

    Source: Tian et al. 2020, "cuSZ" (dual quantization).
    """

    name: ClassVar[str] = "quantize"
    code: ClassVar[int] = 1
    takes: ClassVar[tuple[str, ...]] = ("array",)
    gives: ClassVar[str] = "lattice"
    lossy: ClassVar[bool] = True
    section_names: ClassVar[tuple[str, ...]] = ("outlier_runs", "outliers")

    def encode(self, data: NDArray[Any], form: Form, job: Job) -> Encoded:
        return quantize_to_residual(data, form.bound, job, NO_AXES, NO_AXES)

    def form_after(self, form: Form, params: bytes) -> Form:
        check_params(Quantize, params, 1)
        if params[0] not in LIMITS or form.dtype.kind not in "fiu" or form.dtype.itemsize > 8:
            raise FormatError(
                f"fzdask stream: quantize with lattice width {params[0]} for {form.dtype}; "
                "the stream is damaged."
            )
        return Form(form.shape, np.dtype(f"<i{params[0]}"))

    def decode(
        self,
        data: NDArray[Any],
        form: Form,
        params: bytes,
        sections: dict[str, NDArray[np.uint8]],
        known: Known,
    ) -> NDArray[Any]:
        return dequantize_residual(data, form, params[0], sections, NO_AXES, NO_AXES, known)


def steps(bound: float) -> tuple[float, float]:
    """Width of a lattice cell and its reciprocal, as encoder and decoder both compute them."""
    step = 2.0 * bound
    return step, 1.0 / step


@lru_cache(maxsize=256)
def cheap_rule(bound: float, inv: float) -> tuple[Any, ...]:
    """A float32 below the bound, ``inv`` as two float32, and whether binary32 will do."""
    near = LEAST < inv < MOST and fused_multiply_add()
    # Near the ends of binary32 rounding would leave nothing; then nothing but 0 is surely below.
    below = np.float32(bound * (1 - 2.0**-22) if LEAST < bound < MOST else 0)
    high = np.float32(inv if near else 1)
    return below, high, np.float32(inv - float(high) if near else 0), near


def lattice_width(data: NDArray[Any], bound: float, job: Job) -> int:
    """4 or 8 bytes: the narrowest lattice that holds all finite values."""
    if data.dtype.kind == "f":
        return 4 if job.finite_max * steps(bound)[1] < LIMITS[4] else 8
    return 4 if job.finite_max < LIMITS[4] else 8


def quantize_to_residual(
    data: NDArray[Any],
    bound: float,
    job: Job,
    strides: NDArray[np.int64],
    spans: NDArray[np.int64],
    symbols: bool = False,
) -> Encoded:
    """Quantize and difference along the axes of these strides in one pass (none: the lattice).

    With ``symbols`` (floats only) the main output is :class:`Symbols` of the residual.
    """
    width = lattice_width(data, bound, job)
    lattice_dtype = np.dtype(f"<i{width}")
    state = np.zeros(outliers.STATE, np.int64)
    values, runs = outliers_room(data.size, job.bits.dtype)
    out: Any
    if data.dtype.kind == "f":
        step, inv = steps(bound)
        minus_zero = job.bits.dtype.type(1 << (8 * job.bits.itemsize - 1))
        bufs, hist = new_state(lattice_dtype, strides)
        cell = (data, job.bits, minus_zero, job.forced, inv, step, bound, LIMITS[width])
        cell = (*cell, *cheap_rule(bound, inv))
        if symbols:
            room = Symbols.empty(data.size)
            used = lattice.quantize_to_symbols(
                *cell, strides, spans, bufs, hist, room.z, room.wide, room.tables,
                state, runs, values,
            )  # fmt: skip
            out = Symbols(room.z, room.wide[:used], room.tables)
        else:
            out = np.empty(data.size, lattice_dtype)
            lattice.quantize(*cell, strides, spans, bufs, hist, out, state, runs, values)
        job.sample = (data, inv)
    else:
        out = np.empty(data.size, lattice_dtype)
        lattice.quantize_integers(data, job.bits, job.forced, int(bound), out, state, runs, values)
        job.sample = (out, 1.0)
    return Encoded(out, bytes([width]), outlier_sections(state, runs, values))


def outliers_room(size: int, dtype: np.dtype[Any]) -> tuple[NDArray[Any], NDArray[np.uint8]]:
    """Room for the bits of outliers, all of them if need be, and for their places.

    Its pages are touched only as outliers turn up; a run costs at most two bytes.
    """
    nbytes = size * dtype.itemsize
    room = reserve(nbytes + size + 32, np.uint8)
    return room[:nbytes].view(dtype), room[nbytes:]


def outlier_sections(
    state: NDArray[np.int64], runs: NDArray[np.uint8], values: NDArray[Any]
) -> dict[str, Section]:
    """Places and bits of the outliers that a pass over an array found."""
    if not state[outliers.VALUES]:
        return {}
    return {
        "outlier_runs": runs[: state[outliers.BYTES]].copy(),
        "outliers": values[: state[outliers.VALUES]].view(np.uint8).copy(),
    }


def dequantize_residual(
    data: NDArray[Any],
    form: Form,
    width: int,
    sections: dict[str, NDArray[np.uint8]],
    strides: NDArray[np.int64],
    spans: NDArray[np.int64],
    known: Known | None = None,
) -> NDArray[Any]:
    """Undo :func:`quantize_to_residual` (integers: with no axes)."""
    bound = form.bound
    if form.dtype.kind == "f":
        out = room_for_values(data.size, form, known)
        bufs, hist = new_state(np.dtype(f"<i{width}"), strides)
        lattice.dequantize(data, steps(bound)[0], strides, spans, bufs, hist, out)
    else:
        if not (0 <= bound < 2**62 and bound == int(bound)):
            raise FormatError(f"fzdask stream: integer bound {bound!r}; the stream is damaged.")
        out = np.empty(data.size, form.dtype)
        info = np.iinfo(form.dtype)
        low, high = max(int(info.min), -(2**63)), min(int(info.max), 2**63 - 1)
        lattice.dequantize_integers(data, int(bound), low, high, out)
    return with_outliers(out, form, sections)


def room_for_values(size: int, form: Form, known: Known | None = None) -> NDArray[Any]:
    """Room for the values of a lattice of floats, float32 or float64: what the caller has, or new.

    ``known`` is that of a stage that gives all of the values.
    """
    if not (form.bound > 0 and max(steps(form.bound)) < math.inf):
        raise FormatError(f"fzdask stream: bound {form.bound!r} has no lattice; it is damaged.")
    if form.dtype.itemsize == 2:
        return np.empty(size, np.float32)
    if known is not None and known.room is not None:
        return known.room.view(form.dtype)
    return np.empty(size, form.dtype)


def with_outliers(
    out: NDArray[Any], form: Form, sections: dict[str, NDArray[np.uint8]]
) -> NDArray[Any]:
    """Values of a lattice, in the form's dtype, with the outliers put back."""
    if out.dtype != form.dtype:
        with np.errstate(over="ignore"):  # a value out of range is an outlier, put back below
            out = out.astype(form.dtype)
    runs = sections.get("outlier_runs")
    values = sections.get("outliers")
    if runs is None and values is None:
        return out
    if runs is None or values is None or values.size % form.dtype.itemsize:
        raise FormatError("fzdask stream: outliers and their places do not match.")
    bits = np.dtype(f"<u{form.dtype.itemsize}")
    if not outliers.restore(*one_type(runs, values.view(bits)), out.view(bits)):
        raise FormatError("fzdask stream: outliers do not fit the array.")
    return out
