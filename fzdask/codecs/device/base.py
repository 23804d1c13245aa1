"""What a stage on a device is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fzdask.codecs.kernels.cuda.device import Device
from fzdask.codecs.stages.base import Encoded, Form, Job, Known, Stage

__all__ = ["DeviceStage"]


class DeviceStage(ABC):
    """One stage on a device; flat device arrays where the stage has host arrays."""

    of: ClassVar[type[Stage]]
    """The stage whose bytes these are."""
    absorbs: ClassVar[tuple[type[Stage], ...]] = ()
    """Stages without parameters that, right before this one, it does on the way."""

    @abstractmethod
    def encode(self, device: Device, stage: Any, data: Any, form: Form, job: Job) -> Encoded:
        """Encode; sections are device arrays or, where the host made them, bytes."""

    @abstractmethod
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
        """The flat device array of the form; side sections are still on the host."""
