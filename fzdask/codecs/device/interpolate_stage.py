"""Interpolation on a device: decoding only, since what encoding chooses is not made there yet."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fzdask.codecs.device.base import DeviceStage
from fzdask.codecs.device.default_stages import (
    QuantizeOnDevice,
    decode_fused,
    fuses,
    geometry,
    put_back,
)
from fzdask.codecs.kernels.cpu import interpolate_classes as classes
from fzdask.codecs.kernels.cuda import interpolate, lorenzo
from fzdask.codecs.kernels.cuda.device import Device
from fzdask.codecs.stages.base import Encoded, Form, Job, Known
from fzdask.codecs.stages.interpolate import DIFFERENCES, Interpolate, check_bound
from fzdask.codecs.stages.interpolate_levels import (
    LARGEST_WHOLE,
    Layout,
    cell_widths,
    is_whole,
    layout_of,
    unpack_levels,
)
from fzdask.codecs.stages.lorenzo import Lorenzo
from fzdask.codecs.stages.quantize import Quantize

__all__ = ["InterpolateOnDevice"]


class InterpolateOnDevice(DeviceStage):
    """``interpolate``."""

    of = Interpolate
    encodes: ClassVar[bool] = False

    def encode(self, device: Device, stage: Any, data: Any, form: Form, job: Job) -> Encoded:
        raise AssertionError("interpolate encodes on the host")

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
            if fuses(Quantize(), Lorenzo(), form, params[2:]):
                return decode_fused(device, data, form, params[2:], sides)
            lorenzo.undo_difference(device, data, *geometry(form, params[2]))
            return QuantizeOnDevice().decode(device, None, data, form, params[1:2], sides, known)
        check_bound(form)
        levels = sections.get("levels", np.zeros(0, np.uint8))
        out = _decode(device, data, form, levels.tobytes())
        return put_back(device, out, sections)


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
    """Elements in the order of the array, from that in which they are interpolated."""
    if layout.moved < 0:
        return flat
    shape = [n for k, n in enumerate(layout.folded) if k != layout.moved]
    arranged = flat.reshape(*shape, layout.folded[layout.moved])
    return xp.ascontiguousarray(xp.moveaxis(arranged, -1, layout.moved)).ravel()
