"""``quantize | lorenzo | zigzag | fixed_length`` as one kernel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fzdask.addresses import address
from fzdask.codecs.kernels.cpu import fused_speed, outliers
from fzdask.codecs.kernels.cpu.tile_differences import TILE, buffers_of
from fzdask.codecs.stages.base import Encoded, Form, Job, Known, Stage
from fzdask.codecs.stages.fixed_length import (
    FixedLength,
    Room,
    check_planes,
    checked_units,
    packed,
)
from fzdask.codecs.stages.fusion import Fusion
from fzdask.codecs.stages.lorenzo import Lorenzo, axes_geometry
from fzdask.codecs.stages.quantize import (
    LIMITS,
    SIGNS,
    Quantize,
    cheap_rule,
    lattice_width,
    outlier_sections,
    outliers_room,
    room_for_values,
    steps,
    with_outliers,
)
from fzdask.codecs.stages.zigzag import Zigzag

__all__ = ["QuantizeToFixedLength"]

WIDTH = 4  # bytes of the lattice that the kernel takes
CODER = FixedLength()  # whose blocks it writes
PARAMS = CODER.params


class QuantizeToFixedLength(Fusion):
    """Tiles go from values to bit planes, and back, without leaving the L1 cache.

    Floats of 32 and 64 bits on a lattice of 32, and blocks of 16 codes; anything else runs stage
    by stage.
    """

    chain: ClassVar[tuple[type[Stage], ...]] = (Quantize, Lorenzo, Zigzag, FixedLength)

    def applies(self, form: Form) -> bool:
        return form.dtype.kind == "f" and form.dtype.itemsize >= 4

    def encode(
        self, stages: Sequence[Any], data: NDArray[Any], form: Form, job: Job
    ) -> list[Encoded]:
        _, lorenzo, _, last = stages
        wide = job.measured and lattice_width(data, form.bound, job) != WIDTH
        if wide or not last.vectors(np.dtype("<u4")):
            return _encode_apart(stages, data, form, job)
        step, inv = steps(form.bound)
        job.sample = (data, inv)
        subset = lorenzo.subset(data, form, job)
        strides, spans = axes_geometry(form.shape, subset)
        room = Room.of(data.size, WIDTH, last.block, apart=False)
        values, runs = outliers_room(data.size, job.bits.dtype)
        part = np.empty(TILE, data.dtype)
        state = np.zeros(outliers.STATE, np.int64)
        at, used = fused_speed.encode(
            address(data.view(np.uint8)), data.size, part, part.view(job.bits.dtype),
            SIGNS[data.itemsize], job.forced, inv, step, form.bound, LIMITS[WIDTH],
            *cheap_rule(form.bound, inv), strides, spans, *buffers_of(strides, spans), room.planes,
            room.heads, room.present, state, runs, values,
        )  # fmt: skip
        if at < 0:  # values that only a lattice of 64 bits holds
            return _encode_apart(stages, data, form, job)
        return [
            Encoded(None, bytes([WIDTH]), outlier_sections(state, runs, values)),
            Encoded(None, bytes([subset])),
            Encoded(None),
            packed(PARAMS, room, at, used),
        ]

    def decode(
        self,
        stages: Sequence[Any],
        data: NDArray[Any],
        forms: Sequence[Form],
        params: Sequence[bytes],
        sections: Sequence[dict[str, NDArray[np.uint8]]],
        known: Known,
    ) -> NDArray[Any]:
        form = forms[0]
        if forms[1].dtype.itemsize != WIDTH or params[3] != PARAMS:
            return _decode_apart(stages, data, forms, params, sections, known)
        heads, present = checked_units(CODER, forms[3], sections[3])
        strides, spans = axes_geometry(form.shape, params[1][0])
        out = room_for_values(form.size, form, known)
        step, _ = steps(form.bound)
        nbytes = fused_speed.decode(
            address(data), data.size, heads, present, step, strides, spans,
            *buffers_of(strides, spans), out,
        )  # fmt: skip
        check_planes(data, nbytes)
        return with_outliers(out, form, sections[0])


def _encode_apart(stages: Sequence[Any], data: NDArray[Any], form: Form, job: Job) -> list[Encoded]:
    """What the stages give one by one."""
    results = []
    for stage in stages:
        result = stage.encode(data, form, job)
        form = stage.form_after(form, result.params)
        data = result.data
        results.append(Encoded(data, result.params, result.sections))
    return results


def _decode_apart(
    stages: Sequence[Any],
    data: NDArray[Any],
    forms: Sequence[Form],
    params: Sequence[bytes],
    sections: Sequence[dict[str, NDArray[np.uint8]]],
    known: Known,
) -> NDArray[Any]:
    for at in range(len(stages) - 1, -1, -1):
        data = stages[at].decode(data, forms[at], params[at], sections[at], known)
    return data
