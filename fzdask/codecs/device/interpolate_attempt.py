"""An array on a device as it is interpolated; what is chosen is chosen by the stage's own code.

Fine levels are encoded on the device. Grids of few values are not worth its while: they are
encoded by the host's kernels, from a copy. Splines, weights and axes are chosen on the host,
which reads as many values of the device's arrays as its kernels look at.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fzdask.codecs.kernels.cpu import interpolate_classes as classes
from fzdask.codecs.kernels.cpu import interpolate_encode as on_host
from fzdask.codecs.kernels.cpu import interpolate_tuning as tuning
from fzdask.codecs.kernels.cpu.symbols import ALPHABET
from fzdask.codecs.kernels.cuda import interpolate_encode as kernels
from fzdask.codecs.kernels.cuda.device import Device
from fzdask.codecs.kernels.cuda.interpolate_geometry import (
    GRID,
    ROWS,
    c_strides,
    halve,
    level_rows,
)
from fzdask.codecs.kernels.cuda.interpolate_reads import Reader, Source
from fzdask.codecs.kernels.cuda.outliers import take_outliers
from fzdask.codecs.stages.base import Form, Job
from fzdask.codecs.stages.interpolate_levels import Attempt, Layout, pack_levels

__all__ = ["FEW", "DeviceAttempt", "FewAttempt", "arranged", "flat_source", "user_strides"]

FEW = 1 << 16
"""Grids of at most so many values are encoded on the host."""


class DeviceAttempt(Attempt):
    """The array of a device, encoded but for its finest level.

    ``x`` and ``decoded`` are the array as it is interpolated, and its decoded values; ``second``
    and ``work`` the same of the grid of level 1. Levels from ``top`` on are the host's.
    """

    def __init__(self, device: Device, data: Any, form: Form, job: Job) -> None:
        self.device = device
        self.reader = Reader(device)
        super().__init__(data, form, job)

    def _take(self, data: Any, job: Job) -> None:
        xp = self.device.xp
        self.masked = data.astype(xp.float64) if self.whole else data
        self.special = kernels.find_special(self.device, self.masked, job.forced)
        if self.special is not None:
            self.masked = kernels.mask_special(self.device, self.masked, self.special)
        self.x = arranged(xp, self.layout, self.masked)
        self.codes = self.device.empty(self.x.size, np.int32)
        self.decoded = self.device.empty(self.x.size, self.x.dtype)

    def _plan(self, step: float, samples: int) -> int:
        codes, counts = np.empty(samples, np.int64), np.empty((2, ALPHABET), np.int64)
        self.sources: list[Source] = []
        level = 0
        while level == 0 or _size(self.grids[level]) > FEW:
            grid = self.grids[level]
            self.sources.append(self._grid_source(level))
            active = self.reader.run(
                lambda x, grid=grid: tuning.choose_active(x, grid, step, codes, counts),
                self.sources[level],
            )
            self.plans[level, classes.ACTIVE] = active
            for d in range(classes.AXES):
                self.grids[level + 1, d] = classes.class_length(int(grid[d]), active, 0, d)
            level += 1
            if level == 1:
                self.second = self.device.xp.ascontiguousarray(self._every(self.x, 0, 1)).ravel()
        self.top = level
        return level + self._plan_on_host(step, samples)

    def _plan_on_host(self, step: float, samples: int) -> int:
        """Go on where the host takes over; the number of levels there."""
        few = self.device.xp.ascontiguousarray(self._every(self.second, 1, self.top))
        size = few.size
        self.coarser = np.empty(3 * size, self.x.dtype)
        self.coarser[:size] = self.device.download(few).ravel()
        starts = np.zeros_like(self.starts[self.top :])
        levels = tuning.plan_grids(
            self.coarser[:size], step, samples, self.grids[self.top :], self.plans[self.top :],
            self.coarser[size:], starts,
        )  # fmt: skip
        self.starts[self.top + 1 :] = starts[1:] + size
        return int(levels)

    def _make_grids(self) -> None:
        super()._make_grids()
        self.work = self.device.empty(self.coarse, self.x.dtype)
        user = np.array(user_strides(self.layout), np.int64)
        self.user = halve(user, self.plans[: self.levels])
        rows = []
        for level in range(self.top):
            active = int(self.plans[level, classes.ACTIVE])
            strides = self._strides(level)
            rows.append(level_rows(self.grids[level], active, strides, self.user[level]))
        table = np.concatenate(rows)
        self.quantizer = kernels.Quantizer(
            self.device, table, self.device.upload(table.ravel()), self.form.bound, self.largest,
            self.whole, self.codes,
        )  # fmt: skip

    def _new_flags(self) -> Any:
        if self.special is not None:
            return self.special.copy()
        return self.device.zeros(-(-self.x.size // 32), np.uint32)

    def _rows(self, array: Any, which: NDArray[np.int64]) -> NDArray[Any]:
        rows: NDArray[Any] = self.device.download(array[self.device.upload(which)])
        return rows

    def _encode(self, first: int, samples: int, *, known: bool) -> int:
        if first == self.levels - 1:
            self._encode_few(known)
            for level in range(self.top - 1, 0, -1):
                self._encode_level(level, known)
        self._every(self.decoded, 0, 1)[...] = self.work.reshape(self.grids[1].tolist())
        if samples:
            return self._tune(0, samples, known)
        self._encode_level(0, known)
        return 0

    def _encode_few(self, known: bool) -> None:
        """Encode the levels that are the host's, and bring them to the device."""
        top, size = self.top, _size(self.grids[self.top])
        fines = np.zeros((self.levels + 1, classes.AXES), np.int64)
        fines[top:] = halve(c_strides(self.grids[top]), self.plans[top : self.levels])
        work, half = np.empty_like(self.half), self.half  # as large as level 1 would need
        codes, flags = np.empty(size, np.int32), np.zeros(size, np.uint8)
        on_host.encode_levels(
            self.coarser[:0], self.coarser, self.starts, self.grids, fines, self.plans, self.cells,
            self.levels, self.levels - 1, top, self.form.bound, self.largest, self.whole, work,
            half, codes, flags, self.missed, 0, known,
        )  # fmt: skip
        shape = self.grids[top].tolist()
        decoded = self.device.upload((work if top % 2 else half)[:size])
        self._every(self.work, 1, top)[...] = decoded.reshape(shape)
        self.codes[:size] = self.device.upload(codes)
        missed = np.unravel_index(np.flatnonzero(flags), shape)
        places = sum((i * s for i, s in zip(missed, self.user[top], strict=True)), np.int64(0))
        kernels.set_bits(self.device, self.flags, np.asarray(places, np.uint64))

    def _encode_level(self, level: int, known: bool) -> None:
        """As :func:`~fzdask.codecs.kernels.cpu.interpolate_encode.encode_levels` does one."""
        x, decoded = (self.second, self.work) if level else (self.x, self.decoded)
        if not known:
            self._tune(level, 0, known)
        for p in classes.CLASS_ORDER.tolist():
            if p & ~int(self.plans[level, classes.ACTIVE]):
                continue
            if p & (p - 1) and (level == 0 or not known):
                self._tune_way(level, p)
            cell = float(self.cells[level])
            plan = self.plans[level]
            self.quantizer.encode_class(level, p, plan, cell, x, decoded, self.flags)

    def _tune(self, level: int, samples: int, known: bool) -> int:
        """Splines and weights of a level and, from samples, the estimated bits of its codes."""
        room = _Room(self.grids[level], self.plans[level], samples)

        def tune(x: Any, work: Any) -> tuple[Any, int]:
            plan, bits = self.plans[level].copy(), np.zeros(classes.AXES, np.int64)
            tuning.tune_axes(
                x, room.grid, plan, self.cells[level], room.offsets, work, room.geometry, room.acc,
                room.values, room.errors, room.codes, room.counts, known, bits,
            )  # fmt: skip
            return plan, tuning.level_bits(room.grid, plan, bits) if samples else 0

        self.plans[level], bits = self._run(tune, level)
        return int(bits)

    def _tune_way(self, level: int, p: int) -> None:
        """How the axes of a class are weighted."""
        room = _Room(self.grids[level], self.plans[level], 0)
        active = int(self.plans[level, classes.ACTIVE])
        classes.set_geometry(room.grid, room.grid, active, p, room.offsets, room.geometry)

        def tune(x: Any, work: Any) -> Any:
            plan = self.plans[level].copy()
            tuning.tune_way(
                x, room.grid, plan, p, work, room.geometry, room.acc, room.values, room.errors
            )
            return plan

        self.plans[level] = self._run(tune, level)

    def _run(self, tune: Any, level: int) -> Any:
        """A choice of the host, which reads the grid of a level and its decoded classes."""
        size = _size(self.grids[level])
        there, first = self.quantizer.there, level * ROWS
        decoded = Source(self.work if level else self.decoded, there, first, GRID, size)
        return self.reader.run(tune, self.sources[level], decoded)

    def finish(self, job: Job) -> tuple[Any, dict[str, Any]]:
        """Encode the finest level; the codes and the side sections."""
        self._encode(0, 0, known=True)
        sections: dict[str, Any] = {"levels": pack_levels(self.plans)}
        if bool(self.device.xp.any(self.flags)):
            runs, values = take_outliers(self.device, job.bits, self.flags)
            sections["outlier_runs"], sections["outliers"] = runs, values.view(np.uint8)
        return self.codes, sections

    def _strides(self, level: int) -> NDArray[np.int64]:
        """Strides of the grid of a level in the array that it is kept in."""
        if level == 0:
            return c_strides(self.grids[0])
        strides: NDArray[np.int64] = halve(c_strides(self.grids[1]), self.plans[1:level])[-1]
        return strides

    def _grid_source(self, level: int) -> Source:
        rows = level_rows(self.grids[level], 0, self._strides(level))[GRID]
        array = self.second if level else self.x
        return Source(array, self.device.upload(rows), 0, 1, _size(self.grids[level]))

    def _every(self, array: Any, level: int, coarser: int) -> Any:
        """The points of a coarser grid in an array of the grid of this level; a view."""
        halved = self.plans[level:coarser, classes.ACTIVE, None] >> np.arange(classes.AXES) & 1
        steps = (1 << halved.sum(axis=0)).tolist()
        return array.reshape(self.grids[level].tolist())[tuple(slice(None, None, s) for s in steps)]


