"""Differences along one axis on a device, with the kernels of Lorenzo residuals."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fzdask.codecs.device.base import DeviceStage
from fzdask.codecs.kernels.cuda import lorenzo
from fzdask.codecs.kernels.cuda.device import Device
from fzdask.codecs.stages.base import Encoded, Form, Job, Known
from fzdask.codecs.stages.difference import NONE, Difference

__all__ = ["DifferenceOnDevice"]


class DifferenceOnDevice(DeviceStage):
    """``difference``."""

    of = Difference

    def encode(self, device: Device, stage: Any, data: Any, form: Form, job: Job) -> Encoded:
        axis = job.memory_axis(stage.axis, form.shape)
        params = bytes([NONE if axis is None else axis, stage.order])
        return Encoded(lorenzo.difference(device, data, *_geometry(form, params)), params)

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
        lorenzo.undo_difference(device, data, *_geometry(form, params))
        return data


def _geometry(form: Form, params: bytes) -> tuple[list[int], list[int]]:
    """Stride and span of the axis, once for each difference."""
    axis, order = params
    if axis == NONE or form.shape[axis] == 1:
        return [], []
    stride = int(np.prod(form.shape[axis + 1 :], dtype=np.int64))
    return [stride] * order, [stride * form.shape[axis]] * order
