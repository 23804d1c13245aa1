"""Which arrays live on a device, and on which."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from fzdask.codecs.kernels.cuda.device import Device

__all__ = ["current", "device_of", "is_device_array"]


def is_device_array(value: Any) -> bool:
    """Whether a value is an array on a CUDA device (CuPy's, or any with its interface)."""
    return not isinstance(value, np.generic) and hasattr(value, "__cuda_array_interface__")


def device_of(array: Any) -> Device:
    """The device that an array is on.

    Raises
    ------
    DeviceError
        CuPy is not installed, or finds no device; it says what to install.
    """
    from fzdask.codecs.kernels.cuda.backend import cupy_device

    number = getattr(getattr(array, "device", None), "id", None)
    return cupy_device(number)


def current(device: Device) -> AbstractContextManager[Any]:
    """Make a device the one on which this thread launches and allocates, whichever it was before.

    Kernels go to the current device, not to that of their arrays; a thread begins with device 0.
    """
    cuda = getattr(device.xp, "cuda", None)
    if cuda is None:
        return nullcontext()
    chosen: AbstractContextManager[Any] = cuda.Device(device.number)  # type: ignore[attr-defined]
    return chosen
