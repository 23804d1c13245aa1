"""From a device array to what a pipeline takes: flat, in the order of memory, with its bound."""

from __future__ import annotations

from typing import Any

import numpy as np

from fzdask.codecs.config import CodecConfig
from fzdask.codecs.kernels.cuda import ranges
from fzdask.codecs.kernels.cuda.device import Device
from fzdask.codecs.prepare import Prepared, flat_form, numeric_form, resolve_bound
from fzdask.codecs.stages.base import Job

__all__ = ["flatten", "prepare_on_device"]


def flatten(device: Device, array: Any, order: str) -> Any:
    """The elements in the order of memory; a view where there is one."""
    return device.xp.ascontiguousarray(array.T if order == "F" else array).reshape(-1)


def prepare_on_device(device: Device, array: Any, order: str, config: CodecConfig) -> Prepared:
    """What :func:`fzdask.codecs.prepare.prepare` makes of the same array on the host.

    Halves stay halves: the kernels widen them as they go.
    """
    form = numeric_form(flat_form(array.dtype, array.shape, order))
    flat = flatten(device, array, order).view(form.dtype)
    parts = 2 if array.dtype.kind == "c" else 1
    forced = _flags(device, flat, parts, config.preserve)
    low, high = ranges.finite_range(device, flat, forced)
    bounded, resolved = resolve_bound(form, array.dtype, low, high, config)
    if bounded is None:
        return Prepared(flat, form, None, resolved, low, high)
    magnitude = float(max(abs(low), abs(high)))
    job = Job(forced, flat.view(f"u{form.dtype.itemsize}"), magnitude, order)
    return Prepared(flat, bounded, job, resolved, low, high)


def _flags(device: Device, flat: Any, parts: int, preserve: tuple[float, ...]) -> Any:
    """Flags of values to keep bit for bit; empty where there can be none."""
    values = [v for v in preserve if _has_value(flat.dtype, v)]
    if not values and parts == 1:
        return device.empty(0, np.uint8)
    flags = device.zeros(flat.size, np.uint8)
    for value in values:
        # 1e300 is no float32, and then equals nothing finite.
        with np.errstate(over="ignore"):
            ranges.preserve(device, flat, parts, value, flags)
    if parts == 2:
        ranges.flag_pairs(device, flat, flags)
    return flags


def _has_value(dtype: Any, value: float) -> bool:
    if dtype.kind == "f":
        return True
    info = np.iinfo(dtype)
    return value == int(value) and info.min <= value <= info.max