class FewAttempt(Attempt):
    """An array of few values on a device: a copy is interpolated on the host."""

    def __init__(self, device: Device, data: Any, form: Form, job: Job) -> None:
        host = device.download(data)
        bits = host.view(f"u{host.dtype.itemsize}")
        self.device = device
        self.job = replace(job, forced=device.download(job.forced), bits=bits)
        super().__init__(host, form, self.job)

    def finish(self, job: Job) -> tuple[Any, dict[str, Any]]:
        codes, sections = super().finish(self.job)
        kept = {k: v if isinstance(v, bytes) else v.tobytes() for k, v in sections.items()}
        return self.device.upload(codes), kept


class _Room:
    """Arrays that the host's kernels work in, for one level."""

    def __init__(self, grid: NDArray[np.int64], plan: NDArray[np.int64], samples: int) -> None:
        self.grid = grid
        self.offsets = np.zeros(classes.CLASSES, np.int64)
        classes.class_offsets(grid, int(plan[classes.ACTIVE]), self.offsets)
        self.geometry = np.empty(classes.GEOMETRY, np.int64)
        self.acc, self.values = np.empty(classes.PART), np.empty(classes.PART)
        self.errors = np.empty(max(tuning.SAMPLE, samples))
        self.codes = np.empty(samples, np.int64)
        self.counts = np.empty((2, ALPHABET), np.int64)


def flat_source(device: Device, flat: Any) -> Source:
    """A flat array, read by its indices."""
    grid = np.array([1, 1, 1, flat.size], np.int64)
    rows = level_rows(grid, 0, c_strides(grid))[GRID]
    return Source(flat, device.upload(rows), 0, 1, flat.size)


def user_strides(layout: Layout) -> list[int]:
    """Strides in the user's array of the axes of the grid."""
    strides = [math.prod(layout.folded[k + 1 :]) for k in range(len(layout.folded))]
    if layout.moved >= 0:
        strides.append(strides.pop(layout.moved))
    return [1] * (classes.AXES - len(strides)) + strides


def _size(grid: NDArray[np.int64]) -> int:
    return math.prod(grid.tolist())


def arranged(xp: Any, layout: Layout, flat: Any) -> Any:
    """The elements of an array in the order of a layout."""
    if layout.moved < 0:
        return flat
    return xp.ascontiguousarray(xp.moveaxis(flat.reshape(layout.folded), layout.moved, -1)).ravel()
