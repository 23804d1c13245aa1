"""The device through CuPy: the one file of the project that imports it, and only when asked."""

from __future__ import annotations

import threading
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fzdask.codecs.kernels.cuda.sources import source
from fzdask.errors import DeviceError

__all__ = ["OPTIONS", "CupyDevice", "cupy_device"]

# Contraction to fused multiply-add would give other bits than the decoder of another machine.
OPTIONS = ("--std=c++17", "--fmad=false")
INSTALL = (
    "Install the CuPy that fits your CUDA driver (pip install 'fzdask[gpu]', or cupy-cuda12x), "
    "or pass a NumPy array to compress on the CPU; the streams are the same."
)


class CupyDevice:
    """One CUDA device: arrays, copies and launches of the project's kernels on its current stream.

    The methods and attributes are what every launch function of this package uses; whatever else
    has them can stand in for a device.

    Attributes
    ----------
    xp : module
        The array namespace, CuPy.
    multiprocessors : int
        How many blocks run at once, at the least.
    """

    def __init__(self, number: int) -> None:
        self.xp: Any = _cupy()
        self.number = number
        with self.xp.cuda.Device(number) as device:
            self.multiprocessors = int(device.attributes["MultiProcessorCount"])
        self._kernels: dict[tuple[str, str], Any] = {}
        self._modules: dict[str, Any] = {}
        self._lock = threading.Lock()

    def launch(self, module: str, kernel: str, grid: Any, block: Any, *args: Any) -> None:
        """Run a kernel of ``<module>.cu``; scalars are NumPy scalars of the kernel's types."""
        function = self._kernels.get((module, kernel))
        if function is None:
            function = self._load(module, kernel)
        grid, block = (s if isinstance(s, tuple) else (s,) for s in (grid, block))
        function(grid, block, args)

    def _load(self, module: str, kernel: str) -> Any:
        with self._lock, self.xp.cuda.Device(self.number):
            if module not in self._modules:
                self._modules[module] = self.xp.RawModule(code=source(module), options=OPTIONS)
            function = self._modules[module].get_function(kernel)
            self._kernels[module, kernel] = function
            return function

    def empty(self, size: int, dtype: Any) -> Any:
        """A flat array of anything."""
        return self.xp.empty(size, dtype)

    def zeros(self, size: int, dtype: Any) -> Any:
        """A flat array of zeros."""
        return self.xp.zeros(size, dtype)

    def upload(self, array: NDArray[Any]) -> Any:
        """A copy of a host array on the device."""
        return self.xp.asarray(np.ascontiguousarray(array))

    def download(self, array: Any) -> NDArray[Any]:
        """A copy on the host; waits for what makes the array."""
        host: NDArray[Any] = self.xp.asnumpy(array)
        return host


def _cupy() -> Any:
    try:
        import cupy
    except ImportError as error:
        raise DeviceError(f"fzdask: compressing on a GPU needs CuPy: {error}. {INSTALL}") from error
    if not cupy.is_available():
        raise DeviceError(
            f"fzdask: CuPy {cupy.__version__} finds no CUDA device here (no driver, or none is "
            f"visible to this process). {INSTALL}"
        )
    return cupy


@cache
def _device(number: int) -> CupyDevice:
    return CupyDevice(number)


def cupy_device(number: int | None = None) -> CupyDevice:
    """The device of this number, or the current one.

    Raises
    ------
    DeviceError
        CuPy is not installed, or there is no device; it says what to install.
    """
    return _device(int(_cupy().cuda.Device().id) if number is None else number)
