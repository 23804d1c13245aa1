"""The interpolating part of ``interpolate``: grids, trials of cells, the section of levels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fzdask.codecs.kernels.cpu import interpolate, outliers
from fzdask.codecs.kernels.cpu import interpolate_classes as classes
from fzdask.codecs.kernels.cpu import interpolate_encode as encoding
from fzdask.codecs.kernels.cpu import interpolate_tuning as tuning
from fzdask.codecs.kernels.cpu.scratch import reserve, scratch
from fzdask.codecs.kernels.cpu.symbols import ALPHABET
from fzdask.codecs.stages.base import Form, Job, Section
from fzdask.codecs.stages.lorenzo import folded_shape
from fzdask.errors import FormatError

__all__ = ["Attempt", "Layout", "decode_levels", "layout_of", "outlier_sections", "spread"]

MAX_LEVELS = 4 * 48  # arrays have fewer than 2**48 values
SHORT = 16  # a last axis shorter than this changes places with the longest: rows are worked along
PIECES = 512  # pieces of codes that the size of the coarse levels is estimated from
# Narrower cells of coarse levels do not pay where a value of the finest level takes more bits than
# that, in units of 2**-8, or where it takes fewer than that share of what the coarse levels do.
NARROWER_PAYS = 160
LITTLE_TO_SAVE = 0.15
FAR_BEYOND = 1.25
LARGEST_WHOLE = 2.0**52  # rounded predictions of integers stay exact
# Cells of the levels from the finest on, in 1/16 of the full ones; the last goes on. Narrower
# cells of coarse levels pay where the fine ones are predicted well (Liu et al. 2022, QoZ).
TRIALS = ((16,), (16, 13, 10, 8))


@dataclass(frozen=True, slots=True)
class Layout:
    """How an array of some shape is interpolated.

    Attributes
    ----------
    folded : tuple of int
        Its shape without axes of length 1, at most four.
    moved : int
        The axis that becomes the last one, or -1.
    grid : tuple of int
        The resulting shape, with axes of length 1 in front to make four.
    """

    folded: tuple[int, ...]
    moved: int
    grid: tuple[int, ...]

    def arranged(self, flat: NDArray[Any]) -> NDArray[Any]:
        """The elements as they are interpolated."""
        if self.moved < 0:
            return flat
        view = np.moveaxis(flat.reshape(self.folded), self.moved, -1)
        return _copy(view, scratch(flat.size, flat.dtype))

    def restored(self, flat: NDArray[Any], room: NDArray[Any] | None = None) -> NDArray[Any]:
        """Undo :meth:`arranged`; in ``room`` of that size if there is any."""
        if self.moved < 0:
            return flat
        shape = [n for k, n in enumerate(self.folded) if k != self.moved]
        arranged = flat.reshape(*shape, self.folded[self.moved])
        room = np.empty(flat.size, flat.dtype) if room is None else room
        return _copy(np.moveaxis(arranged, -1, self.moved), room)


def _copy(view: NDArray[Any], out: NDArray[Any]) -> NDArray[Any]:
    """The elements of an array in its order, in a flat one."""
    out.reshape(view.shape)[...] = view
    return out


@lru_cache(maxsize=1024)
def layout_of(shape: tuple[int, ...]) -> Layout:
    """The layout of an array, which is a matter of its shape alone."""
    folded = folded_shape(shape)
    moved = -1
    sides = list(folded)
    if len(sides) > 1 and sides[-1] < SHORT and max(sides) > sides[-1]:
        moved = sides.index(max(sides))
        sides.append(sides.pop(moved))
    return Layout(folded, moved, (1,) * (classes.AXES - len(sides)) + tuple(sides))


def is_whole(dtype: np.dtype[Any]) -> bool:
    """Whether values of this dtype are interpolated as integers, in binary64."""
    return dtype.kind in "iu"


def cell_widths(bound: float, sixteenths: NDArray[np.int64], whole: bool) -> NDArray[np.float64]:
    """Width of the cells of each level, as encoder and decoder both compute it."""
    if whole:
        odd = [float(2 * (int(bound) * int(k) // 16) + 1) for k in sixteenths]
        return np.array(odd, np.float64)
    return 2.0 * bound * (sixteenths / 16.0)


def spread(among: int, wanted: int) -> NDArray[np.int64]:
    """Numbers of so many of some things, one of each equal part, with no period rows could share.

    All are named where fewer are there.
    """
    wanted = min(wanted, among)
    k = np.arange(wanted, dtype=np.int64)
    low, high = k * among // wanted, (k + 1) * among // wanted
    random = k.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    random = (random ^ random >> np.uint64(32)) * np.uint64(0xD6E8FEB86659FD93)
    chosen: NDArray[np.int64] = low + (random >> np.uint64(33)).astype(np.int64) % (high - low)
    return chosen


class Attempt:
    """An array encoded but for its finest level, of which the size is estimated.

    What is chosen is chosen here for all devices; where another holds the array, a subclass does
    the work on it (``_take``, ``_plan``, ``_new_flags``, ``_rows``, ``_encode``, ``finish``).

    Attributes
    ----------
    bits : int
        Estimated size, in units of 2**-8 bit.
    masked : flat array
        The values, binary64 for integers; NaN where one must come back bit for bit.
    """

    def __init__(self, data: NDArray[Any], form: Form, job: Job) -> None:
        self.form = form
        self.whole = is_whole(form.dtype)
        self.layout = layout_of(form.shape)
        self._take(data, job)
        self.largest = LARGEST_WHOLE if self.whole else float(np.finfo(self.x.dtype).max)
        self._make_grids()

    def _take(self, data: NDArray[Any], job: Job) -> None:
        """Mask and arrange the values, and make room."""
        self.masked = data.astype(np.float64) if self.whole else data
        self.special = self._specials(self.masked, job)
        if self.special is not None:
            self.masked = np.where(self.special != 0, self.masked.dtype.type(np.nan), self.masked)
            self.special = self.layout.arranged(self.special)
        self.x = self.layout.arranged(self.masked)
        self.codes = scratch(self.x.size, np.int32)
        self.work = scratch(self.x.size + classes.ROOM, self.x.dtype)

    def _specials(self, values: NDArray[Any], job: Job) -> NDArray[np.uint8] | None:
        """Flags of the values that must come back bit for bit, if any."""
        flags = job.forced.copy() if job.forced.size else None
        if not self.whole:
            minus_zero = job.bits.dtype.type(1 << (8 * job.bits.itemsize - 1))
            if encoding.count_odd(values, job.bits, minus_zero):
                flags = np.zeros(values.size, np.uint8) if flags is None else flags
                encoding.flag_odd(values, job.bits, minus_zero, flags)
        return flags

    def _make_grids(self) -> None:
        self.grids = np.ones((MAX_LEVELS + 1, classes.AXES), np.int64)
        self.grids[0] = self.layout.grid
        self.plans = np.zeros((MAX_LEVELS, classes.PLAN), np.int64)
        self.starts = np.zeros(MAX_LEVELS + 1, np.int64)
        step = float(cell_widths(self.form.bound, np.array([16]), self.whole)[0])
        self.levels = self._plan(step, tuning.axis_samples(self.x.size))
        self.fines = np.empty((self.levels + 1, classes.AXES), np.int64)
        self.fines[0] = [math.prod(self.layout.grid[d + 1 :]) for d in range(classes.AXES)]
        for level in range(self.levels):
            active = self.plans[level, classes.ACTIVE]
            self.fines[level + 1] = self.fines[level] << (active >> np.arange(classes.AXES) & 1)
        self.coarse = math.prod(self.grids[1].tolist())
        self.half = scratch(self.coarse + classes.ROOM, self.x.dtype)

    def _plan(self, step: float, samples: int) -> int:
        """Choose the axes of every level and make the grids; the number of levels."""
        # Each level has at most 2/3 of the values of the one before.
        self.coarser = reserve(2 * self.x.size, self.x.dtype)
        return int(
            tuning.plan_grids(
                self.x, step, samples, self.grids, self.plans, self.coarser, self.starts
            )
        )

    def encode_coarse(self, most: int) -> int:
        """Encode all levels but the finest; the estimated size of all.

        Trials end at an estimate far beyond ``most``.
        """
        best: tuple[Any, ...] = ()
        for sixteenths in TRIALS:
            bits, finest = self._try(sixteenths)
            if best and bits >= best[0]:
                _, _, self.plans, self.cells, self.flags, self.missed, codes, work = best
                self.codes[: self.coarse], self.work[: self.coarse] = codes, work
                return int(best[0])
            hopeless = bits > FAR_BEYOND * most
            most_to_gain = NARROWER_PAYS * (self.x.size - self.coarse)
            if hopeless or not LITTLE_TO_SAVE * (bits - finest) <= finest <= most_to_gain:
                return bits
            if sixteenths is not TRIALS[-1]:
                kept = self.codes[: self.coarse].copy(), self.work[: self.coarse].copy()
                best = (bits, finest, self.plans, self.cells, self.flags, self.missed, *kept)
        return bits

    def _try(self, sixteenths: tuple[int, ...]) -> tuple[int, int]:
        """Encode all levels but the finest with these cells; bits of all levels and of that."""
        n = self.x.size
        self.plans = self.plans[: self.levels].copy()
        for level in range(self.levels):
            self.plans[level, classes.CELL] = sixteenths[min(level, len(sixteenths) - 1)]
        self.cells = cell_widths(self.form.bound, self.plans[:, classes.CELL], self.whole)
        self.flags = self._new_flags()
        self.missed = np.zeros(1, np.int64)
        known = sixteenths is not TRIALS[0]
        finest = self._encode(self.levels - 1, min(max(n // 128, 2048), 8192), known=known)
        counts = np.empty((2, ALPHABET), np.int64)
        length = min(tuning.PIECE, self.coarse)
        pieces = self.codes[: self.coarse // length * length].reshape(-1, length)
        some = self._rows(pieces, spread(pieces.shape[0], PIECES)).astype(np.int64).reshape(-1)
        return finest + int(self.coarse * tuning.code_bits(some, length, counts)), finest

    def _new_flags(self) -> NDArray[np.uint8]:
        return np.zeros(self.x.size, np.uint8) if self.special is None else self.special.copy()

    def _rows(self, array: NDArray[Any], which: NDArray[np.int64]) -> NDArray[Any]:
        """Some rows of an array, where the host's code looks at them."""
        rows: NDArray[Any] = array[which]
        return rows

    def _encode(self, first: int, samples: int, *, known: bool) -> int:
        return int(
            encoding.encode_levels(
                self.x, self.coarser, self.starts, self.grids, self.fines, self.plans, self.cells,
                self.levels, first, 0, self.form.bound, self.largest, self.whole, self.work,
                self.half, self.codes, self.flags, self.missed, samples, known,
            )
        )  # fmt: skip

    def finish(self, job: Job) -> tuple[NDArray[np.int32], dict[str, Section]]:
        """Encode the finest level; the codes and the side sections."""
        self._encode(0, 0, known=True)
        sections: dict[str, Section] = {"levels": pack_levels(self.plans)}
        if self.special is not None or self.missed[0]:
            sections.update(outlier_sections(self.layout.restored(self.flags), job.bits))
        return self.codes, sections


