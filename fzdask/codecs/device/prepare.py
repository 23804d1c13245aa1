"""From a device array to what a pipeline takes: flat, in the order of memory, with its bound."""

from __future__ import annotations

from typing import Any

import numpy as np

from fzdask.codecs.config import CodecConfig
from fzdask.codecs.kernels.cuda import ranges
from fzdask.codecs.kernels.cuda.device import Device
from fzdask.codecs.prepare import Prepared, known_form, preserved_ranges, resolve_bound
from fzdask.codecs.stages.base import Job

__all__ = ["flatten", "prepare_on_device"]


def flatten(device: Device, array: Any, order: str) -> Any:
    """The elements in the order of memory; a view where there is one."""
    return device.xp.ascontiguousarray(array.T if order == "F" else array).reshape(-1)


def prepare_on_device(device: Device, array: Any, order: str, config: CodecConfig) -> Prepared:
    """What :func:`fzdask.codecs.prepare.prepare` makes of the same array on the host.

    Halves stay halves: the kernels widen them as they go.
    """
    form, fixed = known_form(array.dtype, array.shape, order, config)
    flat = flatten(device, array, order).view(form.dtype)
    reach = fixed[1] if fixed else 0.0
    forced = _forced(device, flat, array.dtype, config, reach)
    low, high = ranges.finite_range(device, flat, forced)
    bounded, resolved = fixed or resolve_bound(form, array.dtype, low, high, config)
    if bounded is None:
        return Prepared(flat, form, None, resolved, low, high)
    if config.preserve and reach != resolved:
        forced = _forced(device, flat, array.dtype, config, resolved)
    magnitude = float(max(abs(low), abs(high)))
    job = Job(forced, flat.view(f"u{form.dtype.itemsize}"), magnitude, order)
    return Prepared(flat, bounded, job, resolved, low, high)


def _forced(
    device: Device, flat: Any, dtype: np.dtype[Any], config: CodecConfig, reach: float
) -> Any:
    """Flags of values to keep bit for bit; empty where there can be none."""
    parts = 2 if dtype.kind == "c" else 1
    pointwise = config.bound[0] == "pw_rel"
    found = preserved_ranges(dtype, config.preserve, reach, pointwise)
    if not found and parts == 1:
        return device.empty(0, np.uint8)
    flags = device.zeros(flat.size, np.uint8)
    for ends in found:
        ranges.preserve(device, flat, parts, ends, flags)
    if parts == 2:
        ranges.flag_pairs(device, flat, flags)
    return flags
