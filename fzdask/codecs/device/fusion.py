"""What a fusion on a device is: adjacent stages in fewer passes, with the bytes of the stages."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fzdask.codecs.kernels.cuda.device import Device
from fzdask.codecs.stages.base import Encoded, Form, Job, Known, Stage

__all__ = ["DeviceFusion"]


class DeviceFusion(ABC):
    """Kernels for a run of stages; what they do not take, the stages do one by one."""

    chains: ClassVar[tuple[tuple[type[Stage], ...], ...]]
    """The adjacent stages that it stands for, in each way in which they may come."""

    @abstractmethod
    def encode(
        self, device: Device, stages: Sequence[Any], data: Any, form: Form, job: Job
    ) -> list[Encoded] | None:
        """What each stage gives (of the main outputs the last one only), or None: not taken."""

    @abstractmethod
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
        """The flat device array of ``forms[0]``, or None: not taken."""