def outlier_sections(flags: NDArray[np.uint8], bits: NDArray[Any]) -> dict[str, Section]:
    """Runs and bits of the flagged values, if any."""
    places = np.flatnonzero(flags.view(np.bool_))
    count = places.size
    if not count:
        return {}
    state = np.zeros(outliers.STATE, np.int64)
    runs = np.empty(20 * count + 32, np.uint8)
    values = np.empty(count, bits.dtype)
    encoding.collect_at(places, bits, state, runs, values)
    return {"outlier_runs": runs[: state[outliers.BYTES]].copy(), "outliers": values.view(np.uint8)}


@lru_cache(maxsize=16)
def _several(active: int) -> tuple[int, ...]:
    """Classes of a level with more than one odd axis, in the order of coding."""
    order = classes.CLASS_ORDER.tolist()
    return tuple(p for p in order if not p & ~active and p & (p - 1))


def pack_levels(plans: NDArray[np.int64]) -> bytes:
    """The section ``levels``, finest level first."""
    out = bytearray()
    for plan in plans.tolist():
        active = plan[classes.ACTIVE]
        splines = plan[classes.SPLINE : classes.SPLINE + classes.AXES]
        out.append(active | (16 - plan[classes.CELL]) << 4)
        out.append(sum(spline << 2 * d for d, spline in enumerate(splines)))
        nibbles = plan[classes.WEIGHT : classes.WEIGHT + classes.AXES]
        nibbles += [plan[classes.WAY + p] for p in _several(active)]
        nibbles += [0] * (len(nibbles) % 2)
        out += bytes(a | b << 4 for a, b in zip(nibbles[::2], nibbles[1::2], strict=True))
    return bytes(out)


