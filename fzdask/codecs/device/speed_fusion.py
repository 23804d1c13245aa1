"""The ``speed`` pipeline on a device: values to bit planes in one pass."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fzdask.codecs.device.bit_stages import misfit, read_planes
from fzdask.codecs.device.default_stages import (
    QuantizeOnDevice,
    check_lattice,
    geometry,
    put_back,
)
from fzdask.codecs.device.fusion import DeviceFusion
from fzdask.codecs.kernels.cuda import fused_speed, lorenzo
from fzdask.codecs.kernels.cuda.device import Device
from fzdask.codecs.kernels.cuda.fixed_length import Planes
from fzdask.codecs.kernels.cuda.outliers import take_outliers
from fzdask.codecs.kernels.cuda.sampling import Sample
from fzdask.codecs.stages.base import Encoded, Form, Job, Known, Stage
from fzdask.codecs.stages.fixed_length import FixedLength
from fzdask.codecs.stages.lorenzo import MAX_AXES, Lorenzo
from fzdask.codecs.stages.quantize import LIMITS, Quantize, lattice_width, steps
from fzdask.codecs.stages.zigzag import Zigzag

__all__ = ["SpeedOnDevice"]

WIDTH = 4  # bytes of the lattice that the kernels take


class SpeedOnDevice(DeviceFusion):
    """``quantize | lorenzo | zigzag | fixed_length`` in one pass, and in one or two less back.

    For lattices of 32 bits, first differences and blocks of 16 codes. Floats of 32 and 64 bits are
    read once; other values, and floats with long runs of outliers, are quantized first.
    """

    chains: ClassVar[tuple[tuple[type[Stage], ...], ...]] = (
        (Quantize, Lorenzo, Zigzag, FixedLength),
        (Quantize, Lorenzo, FixedLength),
    )

    def encode(
        self, device: Device, stages: Sequence[Any], data: Any, form: Form, job: Job
    ) -> list[Encoded] | None:
        first, second, *_, last = stages
        alike = last == FixedLength() and second.order == 1 and data.size <= fused_speed.MOST
        if not alike or lattice_width(data, form.bound, job) != WIDTH:
            return None
        subset, quantized, packed = -1, None, None
        if form.dtype.kind == "f" and form.dtype.itemsize >= 4:
            sample: Any = Sample(device, data, form.bound, LIMITS[8])
            job.sample = (sample, steps(form.bound)[1])
            subset = second.subset(data, form, job)
            quantized, packed = _in_one_pass(device, data, form, job, subset)
        if quantized is None or packed is None:
            quantized = QuantizeOnDevice().encode(device, first, data, form, job)
            subset = second.subset(quantized.data, form, job) if subset < 0 else subset
            packed = fused_speed.encode_lattice(device, quantized.data, geometry(form, subset))
        sections = {"units": packed.present, "widths": packed.entries.view(np.uint8)}
        return [
            Encoded(None, quantized.params, quantized.sections),
            Encoded(None, bytes([subset])),
            *(Encoded(None) for _ in stages[2:-1]),
            Encoded(packed.planes.view(np.uint8), last.params, sections),
        ]

    def decode(
        self,
        device: Device,
        stages: Sequence[Any],
        data: Any,
        forms: Sequence[Form],
        params: Sequence[bytes],
        sections: Sequence[dict[str, NDArray[np.uint8]]],
        known: Known,
    ) -> Any | None:
        form, subset = forms[0], params[1][0]
        alike = params[-1] == FixedLength().params and not subset >> MAX_AXES
        if not alike or forms[1].dtype.itemsize != WIDTH or form.size > fused_speed.MOST:
            return None
        check_lattice(form)
        packed = read_planes(device, data, forms[-1], params[-1], sections[-1])
        strides, spans = geometry(form, subset)
        sums = fused_speed.sums_of(device, form.size, strides, spans)
        strides, spans = strides[sums.axes :], spans[sums.axes :]
        direct = form.dtype.kind == "f" and form.dtype.itemsize >= 4 and not strides
        dtype = form.dtype if direct else forms[1].dtype
        out = fused_speed.unpack(device, packed, form.size, sums, dtype, form.bound)
        if out is None:
            raise misfit()
        if direct:
            return put_back(device, out, sections[0])
        if form.dtype.kind == "f" and strides:
            values = lorenzo.undo_difference_to_values(
                device, out, strides, spans, form.bound, form.dtype
            )
            return put_back(device, values, sections[0])
        lorenzo.undo_difference(device, out, strides, spans)
        return QuantizeOnDevice().decode(
            device, stages[0], out, form, params[0], sections[0], known
        )


def _in_one_pass(
    device: Device, data: Any, form: Form, job: Job, subset: int
) -> tuple[Encoded | None, Planes | None]:
    """What ``quantize`` gives beside its lattice, and the planes; None: too many outliers."""
    done = fused_speed.encode_values(
        device, data, job.forced, form.bound, LIMITS[WIDTH], job.finite_max, geometry(form, subset)
    )
    if done is None:
        return None, None
    sections: dict[str, Any] = {}
    if done.mask is not None:
        runs, values = take_outliers(device, job.bits, done.mask)
        sections = {"outlier_runs": runs, "outliers": values.view(np.uint8)}
    return Encoded(None, bytes([WIDTH]), sections), done.packed
