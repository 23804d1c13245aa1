"""The device that a test runs on: the shim on a CPU, or CuPy's."""

import pytest
from shim import ShimDevice

from fzdask.codecs.kernels.cuda.backend import cupy_device
from fzdask.errors import DeviceError


def make_device(kind, request):
    if kind != "gpu":
        folder = request.getfixturevalue("shim_folder")
        return ShimDevice(kind, blocks_backward=kind != "forward", folder=folder)
    try:
        return cupy_device()
    except DeviceError as error:
        pytest.skip(str(error))
