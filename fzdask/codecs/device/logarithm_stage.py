"""Logarithms on a device; the bitmaps of their signs and zeros are coded on the host."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fzdask.codecs.device.base import DeviceStage
from fzdask.codecs.device.default_stages import put_back
from fzdask.codecs.kernels.cpu import log_tables
from fzdask.codecs.kernels.cuda import logarithm, ranges
from fzdask.codecs.kernels.cuda.device import Device
from fzdask.codecs.stages.base import Encoded, Form, Job, Known
from fzdask.codecs.stages.logarithm import (
    CODED_SIGNS,
    CODED_ZEROS,
    LAYOUT,
    LONG,
    NEGATIVE,
    NO_WORDS,
    SIGNS,
    SMOOTH,
    ZERO,
    ZEROS,
    Logarithm,
    bitmap_words,
    mantissa_bits,
    unpacked_bitmap,
)
from fzdask.errors import FormatError

__all__ = ["LogarithmOnDevice"]


class LogarithmOnDevice(DeviceStage):
    """``logarithm``."""

    of = Logarithm

    def encode(self, device: Device, stage: Any, data: Any, form: Form, job: Job) -> Encoded:
        itemsize = form.dtype.itemsize
        layout = log_tables.layout(itemsize, form.bound)
        room = log_tables.budget(layout, form.bound)
        tables = log_tables.log_table(), log_tables.exp_table()
        first = log_tables.first_safe_exponent(layout, room)
        done = logarithm.encode(
            device, data.view(f"u{itemsize}"), job.forced, layout, room, form.bound, first, tables
        )
        flags = SMOOTH * layout.smooth | LONG * (layout.width == 8)
        sections: dict[str, Any] = {}
        some_zeros = 0 < done.zero < form.size
        zeros = _words(device, done.zeros, form) if some_zeros else NO_WORDS
        if 0 < done.negative < form.size:
            signs = _words(device, done.signs, form)
            section, coded = stage.packed_bitmap(signs, zeros, form)
            sections["signs"] = section.tobytes()
            flags |= SIGNS | CODED_SIGNS * coded
        elif done.negative:
            flags |= NEGATIVE
        if some_zeros:
            section, coded = stage.packed_bitmap(zeros, NO_WORDS, form)
            sections["zeros"] = section.tobytes()
            flags |= ZEROS | CODED_ZEROS * coded
        elif done.zero:
            flags |= ZERO
        if done.runs is not None:
            sections["exact_runs"] = done.runs
            alike = bool((done.exact == done.exact[0]).all())  # a mask of NaN, or of one value
            sections["exact"] = (done.exact[:1] if alike else done.exact).view(np.uint8)
        job.bits = done.values.view(f"u{layout.width}")
        job.forced = device.empty(0, np.uint8)
        low, high = ranges.finite_range(device, done.values, job.forced)
        job.finite_max = float(max(abs(low), abs(high)))
        job.sample = None
        return Encoded(done.values, LAYOUT.pack(layout.scale, flags, room.bound), sections)

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
        scale, flags, _ = LAYOUT.unpack(params)
        zeros = unpacked_bitmap("zeros", flags & (ZEROS | CODED_ZEROS), NO_WORDS, form, sections)
        signs = unpacked_bitmap("signs", flags & (SIGNS | CODED_SIGNS), zeros, form, sections)
        nbytes = -(-form.size // 8)
        out = logarithm.decode(
            device, data, form.dtype.itemsize, mantissa_bits(form.dtype), scale,
            bool(flags & SMOOTH), log_tables.exp_table(), signs.view(np.uint8)[:nbytes],
            bool(flags & NEGATIVE), zeros.view(np.uint8)[:nbytes], bool(flags & ZERO),
        )  # fmt: skip
        exact = {
            name: sections[kept]
            for name, kept in (("outlier_runs", "exact_runs"), ("outliers", "exact"))
            if kept in sections
        }
        if len(exact) == 1:
            raise FormatError("fzdask stream: exact values and their places do not match.")
        return put_back(device, out, exact, alike=True).view(form.dtype)


def _words(device: Device, bits: Any, form: Form) -> NDArray[np.uint64]:
    """A bitmap of the device as the host's coder takes it."""
    words = bitmap_words(form.size)
    words.view("<u4")[: bits.size] = device.download(bits)
    return words
