"""From any array to what a pipeline takes: flat, native, C order, with a resolved bound."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fzdask.bounds import (
    component_bound,
    integer_bound,
    lattice_bound,
    psnr_error,
    relative_bound,
)
from fzdask.codecs.config import CodecConfig
from fzdask.codecs.kernels.cpu import ranges
from fzdask.codecs.stages.base import Form, Job
from fzdask.errors import ConfigError, UnsupportedDtypeError

__all__ = [
    "Prepared",
    "decoding_bound",
    "flat_form",
    "known_form",
    "numeric_form",
    "prepare",
    "preserved_ranges",
    "resolve_bound",
    "restore_layout",
    "room_in",
]

NO_FLAGS = np.zeros(0, np.uint8)
_BITS = {n: np.dtype(f"<u{n}") for n in (1, 2, 4, 8)}
_GREATEST = {4: float(np.finfo(np.float32).max), 8: float(np.finfo(np.float64).max)}
RANGED = ("rel", "psnr")  # kinds of bounds that depend on the range of the values
BLOCK = 1 << 16  # elements; temporaries of a block stay in the cache


@dataclass(slots=True)
class Prepared:
    """An array ready for a pipeline.

    Attributes
    ----------
    data : flat array
        Native, in the order of memory; halves as float32, complex as pairs.
    form : Form
        What the decoder is to return (halves as halves), with the bound of its numbers.
    job : Job or None
        None where only a lossless chain can keep what was asked.
    resolved : float
        The bound for the header: an absolute one, but for ``pw_rel``.
    low, high : float or int
        Range of the finite values that are not preserved, if the bound depends on it; else 0.
    """

    data: NDArray[Any]
    form: Form
    job: Job | None
    resolved: float
    low: Any = 0
    high: Any = 0


def memory_order(array: NDArray[Any]) -> str:
    """'F' for an array that is contiguous in Fortran order only, else 'C'."""
    return "F" if array.flags.f_contiguous and not array.flags.c_contiguous else "C"


def check_array(array: Any) -> NDArray[Any]:
    """A plain ndarray, or an error that says why there is none."""
    if type(array) is np.ndarray and array.dtype.kind in "fiuc":
        return array
    if isinstance(array, np.ma.MaskedArray):
        raise ConfigError(
            "fzdask: a masked array has two arrays in it; pass array.filled(value) and "
            "preserve=(value,), or let xarray write its _FillValue."
        )
    if isinstance(array, str | os.PathLike) and not isinstance(array, np.generic):
        raise ConfigError(
            f"fzdask: {os.fspath(array)!r} is text and no array; load the file that it names "
            f"first: numpy.load({os.fspath(array)!r}). For text itself give numpy.array(...)."
        )
    if hasattr(array, "data_vars"):
        raise ConfigError(
            "fzdask: an xarray.Dataset has many arrays in it; give one of them, as in ds['t'], or "
            "write all of them within bounds with ds.fz.to_zarr."
        )
    plain = np.asarray(array)
    if plain.dtype.hasobject:
        raise UnsupportedDtypeError(
            f"fzdask: dtype {plain.dtype} holds Python objects, which have no bytes to compress; "
            "convert it (for strings: array.astype('S') or 'U')."
        )
    return plain


def is_numeric(dtype: np.dtype[Any]) -> bool:
    """Whether a bound has a meaning: integers, floats of 2, 4 or 8 bytes, and pairs of them."""
    if dtype.kind in "iu":
        return True
    return (dtype.kind == "f" and dtype.itemsize <= 8) or (
        dtype.kind == "c" and dtype.itemsize <= 16
    )


@lru_cache(maxsize=1024)
def flat_form(dtype: np.dtype[Any], shape: tuple[int, ...], order: str) -> Form:
    """Shape in the order of memory, with the dtype as it is."""
    return Form(shape[::-1] if order == "F" else shape, dtype)


@lru_cache(maxsize=1024)
def numeric_form(form: Form) -> Form:
    """The form in native little-endian numbers, complex ones as pairs."""
    dtype = form.dtype.newbyteorder("<")
    if dtype.kind == "c":
        return Form((*form.shape, 2), np.dtype(f"<f{dtype.itemsize // 2}"))
    return Form(form.shape, dtype)


def flatten(array: NDArray[Any], order: str) -> NDArray[Any]:
    """The elements in the order of memory; a view where there is one."""
    if order == "C" and array.flags.c_contiguous:
        return array.reshape(-1)
    whole = array.T if order == "F" else array
    if array.dtype.names and array.itemsize:  # NumPy copies fields, and not what lies between them
        plain = whole.view(f"V{array.itemsize}")
        return np.ascontiguousarray(plain).reshape(-1).view(array.dtype)
    return np.ascontiguousarray(whole).reshape(-1)


def restore_layout(flat: NDArray[Any], shape: tuple[int, ...], order: str) -> NDArray[Any]:
    """Undo :func:`flatten`."""
    return flat.reshape(shape[::-1]).T if order == "F" else flat.reshape(shape)


def room_in(out: NDArray[Any], form: Form, order: str) -> NDArray[Any] | None:
    """The flat elements of an array to fill, if decoded values can go straight into it.

    It has the shape of the array that was compressed, of which this is the form and the memory
    order; or it is flat, of the same dtype or of bytes.
    """
    dtype = form.dtype
    if not (out.flags.writeable and dtype.isnative):
        return None
    whole = out.T if order == "F" and out.ndim > 1 else out
    alike = out.dtype == dtype and whole.shape in (form.shape, (form.size,))
    if not alike and (out.dtype != np.uint8 or out.shape != (form.size * dtype.itemsize,)):
        return None
    if not whole.flags.c_contiguous:
        return None
    flat = whole.reshape(-1).view(dtype)
    return flat if flat.flags.aligned else None


def prepare(array: NDArray[Any], order: str, config: CodecConfig, slack: float = 1.0) -> Prepared:
    """Resolve the bound of a numeric array and make it ready for a lossy pipeline.

    With ``psnr`` the bound is ``slack`` times the one that is always enough. Floats whose bound
    does not depend on their range are not looked at: a stage that has to know asks the job.
    """
    form, fixed = known_form(array.dtype, array.shape, order, config)
    own = flatten(array, order)
    flat = own
    if own.dtype != form.dtype:
        own = own.astype(own.dtype.newbyteorder("<"), copy=False)
        flat = own.view(form.dtype)
    reach = fixed[1] if fixed else 0.0
    forced = _forced(own, flat, config, reach)
    low, high = (0, 0) if fixed else _range(flat, forced)
    bounded, resolved = fixed or resolve_bound(form, array.dtype, low, high, config, slack)
    if bounded is None:
        return Prepared(flat, form, None, resolved, low, high)
    if config.preserve and reach != resolved:
        forced = _forced(own, flat, config, resolved)
    magnitude = (lambda: _magnitude(*_range(flat, forced))) if fixed else _magnitude(low, high)
    job = Job(forced, flat.view(_BITS[form.dtype.itemsize]), magnitude, order)
    job.pairs = array.dtype.kind == "c"
    if form.dtype == np.float16 and config.bound[0] != "pw_rel":
        job.forced = _half_misses(flat, bounded.bound, forced)
        flat = _widened(flat)
    return Prepared(flat, bounded, job, resolved, low, high)


@lru_cache(maxsize=1024)
def known_form(
    dtype: np.dtype[Any], shape: tuple[int, ...], order: str, config: CodecConfig
) -> tuple[Form, tuple[Form | None, float] | None]:
    """The numeric form, and what the bound resolves to if the range of the values plays no part."""
    form = numeric_form(flat_form(dtype, shape, order))
    if form.dtype.kind != "f" or config.bound[0] in RANGED:
        return form, None
    return form, resolve_bound(form, dtype, 0, 0, config)


def resolve_bound(
    form: Form, dtype: np.dtype[Any], low: Any, high: Any, config: CodecConfig, slack: float = 1.0
) -> tuple[Form | None, float]:
    """The form with the bound of its numbers, and the bound for the header.

    There is no such form where only a lossless chain can keep what was asked. ``low`` and ``high``
    are the range of what is finite and not preserved; ``dtype`` is the array's own.
    """
    kind, value = config.bound
    asked = value
    if kind == "rel":
        asked = relative_bound(value, low, high)
    elif kind == "psnr":
        asked = slack * psnr_error(value, low, high)
    if form.dtype.kind != "f":
        magnitude = int(max(abs(low), abs(high)))
        bound = 0.0 if kind == "pw_rel" else float(integer_bound(asked, magnitude))
        return Form(form.shape, form.dtype, bound), bound
    if kind == "pw_rel":
        return Form(form.shape, form.dtype, value) if value > 0 else None, value
    asked = min(asked, 2.0**1020)
    cell = lattice_bound(decoding_bound(dtype, kind, asked))
    if cell is None:
        return None, 0.0
    return Form(form.shape, form.dtype, cell), asked


def decoding_bound(dtype: np.dtype[Any], kind: str, resolved: float) -> float:
    """The bound of the numbers in a form, given the one in the header."""
    pairs = dtype.kind == "c" and kind != "pw_rel"  # relative errors of the parts bound the whole
    return component_bound(resolved) if pairs else resolved


def _forced(
    own: NDArray[Any], flat: NDArray[Any], config: CodecConfig, reach: float
) -> NDArray[np.uint8]:
    """Flags of the values to keep bit for bit, given how far others move; empty without any.

    ``own`` is what the user gave; ``flat`` are its numbers, of which complex ones are two.
    """
    forced = _preserved(own, config, reach) if config.preserve else NO_FLAGS
    return _pair_flags(flat, np.repeat(forced, 2)) if own.dtype.kind == "c" else forced


def _preserved(flat: NDArray[Any], config: CodecConfig, reach: float) -> NDArray[np.uint8]:
    """Flags of the values in ``preserve`` and of those that could come back as one."""
    flags = NO_FLAGS
    pointwise = config.bound[0] == "pw_rel"
    ends = preserved_ranges(flat.dtype, config.preserve, reach, pointwise)
    for start in range(0, flat.size if ends else 0, BLOCK):
        part = flat[start : start + BLOCK]
        found = np.zeros(part.size, bool)
        with np.errstate(invalid="ignore"):  # signalling NaN, which is in no range
            for low, high, aside in ends:
                inside = (part.real >= low) & (part.real <= high)
                found |= inside & (abs(part.imag) <= aside) if part.dtype.kind == "c" else inside
        if found.any():
            flags = flags if flags.size else np.zeros(flat.size, np.uint8)
            flags[start : start + BLOCK] = found
    return flags


def preserved_ranges(
    dtype: np.dtype[Any], preserve: tuple[float, ...], reach: float, pointwise: bool
) -> list[tuple[Any, Any, Any]]:
    """Where the values lie that are to be kept bit for bit, for each value to preserve.

    These are that value and all that could come back as it: a reader takes it for a mark, of
    missing data for example. Two ends, which belong to the range, and how far an imaginary part
    may be from 0; scalars of the dtype's own kind.

    Parameters
    ----------
    dtype : numpy.dtype
        Of the array, in native byte order.
    preserve : tuple of float
        A value that the dtype does not have marks nothing.
    reach : float
        How far any value may move.
    pointwise : bool
        Whether that is a share of the value.
    """
    ranges: list[tuple[Any, Any, Any]] = []
    if dtype.kind in "iu":
        least, most = np.iinfo(dtype).min, np.iinfo(dtype).max
        whole = 0 if pointwise else int(reach)
        for value in preserve:
            if value == int(value) and least <= value <= most:
                ends = max(int(value) - whole, least), min(int(value) + whole, most)
                ranges.append((*map(dtype.type, ends), 0))
        return ranges
    real = np.dtype(f"f{dtype.itemsize // 2}") if dtype.kind == "c" else dtype
    for value in preserve:
        with np.errstate(over="ignore"):
            mark = real.type(value)
        if np.isfinite(mark):
            low, high = _within_reach(mark, reach, pointwise)
            aside = 0.0 if pointwise else reach
            ranges.append((_beyond(low, real, -1), _beyond(high, real, 1), _beyond(aside, real, 1)))
    return ranges


def _within_reach(mark: Any, reach: float, pointwise: bool) -> tuple[Any, Any]:
    """Least and greatest value that could come back as ``mark``; see `preserved_ranges`."""
    wide = float(mark)
    if reach == 0 or (pointwise and wide == 0):
        return mark, mark
    if not pointwise:
        return wide - reach, wide + reach
    # |x - mark| <= reach |x|, of the same sign; the factors cover what is rounded on the way.
    ends = wide / (1 + reach) * (1 - 2.0**-49), wide / (1 - reach) * (1 + 2.0**-49)
    return min(ends), max(ends)


def _beyond(end: Any, dtype: np.dtype[Any], way: int) -> Any:
    """A number of the dtype that is not nearer than ``end``, which is rounded unless it is one."""
    if isinstance(end, dtype.type) or end == 0:
        return dtype.type(end)
    with np.errstate(over="ignore"):
        outer = dtype.type(math.nextafter(end, way * math.inf))
        return np.nextafter(outer, dtype.type(way * math.inf))


def _pair_flags(flat: NDArray[Any], forced: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Flags of real and imaginary parts; a part beside NaN or inf is no finite value either."""
    pairs = flat.reshape(-1, 2)
    odd = np.zeros(pairs.shape[0], np.uint8) if not forced.size else forced[::2].copy()
    for start in range(0, pairs.shape[0], BLOCK):
        odd[start : start + BLOCK] |= ~np.isfinite(pairs[start : start + BLOCK]).all(axis=1)
    return np.repeat(odd, 2) if odd.any() else NO_FLAGS