def unpack_levels(packed: bytes, grid: tuple[int, ...]) -> tuple[Any, Any, int]:
    """Grids and plans of all levels; FormatError where they do not fit the array."""
    wrong = FormatError("fzdask stream: interpolation levels that do not fit; it is damaged.")
    plans = []
    grids = [list(grid)]
    at = 0
    while at < len(packed):
        active = packed[at] & 15
        ways = _several(active)
        nbytes = 2 + (classes.AXES + len(ways) + 1) // 2
        record = packed[at : at + nbytes]
        at += nbytes
        sides = grids[-1]
        if len(record) < nbytes or not active:
            raise wrong
        if any(active >> d & 1 and sides[d] < 2 for d in range(classes.AXES)):
            raise wrong
        nibbles = [k for byte in record[2:] for k in (byte & 15, byte >> 4)]
        plan = [0] * classes.PLAN
        plan[classes.ACTIVE] = active
        plan[classes.CELL] = 16 - (record[0] >> 4)
        for d in range(classes.AXES):
            plan[classes.SPLINE + d] = record[1] >> 2 * d & 3
            plan[classes.WEIGHT + d] = nibbles[d]
        for p, way in zip(ways, nibbles[classes.AXES :], strict=False):
            if way >= classes.ALONE + classes.AXES:
                raise wrong
            plan[classes.WAY + p] = way
        plans.append(plan)
        grids.append([n + 1 >> 1 if active >> d & 1 else n for d, n in enumerate(sides)])
    table = np.array(plans, np.int64).reshape(len(plans), classes.PLAN)
    return np.array(grids, np.int64), table, len(plans)


