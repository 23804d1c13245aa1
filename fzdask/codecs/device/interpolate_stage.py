"""Interpolation on a device; what encoding chooses is chosen by the stage's own code."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fzdask.codecs.device import interpolate_attempt
from fzdask.codecs.device.base import DeviceStage
from fzdask.codecs.device.default_stages import (
    QuantizeOnDevice,
    decode_fused,
    fuses,
    geometry,
    put_back,
)
from fzdask.codecs.device.interpolate_attempt import (
    DeviceAttempt,
    FewAttempt,
    arranged,
    flat_source,
)
from fzdask.codecs.kernels.cpu import interpolate_classes as classes
from fzdask.codecs.kernels.cuda import interpolate, lorenzo
from fzdask.codecs.kernels.cuda.device import Device
from fzdask.codecs.kernels.cuda.interpolate_reads import Reader
from fzdask.codecs.kernels.cuda.sampling import Sample
from fzdask.codecs.stages.base import Encoded, Form, Job, Known
from fzdask.codecs.stages.interpolate import (
    DIFFERENCES,
    Chunk,
    Interpolate,
    check_bound,
    difference_bits,
    stored_order,
    subset_of,
)
from fzdask.codecs.stages.interpolate_levels import (
    LARGEST_WHOLE,
    Attempt,
    Layout,
    cell_widths,
    is_whole,
    layout_of,
    unpack_levels,
)
from fzdask.codecs.stages.lorenzo import Lorenzo
from fzdask.codecs.stages.quantize import LIMITS, Quantize

__all__ = ["InterpolateOnDevice"]


class InterpolateOnDevice(DeviceStage):
    """``interpolate``."""

    of = Interpolate

    def encode(self, device: Device, stage: Any, data: Any, form: Form, job: Job) -> Encoded:
        kind = FewChunk if data.size <= interpolate_attempt.FEW else DeviceChunk
        encoded: Encoded = stage.encode_chunk(kind(device, data, form, job))
        if job.sample is None:  # stages behind this one sample its codes
            sample: Any = Sample(device, encoded.data, None, LIMITS[8])
            job.sample = (sample, 1.0)
        return encoded

    def decode(
        self,
        device: Device,
        stage: Any,
        data: Any,
        form: Form,
        params: bytes,
        sections: dict[str, NDArray[np.uint8]],
        known: Known,
    ) -> Any:
        if params[0] == DIFFERENCES:
            sides = {k: v for k, v in sections.items() if k != "levels"}
            order = stored_order(form, params)
            data = data if order is None else _restored(device.xp, order, data)
            if fuses(Quantize(), Lorenzo(), form, params[2:3]):
                return decode_fused(device, data, form, params[2:3], sides)
            lorenzo.undo_difference(device, data, *geometry(form, params[2]))
            return QuantizeOnDevice().decode(device, None, data, form, params[1:2], sides, known)
        check_bound(form)
        levels = sections.get("levels", np.zeros(0, np.uint8))
        out = _decode(device, data, form, levels.tobytes())
        return put_back(device, out, sections)


class DeviceChunk(Chunk):
    """An array on a device to encode."""

    def __init__(self, device: Device, data: Any, form: Form, job: Job) -> None:
        super().__init__(data, form, job)
        self.device = device

    def attempt(self) -> Attempt:
        return DeviceAttempt(self.device, self.data, self.form, self.job)

    def subset(self, values: Any) -> int:
        bound = self.form.bound
        if is_whole(self.form.dtype):
            values = values.astype(np.float64, copy=False)
            bound += 0.5  # the lattice of floats of this bound has cells of 2 bound + 1
        sample: Any = Sample(self.device, values, bound, LIMITS[8])
        return subset_of(sample, self.form, self.job.forced)

    def difference_bits(self, values: Any, subset: int) -> int:
        source = flat_source(self.device, values)
        bits: int = Reader(self.device).run(lambda x: difference_bits(x, self.form, subset), source)
        return bits

    def differences(self, subset: int) -> Encoded:
        lattice = QuantizeOnDevice().encode(self.device, None, self.data, self.form, self.job)
        out = lorenzo.difference(self.device, lattice.data, *geometry(self.form, subset))
        return Encoded(out, bytes([DIFFERENCES, lattice.params[0], subset]), lattice.sections)

    def pieces(self, array: Any, starts: NDArray[np.int64], length: int) -> NDArray[np.int64]:
        there = self.device.upload(starts)[..., None] + self.device.xp.arange(length)
        return self.device.download(array[there]).astype(np.int64)

    def arranged(self, array: Any, order: Layout) -> Any:
        return arranged(self.device.xp, order, array)


class FewChunk(DeviceChunk):
    """An array of few values: it is looked at, and interpolated, on the host."""

    def attempt(self) -> Attempt:
        self.host = FewAttempt(self.device, self.data, self.form, self.job)
        return self.host

    def subset(self, values: Any) -> int:
        if values is self.data:
            return super().subset(values)
        return subset_of(values, self.form, self.host.job.forced)

    def difference_bits(self, values: Any, subset: int) -> int:
        return difference_bits(values, self.form, subset)


def _decode(device: Device, codes: Any, form: Form, packed: bytes) -> Any:
    """The flat array of the form, without its outliers."""
    whole = is_whole(form.dtype)
    layout = layout_of(form.shape)
    grids, plans, levels = unpack_levels(packed, layout.grid)
    sixteenths = plans[:, classes.CELL] if levels else np.array([16])
    cells = cell_widths(form.bound, sixteenths, whole)
    dtype = np.dtype(np.float64) if whole else form.dtype
    largest = LARGEST_WHOLE if whole else float(np.finfo(dtype).max)
    out = interpolate.decode_levels(device, codes, grids, plans, cells, largest, whole, dtype)
    out = _restored(device.xp, layout, out)
    if not whole:
        return out
    info = np.iinfo(form.dtype)
    return device.xp.clip(out, float(info.min), float(info.max)).astype(form.dtype)


def _restored(xp: Any, layout: Layout, flat: Any) -> Any:
    """Elements in the order of the array, from that of a layout."""
    if layout.moved < 0:
        return flat
    shape = [n for k, n in enumerate(layout.folded) if k != layout.moved]
    arranged = flat.reshape(*shape, layout.folded[layout.moved])
    return xp.ascontiguousarray(xp.moveaxis(arranged, -1, layout.moved)).ravel()