def _range(flat: NDArray[Any], forced: NDArray[np.uint8]) -> tuple[Any, Any]:
    """Least and greatest finite value that is not forced; (0, 0) if there is none."""
    if not flat.size:
        return 0, 0
    if not forced.size:
        low, high = _block_range(flat)
    else:
        kept = (
            _block_range(part[forced[start : start + BLOCK] == 0])
            for start in range(0, flat.size, BLOCK)
            for part in (flat[start : start + BLOCK],)
        )
        pairs = [pair for pair in kept if pair[0] <= pair[1]]
        low = min((p[0] for p in pairs), default=1)
        high = max((p[1] for p in pairs), default=0)
    return (low, high) if low <= high else (0, 0)


def _magnitude(low: Any, high: Any) -> float:
    return float(max(abs(low), abs(high)))


def _block_range(part: NDArray[Any]) -> tuple[Any, Any]:
    if not part.size:
        return 1, 0
    if part.dtype.kind in "iu":
        return int(part.min()), int(part.max())
    if part.dtype.itemsize == 2:
        part = _widened(part)
    low, high = ranges.finite_range(part, _GREATEST[part.dtype.itemsize])
    return float(low), float(high)


def _widened(halves: NDArray[Any]) -> NDArray[np.float32]:
    with np.errstate(invalid="ignore"):  # signalling NaN, of which the bits are kept elsewhere
        return halves.astype(np.float32)


def _half_misses(flat: NDArray[Any], bound: float, forced: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Flag halves whose value, decoded through float32, would miss the bound."""
    flags = forced.copy() if forced.size else np.zeros(flat.size, np.uint8)
    step, inv = 2.0 * bound, 1.0 / (2.0 * bound)
    for start in range(0, flat.size, BLOCK):
        with np.errstate(all="ignore"):
            x = flat[start : start + BLOCK].astype(np.float64)
            decoded = (np.rint(x * inv) * step).astype(np.float32).astype(np.float16)
            flags[start : start + BLOCK] |= ~(np.abs(x - decoded.astype(np.float64)) <= bound)
    return flags if flags.any() else NO_FLAGS