def decode_levels(
    codes: NDArray[np.int32], form: Form, packed: bytes, room: NDArray[np.uint8] | None = None
) -> NDArray[Any]:
    """The flat array of the given form, without its outliers; in ``room`` if that is for floats."""
    whole = is_whole(form.dtype)
    layout = layout_of(form.shape)
    grids, plans, levels = unpack_levels(packed, layout.grid)
    sixteenths = plans[:, classes.CELL] if levels else np.array([16])
    cells = cell_widths(form.bound, sixteenths, whole)
    dtype = np.dtype(np.float64) if whole else form.dtype
    largest = LARGEST_WHOLE if whole else float(np.finfo(dtype).max)
    values = None if room is None or whole else room.view(dtype)
    out = values if values is not None and layout.moved < 0 else np.empty(codes.size, dtype)
    work = scratch(codes.size + classes.ROOM if levels else 0, dtype)
    half = scratch(math.prod(grids[1].tolist()) + classes.ROOM if levels > 1 else 0, dtype)
    interpolate.decode_levels(codes, grids, plans, cells, levels, largest, whole, work, half, out)
    out = layout.restored(out, values)
    if not whole:
        return out
    info = np.iinfo(form.dtype)
    clipped: NDArray[Any] = np.clip(out, float(info.min), float(info.max)).astype(form.dtype)
    return clipped
